import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st

from pathassets.core.draws import streams_of
from pathassets.core.locations import poisson_disk
from pathassets.core.locations.poisson_disk import place_disks


def lay(width: int, height: int, spacing: float, seed: int = 0):
    _, x, y = place_disks(np.array([[width, height]]), np.array([spacing]), streams_of(seed, 1))
    return x, y


@settings(deadline=None)
@given(
    st.integers(0, 60), st.integers(0, 60), st.sampled_from([1.0, 1.5, 3.0, 7.07, 20.0, 200.0]),
    st.integers(0, 2**64 - 1),
)  # fmt: skip
def test_no_two_points_are_near_and_there_is_no_room_for_another(
    width, height, spacing, seed
) -> None:
    x, y = lay(width, height, spacing, seed)
    assert ((x >= 0) & (x < width) & (y >= 0) & (y < height)).all()
    assert (len(x) > 0) == (width > 0 and height > 0)
    between = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    assert (between + np.eye(len(x)) * 1e9 >= spacing**2).all()
    all_x, all_y = (a.ravel() for a in np.meshgrid(np.arange(width), np.arange(height)))
    if len(x):
        nearest = ((all_x[:, None] - x) ** 2 + (all_y[:, None] - y) ** 2).min(1)
        assert (nearest < spacing**2).all()


def test_they_are_about_as_dense_as_those_of_bridson() -> None:
    width, height, spacing = 1600, 1200, 100
    counts = [len(lay(width, height, spacing, seed)[0]) for seed in range(3)]
    bounds = {"l_bounds": [0, 0], "u_bounds": [1, height / width], "ncandidates": 100}
    others = [
        len(scipy.stats.qmc.PoissonDisk(2, radius=spacing / width, rng=seed, **bounds).fill_space())
        for seed in range(3)
    ]
    # Bridson's leaves room where its tries miss: 17 % at 30 tries, 10 at 100, 5 at 300.
    assert 1.0 < np.mean(counts) / np.mean(others) < 1.15


def test_their_density_is_that_of_disks_that_came_one_by_one_till_none_fitted() -> None:
    # Jamming of random sequential disks covers 0.547 of the plane (Feder 1980).
    side, spacing = 6000, 60
    x, y = lay(side, side, spacing)
    inner = (np.minimum(x, y) > 500) & (np.maximum(x, y) < side - 500)
    covered = np.count_nonzero(inner) * np.pi / 4 * spacing**2 / (side - 1000) ** 2
    assert covered == pytest.approx(0.547, rel=0.02)


def test_they_are_even_over_the_rectangle() -> None:
    x, y = np.concatenate([lay(400, 400, 40, seed) for seed in range(40)], axis=1)
    inner = (np.minimum(x, y) >= 80) & (np.maximum(x, y) < 320)
    for at in (x[inner], y[inner]):
        counts = np.bincount((at - 80) // 24, minlength=10)
        mean = counts.mean()
        assert ((counts - mean) ** 2 / mean).sum() < 27.9  # one of 1,000 independent is above


def test_rectangles_do_not_depend_on_each_other_nor_on_the_groups_they_are_laid_in(
    monkeypatch,
) -> None:
    n = np.array([[50, 60], [0, 9], [300, 20], [1, 1], [80, 80]])
    spacing, streams = np.array([9.0, 3.0, 5.0, 2.0, 30.0]), streams_of(4, 5)
    area, x, y = place_disks(n, spacing, streams)
    order = np.lexsort((x, y, area))
    assert (order == np.arange(len(x))).all()
    for i in (0, 2, 3, 4):
        alone = place_disks(n[i : i + 1], spacing[i : i + 1], streams[i : i + 1])
        assert alone[1].tolist() == x[area == i].tolist()
        assert alone[2].tolist() == y[area == i].tolist()
    monkeypatch.setattr(poisson_disk, "GROUP_CELLS", 1)
    for one, other in zip(place_disks(n, spacing, streams), (area, x, y), strict=True):
        assert one.tolist() == other.tolist()


def test_they_are_the_ones_of_every_other_machine() -> None:
    x, y = lay(60, 50, 30.0, seed=1)
    assert (x.tolist(), y.tolist()) == ([14, 56, 26], [1, 26, 42])
    assert lay(60, 50, 30.0, seed=2)[0].tolist() != x.tolist()


def test_no_rectangle_has_no_points() -> None:
    nothing = place_disks(np.empty((0, 2), np.int64), np.empty(0), np.empty(0, np.uint64))
    assert [len(column) for column in nothing] == [0, 0, 0]
