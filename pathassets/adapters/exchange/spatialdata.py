"""Bags -> SpatialData stores as wsidata and LazySlide read them, one for each slide.

    <name>.zarr/  shapes/tissues, shapes/tiles      GeoParquet, level-0 pixels
                  tables/<encoder>_tiles            AnnData: X float32 (n, d), one row a tile
                  attributes                        slide_properties, tile_spec

Written by zarr and pyarrow chunk by chunk; spatialdata's own writer wants all rows in memory, and
brings dask, xarray and numba along. Source: https://github.com/scverse/spatialdata, formats 0.2
(container, tables) and 0.3 (shapes); https://github.com/rendeirolab/wsidata, io/_elems.py,
_model/tile.py.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import shapely
import zarr
from zarr.errors import ZarrUserWarning

from pathassets.adapters.exchange.anndata import feature_names, uns_of
from pathassets.adapters.exchange.parts.output import OutputFile
from pathassets.adapters.exchange.parts.zarr_tables import put_table
from pathassets.core.annotations.annotations import outlines_of
from pathassets.core.exchange.bags import Bag, unsayable
from pathassets.core.exchange.encoder_names import folder_name

TILES, TISSUES = "tiles", "tissues"
SHAPES = "shapes.parquet"
SOFTWARE = "0.7.3"
"""Version of spatialdata whose formats these are."""
SHAPE_ROWS = 65_536
"""Tiles of a row group."""


def spatialdata_files(bag: Bag) -> Iterator[OutputFile]:
    """The store of one slide.

    Raises:
        SpecError: there are no features, or they are of no grid of whole pixels; or the slide
            cannot be opened, which tells the sizes of its levels.
    """
    if not bag.n_columns:
        raise unsayable(bag, "wsidata", "patches without features", remedy="Export features")
    overlap_px = bag.footprint.overlap_px
    if overlap_px is None or overlap_px != int(overlap_px):
        raise unsayable(
            bag, "wsidata", "where patches lie that are no grid of whole pixels",
            remedy="Export them for anndata, which asks for no grid",
        )  # fmt: skip
    if not bag.slide.level_sizes_px:
        raise unsayable(
            bag, "wsidata", "a slide whose levels cannot be looked at",
            remedy="Bring its file back, or export it for anndata",
        )  # fmt: skip
    yield OutputFile(
        path=f"{bag.slide.name}.zarr", write=partial(_write, bag=bag), source=bag.identity
    )


def _write(where: Path, *, bag: Bag) -> None:
    root = zarr.create_group(store=str(where), attributes=_root_attributes(bag))
    shapes = root.create_group("shapes")
    for name in (TISSUES, TILES):
        _put_shapes(shapes, name)
    put_table(
        root.create_group("tables"), f"{folder_name(bag.encoder)}_{TILES}",
        rows=bag.chunks(), shape=(len(bag), bag.n_columns), names=feature_names(bag),
        region=TILES, uns=uns_of(bag),
    )  # fmt: skip
    _consolidate(where)  # before there are files that are none of Zarr's
    _write_geoparquet(where / "shapes" / TISSUES / SHAPES, _tissues(bag))
    _write_geoparquet(where / "shapes" / TILES / SHAPES, _tiles(bag))


def _consolidate(where: Path) -> None:
    """Gather all metadata in one file, as SpatialData's readers expect it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata", ZarrUserWarning)
        zarr.consolidate_metadata(str(where))


def _root_attributes(bag: Bag) -> dict[str, Any]:
    return {
        "spatialdata_attrs": {"version": "0.2", "spatialdata_software_version": SOFTWARE},
        "slide_properties": _slide_properties(bag),
        "tile_spec": {TILES: _tile_spec(bag)},
    }


def _slide_properties(bag: Bag) -> dict[str, Any]:
    slide = bag.slide
    sizes = [[height, width] for width, height in slide.level_sizes_px]
    x0, y0, x1, y1 = slide.bounds_px0 or (0, 0, slide.width_px0, slide.height_px0)
    return {
        "shape": [slide.height_px0, slide.width_px0],
        "n_level": len(sizes),
        "level_shape": sizes,
        "level_downsample": list(slide.level_downsamples),
        "mpp": slide.mpp,
        "magnification": slide.objective_power,
        "bounds": [x0, y0, x1 - x0, y1 - y0],
    }


