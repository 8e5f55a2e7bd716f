import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pathassets.core.annotations.overlap import Overlap


def star(rng: np.random.Generator, *, x: float, y: float, radius: float, n: int):
    """A valid jagged area, its corners at whole numbers where it is small."""
    angle = np.sort(rng.random(n)) * 2 * np.pi
    distance = radius * rng.uniform(0.4, 1.0, n)
    corners = np.stack([x + distance * np.cos(angle), y + distance * np.sin(angle)], axis=1)
    drawn = shapely.Polygon(corners.round() if radius < 100 else corners)
    if drawn.is_valid:
        return drawn
    return shapely.make_valid(drawn, method="structure", keep_collapsed=False)


def some_areas(seed: int) -> list:
    """Areas with holes, of several parts, boxes, and with edges on each other's lines."""
    rng = np.random.Generator(np.random.PCG64(seed))
    areas = []
    for _ in range(4):
        x, y = rng.integers(-50, 1000, 2).tolist()
        area = star(rng, x=x, y=y, radius=rng.uniform(5, 400), n=int(rng.integers(3, 60)))
        area = area - star(rng, x=x, y=y, radius=20, n=8)
        areas.append(area | star(rng, x=x + 200, y=y, radius=50, n=8))
    areas += [shapely.box(16, 32, 144, 208), shapely.box(10.5, 20.25, 130.125, 200.0)]
    steps = shapely.box(0, 0, 64, 64) | shapely.box(64, 32, 128, 96) | shapely.box(0, 64, 32, 128)
    return [*areas, steps, steps - shapely.box(16, 16, 32, 32)]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 9999), st.sampled_from([1, 7, 16, 32, 64, 200, 1000]), st.booleans())
def test_shares_are_those_of_the_intersections(seed, side, is_on_lines) -> None:
    areas = np.array([a for a in some_areas(seed) if a.area > 0], object)
    rng = np.random.Generator(np.random.PCG64(seed))
    area = rng.integers(0, len(areas), 300)
    bounds = shapely.bounds(areas)[area]
    x = np.rint(rng.uniform(bounds[:, 0] - side, bounds[:, 2])).astype(np.int64)
    y = np.rint(rng.uniform(bounds[:, 1] - side, bounds[:, 3])).astype(np.int64)
    if is_on_lines:
        x, y = x // 16 * 16, y // 16 * 16
    shares = Overlap(areas, side_px0=side).share_of(area, x, y)
    parts = shapely.intersection(areas[area], shapely.box(x, y, x + side, y + side))
    np.testing.assert_allclose(shares, shapely.area(parts) / side**2, atol=1e-9)


@pytest.mark.parametrize("is_turned", [False, True])
def test_the_way_an_outline_was_drawn_decides_nothing(is_turned) -> None:
    outer, hole = [(0, 0), (100, 0), (50, 80)], [(40, 10), (60, 10), (50, 30)]
    area = shapely.Polygon(outer[::-1] if is_turned else outer, [hole])
    shares = Overlap(np.array([area], object), side_px0=100).share_of(
        np.array([0]), np.array([0]), np.array([0])
    )
    assert shares.round(12).tolist() == [(4000 - 200) / 100**2]


def test_a_square_knows_its_own_area_alone() -> None:
    areas = np.array([shapely.box(0, 0, 10, 10), shapely.Point(5, 5).buffer(5)], object)
    shares = Overlap(areas, side_px0=2).share_of(
        np.array([0, 1, 0, 1]), np.array([0, 0, 4, 4]), np.array([0, 0, 4, 4])
    )
    assert shares.tolist()[0::2] == [1.0, 1.0]
    assert 0.1 < shares[1] < 0.9
    assert shares[3] == pytest.approx(1.0)


def test_areas_far_from_the_corner_of_the_slide_lose_nothing() -> None:
    near = shapely.Point(50, 50).buffer(40)
    far = shapely.transform(near, lambda points: points + 3_000_000)
    area, x, y = np.zeros(100, int), np.arange(100) % 10 * 10, np.arange(100) // 10 * 10
    shares = Overlap(np.array([near], object), side_px0=10).share_of(area, x, y)
    moved = Overlap(np.array([far], object), side_px0=10)
    np.testing.assert_allclose(
        moved.share_of(area, x + 3_000_000, y + 3_000_000), shares, atol=1e-8
    )


def test_squares_on_an_outline_of_20_000_corners_have_their_exact_share() -> None:
    rng = np.random.Generator(np.random.PCG64(3))
    area = star(rng, x=50_000, y=40_000, radius=35_000, n=20_000)
    x, y = rng.integers(15_000, 85_000, 4_000), rng.integers(5_000, 75_000, 4_000)
    shares = Overlap(np.array([area], object), side_px0=512).share_of(x * 0, x, y)
    cut = np.flatnonzero((shares > 0) & (shares < 1))[:6]  # GEOS takes 65 ms for each
    squares = shapely.box(x, y, x + 512, y + 512)[cut]
    wanted = shapely.area(shapely.intersection(area, squares)) / 512**2
    assert len(cut) == 6
    np.testing.assert_allclose(shares[cut], wanted, atol=1e-9)
    assert {0.0, 1.0} <= set(shares.round(9).tolist())
