"""Patients, their labels and sites -> the part of the split that each belongs to.

    file ─▶ external cohort ─▶ placed before ─▶ drawn: by name alone, within labels, or by site
    (each where it is asked for; the first that says something is in force)

A patient is in one part alone. One who was placed stays, however the cohort grows: a draw by name
asks nobody else, and the others begin from where earlier versions placed people.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pathassets.core.datasets.apportion import Apportioner, whole_weights
from pathassets.core.datasets.spec import DatasetSpec
from pathassets.core.spec import digest_of

Unit = tuple[str, str]
"""What is placed: ("patient", name), or ("site", name)."""
PATIENT, SITE = "patient", "site"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What stays together: the slides of a patient, or one slide that has none."""

    name: str
    """The patient, else the slide id."""
    labels: tuple[str, ...] = ()
    """Of its slides, sorted, each once; a patient of two labels is a stratum of its own."""
    site: str = ""
    """Where it is from; empty where nobody said."""


def split_of(group: str, spec: DatasetSpec) -> str:
    """Part of the split that a patient belongs to: by seed and name alone.

    Adding slides or patients never moves a patient from one part to another, so a test patient of
    one version is never a training patient of the next. The parts share [0, 1) in the order of
    their names, for the digest of a spec does not know any other.

    >>> split_of("patient-1", DatasetSpec(split={"train": 1.0, "test": 0.0}))
    'train'
    """
    return _drawn(group, spec.seed, _edges(spec.parts))


def scheme_of(spec: DatasetSpec) -> str:
    """Name of the way that patients are placed: with another, nobody was placed before."""
    return digest_of(
        {"split_by": spec.split_by, "parts": spec.parts, "seed": spec.seed, "label": spec.label}
    )


def place(
    groups: Iterable[Group], spec: DatasetSpec, placed: Mapping[Unit, str]
) -> dict[Unit, str]:
    """Place groups; those that were placed before stay. Returns every unit that has a part now.

    Shares hold to less than one patient within each label where `split_by` is `stratified`, as
    long as labels stay and nobody leaves; what did is made up for by those who come.
    """
    ordered = sorted(groups, key=lambda group: (_draw(group.name, spec.seed), group.name))
    if spec.split_by == "shares":
        edges = _edges(spec.parts)
        return {(PATIENT, g.name): _drawn(g.name, spec.seed, edges) for g in ordered}
    known = {unit: part for unit, part in placed.items() if part in spec.parts}
    chosen = _by_site if spec.split_by == "site" else _by_label
    return chosen(ordered, spec, known)


def _by_label(
    ordered: list[Group], spec: DatasetSpec, known: Mapping[Unit, str]
) -> dict[Unit, str]:
    parts = Apportioner(whole_weights(spec.parts))
    strata = {group.name: "\0".join(group.labels) for group in ordered}
    found = {(PATIENT, name): known[PATIENT, name] for name in strata if (PATIENT, name) in known}
    for (_, name), part in found.items():
        parts.note(strata[name], part)
    for name, stratum in strata.items():
        if (PATIENT, name) not in found:
            found[PATIENT, name] = parts.give(stratum)
    return found


def _by_site(ordered: list[Group], spec: DatasetSpec, known: Mapping[Unit, str]) -> dict[Unit, str]:
    """Sites as wholes, the largest first, each to the part that lacks most patients."""
    members: defaultdict[Unit, list[Group]] = defaultdict(list)
    for group in ordered:
        members[(SITE, group.site) if group.site else (PATIENT, group.name)].append(group)
    found = {unit: part for unit in members if (part := _part_before(members[unit], unit, known))}
    counts = Counter(dict.fromkeys(spec.parts, 0))
    for unit, part in found.items():
        counts[part] += len(members[unit])
    weights = whole_weights(spec.parts)
    n, whole = len(ordered), sum(weights.values())
    for unit in sorted(members, key=lambda unit: -len(members[unit])):  # a stable sort: by draw
        if unit not in found:
            found[unit] = max(weights, key=lambda p: weights[p] * n - counts[p] * whole)
            counts[found[unit]] += len(members[unit])
    of_patients = {
        (PATIENT, g.name): known.get((PATIENT, g.name), found[unit])
        for unit, groups in members.items()
        for g in groups
    }
    return found | of_patients


def _part_before(groups: list[Group], unit: Unit, known: Mapping[Unit, str]) -> str:
    """Where a site is already, by itself or by most of its patients; empty where it is nowhere."""
    if unit in known:
        return known[unit]
    votes = Counter(known[PATIENT, g.name] for g in groups if (PATIENT, g.name) in known)
    return min(votes, key=lambda part: (-votes[part], part)) if votes else ""


def _edges(shares: Mapping[str, float]) -> list[tuple[float, str]]:
    edges, edge = [], 0.0
    for name, share in sorted(shares.items()):
        if share > 0:
            edge += share
            edges.append((edge, name))
    return edges


def _drawn(group: str, seed: int, edges: list[tuple[float, str]]) -> str:
    point = _draw(group, seed)
    # The shares may add up to a little less than 1.
    return next((name for edge, name in edges if point < edge), edges[-1][1])


def _draw(group: str, seed: int) -> float:
    """A number in [0, 1) that seed and name alone decide."""
    drawn = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    return int.from_bytes(drawn[:8]) / 2**64
