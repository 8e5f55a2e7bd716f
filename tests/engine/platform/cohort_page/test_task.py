"""What lies over a slide has few bytes, however scattered its patches and features are."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import zarr

from pathassets.adapters.parquet import save_locations
from pathassets.core.features.feature_map import find_cohort_colours
from pathassets.core.locations.locations import PatchLocations
from pathassets.engine.platform.cohort_page.kept import LARGE
from pathassets.engine.platform.cohort_page.page import look_task, open_cohort, page_rows
from pathassets.engine.platform.cohort_page.task import (
    MAX_GRID_BYTES,
    MAX_MAP_BYTES,
    look_at_slide,
)


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_thousands_of_scattered_patches_take_no_more_bytes_than_others(platform, get_ready):
    (planned,) = get_ready(platform, 1, is_run=True)
    cohort = open_cohort(platform)
    (row,) = page_rows(platform, [planned.slide_id], cohort.shown)
    rng = np.random.default_rng(0)
    n, side_px0 = 6000, 64
    x, y = rng.integers(0, 30_000, n), rng.integers(0, 25_000, n)
    locations = PatchLocations(
        x_px0=x, y_px0=y, tissue_share=np.ones(n, np.float32), side_px0=side_px0,
        patch_px=64, mpp=0.5,
    )  # fmt: skip
    squares, features = (
        platform.store.path_of(row.artifacts[stage]) for stage in ("patch_locations", "features")
    )
    save_locations(squares / "locations.parquet", locations)
    rows = rng.normal(size=(n, 5)).astype(np.float32)
    for name, values in (("features", rows), ("coordinates", locations.boxes_px0)):
        path = str(features / "features.zarr" / name)
        zarr.create_array(path, data=values, overwrite=True)
    task = look_task(platform, row, cohort.survey, LARGE)
    look = look_at_slide(
        replace(task, width_px0=30_000, height_px0=25_000, colours=find_cohort_colours(rows))
    )
    assert look.problems == ()
    for data, most in ((look.grid, MAX_GRID_BYTES), (look.map, MAX_MAP_BYTES)):
        assert 0 < len(data) <= most
    cells = cv2.imdecode(np.frombuffer(look.map, np.uint8), cv2.IMREAD_UNCHANGED)
    assert 20 < max(cells.shape) < 96
