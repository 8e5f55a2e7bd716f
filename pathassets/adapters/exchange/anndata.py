"""Bags -> AnnData files, one for each slide.

    <name>.h5ad   X float32 (n, d), obs x_px0 … y1_px0, obsm/spatial the centres, uns what it is

Written by h5py chunk by chunk, where AnnData itself wants all rows in memory. Source:
https://github.com/scverse/anndata, the on-disk format: anndata 0.1.0, array and dataframe 0.2.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pathassets.adapters.exchange.parts.claims import claims_of
from pathassets.adapters.exchange.parts.hdf5 import load_h5py, new_h5, put_array, put_rows
from pathassets.adapters.exchange.parts.output import OutputFile
from pathassets.core.exchange.bags import Bag, unsayable
from pathassets.core.spec import canonical_json

CORNERS = ("x0_px0", "y0_px0", "x1_px0", "y1_px0")
"""Columns of `obs`: the box of each patch, in level-0 pixels."""
EMPTY_GROUPS = ("layers", "obsp", "varm", "varp")


def anndata_files(bag: Bag) -> Iterator[OutputFile]:
    """The file of one slide.

    Raises:
        SpecError: there are no features.
    """
    if not bag.n_columns:
        raise unsayable(bag, "AnnData", "patches without features", remedy="Export features")
    yield OutputFile(
        path=f"{bag.slide.name}.h5ad", write=partial(_write, bag=bag), source=bag.identity
    )


def uns_of(bag: Bag) -> dict[str, Any]:
    """What the features are, as `uns` has it: text and numbers."""
    footprint, slide = bag.footprint, bag.slide
    return {
        "encoder": bag.encoder,
        "patch_mpp": footprint.mpp,
        "patch_px": footprint.patch_px,
        "side_px0": footprint.side_px0,
        "slide_height_px0": slide.height_px0,
        "slide_mpp": slide.mpp,
        "slide_name": slide.name,
        "slide_width_px0": slide.width_px0,
        "attributes": canonical_json(dict(bag.attributes)),
        **claims_of(bag),
    }


def centres_of(bag: Bag) -> np.ndarray:
    """Centres of the patches, float64 (n, 2), in level-0 pixels."""
    centres: np.ndarray = (bag.boxes_px0[:, :2] + bag.boxes_px0[:, 2:]) / 2.0
    return centres


def feature_names(bag: Bag) -> list[str]:
    """A name for each column."""
    names = list(bag.attributes.get("feature_names", ()))
    return names if len(names) == bag.n_columns else [str(i) for i in range(bag.n_columns)]


def _write(where: Path, *, bag: Bag) -> None:
    with new_h5(where) as file:
        _encode(file, "anndata", "0.1.0")
        rows = put_rows(file, "X", bag.chunks(), (len(bag), bag.n_columns), "float32")
        _encode(rows, "array", "0.2.0")
        columns = {name: bag.boxes_px0[:, i].copy() for i, name in enumerate(CORNERS)}
        _put_frame(file, "obs", [str(i) for i in range(len(bag))], columns)
        _put_frame(file, "var", feature_names(bag), {})
        spatial = _new_group(file, "obsm")
        _put_column(spatial, "spatial", centres_of(bag))
        for name in EMPTY_GROUPS:
            _new_group(file, name)
        uns = _new_group(file, "uns")
        for name, value in sorted(uns_of(bag).items()):
            _put_scalar(uns, name, value)


def _encode(item: Any, kind: str, version: str) -> None:
    item.attrs["encoding-type"] = kind
    item.attrs["encoding-version"] = version


def _new_group(parent: Any, name: str, kind: str = "dict", version: str = "0.1.0") -> Any:
    group = parent.create_group(name)
    _encode(group, kind, version)
    return group


def _put_frame(
    file: Any, name: str, index: Sequence[str], columns: Mapping[str, np.ndarray]
) -> None:
    frame = _new_group(file, name, "dataframe", "0.2.0")
    frame.attrs["_index"] = "_index"
    # AnnData reads an empty list of floats as no list of names: the type is said.
    order = np.array(list(columns), dtype=load_h5py().string_dtype())
    frame.attrs.create("column-order", order, dtype=load_h5py().string_dtype())
    text = frame.create_dataset(
        "_index", data=np.array(index, dtype=object), dtype=load_h5py().string_dtype(),
        shape=(len(index),), track_times=False,
    )  # fmt: skip
    _encode(text, "string-array", "0.2.0")
    for column, values in columns.items():
        _put_column(frame, column, values)


def _put_column(group: Any, name: str, values: np.ndarray) -> None:
    put_array(group, name, values)
    _encode(group[name], "array", "0.2.0")


def _put_scalar(group: Any, name: str, value: Any) -> None:
    is_text = isinstance(value, str)
    dtype = load_h5py().string_dtype() if is_text else None
    scalar = group.create_dataset(name, data=value, dtype=dtype, track_times=False)
    _encode(scalar, "string" if is_text else "numeric-scalar", "0.2.0")
