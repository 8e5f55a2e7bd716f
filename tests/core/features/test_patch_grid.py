import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pathassets.core.features.patch_grid import GridSpec, lay_grid, size_at
from pathassets.core.slides.slide import MppSource, SlideInfo, audit_mpp
from pathassets.core.tissue.coverage import Coverage
from pathassets.core.tissue.tissue_mask import TissueMask
from pathassets.errors import SpecError

CMU = (2220, 2967, 0.499)


def info_of(
    width: int = 2048, height: int = 1536, mpp: float | None = 0.5, power: float | None = None
) -> SlideInfo:
    downsamples = (1.0, 4.0, 16.0)
    sources = () if mpp is None else (MppSource(source="openslide.mpp-x", value=str(mpp)),)
    return SlideInfo(
        width_px0=width, height_px0=height, level_downsamples=downsamples,
        level_sizes_px=tuple((int(width // d), int(height // d)) for d in downsamples),
        vendor="", reader="", objective_power=power, audit=audit_mpp(sources),
    )  # fmt: skip


def spec_of(units: str = "mpp", resolution: float = 0.5, side: int = 224, **more) -> GridSpec:
    sides = {"height_px": side, "width_px": side, "stride_y_px": side, "stride_x_px": side}
    return GridSpec(units=units, resolution=resolution, **sides | more)


def stretched(tissue: np.ndarray, info: SlideInfo) -> Coverage:
    return Coverage.stretched(tissue, width_px0=info.width_px0, height_px0=info.height_px0)


@pytest.mark.parametrize(
    ("mpp", "stride", "shape"), [(0.5, 224, (14, 10)), (1.0, 224, (7, 5)), (1.0, 112, (14, 10))]
)
def test_the_grid_has_the_counts_that_users_know(mpp, stride, shape):
    spec = spec_of(resolution=mpp, stride_x_px=stride, stride_y_px=stride)
    grid = lay_grid(spec, info_of(*CMU))
    assert len(grid.locations) == shape[0] * shape[1]
    corners = grid.coordinates[:, :2].reshape(*shape, 2)  # row by row, y the outer one
    assert (corners[0, :, 0] == np.arange(shape[1]) * stride).all()
    assert (corners[:, 0, 1] == np.arange(shape[0]) * stride).all()
    assert (corners[:, :, 0] == corners[0, :, 0]).all()


@given(
    st.sampled_from(["mpp", "power", "baseline", "level"]),
    st.floats(0.13, 3.9),
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.tuples(st.integers(40, 400), st.integers(40, 400)),
    st.tuples(st.tuples(st.integers(1, 900), st.integers(1, 900)), st.booleans()),
)
def test_patches_are_where_the_multiples_of_the_stride_are(units, value, patch, stride, slide):
    size, kept = slide
    info = info_of(*size, mpp=0.5, power=20.0)
    resolution = {"mpp": value, "power": 10 / value, "baseline": 0.5 / value, "level": 1}[units]
    downsample = 4.0 if units == "level" else value / 0.5
    spec = GridSpec(
        units=units, resolution=resolution, height_px=patch[0], width_px=patch[1],
        stride_y_px=stride[0], stride_x_px=stride[1], within_bound=kept,
    )  # fmt: skip
    if units == "level" and 0 in info.level_sizes_px[1]:
        return
    grid = lay_grid(spec, info)
    width_px, height_px = size_at(spec, info, grid.downsample)
    wanted = [
        (x, y, x + patch[1], y + patch[0])
        for y in range(0, math.ceil(height_px / stride[0]) * stride[0], stride[0])
        for x in range(0, math.ceil(width_px / stride[1]) * stride[1], stride[1])
        if not kept or (x + patch[1] <= width_px and y + patch[0] <= height_px)
    ]
    assert grid.coordinates.tolist() == [list(box) for box in wanted]
    assert grid.coordinates.dtype == grid.coordinates_px0.dtype == np.int64
    assert grid.downsample == pytest.approx(downsample, rel=1e-12)
    off = np.abs(grid.coordinates_px0[:, :2] - grid.coordinates[:, :2] * downsample)
    assert not off.size or off.max() <= 0.5 + 1e-6  # rounded one by one: it never adds up
    sides = grid.coordinates_px0[:, 2:] - grid.coordinates_px0[:, :2]
    assert (sides == [max(1, round(p * grid.downsample)) for p in patch[::-1]]).all()
    locations = grid.locations
    assert locations.side_px0 == max(1, round(max(patch) * grid.downsample))
    assert grid.crop_px == (None if patch[0] == patch[1] else patch)
    assert (np.stack([locations.x_px0, locations.y_px0], 1) == grid.coordinates_px0[:, :2]).all()


def test_a_patch_larger_than_the_slide_is_one_that_is_padded_or_none():
    assert lay_grid(spec_of(side=4000), info_of()).coordinates.tolist() == [[0, 0, 4000, 4000]]
    assert len(lay_grid(spec_of(side=4000, within_bound=True), info_of()).locations) == 0


def test_strides_over_the_patch_leave_gaps_and_below_it_overlap():
    wide = lay_grid(spec_of(stride_x_px=1000, stride_y_px=1000), info_of())
    assert wide.coordinates[:, 0].tolist() == [0, 1000, 2000] * 2
    narrow = lay_grid(spec_of(stride_x_px=56, stride_y_px=224), info_of())
    assert len(narrow.locations) == 37 * 7


def test_a_stated_power_is_used_where_the_file_has_none_or_another():
    spec = spec_of("power", 10.0)
    with pytest.raises(SpecError, match="power of this slide is not known"):
        lay_grid(spec, info_of())
    assert lay_grid(spec, info_of(), objective_power=20.0).downsample == 2.0
    assert lay_grid(spec, info_of(power=40.0), objective_power=20.0).downsample == 2.0


def test_levels_and_baseline_need_no_micrometres():
    grid = lay_grid(spec_of("level", 1.0, side=64), info_of(mpp=None))
    assert (grid.locations.level, grid.locations.mpp, len(grid.locations)) == (1, None, 8 * 6)
    assert lay_grid(spec_of("baseline", 0.25, side=64), info_of(mpp=None)).downsample == 4.0
    with pytest.raises(SpecError, match="mpp of this slide is not known"):
        lay_grid(spec_of(), info_of(mpp=None))
    with pytest.raises(SpecError, match="no level 3"):
        lay_grid(spec_of("level", 3.0), info_of())


def test_more_patches_than_any_machine_holds_are_refused_at_once():
    with pytest.raises(SpecError, match="patches of"):
        lay_grid(spec_of(resolution=0.00001, side=1), info_of())
    with pytest.raises(SpecError, match="level-0 px"):
        lay_grid(spec_of(resolution=900.0, side=8192), info_of())


@given(
    st.integers(0, 10**6),
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.integers(3, 700),
    st.sampled_from([0.25, 0.5, 0.7, 2.0]),
)
def test_every_patch_that_a_covered_pixel_touches_is_kept_and_no_other(seed, shape, side, mpp):
    """Whether the mask is finer or coarser than the patches, and of whatever aspect."""
    info = info_of(1000, 700)
    tissue = np.random.default_rng(seed).random(shape) < 0.1
    spec = spec_of(resolution=mpp, side=side, stride_x_px=max(90, side), stride_y_px=max(90, side))
    every = lay_grid(spec, info).coordinates_px0
    kept = lay_grid(spec, info, stretched(tissue, info)).coordinates_px0
    rows, columns = np.nonzero(tissue)
    left, right = columns * 1000 / shape[1], (columns + 1) * 1000 / shape[1]
    top, bottom = rows * 700 / shape[0], (rows + 1) * 700 / shape[0]
    across = np.minimum(every[:, 2:3], right) - np.maximum(every[:, :1], left)
    down = np.minimum(every[:, 3:], bottom) - np.maximum(every[:, 1:2], top)
    common = np.minimum(across, down).max(axis=1, initial=-1.0)
    is_kept = (every[:, None] == kept[None]).all(axis=2).any(axis=1)
    assert is_kept[common > 1e-6].all()
    assert not is_kept[common <= 0].any()


def test_the_least_share_is_of_the_whole_patch_and_more_than_it_counts():
    info = info_of(400, 400)
    tissue = np.zeros((4, 4), bool)
    tissue[:2] = True  # all of the upper patches, nothing of the lower ones
    spec = {"side": 200, "resolution": 0.5}
    for ratio, n in ((0.0, 2), (0.99, 2), (1.0, 2)):
        grid = lay_grid(spec_of(**spec, min_mask_ratio=ratio), info, stretched(tissue, info))
        assert len(grid.locations) == n
        assert (grid.locations.tissue_share == 1).all()
    tissue[:, :1] = False  # half of the left one
    for ratio, n in ((0.0, 2), (0.499, 2), (0.5, 1), (1.0, 1)):
        grid = lay_grid(spec_of(**spec, min_mask_ratio=ratio), info, stretched(tissue, info))
        assert len(grid.locations) == n


def test_rectangles_are_covered_as_rectangles():
    info = info_of(400, 400)
    tissue = np.zeros((4, 4), bool)
    tissue[1] = True
    spec = spec_of(height_px=100, width_px=400, stride_y_px=100, stride_x_px=400)
    grid = lay_grid(spec, info, stretched(tissue, info))
    assert grid.coordinates_px0.tolist() == [[0, 100, 400, 200]]
    assert grid.crop_px == (100, 400)
    assert grid.locations.side_px0 == 400


def test_an_empty_mask_leaves_nothing_and_that_is_no_error():
    info = info_of()
    grid = lay_grid(spec_of(), info, stretched(np.zeros((3, 3), bool), info))
    assert len(grid.locations) == 0
    assert grid.coordinates.shape == grid.coordinates_px0.shape == (0, 4)


def test_a_stretched_mask_of_a_levels_shape_is_that_levels_mask():
    info = info_of()
    tissue = np.random.default_rng(3).random((96, 128)) < 0.3
    mask = TissueMask(tissue=tissue, downsample=16.0, slide_mpp=0.5)
    spec = spec_of(side=50)
    by_mask = lay_grid(spec, info, Coverage(mask, width_px0=2048, height_px0=1536))
    by_array = lay_grid(spec, info, stretched(tissue, info))
    assert (by_mask.coordinates == by_array.coordinates).all()
    assert (by_mask.locations.tissue_share == by_array.locations.tissue_share).all()


@pytest.mark.parametrize(
    "wrong",
    [{"height_px": 0}, {"width_px": 9000}, {"stride_x_px": 0}, {"min_mask_ratio": 1.1},
     {"units": "um"}, {"resolution": math.nan}, {"resolution": "0.5"}, {"more": 1}],
)  # fmt: skip
def test_impossible_grids_are_refused(wrong):
    with pytest.raises(ValidationError):
        spec_of(**wrong)
