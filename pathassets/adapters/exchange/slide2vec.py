"""What slide2vec left: tile embeddings, and where the tiles lie.

    tile_embeddings/[<class>/]<id>.pt or .npz, <id>.meta.json              features (n, d)
    tiles/[<class>/]<id>.coordinates.npz, <id>.coordinates.meta.json       x, y on level 0

Paths in its files are of another machine, and are not followed. Source:
https://github.com/clemsgrs/slide2vec, docs/output-layout.rst, artifacts.py;
https://github.com/clemsgrs/hs2p, tiling/io.py.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pathassets.adapters.exchange.parts.bag_tensors import open_pt
from pathassets.adapters.exchange.parts.h5_bags import as_text, number
from pathassets.adapters.exchange.parts.strangers import own_file, reading
from pathassets.core.exchange.found import Found, FoundFeatures, Unreadable
from pathassets.errors import SpecError, StoreError

_HEADERS: Mapping[tuple[int, int], Callable[[Any], tuple[Any, ...]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
EMBEDDINGS, TILES = "tile_embeddings", "tiles"
STEP_ROWS = 4096
MAX_META_BYTES = 10_000_000
MAX_ARRAY_BYTES = 4_000_000_000
"""Of an array of .npz, which is read whole; a .pt is not."""
_SAID = ("requested_tile_size_px", "requested_spacing_um", "read_spacing_um")


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
            with reading(path, "what slide2vec writes"):
                yield _read(folder, path)
        except StoreError as error:
            yield Unreadable(name=path.stem, path=path, said=error.message)


def _read(folder: Path, path: Path) -> FoundFeatures:
    place, stem = path.parent.relative_to(folder / EMBEDDINGS), path.stem
    meta_path = path.with_name(f"{stem}.meta.json")
    npz_path = folder / TILES / place / f"{stem}.coordinates.npz"
    tiling_path = npz_path.with_name(f"{stem}.coordinates.meta.json")
    used = [path, *(p for p in (meta_path, npz_path, tiling_path) if p.exists())]
    for file in used:
        own_file(file, folder)
    (shape, dtype), meta, tiling = _header(path), _json(meta_path), _json(tiling_path)
    if not npz_path.is_file():
        raise StoreError(npz_path, "is not there, and nothing else tells where the tiles lie")
    cut, slide = tiling.get("tiling", {}), tiling.get("slide", {})
    side = number(meta, "tile_size_lv0") or number(cut, "tile_size_lv0")
    size = slide.get("dimensions")
    return FoundFeatures(
        tool="slide2vec", tool_version=as_text(meta.get("slide2vec_version")), name=stem,
        files=tuple(used), read_corners=partial(_corners, npz_path), unit="px0", side=side,
        n_rows=shape[0], n_columns=shape[1], dtype=str(dtype),
        chunks=partial(_chunks, path), encoder=as_text(meta.get("encoder_name")),
        slide_size_px0=None if not size else (int(size[0]), int(size[1])),
        slide_mpp=number(slide, "base_spacing_um"),
        parameters={name: cut[name] for name in _SAID if name in cut},
    )  # fmt: skip


def _header(path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape (n, d) and type of features; of a .pt no row is read for it."""
    if path.suffix == ".pt":
        rows = open_pt(path)
        return rows.shape, rows.dtype
    shape, dtype = _array_header(path, "features")
    if len(shape) != 2:  # noqa: PLR2004
        raise StoreError(path, f"features have the shape {shape}, not (n, d)")
    return shape, dtype


def _array_header(path: Path, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    with reading(path, f"an array {name!r}"):
        with zipfile.ZipFile(path) as members, members.open(f"{name}.npy") as member:
            n_bytes = members.getinfo(f"{name}.npy").file_size
            version = np.lib.format.read_magic(member)
            shape, _, dtype = _HEADERS[version](member)
        if math.prod(shape) * dtype.itemsize > min(n_bytes, MAX_ARRAY_BYTES):
            raise StoreError(path, f"array {name!r} of {shape} is more than there is, or too much")
    return shape, dtype


def _array(path: Path, name: str) -> np.ndarray:
    _array_header(path, name)
    with reading(path, f"an array {name!r}"), np.load(path, allow_pickle=False) as arrays:
        found: np.ndarray = arrays[name]
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


def _chunks(path: Path) -> Iterator[np.ndarray]:
    rows = open_pt(path) if path.suffix == ".pt" else _array(path, "features")
    for start in range(0, len(rows), STEP_ROWS):
        yield rows[start : start + STEP_ROWS]
