"""What slide2vec left: tile embeddings, and where the tiles lie.

    tile_embeddings/[<class>/]<id>.pt or .npz, <id>.meta.json    features (n, d)
    tiles/<id>.coordinates.npz, <id>.coordinates.meta.json       x, y on level 0

Paths in its files are of another machine, and are not followed. Source:
https://github.com/clemsgrs/slide2vec, docs/output-layout.rst.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pathassets.adapters.exchange.parts.bag_tensors import open_pt
from pathassets.adapters.exchange.parts.h5_bags import as_text, number
from pathassets.core.exchange.found import Found, FoundFeatures, Unreadable
from pathassets.errors import SpecError, StoreError

EMBEDDINGS, TILES = "tile_embeddings", "tiles"
STEP_ROWS = 4096
MAX_META_BYTES = 10_000_000
MAX_ARRAY_BYTES = 4_000_000_000
"""Of an array of .npz, which is read whole; a .pt is not."""
_SAID = ("requested_tile_size_px", "requested_spacing_um", "effective_spacing_um")


def find_slide2vec(folder: Path) -> Iterator[Found]:
    """Tile embeddings of an output folder.

    Raises:
        SpecError: there are none.
    """
    place = folder / EMBEDDINGS
    if not place.is_dir():
        raise SpecError(
            f"{folder}: has no folder {EMBEDDINGS}", remedy="Name slide2vec's output_dir"
        )
    for path in sorted(p for p in place.rglob("*") if p.suffix in {".pt", ".npz"}):
        try:
            yield _read(folder, path)
        except (StoreError, OSError, ValueError, KeyError, TypeError) as error:
            said = error.message if isinstance(error, StoreError) else f"cannot be read: {error}"
            yield Unreadable(name=path.stem, path=path, said=said)


def _read(folder: Path, path: Path) -> FoundFeatures:
    rows, meta_path = _open(path), path.with_name(f"{path.stem}.meta.json")
    npz_path = folder / TILES / f"{path.stem}.coordinates.npz"
    tiling_path = npz_path.with_name(f"{path.stem}.coordinates.meta.json")
    meta, tiling = _json(meta_path), _json(tiling_path)
    cut, slide = tiling.get("tiling", {}), tiling.get("slide", {})
    side = number(meta, "tile_size_lv0") or number(cut, "tile_size_lv0")
    size = slide.get("dimensions")
    used = (p for p in (path, meta_path, npz_path, tiling_path) if p.is_file())
    return FoundFeatures(
        tool="slide2vec", tool_version=as_text(meta.get("slide2vec_version")), name=path.stem,
        files=tuple(used), corners=_corners(npz_path), unit="px0", side=side,
        n_rows=rows.shape[0], n_columns=rows.shape[1], dtype=str(rows.dtype),
        chunks=partial(_chunks, rows), encoder=as_text(meta.get("encoder_name")),
        slide_size_px0=None if not size else (int(size[0]), int(size[1])),
        slide_mpp=number(slide, "base_spacing_um"),
        parameters={name: cut[name] for name in _SAID if name in cut},
    )  # fmt: skip


def _open(path: Path) -> np.ndarray:
    if path.suffix == ".pt":
        return open_pt(path)
    rows: np.ndarray = _array(path, "features")
    if rows.ndim != 2:  # noqa: PLR2004
        raise StoreError(path, f"features have the shape {rows.shape}, not (n, d)")
    return rows


def _array(path: Path, name: str) -> np.ndarray:
    try:
        with zipfile.ZipFile(path) as members:
            n_bytes = members.getinfo(f"{name}.npy").file_size
        if n_bytes > MAX_ARRAY_BYTES:
            raise StoreError(path, f"array {name!r} would take {n_bytes:,} bytes")
        with np.load(path, allow_pickle=False) as arrays:
            found: np.ndarray = arrays[name]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(path, f"has no array {name!r}: {error}") from error
    return found


def _corners(path: Path) -> np.ndarray:
    x, y = _array(path, "x"), _array(path, "y")
    if x.ndim != 1 or x.shape != y.shape:
        raise StoreError(path, f"x {x.shape} and y {y.shape} are no coordinates")
    return np.stack([x, y], axis=1).astype(np.float64)


def _json(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    if path.stat().st_size > MAX_META_BYTES:
        raise StoreError(path, "is too large for what it should hold")
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}


def _chunks(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), STEP_ROWS):
        yield rows[start : start + STEP_ROWS]
