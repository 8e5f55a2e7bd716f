import numpy as np
import pytest

from pathassets.core.patches.contact_sheet import choose_some, lay_sheet


def patches(n: int, side_px: int = 64) -> np.ndarray:
    """Each of one colour, by its place."""
    found = np.zeros((n, side_px, side_px, 3), np.uint8)
    found[..., 0] = (np.arange(n) + 1)[:, None, None]
    return found


@pytest.mark.parametrize("side_px", [1, 63, 64, 65, 500])
def test_patches_lie_row_by_row_whatever_their_size(side_px):
    sheet = lay_sheet(patches(32, side_px))
    assert sheet.shape == (4 * 66 - 2, 8 * 66 - 2, 3)
    for place in range(32):
        y, x = 66 * (place // 8), 66 * (place % 8)
        assert (sheet[y : y + 64, x : x + 64] == (place + 1, 0, 0)).all()
    assert (sheet[:, 64:66] == 255).all()
    assert (sheet[64:66] == 255).all()


def test_what_is_not_filled_is_white():
    assert (lay_sheet(patches(0)) == 255).all()
    sheet = lay_sheet(patches(9))
    assert (sheet[66:130, 66:] == 255).all()
    assert (sheet[132:] == 255).all()


def test_the_choice_is_seeded_in_order_and_without_repeats():
    chosen = choose_some(1000, seed=5)
    assert len(set(chosen.tolist())) == 32
    assert (np.diff(chosen) > 0).all()
    assert np.array_equal(chosen, choose_some(1000, seed=5))
    assert not np.array_equal(chosen, choose_some(1000, seed=6))
    assert choose_some(0, seed=1).tolist() == []
    assert choose_some(32, seed=1).tolist() == list(range(32))
