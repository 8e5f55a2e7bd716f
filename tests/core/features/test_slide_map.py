import numpy as np
import pytest

from pathassets.core.features.slide_map import find_slide_map


def test_like_slides_lie_together_and_an_odd_one_at_the_edge_presses_them_not():
    rng = np.random.default_rng(0)
    ones, others = rng.normal(0, 0.1, (60, 8)), rng.normal(1, 0.1, (60, 8))
    found = find_slide_map(np.concatenate([ones, others]))
    odd = np.full((1, 8), 100.0)
    with_odd = find_slide_map(np.concatenate([ones, others, odd]))
    for one in (found, with_odd):
        near, far = one.places_of(ones), one.places_of(others)
        assert np.linalg.norm(near.mean(axis=0) - far.mean(axis=0)) > 5 * near.std(axis=0).max()
        assert np.isin(one.places_of(odd), [0.0, 1.0]).any()


@pytest.mark.parametrize("vectors", [np.ones((1, 4)), np.ones((5, 4)), np.ones((0, 4))])
def test_where_all_are_alike_they_lie_in_the_middle(vectors):
    places = find_slide_map(vectors).places_of(vectors)
    assert places.shape == (len(vectors), 2)
    assert (places == 0.5).all()
