"""A table of SpatialData: AnnData in a Zarr group, whose rows belong to shapes.

Source: https://github.com/scverse/anndata, the on-disk format; https://github.com/scverse/spatialdata,
tables 0.2.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from zarr.errors import UnstableSpecificationWarning

CHUNK_ROWS = 1024
REGION_KEY, INSTANCE_KEY = "library_id", "tile_id"
EMPTY_GROUPS = ("layers", "obsm", "obsp", "varm", "varp")


def put_table(  # noqa: PLR0913 - the parts of a table
    tables: Any,
    name: str,
    *,
    rows: Iterator[np.ndarray],
    shape: tuple[int, int],
    names: Sequence[str],
    region: str,
    uns: Mapping[str, Any],
) -> None:
    """Write a table (n, d) whose row i belongs to the shape i of a region."""
    keys = {"region": region, "region_key": REGION_KEY, "instance_key": INSTANCE_KEY}
    table = tables.create_group(name, attributes={
        **_encoding("anndata", "0.1.0"), **keys, "version": "0.2",
        "spatialdata-encoding-type": "ngff:regions_table",
    })  # fmt: skip
    _put_rows(table, rows, shape)
    obs = _new_frame(table, "obs", [str(i) for i in range(shape[0])], [INSTANCE_KEY, REGION_KEY])
    _put_array(obs, INSTANCE_KEY, np.arange(shape[0], dtype=np.int64))
    _put_category(obs, REGION_KEY, region, shape[0])
    _new_frame(table, "var", names, [])
    for empty in EMPTY_GROUPS:
        table.create_group(empty, attributes=_encoding("dict", "0.1.0"))
    _put_uns(table, uns, keys)


def _encoding(kind: str, version: str) -> dict[str, Any]:
    return {"encoding-type": kind, "encoding-version": version}


def _put_rows(table: Any, rows: Iterator[np.ndarray], shape: tuple[int, int]) -> None:
    array = table.create_array(
        "X", shape=shape, dtype="float32", compressors=None,
        chunks=(max(1, min(CHUNK_ROWS, shape[0])), max(1, shape[1])),
        attributes=_encoding("array", "0.2.0"),
    )  # fmt: skip
    held = np.zeros((0, shape[1]), np.float32)
    start = 0
    for part in rows:  # whole chunks at a time: a part of one would be read back to be added to
        held = np.concatenate([held, part])
        while len(held) >= CHUNK_ROWS:
            array[start : start + CHUNK_ROWS] = held[:CHUNK_ROWS]
            held, start = held[CHUNK_ROWS:], start + CHUNK_ROWS
    if len(held):
        array[start : start + len(held)] = held
    if start + len(held) != shape[0]:
        raise ValueError(f"{start + len(held)} rows of {shape[0]}")


def _new_frame(table: Any, name: str, index: Sequence[str], columns: Sequence[str]) -> Any:
    frame = table.create_group(name, attributes={
        **_encoding("dataframe", "0.2.0"), "_index": "_index", "column-order": list(columns),
    })  # fmt: skip
    _put_texts(frame, "_index", index)
    return frame


def _put_texts(group: Any, name: str, texts: Sequence[str]) -> None:
    with warnings.catch_warnings():
        # AnnData keeps texts in this type; its name in Zarr v3 is not fixed yet.
        warnings.simplefilter("ignore", UnstableSpecificationWarning)
        array = group.create_array(
            name, shape=(len(texts),), chunks=(max(1, len(texts)),), dtype="string",
            compressors=None, attributes=_encoding("string-array", "0.2.0"),
        )  # fmt: skip
        if texts:
            array[:] = np.array(texts, dtype=object)


def _put_array(group: Any, name: str, values: np.ndarray) -> None:
    array = group.create_array(
        name, shape=values.shape, chunks=(max(1, len(values)), *values.shape[1:]),
        dtype=values.dtype, compressors=None, attributes=_encoding("array", "0.2.0"),
    )  # fmt: skip
    if len(values):
        array[:] = values


def _put_category(group: Any, name: str, value: str, n: int) -> None:
    category = group.create_group(
        name, attributes={**_encoding("categorical", "0.2.0"), "ordered": False}
    )
    _put_array(category, "codes", np.zeros(n, np.int8))
    _put_texts(category, "categories", [value])


def _put_uns(table: Any, uns: Mapping[str, Any], keys: Mapping[str, str]) -> None:
    group = table.create_group("uns", attributes=_encoding("dict", "0.1.0"))
    for name, value in sorted(uns.items()):
        _put_scalar(group, name, value)
    inner = group.create_group("spatialdata_attrs", attributes=_encoding("dict", "0.1.0"))
    for name, value in keys.items():
        _put_scalar(inner, name, value)


def _put_scalar(group: Any, name: str, value: Any) -> None:
    is_text = isinstance(value, str)
    kind = "string" if is_text else "numeric-scalar"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableSpecificationWarning)
        array = group.create_array(
            name, shape=(), dtype="string" if is_text else np.asarray(value).dtype,
            attributes=_encoding(kind, "0.2.0"), compressors=None,
        )  # fmt: skip
        array[()] = value
