import itertools
import math

import numpy as np
import pytest
import scipy
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pathassets.core.locations.sampling import (
    GridSampler,
    PointSampler,
    PoissonDiskSampler,
    RandomSampler,
    Sampled,
    Sampler,
    sample_areas,
)
from pathassets.core.locations.squares import Areas, Squares
from pathassets.core.tissue.coverage import Coverage
from pathassets.core.tissue.tissue_mask import TissueMask
from pathassets.errors import SpecError

FORMULA = {"width_px0": 2048, "height_px0": 1536}
CMU = {"width_px0": 2220, "height_px0": 2967}


def areas_of(outlines, *, labels=None, tissue=0.0, within=0.0) -> Areas:
    n = len(outlines)
    array = np.empty(n, object)
    array[:] = outlines
    return Areas(
        outlines=array, labels=tuple(labels or [""] * n),
        min_tissue_share=np.broadcast_to(np.float64(tissue), n),
        min_area_share=np.broadcast_to(np.float64(within), n),
    )  # fmt: skip


def full(width_px0: int, height_px0: int) -> Coverage:
    tissue = np.ones((-(-height_px0 // 16), -(-width_px0 // 16)), bool)
    mask = TissueMask(tissue=tissue, downsample=16.0, slide_mpp=0.5)
    return Coverage(mask, width_px0=width_px0, height_px0=height_px0)


def sample(  # noqa: PLR0913 - each has a default
    areas: Areas, sampler: Sampler, side_px0: int, *, width_px0=2048, height_px0=1536,
    is_within=False, coverage=None,
) -> Sampled:  # fmt: skip
    size = {"width_px0": width_px0, "height_px0": height_px0}
    squares = Squares(side_px0=side_px0, is_within=is_within, **size)
    return sample_areas(areas, sampler, squares, coverage or full(**size))


def grid_of(step: float, n: int = 1, **fields) -> GridSampler:
    return GridSampler(step_px0=np.full(n, float(step)), **fields)


def points(sampled: Sampled, area: int | None = None) -> list[tuple[int, int]]:
    chosen = slice(None) if area is None else sampled.area == area
    return list(zip(sampled.x_px0[chosen].tolist(), sampled.y_px0[chosen].tolist(), strict=True))


def whole_slide(size: dict[str, int], share: float) -> Areas:
    slide = shapely.box(0, 0, size["width_px0"], size["height_px0"])
    return areas_of([slide], tissue=share, within=share)


# ------------------------------------------------------------------------------------- grids


@pytest.mark.parametrize(
    ("size", "side", "step", "share", "n"),
    [
        (FORMULA, 256, 256, 0.95, 48),
        (FORMULA, 512, 256, 0.95, 35),
        (FORMULA, 280, 280, 0.95, 35),
        (CMU, 256, 256, 0.95, 88),
        (CMU, 256, 128, 0.95, 352),
        (CMU, 256, 256, 0.5, 107),
    ],
)
def test_a_grid_has_the_squares_of_a_pencil_row_by_row(size, side, step, share, n) -> None:
    found = points(sample(whole_slide(size, share), grid_of(step), side, **size))
    assert len(found) == n
    nodes = [range(0, size[name], step) for name in ("height_px0", "width_px0")]
    kept = [
        (x, y)
        for y, x in itertools.product(*nodes)
        if min(side, size["width_px0"] - x) * min(side, size["height_px0"] - y) >= share * side**2
    ]
    assert found == kept


def test_a_grid_begins_at_the_upper_left_of_each_area_in_the_order_of_the_areas() -> None:
    boxes = [shapely.box(700, 300, 900, 500), shapely.box(100, 50, 300, 150)]
    found = sample(areas_of(boxes, within=1.0), grid_of(100, 2), 100)
    assert points(found) == [
        (700, 300), (800, 300), (700, 400), (800, 400), (100, 50), (200, 50)
    ]  # fmt: skip
    assert found.area.tolist() == [0, 0, 0, 0, 1, 1]
    assert (found.x_px0.dtype, found.area.dtype) == (np.int64, np.int64)
    assert found.tissue_share.tolist() == [1.0] * 6
    assert found.tissue_share.dtype == np.float32


def test_each_area_has_its_own_step_and_shares() -> None:
    boxes = [shapely.box(0, 0, 100, 10), shapely.box(200, 0, 300, 10)]
    areas = Areas(
        outlines=areas_of(boxes).outlines, labels=("a", "b"),
        min_tissue_share=np.array([0.0, 1.0]), min_area_share=np.array([0.4, 1.0]),
    )  # fmt: skip
    found = sample(areas, GridSampler(step_px0=np.array([50.0, 25.0])), 20, height_px0=100)
    assert points(found, 0) == [(0, 0), (50, 0)]
    assert points(found, 1) == []


def test_positions_are_rounded_one_by_one_to_even_and_repeat_none() -> None:
    area = areas_of([shapely.box(0.5, 0, 6.5, 1)])
    assert [x for x, _ in points(sample(area, grid_of(1.0), 1))] == [0, 2, 4, 6]
    area = areas_of([shapely.box(0, 0, 100, 1)])
    exact = [x for x, _ in points(sample(area, grid_of(7.3), 1))]
    assert exact == [round(i * 7.3) for i in range(14)]


def test_a_grid_through_a_node_runs_both_ways_while_its_squares_begin_in_the_bounds() -> None:
    area = areas_of([shapely.box(100, 100, 300, 150)])
    origin = np.array([[210.0, 120.0]])
    found = sample(area, grid_of(50, origin_px0=origin), 64)
    assert points(found) == [(x, 120) for x in (110, 160, 210, 260)]


def test_a_covering_grid_tries_squares_that_reach_into_the_bounds_from_before() -> None:
    area = areas_of([shapely.box(100, 100, 300, 150)])
    origin = np.zeros((1, 2))
    found = sample(area, grid_of(32, origin_px0=origin, is_covering=True), 64)
    assert points(found) == [
        (x, y) for y in (64, 96, 128) for x in range(64, 300, 32)
    ]  # 36 would only touch
    at_corner = sample(area, grid_of(50, is_covering=True), 50)
    assert points(at_corner) == [(x, 100) for x in (100, 150, 200, 250)]


def mask_from(first_px: int, n_px: int, downsample: float, *, size_px0: int) -> Coverage:
    """Of a square slide, tissue in n x n mask pixels from one on."""
    tissue = np.zeros((int(size_px0 / downsample),) * 2, bool)
    tissue[first_px : first_px + n_px, first_px : first_px + n_px] = True
    mask = TissueMask(tissue=tissue, downsample=downsample, slide_mpp=0.5)
    return Coverage(mask, width_px0=size_px0, height_px0=size_px0)


@pytest.mark.parametrize("downsample", [32.0, 32.0075, 32.0083, 31.9911, 2.00050555, 7.49])
@pytest.mark.parametrize("step", [1.0, 0.5])
def test_a_grid_from_where_the_tissue_begins_has_all_its_rows_when_all_of_each_is_asked_for(
    downsample, step
) -> None:
    # 44 squares of 8 mask pixels: their exact side is no whole number, nor is where they begin.
    side, n = 8 * downsample, 11
    bounds = shapely.box(*([4 * downsample] * 2), *([(4 + 8 * n) * downsample] * 2))
    size = {"width_px0": 4000, "height_px0": 4000}
    squares = Squares(side_px0=round(side), laid_side_px0=side, **size)
    found = sample_areas(
        areas_of([bounds], tissue=1.0, within=1.0), grid_of(side * step), squares,
        mask_from(4, 8 * n, downsample, size_px0=4000),
    )  # fmt: skip
    places = [round(4 * downsample + i * side * step) for i in range(round((n - 1) / step) + 1)]
    assert points(found) == [(x, y) for y in places for x in places]
    assert (found.tissue_share == 1.0).all()


@pytest.mark.parametrize("off", [0.03, 0.47, -0.47])
def test_of_an_outline_that_begins_within_a_pixel_the_first_row_is_not_lost(off) -> None:
    low, high = 128 + off, 128 + off + 512
    box = shapely.box(low, low, high, high)
    for outline in (box, box | shapely.box(low, low, high + 300, low + 1)):  # a box; and none
        found = sample(areas_of([outline], within=1.0), grid_of(256), 256)
        assert points(found) == [(x, y) for y in (128, 384) for x in (128, 384)]
    at_points = PointSampler(x_px0=np.array([128, 384, 127]), y_px0=np.array([128, 384, 128]))
    kept = points(sample(areas_of([box], within=1.0), at_points, 256))
    assert kept == [(128, 128), (384, 384)]  # what a grid gave can be given back


def test_a_pixel_that_is_not_in_the_area_is_still_missed_where_all_is_asked_for() -> None:
    box = areas_of([shapely.box(128.51, 128, 640, 640)], within=1.0)
    assert (
        points(sample(box, PointSampler(x_px0=np.array([128]), y_px0=np.array([128])), 256)) == []
    )
    coverage = mask_from(4, 40, 32.4, size_px0=2048)  # from 129.6 on
    areas = areas_of([shapely.box(0, 0, 2048, 2048)], tissue=1.0)
    given = PointSampler(x_px0=np.array([129, 130]), y_px0=np.array([130, 130]))
    found = sample(areas, given, 256, height_px0=2048, coverage=coverage)
    assert points(found) == [(130, 130)]


@pytest.mark.parametrize("share", [0.95, 0.3, 0.7])
def test_a_share_that_is_exactly_what_is_asked_for_is_enough(share) -> None:
    # 20 columns of which 20 * share are tissue, or area: computed shares miss the decimal.
    n = round(20 * share)
    tissue = np.zeros((20, 40), bool)
    tissue[:, :n] = True
    tissue[:, 20 : 20 + n - 1] = True
    coverage = Coverage(
        TissueMask(tissue=tissue, downsample=7.3, slide_mpp=0.5), width_px0=292, height_px0=146
    )
    slide = [shapely.box(0, 0, 292, 146)]
    found = sample(areas_of(slide, tissue=share), grid_of(146), 146, coverage=coverage)
    assert points(found) == [(0, 0)]
    strip = shapely.box(0, 0, 20 * share, 20)
    for outline in (strip, strip | shapely.box(1000, 0, 1001, 1)):
        found = sample(areas_of([outline], within=share), grid_of(20), 20)
        assert points(found)[:1] == [(0, 0)]
        less = sample(areas_of([outline], within=share + 1e-7), grid_of(20), 20)
        assert points(less)[:1] != [(0, 0)]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 9999), st.sampled_from([(40, 40.0), (64, 23.7), (100, 140.5)]))
def test_a_grid_keeps_what_looking_at_each_square_by_itself_keeps(seed, lengths) -> None:
    side, step = lengths
    rng = np.random.Generator(np.random.PCG64(seed))
    tissue = rng.random((30, 40)) < 0.7
    mask = TissueMask(tissue=tissue, downsample=20.0, slide_mpp=0.5)
    size = {"width_px0": 800, "height_px0": 600}
    coverage = Coverage(mask, **size)
    outlines = [
        shapely.Point(*rng.uniform(-50, 800, 2)).buffer(rng.uniform(20, 300), quad_segs=3)
        - shapely.Point(*rng.uniform(-50, 800, 2)).buffer(100)
        for _ in range(5)
    ]
    is_within = bool(seed % 2)
    found = sample(
        areas_of(outlines, labels="abcde", tissue=0.6, within=0.3), grid_of(step, 5), side,
        is_within=is_within, coverage=coverage, **size,
    )  # fmt: skip
    wanted = []
    for i, outline in enumerate(outlines):
        if outline.is_empty:
            continue
        x0, y0, x1, y1 = outline.bounds
        rows, columns = np.mgrid[: math.ceil((y1 - y0) / step), : math.ceil((x1 - x0) / step)]
        laid = x0 + columns.ravel() * step, y0 + rows.ravel() * step
        x, y = np.rint(laid).astype(int)
        share = within = np.zeros(len(x))
        for x_px0, y_px0 in ((x, y), laid):  # it may stay by either
            share = np.maximum(share, coverage.exact_share_of(x_px0, y_px0, side))
            squares = shapely.box(x_px0, y_px0, x_px0 + side, y_px0 + side)
            parts = shapely.intersection(outline, squares)
            within = np.maximum(within, shapely.area(parts) / side**2)
        stays = (share.round(10) >= 0.6) & (within.round(8) >= 0.3)
        if is_within:
            stays &= np.minimum(np.minimum(x, y), np.minimum(800 - x, 600 - y) - side) >= 0
        wanted += [(i, *xy) for xy in zip(x[stays].tolist(), y[stays].tolist(), strict=True)]
    assert [(i, *xy) for i, xy in zip(found.area.tolist(), points(found), strict=True)] == wanted


def test_a_square_partly_left_of_the_slide_counts_like_one_partly_right_of_it() -> None:
    area = areas_of([shapely.box(-50, -50, 250, 250)], tissue=0.25, within=0.25)
    found = sample(area, grid_of(100), 100, width_px0=200, height_px0=200)
    assert points(found) == [(x, y) for y in (-50, 50, 150) for x in (-50, 50, 150)]
    assert found.tissue_share.tolist() == [0.25, 0.5, 0.25, 0.5, 1.0, 0.5, 0.25, 0.5, 0.25]


def test_squares_beyond_the_slide_are_left_out_where_that_is_asked() -> None:
    area = areas_of([shapely.box(-50, -50, 250, 250)])
    found = sample(area, grid_of(50), 100, width_px0=200, height_px0=200, is_within=True)
    assert points(found) == [(x, y) for y in (0, 50, 100) for x in (0, 50, 100)]


def test_exact_repeats_of_one_label_are_left_out_and_the_first_stays() -> None:
    box, larger = shapely.box(0, 0, 20, 20), shapely.box(0, 0, 40, 20)
    areas = areas_of([box, larger, box, larger], labels=["a", "a", "b", "a"], within=1.0)
    found = sample(areas, grid_of(20, 4), 20)
    assert points(found) == [(0, 0), (20, 0), (0, 0)]
    assert found.area.tolist() == [0, 1, 2]


@pytest.mark.parametrize("step", [0.99, 0.0, -3.0, math.nan, math.inf])
def test_a_step_or_spacing_below_a_pixel_is_refused_with_the_area(step) -> None:
    areas = areas_of([shapely.box(0, 0, 9, 9)] * 3, labels=["", "a", "tumour"])
    numbers = np.array([1.0, 1.0, step])
    for sampler in (
        GridSampler(step_px0=numbers),
        PoissonDiskSampler(spacing_px0=numbers, seed=0),
    ):
        with pytest.raises(SpecError, match=r"area 3 of 3 \('tumour'\): a (step|spacing) of"):
            sample(areas, sampler, 4)


EVERY = {
    "grid": grid_of(16, 3),
    "node": grid_of(16, 3, origin_px0=np.full((3, 2), 4.5), is_covering=True),
    "random": RandomSampler(n_patches=np.array([0, 4, 0]), seed=1),
    "disks": PoissonDiskSampler(spacing_px0=np.full(3, 9.0), seed=1),
    "points": PointSampler(x_px0=np.arange(0, 100, 5), y_px0=np.arange(0, 100, 5)),
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("within", [0.0, 0.5])
def test_empty_areas_have_no_squares_and_leave_the_others_theirs(name, within) -> None:
    outlines = [shapely.Polygon(), shapely.box(0, 0, 60, 60), shapely.MultiPolygon()]
    found = sample(areas_of(outlines, within=within), EVERY[name], 16)
    assert len(found.x_px0) >= 4
    assert set(found.area.tolist()) == {1}


@pytest.mark.parametrize("name", EVERY)
def test_no_areas_have_no_squares(name) -> None:
    sampler = EVERY[name]
    kind = type(sampler)
    fields = {f: getattr(sampler, f) for f in kind.__dataclass_fields__}
    if kind is not PointSampler:
        fields = {f: v[:0] if isinstance(v, np.ndarray) else v for f, v in fields.items()}
    found = sample(areas_of([]), kind(**fields), 16)
    assert [c.dtype for c in (found.x_px0, found.y_px0, found.tissue_share, found.area)] == [
        np.int64, np.int64, np.float32, np.int64
    ]  # fmt: skip
    assert len(found.x_px0) == 0


# ------------------------------------------------------------------------------ random draws


def draw(areas: Areas, n, side: int, seed: int = 0, **fields) -> Sampled:
    n_patches = np.broadcast_to(np.int64(n), len(areas.labels))
    sampler = RandomSampler(n_patches=n_patches, seed=seed, max_tries=fields.pop("max_tries", 100))
    return sample(areas, sampler, side, **fields)


def test_each_area_gets_its_number_of_different_squares() -> None:
    outlines = [shapely.Point(500, 500).buffer(300), shapely.box(900, 0, 1400, 300)]
    found = draw(areas_of(outlines, tissue=0.5, within=0.9), [50, 7], 64)
    assert np.bincount(found.area).tolist() == [50, 7]
    assert (np.diff(found.area) >= 0).all()
    assert len(set(points(found))) == 57
    for i, outline in enumerate(outlines):
        for x, y in points(found, i):
            assert outline.intersection(shapely.box(x, y, x + 64, y + 64)).area >= 0.9 * 64**2


def test_squares_that_may_stay_are_drawn_till_the_last_of_them() -> None:
    # 6 x 4 places for a square that must lie within.
    area = areas_of([shapely.box(10, 20, 25, 33)], within=1.0)
    found = draw(area, 24, 10)
    assert sorted(points(found)) == [(x, y) for x in range(10, 16) for y in range(20, 24)]
    with pytest.raises(SpecError, match="area 1 of 1: 24 of 25 random squares of 10 level-0"):
        draw(area, 25, 10)


@pytest.mark.parametrize("within", [0.0, 0.3, 1.0])
def test_all_squares_that_may_stay_are_equally_likely(within) -> None:
    outline = shapely.Polygon([(0, 0), (30, 0), (0, 24)])
    areas = areas_of([outline] * 4000, labels=[str(i) for i in range(4000)], within=within)
    found = draw(areas, 1, 10, width_px0=64, height_px0=64)
    places, counts = np.unique(np.array(points(found)), axis=0, return_counts=True)
    every_x, every_y = (a.ravel() for a in np.mgrid[-9:30, -9:24])
    squares = shapely.box(every_x, every_y, every_x + 10, every_y + 10)
    shares = shapely.area(shapely.intersection(outline, squares)) / 100
    may_stay = shares.round(8) >= within
    observed = dict(zip(map(tuple, places.tolist()), counts.tolist(), strict=True))
    allowed = [
        (x, y) for x, y, ok in zip(every_x.tolist(), every_y.tolist(), may_stay, strict=True) if ok
    ]
    assert set(observed) <= set(allowed)
    assert scipy.stats.chisquare([observed.get(place, 0) for place in allowed]).pvalue > 0.001


def test_where_squares_must_lie_within_the_slide_all_of_those_are_equally_likely() -> None:
    areas = areas_of([shapely.box(0, 0, 20, 16)] * 3000, labels=[str(i) for i in range(3000)])
    found = draw(areas, 1, 12, width_px0=20, height_px0=16, is_within=True)
    _, counts = np.unique(np.array(points(found)), axis=0, return_counts=True)
    assert len(counts) == 9 * 5
    assert scipy.stats.chisquare(counts).pvalue > 0.001


def test_draws_of_an_area_do_not_depend_on_the_others() -> None:
    first, second = shapely.Point(500, 500).buffer(300), shapely.box(900, 0, 1400, 300)
    both = draw(areas_of([first, second], labels=["a", "b"], within=0.9), [50, 7], 64)
    other = draw(areas_of([second, second], labels=["a", "b"], within=0.9), [400, 7], 64)
    assert points(both, 1) == points(other, 1)
    more = draw(areas_of([first, second], labels=["a", "b"], within=0.9), [50, 9], 64)
    assert points(more, 1)[:7] == points(both, 1)
    assert points(more, 0) == points(both, 0)


def test_draws_are_the_ones_of_every_other_machine_and_of_the_seed() -> None:
    area = areas_of([shapely.box(0, 0, 1000, 1000)], within=0.5)
    assert points(draw(area, 3, 100, seed=5)) == [(603, 868), (531, 896), (595, 602)]
    assert points(draw(area, 3, 100, seed=6)) != points(draw(area, 3, 100, seed=5))


def test_an_area_that_is_too_small_is_named_with_what_was_found_and_a_remedy() -> None:
    outlines = [shapely.box(0, 0, 500, 500), shapely.Point(50, 50).buffer(5)]
    areas = areas_of(outlines, labels=["a", "tumour"], within=0.5)
    with pytest.raises(SpecError) as caught:
        draw(areas, 2, 64)
    assert caught.value.message == (
        "area 2 of 2 ('tumour'): 0 of 2 random squares of 64 level-0 pixels were found in 0 draws"
    )
    assert "fewer or smaller" in caught.value.remedy
    ring = shapely.Point(500, 500).buffer(300) - shapely.Point(500, 500).buffer(290)
    with pytest.raises(SpecError, match=r"0 of 3 random squares of 64 .* in 300 draws"):
        draw(areas_of([ring], within=0.5), 3, 64)


# ------------------------------------------------------------------------------ Poisson disks


def test_no_two_disks_are_near_and_none_fits_in_between() -> None:
    area = areas_of([shapely.box(100, 100, 500, 400)], within=1.0)
    sampler = PoissonDiskSampler(spacing_px0=np.array([50.0]), seed=3)
    found = sample(area, sampler, 64)
    x, y = found.x_px0, found.y_px0
    between = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    assert (between + np.eye(len(x)) * 1e9 >= 50**2).all()
    all_x, all_y = (a.ravel() for a in np.mgrid[100:437, 100:337])
    nearest = ((all_x[:, None] - x) ** 2 + (all_y[:, None] - y) ** 2).min(1)
    assert (nearest < 50**2).all()
    assert sorted(zip(y.tolist(), x.tolist(), strict=True)) == [(b, a) for a, b in points(found)]


def test_disks_without_enough_of_them_in_their_area_are_left_out() -> None:
    circle = shapely.Point(600, 600).buffer(400)
    sampler = PoissonDiskSampler(spacing_px0=np.array([60.0, 60.0]), seed=3)
    found = sample(areas_of([circle, circle], labels=["a", "b"], within=0.9), sampler, 64)
    for x, y in points(found):
        assert circle.intersection(shapely.box(x, y, x + 64, y + 64)).area >= 0.9 * 64**2
    assert points(found, 0) != points(found, 1)
    again = sample(areas_of([shapely.Polygon(), circle], within=0.9), sampler, 64)
    assert points(again) == points(found, 1)


def test_a_spacing_that_gives_more_squares_than_anyone_wants_is_refused() -> None:
    area = areas_of([shapely.box(0, 0, 100_000, 80_000)], labels=["glass"])
    sampler = PoissonDiskSampler(spacing_px0=np.array([2.0]), seed=3)
    with pytest.raises(SpecError, match=r"area 1 of 1 \('glass'\): a spacing of 2 .* 1[0-9]{9} "):
        sample(area, sampler, 64, width_px0=100_000, height_px0=80_000)


# -------------------------------------------------------------------------------- given points


def test_each_point_is_tried_in_every_area_in_the_order_of_areas_and_points() -> None:
    boxes = [shapely.box(500, 0, 1000, 1000), shapely.box(0, 0, 600, 600)]
    sampler = PointSampler(x_px0=np.array([900, 500, 10, 500]), y_px0=np.array([0, 100, 0, 100]))
    found = sample(areas_of(boxes, labels=["a", "b"], within=0.5), sampler, 100)
    assert points(found, 0) == [(900, 0), (500, 100)]
    assert points(found, 1) == [(500, 100), (10, 0)]
    assert found.area.tolist() == [0, 0, 1, 1]


def test_points_are_judged_like_all_squares() -> None:
    corners = np.array([[-50, 0], [0, 0], [2000, 0], [5000, 5000], [1948, 1436]])
    sampler = PointSampler(x_px0=corners[:, 0], y_px0=corners[:, 1])
    slide = shapely.box(0, 0, 2048, 1536)
    assert points(sample(areas_of([slide], tissue=0.5), sampler, 100)) == [
        (-50, 0), (0, 0), (1948, 1436)
    ]  # fmt: skip
    assert points(sample(areas_of([slide]), sampler, 100, is_within=True)) == [
        (0, 0), (1948, 1436)
    ]  # fmt: skip


def test_where_no_share_of_the_area_is_asked_for_every_area_takes_every_point() -> None:
    sampler = PointSampler(x_px0=np.array([5, 900]), y_px0=np.array([5, 900]))
    areas = Areas(
        outlines=areas_of([shapely.box(0, 0, 20, 20)] * 2).outlines, labels=("a", "b"),
        min_tissue_share=np.zeros(2), min_area_share=np.array([0.0, 0.5]),
    )  # fmt: skip
    found = sample(areas, sampler, 10)
    assert points(found, 0) == [(5, 5), (900, 900)]
    assert points(found, 1) == [(5, 5)]


# --------------------------------------------------------------------------------------- size


@pytest.mark.slow
def test_100_000_areas_and_one_of_20_000_squares_are_sampled_at_once() -> None:
    rng = np.random.Generator(np.random.PCG64(0))
    size, n = {"width_px0": 100_000, "height_px0": 80_000}, 100_000
    angle = np.sort(rng.random((n, 24)), axis=1) * 2 * np.pi
    radius = rng.uniform(50, 900, (n, 1)) * rng.uniform(0.7, 1.0, (n, 24))
    centre = rng.uniform(1000, [99_000, 79_000], (n, 2))[:, None]
    corners = centre + np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    outlines = [*shapely.polygons(corners), shapely.Point(50_000, 40_000).buffer(39_000, 5000)]
    tissue = np.ones((2500, 3125), bool)
    coverage = Coverage(TissueMask(tissue=tissue, downsample=32.0, slide_mpp=0.25), **size)
    areas = areas_of(outlines, tissue=0.5, within=0.5)
    found = sample(areas, grid_of(512, n + 1), 512, coverage=coverage, **size)
    assert np.count_nonzero(found.area == n) > 17_000
    assert len(found.x_px0) > 200_000
