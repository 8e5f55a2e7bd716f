"""Numbers of patches that were made by arithmetic, so that each can be told."""

import cv2
import numpy as np
import pytest

from pathassets.core.features.colour_stats import EOSIN_OD, HAEMATOXYLIN_OD
from pathassets.core.quality.patch_measures import MEASURES, measure

SIDE_PX = 64


def plain(rgb: tuple[int, int, int]) -> np.ndarray:
    """A patch of one colour."""
    return np.full((SIDE_PX, SIDE_PX, 3), rgb, np.uint8)


def stripes(dark: int, light: int, width_px: int) -> np.ndarray:
    """A grey patch with upright stripes."""
    x_px = np.arange(SIDE_PX) // width_px % 2
    grey = np.where(x_px, dark, light).astype(np.uint8)
    return np.repeat(np.tile(grey, (SIDE_PX, 1))[..., None], 3, axis=2)


def texture() -> np.ndarray:
    rng = np.random.Generator(np.random.PCG64(1))
    return rng.integers(40, 200, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)


def of(*patches: np.ndarray) -> list[dict[str, float]]:
    return [dict(zip(MEASURES, row, strict=True)) for row in measure(np.array(patches)).tolist()]


def test_focus_is_the_variance_of_the_laplacian_as_a_formula_has_it() -> None:
    # Of stripes one pixel wide every pixel's two neighbours across are the other grey: +-2 * 60.
    [found] = of(stripes(80, 140, 1))
    assert found["focus"] == pytest.approx(120.0**2)
    assert found["contrast"] == pytest.approx(30.0)
    # Four pixels wide, half of them have one such neighbour: +-60, and the others none.
    inside = stripes(80, 140, 4)
    edges = cv2.Laplacian(inside[..., 0], cv2.CV_64F, ksize=1)
    assert of(inside)[0]["focus"] == pytest.approx(float(edges.var()), rel=1e-6)


def test_the_more_a_patch_is_blurred_the_less_focus_it_has() -> None:
    patch = texture()
    blurred = [cv2.GaussianBlur(patch, (0, 0), sigma_px) for sigma_px in (0.5, 1.0, 2.0, 4.0)]
    focus = [one["focus"] for one in of(patch, *blurred)]
    assert focus == sorted(focus, reverse=True)
    assert focus[-1] < focus[0] / 1000


def test_glass_has_no_part_in_focus_and_colour() -> None:
    patch = stripes(80, 140, 2)
    half = patch.copy()
    half[:, SIDE_PX // 2 :] = 255
    whole, found = of(patch, half)
    assert found["glass_share"] == 0.5
    assert found["contrast"] == pytest.approx(whole["contrast"])
    assert found["od_red"] == pytest.approx(whole["od_red"])
    speckled = half.copy()
    speckled[::2, SIDE_PX // 2 + 2 :] = 230  # dust and noise on the glass are no sharpness
    assert of(speckled)[0]["focus"] == found["focus"]


def test_a_patch_as_good_as_glass_has_no_number_but_its_share() -> None:
    patch = plain((250, 250, 250))
    patch[0, :50] = 90  # 1.2 % of it
    [found] = of(patch)
    assert found.pop("glass_share") == pytest.approx(1 - 50 / SIDE_PX**2)
    assert np.isnan([*found.values()]).all()
    assert measure(np.empty((0, 8, 8, 3), np.uint8)).shape == (0, len(MEASURES))


@pytest.mark.parametrize(
    ("dye", "name", "other"),
    [(HAEMATOXYLIN_OD, "haematoxylin", "eosin"), (EOSIN_OD, "eosin", "haematoxylin")],
)
def test_a_patch_of_one_stain_has_that_much_of_it_and_of_no_other(dye, name, other) -> None:
    unit = np.array(dye) / np.linalg.norm(dye)
    rgb = np.rint(255 * 10.0 ** -(0.5 * unit)).astype(int)
    [found] = of(plain((int(rgb[0]), int(rgb[1]), int(rgb[2]))))
    assert found[name] == pytest.approx(0.5, abs=0.01)
    assert found[other] == pytest.approx(0.0, abs=0.01)
    assert found["od_green"] == pytest.approx(0.5 * unit[1], abs=0.003)
