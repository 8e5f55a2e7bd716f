"""Plan + catalog + store -> one row for every slide that a dataset may have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from pathassets.adapters.store.store import content_sha256_of
from pathassets.adapters.tables.reading import read_table
from pathassets.adapters.tables.writing import FORMULA_STARTS
from pathassets.catalog.records import Verdict
from pathassets.catalog.releases.candidates import Candidate
from pathassets.catalog.states import GONE
from pathassets.core.address import Address
from pathassets.core.datasets.manifest import DAMAGED, NOT_COMPUTED, Before, StatedParts
from pathassets.core.datasets.manifest import GONE as FEATURES_GONE
from pathassets.core.datasets.spec import DatasetSpec
from pathassets.core.datasets.splits import scheme_of
from pathassets.core.near_names import near_names, perhaps
from pathassets.core.recipe import Entry, Key
from pathassets.core.slides.slide import slide_version
from pathassets.core.text import quoted
from pathassets.engine.platform.datasets.quality import judge
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.selection import choose_for
from pathassets.engine.platform.selections.names import match_slides, several
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.errors import SpecError

_COLUMNS = (
    "slide_id",
    "patient",
    "label",
    "n_patches",
    "features_uri",
    "features_sha256",
    "slide_sha256",
    "slide_mpp",
    "slide_version",
    "features_digest",
    "why",
    "bad_patch_share",
)
_PART = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
SLIDE_LABEL = "label"
"""Name of the label that stands beside the slide itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What is known of the slides that a dataset may have."""

    rows: pd.DataFrame
    """One for every slide that is selected."""
    features: Mapping[str, Address]
    """Of each that can be used."""
    used: Mapping[str, bytes]
    """Which rows of them are used; empty: all."""
    verdicts: Mapping[str, Verdict]
    """In force, by slide; empty where the dataset asks for none."""


def gather(platform: Platform, entry: Entry, *, is_mended: bool = False) -> Gathered:
    """One row for every slide that is selected, held to the rules of quality.

    A few queries for any cohort; what they say of files is what the last look at the store found.
    `is_mended` counts what was made as there, however damaged: as it is once it is made anew.

    Raises:
        SpecError: the selection means nothing, or there is no cohort of a name; the error names
            the dataset.
    """
    features = parent_of(entry)
    plan_id = refresh_wanted(platform)
    mask, locations = _entries_before(platform, features)
    rows, skipped = _rows_of(platform, plan_id, features, is_mended=is_mended)
    ids = rows["slide_id"]
    rows["tissue_mask_digest"] = ids.map(platform.catalog.wanted_digests(plan_id, mask))
    rows["patch_locations_digest"] = ids.map(platform.catalog.wanted_digests(plan_id, locations))
    # What another tool made is made from the slide alone.
    of_others = {one.digest for some in platform.catalog.adopted().values() for one in some}
    is_external = rows["features_digest"].isin(of_others)
    rows.loc[is_external, ["tissue_mask_digest", "patch_locations_digest"]] = ""
    _require_cohorts(platform, entry)
    asks_people = entry.spec.verdict != "any"
    verdicts = {v.slide_id: v for v in platform.catalog.verdicts()} if asks_people else {}
    rows = _with_what_is_said(platform, rows, entry.spec)
    if asks_people:
        rows["verdict"] = ids.map({slide_id: one.verdict for slide_id, one in verdicts.items()})
    if entry.spec.min_tissue_mm2:
        facts = platform.catalog.wanted_facts(plan_id, mask)
        areas = {slide_id: one.get("tissue_mm2") for slide_id, one in facts.items()}
        rows["tissue_mm2"] = ids.map(areas)
    if entry.spec.slides:
        rows = rows[ids.isin(choose_for(platform, entry))]
    judged = judge(platform, plan_id, entry, rows, skipped, is_mended=is_mended)
    usable = judged.rows.loc[judged.rows["why"] == "", ["slide_id", "features_digest"]]
    addresses = {s: Address(*features, s, d) for s, d in usable.itertuples(index=False)}
    return Gathered(
        rows=judged.rows, features=addresses, used=judged.used, verdicts=verdicts
    )  # fmt: skip


def _rows_of(
    platform: Platform, plan_id: int, features: Key, *, is_mended: bool
) -> tuple[pd.DataFrame, dict[str, Sequence[int]]]:
    """A row for each slide, and the places that the features of some have no row of."""
    skipped: dict[str, Sequence[int]] = {}
    rows: list[tuple[object, ...]] = []
    for one in platform.catalog.candidates(plan_id, features):
        rows.append(_row(one, features, is_mended=is_mended))
        if one.facts and one.facts.get("skipped"):
            skipped[one.slide_id] = one.facts["skipped"]
    return pd.DataFrame(rows, columns=list(_COLUMNS)), skipped


def _with_what_is_said(platform: Platform, rows: pd.DataFrame, spec: DatasetSpec) -> pd.DataFrame:
    """Labels, sites and external cohorts, as far as they are asked for."""
    catalog, ids = platform.catalog, rows["slide_id"]
    more: dict[str, pd.Series] = {}
    if spec.label not in {None, SLIDE_LABEL}:
        more["label"] = ids.map(catalog.labels_called(spec.label or ""))
    if spec.split_by == "site":
        more["site"] = ids.map(catalog.sites())
    if spec.external:
        names = {s: name for name in reversed(spec.external) for s in catalog.cohort_slides(name)}
        more["external"] = ids.map(names)
    return rows.assign(**more)


def _require_cohorts(platform: Platform, entry: Entry) -> None:
    known = platform.catalog.cohort_sizes() if entry.spec.external else {}
    for name in entry.spec.external:
        if name not in known:
            otherwise = f"Put slides into it: pathassets cohort slides {name} SLIDE --who NAME"
            raise SpecError(
                f"{'/'.join(entry.key)}: external names the cohort {quoted(name)}, which there is "
                "not",
                remedy=f"{perhaps(near_names(name, known))}{otherwise}",
            )


def parent_of(entry: Entry) -> Key:
    """The features that a dataset is made from."""
    if entry.parent is None:
        raise ValueError(f"{entry.key}: a dataset is made from features")
    return entry.parent


def read_before(platform: Platform, entry: Entry) -> Before:
    """What a dataset's split begins from: who was placed, or what a file says.

    Raises:
        SpecError: the file is not the one that the recipe was read with, or cannot be read.
    """
    spec = entry.spec
    if spec.split_file is not None:
        stated = _read_parts(Path(spec.split_file), entry.file_sha256)
        return Before(stated=_of_today(platform, stated))
    if spec.remembers:
        return Before(placed=platform.catalog.placed(entry.name, scheme_of(spec)))
    return Before()


def _of_today(platform: Platform, stated: StatedParts) -> StatedParts:
    """The same by the ids that slides have now; what is no slide's stays as it is.

    Raises:
        SpecError: a name fits several slides, or two that are one slide's are in two parts.
    """
    named = match_slides(platform.catalog, stated.slides, is_near=False).slides
    slides: dict[str, str] = {}
    for name, part in stated.slides.items():
        ids = named.get(name, (name,))
        if len(ids) > 1:
            fact, remedy = several(name, ids)
            raise SpecError(f"{stated.file}: {fact}", remedy=remedy)
        if slides.setdefault(ids[0], part) != part:
            raise SpecError(
                f"{stated.file}: slide {ids[0]} is in {slides[ids[0]]} and in {part}: it is named "
                f"in two ways, one of them {quoted(name)}",
                remedy="Give both one part",
            )
    return replace(stated, slides=slides)


def _entries_before(platform: Platform, features: Key) -> tuple[Key, Key]:
    """The mask and the locations that features are made by."""
    kin = platform.recipe.lineage(platform.recipe.entry(features))
    of_stage = {entry.stage.name: entry.key for entry in kin}
    return of_stage["tissue_mask"], of_stage["patch_locations"]


def _row(one: Candidate, features: Key, *, is_mended: bool) -> tuple[object, ...]:
    why = "" if is_mended and one.facts is not None else _why_unusable(one)
    facts: Mapping[str, Any] = {} if why else one.facts or {}
    files = () if why else one.files
    n_patches, n_skipped = facts.get("n_patches", 0), facts.get("n_skipped", 0)
    return (
        one.slide_id,
        one.patient,
        one.label,
        n_patches,
        f"{Address(*features, one.slide_id, one.features_digest)}/features.zarr",
        content_sha256_of({file["path"]: file["sha256"] for file in files}),
        one.fingerprint,
        one.mpp,
        slide_version(one.fingerprint, one.mpp),
        one.features_digest,
        why,
        n_skipped / max(1, n_skipped + n_patches),
    )


def _why_unusable(one: Candidate) -> str:
    """Why features cannot be used in a few words; empty where they can."""
    if one.facts is None:
        return NOT_COMPUTED if one.state in {"missing", "stale"} else "no features"
    if one.damage:
        return FEATURES_GONE if one.damage == GONE else DAMAGED
    return DAMAGED if one.state == "failed" else ""


def _read_parts(path: Path, sha256: str) -> StatedParts:
    """Parts of patients and slides from a CSV with a column `split`."""
    table = read_table(path, any_of=("split",))
    if table.sha256 != sha256:
        raise SpecError(f"{path}: changed since the recipe was read", remedy="Begin again")
    keys = [name for name in ("patient", "slide_id") if name in table.columns]
    if not keys:
        raise SpecError(
            f"{path}: says of nobody which part is his",
            remedy="Give it a column patient, or slide_id",
        )
    said: dict[str, dict[str, str]] = {"patient": {}, "slide_id": {}}
    for line in table.lines:
        cells = {n: c.strip() for n, c in zip(table.columns, line.cells, strict=True)}
        if not cells["split"]:
            continue
        if not _PART.fullmatch(cells["split"]):
            raise SpecError(
                f"{path}:{line.number}: {quoted(cells['split'])} is no name of a part",
                remedy="Begin with a letter; up to 63 more letters, digits, _, . and - may follow",
            )
        for key in keys:
            name = _unguarded(cells[key])
            if name and said[key].setdefault(name, cells["split"]) != cells["split"]:
                raise SpecError(
                    f"{path}:{line.number}: {key} {name!r} is in {said[key][name]} and in "
                    f"{cells['split']}",
                    remedy="Give each one part",
                )
    return StatedParts(patients=said["patient"], slides=said["slide_id"], file=path.name)


def guarded(text: str) -> str:
    """A cell that no spreadsheet takes for a formula.

    Source: OWASP, CSV injection.

    >>> guarded("=1+1"), guarded("'a"), guarded("a")
    ("'=1+1", "''a", 'a')
    """
    return f"'{text}" if text.startswith((*FORMULA_STARTS, "'")) else text


def _unguarded(cell: str) -> str:
    """What was written before a cell was guarded; one that never was is left as it is."""
    return (
        cell[1:] if cell.startswith("'") and cell[1:].startswith((*FORMULA_STARTS, "'")) else cell
    )
