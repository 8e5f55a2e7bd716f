"""A slide's features are never whole in memory, whatever they are written as."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from pathassets.adapters.exchange.anndata import anndata_files
from pathassets.adapters.exchange.clam import clam_files
from pathassets.adapters.exchange.slideflow import slideflow_files
from pathassets.adapters.exchange.spatialdata import spatialdata_files
from pathassets.adapters.exchange.stamp import stamp_files
from pathassets.adapters.exchange.trident import trident_files
from pathassets.core.exchange.bags import Bag, Footprint, SlideFacts
from pathassets.core.exchange.footprints import boxes_of

N_CHUNKS, CHUNK_ROWS, N_COLUMNS = 12, 1024, 256
N_ROWS = N_CHUNKS * CHUNK_ROWS - 5
BYTES = 4 * N_ROWS * N_COLUMNS
"""12.5 MB."""


def chunks() -> Iterator[np.ndarray]:
    for number in range(N_CHUNKS):
        n = min(CHUNK_ROWS, N_ROWS - number * CHUNK_ROWS)
        yield np.full((n, N_COLUMNS), number, np.float32)


@pytest.fixture(scope="module")
def bag() -> Bag:
    places = np.arange(N_ROWS)
    corners = np.stack([places % 200, places // 200], axis=1) * 128
    return Bag(
        slide=SlideFacts(
            slide_id="a-1", sha256="a" * 64, name="a", file_name="a.svs", width_px0=25_600,
            height_px0=25_600, mpp=0.5, level_downsamples=(1.0,), level_sizes_px=((25600, 25600),),
        ),
        footprint=Footprint(patch_px=128, mpp=0.5, side_px0=128, overlap_px=0.0),
        boxes_px0=boxes_of(corners, 128), source="features/x/a-1/0", n_columns=N_COLUMNS,
        chunks=chunks, attributes={"encoder": "x"},
    )  # fmt: skip


@pytest.mark.parametrize(
    "files_of",
    [trident_files, clam_files, stamp_files, slideflow_files, anndata_files],
)
def test_rows_are_written_as_they_come(files_of, bag, tmp_path):
    import torch  # noqa: F401, PLC0415 - what it takes to be imported is not what is measured

    files = list(files_of(bag))
    for file in files:  # once, for what is imported and cached
        file.write(tmp_path / "warm")
        (tmp_path / "warm").unlink()
    tracemalloc.start()
    for number, file in enumerate(files):
        file.write(tmp_path / str(number))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < BYTES / 4
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) > BYTES / 2


def test_a_store_of_spatialdata_takes_the_tiles_and_no_more(bag, tmp_path):
    (file,) = spatialdata_files(bag)
    file.write(tmp_path / "warm")
    tracemalloc.start()
    file.write(tmp_path / "a.zarr")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < BYTES  # outlines and names of 12,000 tiles, not their rows
