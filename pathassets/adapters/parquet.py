"""Tables <-> Parquet on disk, by pandas and pyarrow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pyarrow import ArrowException  # type: ignore[import-untyped]

from pathassets.core.locations import PatchLocations
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
    """Write patch locations, one row a patch: x_px0, y_px0, tissue_share and their sizes."""
    n = len(locations)
    save_table(
        path,
        pd.DataFrame(
            {
                "x_px0": locations.x_px0,
                "y_px0": locations.y_px0,
                "tissue_share": locations.tissue_share,
                "side_px0": np.full(n, locations.side_px0, np.int64),
                "patch_px": np.full(n, locations.patch_px, np.int64),
                "mpp": np.full(n, locations.mpp, np.float64),
            }
        ),
    )


def load_locations(path: Path, *, side_px0: int, patch_px: int, mpp: float) -> PatchLocations:
    """Read patch locations; the sizes are told by the artifact, for a slide without patches too.

    Raises:
        ArtifactCorrupt: it is not what `save_locations` writes.
    """
    table = load_table(path)
    try:
        return PatchLocations(
            x_px0=table["x_px0"].to_numpy(np.int64),
            y_px0=table["y_px0"].to_numpy(np.int64),
            tissue_share=table["tissue_share"].to_numpy(np.float32),
            side_px0=side_px0,
            patch_px=patch_px,
            mpp=mpp,
        )
    except KeyError as error:
        raise ArtifactCorrupt(path, f"lacks column {error}", remedy="Make it again") from error
    except (ValueError, TypeError) as error:
        raise ArtifactCorrupt(path, f"no locations: {error}", remedy="Make it again") from error
