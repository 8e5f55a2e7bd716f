"""Plan + catalog + store -> one row for every slide that a dataset may have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pathassets.adapters.csv_table import read_csv_table
from pathassets.adapters.files import fingerprint_of
from pathassets.adapters.store.store import content_sha256_of
from pathassets.catalog.records import ArtifactRecord
from pathassets.core.address import Address
from pathassets.core.datasets.manifest import MANIFEST_COLUMNS, Before, StatedParts
from pathassets.core.datasets.splits import scheme_of
from pathassets.core.recipe import Entry, Key
from pathassets.engine.platform.plan import PlannedSlide
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.presence import StoredArtifacts
from pathassets.errors import SpecError

COLUMNS = (
    *(name for name in MANIFEST_COLUMNS if name != "split"),
    "why",
    "tissue_mm2",
    "bad_patch_share",
)


def gather(
    platform: Platform, entry: Entry, slides: Iterable[PlannedSlide], known: StoredArtifacts
) -> tuple[pd.DataFrame, dict[str, Address]]:
    """One row for every slide, with or without features, and the address of each that has them."""
    features = parent_of(entry)
    kin = platform.recipe.lineage(platform.recipe.entry(features))
    wanted = [e for e in kin if e.stage.scope == "slide"]
    records = {a.address: a for a in platform.catalog.artifacts(*features)}
    tissue = _tissue_mm2(platform, entry, wanted)
    rows, parents = [], {}
    for planned in slides:
        chain = {e.stage.name: planned.steps[e.key].address for e in wanted}
        address = chain[features[0]]
        why = known.why_unusable(address)
        record = None if why else records.get(address)
        mm2 = tissue.get(chain["tissue_mask"], float("nan"))
        rows.append((*_row(planned, chain, record), why, mm2, _bad_patch_share(record)))
        if not why:
            parents[planned.slide_id] = address
    return pd.DataFrame(rows, columns=list(COLUMNS)), parents


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
        return Before(stated=_read_parts(Path(spec.split_file), entry.file_sha256))
    if spec.remembers:
        return Before(placed=platform.catalog.placed(entry.name, scheme_of(spec)))
    return Before()


def _row(
    planned: PlannedSlide, chain: Mapping[str, Address], record: ArtifactRecord | None
) -> tuple[object, ...]:
    facts, address = planned.record, chain["features"]
    files = () if record is None else record.files
    return (
        planned.slide_id,
        facts.patient,
        facts.label,
        0 if record is None else record.facts["n_patches"],
        f"{address}/features.zarr",
        content_sha256_of({file.path: file.sha256 for file in files}),
        facts.fingerprint,
        planned.slide_mpp,
        planned.version,
        chain["tissue_mask"].digest,
        chain["patch_locations"].digest,
        address.digest,
    )


def _bad_patch_share(record: ArtifactRecord | None) -> float:
    """Share of the patches that were left out because their pixels cannot be read."""
    facts: Mapping[str, Any] = {} if record is None else record.facts
    n_skipped = facts.get("n_skipped", 0)
    return float(n_skipped / max(1, n_skipped + facts.get("n_patches", 0)))


def _tissue_mm2(platform: Platform, entry: Entry, kin: Iterable[Entry]) -> Mapping[Address, float]:
    """Area of tissue by mask; none is looked up where nobody asks."""
    if not entry.spec.min_tissue_mm2:
        return {}
    (mask,) = (e for e in kin if e.stage.name == "tissue_mask")
    return {
        a.address: a.facts["tissue_mm2"]
        for a in platform.catalog.artifacts(*mask.key)
        if a.facts.get("tissue_mm2") is not None
    }


def _read_parts(path: Path, sha256: str) -> StatedParts:
    """Parts of patients and slides from a CSV with a column `split`."""
    if fingerprint_of([path]) != sha256:
        raise SpecError(f"{path}: changed since the recipe was read", remedy="Begin again")
    table = read_csv_table(path, column="split")
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
        for key in keys:
            name = _unguarded(cells[key])
            if name and said[key].setdefault(name, cells["split"]) != cells["split"]:
                raise SpecError(
                    f"{path}:{line.number}: {key} {name!r} is in {said[key][name]} and in "
                    f"{cells['split']}",
                    remedy="Give each one part",
                )
    return StatedParts(patients=said["patient"], slides=said["slide_id"], file=path.name)


_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def guarded(text: str) -> str:
    """A cell that no spreadsheet takes for a formula.

    Source: OWASP, CSV injection.

    >>> guarded("=1+1"), guarded("'a"), guarded("a")
    ("'=1+1", "''a", 'a')
    """
    return f"'{text}" if text.startswith((*_FORMULA, "'")) else text


def _unguarded(cell: str) -> str:
    """What was written before a cell was guarded; one that never was is left as it is."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith((*_FORMULA, "'")) else cell
