"""A built dataset, or one that was kept back -> what Dagster's page is told of it.

split      slides, patients and patches by part and label
left_out   who is not in it, and why
changes    against the version before; members that were taken out since are counted, not named
findings   what blocks it, and what was accepted
withdrawn  that a version names a slide which was taken out since; not which
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pandas as pd

from pathassets.core.datasets.changes import DatasetChanges, VersionTables, compare
from pathassets.core.datasets.manifest import n_to_compute
from pathassets.core.datasets.report import split_counts
from pathassets.core.datasets.withdrawn import Withdrawn
from pathassets.core.recipe import DATASET, Entry
from pathassets.core.text import counted, counted_part
from pathassets.defs.events.numbers import fact_values
from pathassets.defs.text import bullets, table_value, text_value
from pathassets.engine.platform.datasets.build import BuiltDataset
from pathassets.engine.platform.datasets.versions import (
    find_version,
    tables_to_compare,
    version_before,
    withdrawn_in,
)
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.upkeep.forget import dataset_of
from pathassets.errors import LeakageFound, StoreError


def dataset_metadata(platform: Platform, built: BuiltDataset) -> dict[str, Any]:
    """What the page shows of a version."""
    manifest, left_out = built.planned.manifest, built.planned.left_out
    facts = {name: n for name, n in built.artifact.facts.items() if name != "split"}
    return {
        **fact_values(facts),
        "split": dg.MetadataValue.json(built.artifact.facts["split"]),
        **_patches_used(facts),
        "parts": table_value(_records(split_counts(manifest))),
        "left_out": table_value(_records(left_out)),
        **_to_compute(built),
        "accepted": table_value(
            [{"finding": a.message, "who": a.who, "why": a.why} for a in built.planned.accepted]
        ),
        **_changes(platform, built),
        "uri": str(built.artifact.address),
        "state": "made now" if built.is_new else "current: nothing was computed",
    }


def _patches_used(facts: Mapping[str, Any]) -> dict[str, Any]:
    """How many of its patches rules leave; nothing where they leave all."""
    n_used, n_patches = facts.get("n_used"), facts["n_patches"]
    is_all = n_used in {None, n_patches}
    said = counted_part(n_used, n_patches, "patch")
    return {} if is_all else {"patches used": text_value(said)}


def _to_compute(built: BuiltDataset) -> dict[str, Any]:
    """What to do where slides are left out only for want of features; nothing where none is."""
    n_slides = n_to_compute(built.planned.left_out)
    said = f"left out for want of features, or of whole ones: {counted(n_slides, 'slide')}"
    remedy = "Materialize the features of all slides, then this again"
    return {"to compute": text_value(f"{said}. {remedy}")} if n_slides else {}


@contextmanager
def kept_back(platform: Platform, entry: Entry) -> Iterator[None]:
    """Turn what blocks a dataset into a failure that tells each finding and what to do.

    Raises:
        dagster.Failure: its parts are not apart.
    """
    try:
        yield
    except LeakageFound as error:
        found = platform.catalog.findings(entry.name)
        rows = [
            {
                "finding": one.finding,
                "what": one.message,
                "remedy": one.remedy,
                "slides": ", ".join(one.evidence["slides"]),
            }
            for one in found
        ]
        raise dg.Failure(
            bullets(f"{one.finding}: {one.message}. {one.remedy}" for one in found),
            metadata={"findings": table_value(rows), "what to do": text_value(error.remedy)},
            allow_retries=False,
        ) from error


def withdrawal_events(versions: Iterable[str]) -> Iterator[dg.AssetObservation]:
    """Of each dataset, which versions and releases of it name a slide that was taken out now."""
    of_dataset: defaultdict[str, list[str]] = defaultdict(list)
    for one in versions:
        of_dataset[dataset_of(one)].append(one)
    for dataset, names in of_dataset.items():
        yield dg.AssetObservation(
            dg.AssetKey([DATASET, dataset]),
            description="a member was withdrawn: pathassets dataset show tells which, and why",
            metadata={"named by": text_value(", ".join(names))},
        )


def _changes(platform: Platform, built: BuiltDataset) -> dict[str, Any]:
    """What changed since the version before; nothing where there is none, or it is gone."""
    address = built.artifact.address
    before = version_before(platform, find_version(platform, f"{address.name}@{address.digest}"))
    if before is None:
        return {}
    try:
        old = tables_to_compare(platform, before)
    except StoreError as error:
        return {"version_before": text_value(f"{before.name}: {error}")}
    planned = built.planned
    new = VersionTables(manifest=planned.manifest, left_out=planned.left_out, used=planned.used)
    gone = withdrawn_in(platform, old)
    return {
        "version_before": text_value(before.name),
        "changes": table_value([*_listed(compare(old, new), gone), *_taken_out(gone)]),
    }


def _taken_out(gone: Sequence[Withdrawn]) -> Iterable[Mapping[str, Any]]:
    """Members that were taken out: how many, and not which."""
    for said, n in Counter(f"taken out on {one.on} by {one.who}" for one in gone).items():
        yield {"change": "removed", "slide": "", "what": f"{n} {said}"}


def _listed(changes: DatasetChanges, gone: Sequence[Withdrawn]) -> Iterable[Mapping[str, Any]]:
    unnamed = {one.slide_id for one in gone}
    for kind, rows in changes.tables.items():
        if rows is None:
            yield {"change": kind.replace("_", " "), "slide": "", "what": "not known"}
            continue
        for row in _records(rows):
            slide = row.pop("slide_id")
            if slide in unnamed:
                continue
            said = ", ".join(
                f"{name} {value}" for name, value in row.items() if value not in {None, ""}
            )
            yield {"change": kind.replace("_", " "), "slide": slide, "what": said}


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    plain = rows.astype(object)
    found: list[dict[str, Any]] = plain.where(rows.notna(), None).to_dict("records")  # type: ignore[assignment]
    return found
