import pytest

from pathassets.core.frames import mm2_of


def test_the_area_of_pixels_grows_with_the_square_of_their_side() -> None:
    assert mm2_of(1, 1000.0, 1.0) == 1.0
    assert mm2_of(100, 32.0, 0.25) == pytest.approx(100 * 0.008**2)
    assert mm2_of(0, 32.0, 0.25) == 0.0
