"""Slides that have features -> the version of a dataset that they make."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pandas as pd

from pathassets.catalog.releases.records import AcceptedFinding
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.datasets.leaks import is_accepted
from pathassets.core.datasets.manifest import SplitTable, build_manifest, external_members
from pathassets.core.external import EXTERNAL
from pathassets.core.recipe import Entry
from pathassets.core.spec import canonical_json
from pathassets.engine.platform.datasets.gather import gather, read_before
from pathassets.engine.platform.datasets.verdicts import honoured
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.look import look
from pathassets.engine.platform.standing.refresh import refresh_wanted

N_ROWS = 5_000
"""Rows of which the JSON is held at once: all of 100,000 take half a gigabyte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDataset:
    """The version of a dataset that the catalog stands for now."""

    entry: Entry
    address: Address
    table: SplitTable
    accepted: tuple[AcceptedFinding, ...]
    """Of what leaks across its parts, what a person let pass."""
    parents: tuple[Address, ...]
    """Features of each row of the manifest."""
    judged_by: tuple[Address, ...] = ()
    """Patch quality of each row; empty without rules of it."""
    used: Mapping[str, bytes] = field(default_factory=dict)
    """By slide, which rows of its features are used; empty: all of all."""
    verdicts: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Those by which it has slides or lacks them, with whose they are; of most it has no row."""

    @property
    def manifest(self) -> pd.DataFrame:
        """One row a slide."""
        return self.table.manifest

    @property
    def left_out(self) -> pd.DataFrame:
        """One row a slide, with why."""
        return self.table.left_out


def plan_dataset(
    platform: Platform, entry: Entry, *, is_looking: bool = True, is_mended: bool = False
) -> PlannedDataset:
    """Work out a dataset's content and identity: the same slides give the same version.

    The store is looked at first, unless somebody has. Nobody is placed by it: a build does that.
    `is_mended` counts what is damaged as it is once it is made anew: the same.

    Raises:
        SpecError: two slides hold the same, the split cannot be made as it is asked for, or it
            names a cohort that there is not.
    """
    if is_looking:
        plan_id = refresh_wanted(platform)
        for key in entry.parents:
            look(platform, plan_id, key=key)
    found = gather(platform, entry, is_mended=is_mended)
    table = build_manifest(found.rows, entry.spec, read_before(platform, entry))
    accepted = _accepted(platform, entry, table.manifest)
    content = [_json_of(one) for one in (table.manifest, table.left_out)]
    if accepted:  # as recorded as a resolution is: another statement, another version
        content.append(iter([canonical_json([[a.finding, a.who, a.why] for a in accepted])]))
    external = external_members(table.manifest)
    if external:  # recipe.json tells of them, as it did not always: another file, another version
        content.append(iter([canonical_json({EXTERNAL: external})]))
    verdicts = honoured(entry.spec, table, found.verdicts)
    if len(verdicts):  # verdicts.parquet tells of them: said by another, another file and version
        content.append(_json_of(verdicts))
    return PlannedDataset(
        entry=entry,
        address=Address(*entry.key, ALL_SLIDES, entry.digest_of_texts(content)),
        table=table,
        accepted=accepted,
        parents=tuple(found.features[slide_id] for slide_id in table.manifest["slide_id"]),
        judged_by=_judged_by(entry, table.manifest),
        used=found.used,
        verdicts=verdicts,
    )


def _judged_by(entry: Entry, manifest: pd.DataFrame) -> tuple[Address, ...]:
    """Patch quality of each row, where there are rules of it."""
    if entry.beside is None:
        return ()
    pairs = zip(manifest["slide_id"], manifest["patch_quality_digest"], strict=True)
    return tuple(Address(*entry.beside, slide_id, digest) for slide_id, digest in pairs)


def _json_of(table: pd.DataFrame) -> Iterator[str]:
    """A table's canonical JSON, as pandas splits it, some rows at a time."""
    yield f'{{"columns":{canonical_json([*table.columns])},"data":['
    for start in range(0, len(table), N_ROWS):
        rows = json.loads(table[start : start + N_ROWS].to_json(orient="values"))
        yield f"{',' * (start > 0)}{canonical_json(rows)[1:-1]}"
    yield f'],"index":{canonical_json([*range(len(table))])}}}'


def _accepted(
    platform: Platform, entry: Entry, manifest: pd.DataFrame
) -> tuple[AcceptedFinding, ...]:
    """Findings that were accepted and are about this manifest, the newest word on each."""
    newest = {a.finding: a for a in platform.catalog.accepted_findings(entry.name)}
    return tuple(
        a for _, a in sorted(newest.items()) if is_accepted(manifest, a.kind, a.one, a.other)
    )
