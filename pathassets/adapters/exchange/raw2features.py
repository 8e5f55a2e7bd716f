"""What raw2features left: stores of embeddings, one for each slide.

    <slide>.embeddings.zarr/grids/<grid>/   coords int32 (n, 2) on level 0, features/<model> (n, d)

A header at each grid says how it was cut. Source: https://github.com/CraigMyles/raw2features,
schema/embeddings_store-0.1.schema.json.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from pathassets.adapters.exchange.parts.h5_bags import MAX_ROWS, as_text, number
from pathassets.adapters.exchange.parts.strangers import reading
from pathassets.adapters.exchange.parts.zarr_arrays import refuse_odd_array, refuse_odd_store
from pathassets.core.exchange.found import Found, FoundFeatures, Unreadable
from pathassets.errors import SpecError, StoreError

ENDING = ".embeddings.zarr"
HEADER = "raw2features"
STEP_ROWS = 4096


def find_raw2features(folder: Path) -> Iterator[Found]:
    """Features of each model on each grid of the stores in a folder.

    Raises:
        SpecError: there are none.
    """
    paths = [folder] if folder.name.endswith(ENDING) else sorted(folder.rglob(f"*{ENDING}"))
    if not paths:
        raise SpecError(f"{folder}: has no *{ENDING}", remedy="Name raw2features' output folder")
    for path in paths:
        name = path.name.removesuffix(ENDING)
        try:
            with reading(path, "a store of raw2features"):
                found: list[Found] = list(_read(path, name))
        except StoreError as error:
            found = [Unreadable(name=name, path=path, said=error.message)]
        yield from found


def _read(path: Path, name: str) -> Iterator[FoundFeatures]:
    refuse_odd_store(path)
    # Consolidated metadata may be older than what was added since.
    root = zarr.open_group(store=str(path.absolute()), mode="r", use_consolidated=False)
    for key, grid in sorted(root["grids"].groups()):  # type: ignore[union-attr]
        said = grid.attrs.get(HEADER)
        if not isinstance(said, dict):
            raise StoreError(path, f"grid {key} has no header {HEADER!r}")
        corners = partial(_corners, path, _coords(path, grid))
        for model, rows in sorted(grid["features"].arrays()):
            yield _features(path, name, (key, model), said, corners, rows)


def _features(  # noqa: PLR0913, PLR0917 - the parts of a store
    path: Path,
    name: str,
    place: tuple[str, str],
    said: Mapping[str, Any],
    read_corners: Callable[[], np.ndarray],
    rows: Any,
) -> FoundFeatures:
    source, cut = said.get("source", {}), said.get("patching", {})
    key, model = place
    if rows.ndim != 2:  # noqa: PLR2004
        raise StoreError(path, f"features/{model} has the shape {rows.shape}, not (n, d)")
    refuse_odd_array(path, rows, is_full=True)
    sizes = source.get("level_dimensions") or []
    weights_sha256 = as_text(said["models"].get(model, {}).get("weights_sha256"))
    return FoundFeatures(
        tool="raw2features", name=name, stated_name=as_text(source.get("slide_id")),
        files=_files(path),
        tool_version=as_text(said.get("provenance", {}).get("raw2features_version")),
        read_corners=read_corners, unit="px0", side=number(cut, "level0_patch"),
        n_rows=rows.shape[0], n_columns=rows.shape[1], dtype=str(rows.dtype),
        chunks=partial(_chunks, path, rows), encoder=model,
        weights_sha256=weights_sha256,
        slide_size_px0=None if not sizes else (int(sizes[0][0]), int(sizes[0][1])),
        slide_mpp=number(source, "mpp_level0"),
        parameters={
            "grid": key,
            **{n: cut[n] for n in ("patch_px", "target_mpp", "step_out_px") if n in cut},
            "weights_sha256": weights_sha256,
        },
    )  # fmt: skip


def _coords(path: Path, grid: Any) -> Any:
    coords = grid["coords"]
    if coords.ndim != 2 or coords.shape[1] != 2 or coords.shape[0] > MAX_ROWS:  # noqa: PLR2004
        raise StoreError(path, f"coords have the shape {coords.shape}, not (n, 2)")
    refuse_odd_array(path, coords, is_full=False)  # zeros alone, a corner at (0, 0), are no chunk
    return coords


def _corners(path: Path, coords: Any) -> np.ndarray:
    with reading(path, "coordinates"):
        return np.asarray(coords[:], np.float64)


def _files(path: Path) -> tuple[Path, ...]:
    return tuple(sorted(p for p in path.rglob("*") if p.is_file()))


def _chunks(path: Path, rows: Any) -> Iterator[np.ndarray]:
    for start in range(0, rows.shape[0], STEP_ROWS):
        with reading(path, "rows of features"):
            part = np.asarray(rows[start : start + STEP_ROWS])
        yield part
