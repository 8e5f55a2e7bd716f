"""Feature artifacts of many slides -> a manifest one can train on, and what was left out of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from pathassets.core.datasets.spec import DatasetSpec
from pathassets.core.datasets.splits import PATIENT, Group, Unit, place
from pathassets.errors import SpecError

MANIFEST_COLUMNS = (
    "slide_id",
    "patient",
    "label",
    "split",
    "n_patches",
    "features_uri",
    "features_sha256",
    "slide_sha256",
    "slide_mpp",
    "slide_version",
    "tissue_mask_digest",
    "patch_locations_digest",
    "features_digest",
)
"""One row a slide. `features_uri` is relative to the store; the last six: what it was made from."""
QUALITY_COLUMNS = ("site", "external", "tissue_mm2", "bad_patch_share", "verdict", "broken")
"""What more is looked at: the site, the external cohort that the slide is of (empty: none), mm²,
a share, `accept`, `reject` or `review`, and a rule of quality that the slide breaks, in words."""
USED, QUALITY_DIGEST = "n_used", "patch_quality_digest"
"""Columns of the rows, and of the manifest, where a dataset has rules of quality: patches that are
used, and the artifact that tells."""

LEFT_OUT_COLUMNS = ("slide_id", "patient", "label", "why")
_NUMBERS = {
    "n_patches": "int64",
    "n_used": "int64",
    "slide_mpp": "float64",
    "tissue_mm2": "float64",
    "bad_patch_share": "float64",
}
_UNKNOWN = {"tissue_mm2": float("nan"), "bad_patch_share": 0.0}
REJECTED, ACCEPTED = "reject", "accept"
REJECTED_WHY, NOT_ACCEPTED = "rejected in quality control", "not accepted in quality control"
NOT_COMPUTED, GONE, DAMAGED = "not computed", "features gone", "features damaged"
"""Why a slide without usable features is left out where a run would make them."""


def n_to_compute(left_out: pd.DataFrame) -> int:
    """How many were left out that a run over all slides would make features of."""
    return int(left_out["why"].isin([NOT_COMPUTED, GONE, DAMAGED]).sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedParts:
    """Parts that a person wrote into a file, and the files name for errors."""

    patients: Mapping[str, str]
    slides: Mapping[str, str]
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What a split begins from."""

    placed: Mapping[Unit, str] = field(default_factory=dict)
    """Where versions before placed people."""
    stated: StatedParts | None = None
    """What a file says; None where the spec names none."""


NOTHING_BEFORE = Before()


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTable:
    """What a dataset is made of."""

    manifest: pd.DataFrame
    """Columns MANIFEST_COLUMNS; also `site`, where the split goes by site."""
    left_out: pd.DataFrame
    """Columns LEFT_OUT_COLUMNS."""
    placed: Mapping[Unit, str] = field(default_factory=dict)
    """Every unit that was placed, now or before; empty where nobody need be remembered."""


def build_manifest(
    rows: pd.DataFrame, spec: DatasetSpec, before: Before = NOTHING_BEFORE
) -> SplitTable:
    """Split the slides that have features; both tables are sorted by slide_id.

    `rows` has the manifest's columns but `split`, and `why` (empty where features exist); it may
    have those of QUALITY_COLUMNS. A slide without a patient is a group of its own. Columns have the
    same types with no row as with many.

    Raises:
        SpecError: two slides have one content: it could be in two parts of the split; the file of
            parts has a patient in two; nobody has a site, where the split goes by it.
    """
    rows = _typed(rows)
    _judge(rows, spec)
    _require_distinct(rows[rows["why"] == ""])
    groups = rows["patient"].replace("", pd.NA).fillna(rows["slide_id"])
    _keep_external_apart(rows, groups, spec)
    parts, placed = _split(rows[rows["why"] == ""], groups, spec, before)
    rows["split"] = parts.reindex(rows.index)
    unplaced = (rows["why"] == "") & rows["split"].isna()
    rows.loc[unplaced, "why"] = f"no part in {before.stated.file}" if before.stated else "no part"
    left_out = rows.loc[rows["why"] != "", list(LEFT_OUT_COLUMNS)]
    more = [name for name in (USED, QUALITY_DIGEST) if name in rows]
    columns = [*MANIFEST_COLUMNS, *(["site"] if spec.split_by == "site" else []), *more]
    manifest = rows.loc[rows["why"] == "", columns]
    return SplitTable(
        manifest=manifest.reset_index(drop=True),
        left_out=left_out.reset_index(drop=True),
        placed=placed if spec.remembers else {},
    )


def external_members(manifest: pd.DataFrame) -> list[str]:
    """Slides whose features another tool made: from no mask, so that they name none."""
    is_external = manifest["tissue_mask_digest"].fillna("") == ""
    found: list[str] = manifest.loc[is_external, "slide_id"].tolist()
    return found


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    """A copy in order, with every column that is looked at."""
    missing = {name: _UNKNOWN.get(name) for name in QUALITY_COLUMNS if name not in rows}
    rows = rows.assign(**missing)
    rows = rows.astype({name: _NUMBERS.get(name, "string") for name in rows.columns})
    return rows.sort_values("slide_id", ignore_index=True)