def _tile_spec(bag: Bag) -> dict[str, Any]:
    """How tiles were cut; their level-0 side follows from it, floored as wsidata does."""
    footprint, downsamples = bag.footprint, bag.slide.level_downsamples
    stride_px = footprint.patch_px - int(footprint.overlap_px or 0)
    wanted = footprint.mpp / bag.slide.mpp
    level = max((i for i, d in enumerate(downsamples) if d <= wanted), default=0)
    return {
        "height": footprint.patch_px,
        "width": footprint.patch_px,
        "stride_height": stride_px,
        "stride_width": stride_px,
        "mpp": footprint.mpp,
        "ops_level": level,
        "ops_downsample": wanted / downsamples[level],
        "base_level": 0,
        "base_downsample": base_downsample(footprint.side_px0, footprint.patch_px),
        "tissue_name": TISSUES,
    }


def base_downsample(side_px0: int, patch_px: int) -> float:
    """The least downsample whose product with the patch side is floored to the level-0 side.

    >>> int(256 * base_downsample(467, 256)), int(3 * base_downsample(1, 3))
    (467, 1)
    """
    downsample = side_px0 / patch_px
    while int(patch_px * downsample) < side_px0:
        downsample = math.nextafter(downsample, math.inf)
    return downsample


# Shapes


Columns = Mapping[str, np.ndarray]


def _tissues(bag: Bag) -> Iterator[tuple[Columns, Any]]:
    outlines = outlines_of(bag.tissue)
    yield {"tissue_id": np.arange(len(outlines), dtype=np.int64)}, outlines


def _tiles(bag: Bag) -> Iterator[tuple[Columns, Any]]:
    tree = shapely.STRtree(outlines_of(bag.tissue))
    for start in range(0, max(1, len(bag)), SHAPE_ROWS):
        boxes = bag.boxes_px0[start : start + SHAPE_ROWS].astype(np.float64)
        yield (
            {
                "tile_id": np.arange(start, start + len(boxes), dtype=np.int64),
                "x": boxes[:, 0],
                "y": boxes[:, 1],
                "tissue_id": _tissue_of(tree, boxes),
            },
            shapely.box(*boxes.T),
        )


def _tissue_of(tree: shapely.STRtree, boxes: np.ndarray) -> np.ndarray:
    """The piece of tissue that each box touches, int64 (n,): the first of several; -1 is none."""
    box, piece = tree.query(shapely.box(*boxes.T), predicate="intersects")
    found = np.full(len(boxes), np.iinfo(np.int64).max)
    np.minimum.at(found, box, piece)
    found[found == np.iinfo(np.int64).max] = -1
    return found


def _put_shapes(shapes: Any, name: str) -> None:
    axes = [{"name": axis, "type": "space", "unit": "unit"} for axis in "xy"]
    shapes.create_group(name, attributes={
        "encoding-type": "ngff:shapes",
        "axes": ["x", "y"],
        "coordinateTransformations": [{
            "type": "identity",
            "input": {"name": "xy", "axes": axes},
            "output": {"name": "global", "axes": axes},
        }],
        "spatialdata_attrs": {"version": "0.3"},
    })  # fmt: skip


def _write_geoparquet(path: Path, parts: Iterator[tuple[Columns, Any]]) -> None:
    writer = None
    try:
        for columns, geometry in parts:
            table = _geo_table(columns, geometry)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def _geo_table(columns: Columns, geometry: Sequence[Any]) -> Any:
    """Rows with their geometry as WKB. Source: GeoParquet 1.0."""
    arrays = {name: pa.array(values) for name, values in columns.items()}
    arrays["geometry"] = pa.array(shapely.to_wkb(geometry).tolist(), pa.binary())
    about = {
        "version": "1.0.0",
        "primary_column": "geometry",
        "columns": {"geometry": {"encoding": "WKB", "crs": None, "geometry_types": []}},
    }
    return pa.table(arrays).replace_schema_metadata({"geo": json.dumps(about, sort_keys=True)})
