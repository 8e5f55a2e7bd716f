import numpy as np
import pytest

from pathassets.core.features.feature_map import (
    FIT_ROWS,
    GREY,
    colours_of,
    draw_colours,
    find_cohort_colours,
    find_components,
    fit_places,
)


def map_of(rows: np.ndarray) -> np.ndarray:
    return colours_of(find_components(rows[fit_places(len(rows))]).project(rows))


def two_kinds(n: int, d: int) -> np.ndarray:
    noise = np.random.default_rng(1).normal(size=(n, d)) * 0.1
    return (noise + np.where(np.arange(n)[:, None] < n // 2, 0.0, 5.0)).astype(np.float32)


@pytest.mark.parametrize(("n", "d"), [(40, 8), (40, 900), (5000, 3), (2, 1)])
def test_two_kinds_of_patches_have_two_colours(n, d) -> None:
    colours = map_of(two_kinds(n, d)).astype(int)
    first, second = colours[: n // 2, 0], colours[n // 2 :, 0]
    assert abs(first.mean() - second.mean()) > 150


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("d", [1, 2, 25])
def test_few_patches_and_columns_are_handled(n, d) -> None:
    colours = map_of(np.random.default_rng(n).normal(size=(n, d)).astype(np.float32))
    assert (colours.dtype, colours.shape) == (np.uint8, (n, 3))


@pytest.mark.parametrize("value", [0.0, 1e30, -7.25, 0.1])
def test_features_that_are_all_alike_are_grey(value) -> None:
    assert (map_of(np.full((50, 12), value, np.float32)) == GREY).all()


def test_a_constant_column_changes_nothing() -> None:
    rows = two_kinds(60, 6)
    wider = np.concatenate([rows, np.full((60, 2), 1234.567, np.float32)], axis=1)
    assert np.abs(map_of(rows).astype(int) - map_of(wider)).max() <= 1


def test_units_of_columns_count_nowhere() -> None:
    rows = two_kinds(60, 6)
    scaled = rows * np.array([1, 1000, 1, 0.001, 1, 10], np.float32)
    assert np.abs(map_of(rows).astype(int) - map_of(scaled)).max() <= 1


def test_the_signs_are_settled() -> None:
    rows = two_kinds(60, 6)
    axes = find_components(rows).axes
    assert (axes[np.abs(axes).argmax(axis=0), range(3)] > 0).all()
    turned = find_components(rows[::-1]).axes
    np.testing.assert_allclose(axes, turned, atol=1e-9)


def test_more_rows_than_needed_are_thinned_evenly_and_both_ends_are_in() -> None:
    places = fit_places(100_000)
    assert len(places) == FIT_ROWS
    assert (places[0], places[-1]) == (0, 99_999)
    assert set(np.diff(places)) <= {97, 98}
    assert fit_places(0).tolist() == []


def test_odd_patches_do_not_hide_the_others() -> None:
    rows = two_kinds(200, 4)
    rows[7] = 1e6
    colours = colours_of(rows[:, :3].astype(np.float64)).astype(int)
    assert abs(colours[:100, 0].mean() - colours[100:, 0].mean()) > 150


def test_squares_lie_where_their_boxes_are() -> None:
    overview = np.zeros((100, 200, 3), np.uint8)
    boxes = np.array([[400, 200, 600, 400]])
    drawn = draw_colours(overview, boxes, np.array([[9, 8, 7]], np.uint8), width_px0=2000)
    assert drawn.shape == overview.shape
    rows, columns = np.nonzero((drawn == [9, 8, 7]).all(axis=2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 39, 40, 59)
    assert (drawn[0, 0] == 153).all()
    assert not overview.any()


def test_cohort_colours_are_the_same_for_the_same_features_on_every_slide():
    rows = two_kinds(200, 6)
    colours = find_cohort_colours(rows)
    assert colours.n_columns == 6
    first, second = colours.colours_of(rows[:100]), colours.colours_of(rows[100:])
    np.testing.assert_array_equal(np.concatenate([first, second]), colours.colours_of(rows))
    assert abs(first.astype(int).mean(axis=0) - second.mean(axis=0)).max() > 150
    alike = find_cohort_colours(rows[:1])
    assert (alike.colours_of(rows) == 128).all()