def _judge(rows: pd.DataFrame, spec: DatasetSpec) -> None:
    """Say why slides are not good enough; the first rule that one breaks is told."""
    counted, verdict = rows.get(USED, rows["n_patches"]), rows["verdict"].fillna("")
    rules: list[tuple[pd.Series, str | pd.Series]]
    rules = [(counted < spec.min_patches, f"fewer than {spec.min_patches} patches")]
    if spec.min_tissue_mm2 > 0:
        is_little = ~(rows["tissue_mm2"] >= spec.min_tissue_mm2)  # unknown is no tissue
        rules.append((is_little, f"less than {spec.min_tissue_mm2:g} mm² of tissue"))
    if spec.max_bad_patch_share < 1:
        is_bad = rows["bad_patch_share"] > spec.max_bad_patch_share
        said = f"more than {spec.max_bad_patch_share:.2%} of its patches cannot be read"
        rules.append((is_bad, said))
    if spec.verdict in {"not_rejected", "decides"}:
        rules.append((verdict == REJECTED, REJECTED_WHY))
    if spec.verdict == "accepted":
        rules.append((verdict != ACCEPTED, NOT_ACCEPTED))
    broken = rows["broken"].fillna("")
    overruled = (verdict == ACCEPTED) & (spec.verdict == "decides")
    rules.append(((broken != "") & ~overruled, broken))
    if spec.label is not None:
        rules.append((rows["label"].fillna("") == "", f"no label {spec.label}"))
    for breaks, why in rules:
        rows["why"] = rows["why"].mask((rows["why"] == "") & breaks, why)


def _require_distinct(kept: pd.DataFrame) -> None:
    """Let slides through of which no two hold the same."""
    twice = kept.loc[kept["slide_sha256"].duplicated(keep=False), ["slide_sha256", "slide_id"]]
    if len(twice):
        sha256 = twice["slide_sha256"].iloc[0]
        ids = twice.loc[twice["slide_sha256"] == sha256, "slide_id"]
        raise SpecError(
            f"slides {' and '.join(ids)}: hold the same content, SHA-256 {sha256}",
            remedy="It would count twice, and could be in two parts of the split: keep one of them",
        )


def _keep_external_apart(rows: pd.DataFrame, groups: pd.Series, spec: DatasetSpec) -> None:
    """Leave out slides outside of an external cohort whose patient is in it: he tests."""
    if not spec.external:
        return
    rank = {name: place for place, name in enumerate(spec.external)}
    nowhere = len(rank)
    own = pd.Series([rank.get(name, nowhere) for name in rows["external"].fillna("")], rows.index)
    is_in = rows["why"] == ""
    first = own[is_in].groupby(groups[is_in]).transform("min").reindex(rows.index, fill_value=0)
    astray = is_in & (own != first)
    rows.loc[astray, "why"] = [
        f"its patient is in the external cohort {spec.external[place]}" for place in first[astray]
    ]


def _split(
    kept: pd.DataFrame, groups: pd.Series, spec: DatasetSpec, before: Before
) -> tuple[pd.Series, Mapping[Unit, str]]:
    """Part of each row, NA where a file is silent, and the units that were placed."""
    is_external = kept["external"].isin(spec.external)
    own, groups = kept[~is_external], groups.loc[kept.index]
    if before.stated is not None:
        parts, placed = _stated(own, groups[~is_external], before.stated), {}
    else:
        placed = place(_grouped(own, groups[~is_external], spec), spec, before.placed)
        of_group = {name: part for (kind, name), part in placed.items() if kind == PATIENT}
        parts = groups[~is_external].map(of_group)
    every = pd.concat([parts.astype("string"), kept.loc[is_external, "external"]])
    return every.reindex(kept.index), placed


def _grouped(own: pd.DataFrame, groups: pd.Series, spec: DatasetSpec) -> list[Group]:
    if spec.split_by == "shares":
        return [Group(name=name) for name in groups.unique()]
    if spec.split_by == "site" and len(own) and (own["site"].fillna("") == "").all():
        raise SpecError(
            "dataset: split_by is site, and no slide has one",
            remedy="State the sites of patients, or split by shares or stratified",
        )
    labels: defaultdict[str, set[str]] = defaultdict(set)
    sites: dict[str, str] = {}
    facts = own[["label", "site"]].fillna("")  # pandas takes 0.4 ms a group
    for name, label, site in zip(groups, facts["label"], facts["site"], strict=True):
        labels[name].add(label)
        # A patient is of one site; of two, be it always the same.
        sites[name] = max(site, sites.get(name, ""))
    return [
        Group(name=name, labels=tuple(sorted(of_group)), site=sites[name])
        for name, of_group in sorted(labels.items())
    ]


def _stated(own: pd.DataFrame, groups: pd.Series, stated: StatedParts) -> pd.Series:
    """Part that a file gives each group, by the patient or by any of its slides."""
    said = pd.concat([own["slide_id"].map(stated.slides), groups.map(stated.patients)]).dropna()
    found = said.groupby(groups.loc[said.index].to_numpy()).agg(lambda of: sorted({*of}))
    for name, parts in found.items():
        if len(parts) > 1:
            raise SpecError(
                f"{stated.file}: patient {name!r} is in {' and '.join(parts)}",
                remedy="Give all slides of a patient one part",
            )
    return groups.map({name: parts[0] for name, parts in found.items()})
