"""Tables <-> Parquet on disk, by pandas and pyarrow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pyarrow import ArrowException  # type: ignore[import-untyped]

from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches.patch_set import Row, as_text, rows_of, table_of
from pathassets.errors import ArtifactCorrupt


def save_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table; equal tables give equal bytes."""
    table.to_parquet(path, index=False, engine="pyarrow")


def load_table(path: Path) -> pd.DataFrame:
    """Read a table.

    Raises:
        ArtifactCorrupt: it is no Parquet file.
    """
    try:
        return pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError, ArrowException) as error:
        raise ArtifactCorrupt(path, f"cannot be read: {error}", remedy="Make it again") from error


def save_locations(path: Path, locations: PatchLocations) -> None:
    """Write patch locations, one row a patch: x_px0, y_px0, tissue_share, their sizes and label.

    All labels, those of no patch too, stand in the table's own attributes, in their order.
    """
    n, labels = len(locations), [as_text(label) for label in locations.labels]
    codes = np.zeros(n, np.int32) if locations.label_codes is None else locations.label_codes
    table = pd.DataFrame(
        {
            "x_px0": locations.x_px0,
            "y_px0": locations.y_px0,
            "tissue_share": locations.tissue_share,
            "side_px0": np.full(n, locations.side_px0, np.int64),
            "patch_px": np.full(n, locations.patch_px, np.int64),
            "mpp": np.full(n, locations.mpp, np.float64),
            "level": pd.array([locations.level] * n, dtype="Int64"),
            "label": pd.array([labels[code] for code in codes.tolist()], dtype="string"),
        }
    )
    table.attrs["labels"] = labels
    save_table(path, table)


def load_locations(
    path: Path, *, side_px0: int, patch_px: int, mpp: float | None, level: int | None = None
) -> PatchLocations:
    """Read patch locations; the sizes are told by the artifact, for a slide without patches too.

    A table without labels is one of before there were any.

    Raises:
        ArtifactCorrupt: it is not what `save_locations` writes.
    """
    table = load_table(path)
    try:
        labels, label_codes = _labels_of(table)
        return PatchLocations(
            x_px0=table["x_px0"].to_numpy(np.int64),
            y_px0=table["y_px0"].to_numpy(np.int64),
            tissue_share=table["tissue_share"].to_numpy(np.float32),
            side_px0=side_px0,
            patch_px=patch_px,
            mpp=mpp,
            level=level,
            labels=labels,
            label_codes=label_codes,
        )
    except KeyError as error:
        raise ArtifactCorrupt(path, f"lacks column {error}", remedy="Make it again") from error
    except (ValueError, TypeError) as error:
        raise ArtifactCorrupt(path, f"no locations: {error}", remedy="Make it again") from error


def _labels_of(table: pd.DataFrame) -> tuple[tuple[str, ...], np.ndarray | None]:
    """All labels, and the place of each row's among them."""
    if "label" not in table:
        return ("",), None
    said = table["label"].tolist()
    labels = tuple(table.attrs.get("labels", dict.fromkeys(said)))
    if len(labels) <= 1 and {*said} <= {*labels}:
        return labels or ("",), None
    place_of = {label: place for place, label in enumerate(labels)}
    if unknown := {*said} - {*labels}:
        raise ValueError(f"label {min(map(str, unknown))!r} is not among its labels")
    return labels, np.array([place_of[label] for label in said], np.int32)


def save_manifest(path: Path, rows: Sequence[Row], where: Iterable[str]) -> None:
    """Write the table of a patch set's images, one row an image, in order.

    `where` are the columns that tell where an image is kept: they come first.
    """
    save_table(path, table_of(rows, where))


def load_manifest(path: Path) -> list[Row]:
    """Read the rows of a patch set's table.

    Raises:
        ArtifactCorrupt: it is no Parquet file.
    """
    return rows_of(load_table(path))
