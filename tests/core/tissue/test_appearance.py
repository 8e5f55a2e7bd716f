import cv2
import numpy as np

from pathassets.core.tissue.appearance import (
    ENOUGH,
    blurred_ones,
    odd_colours,
    sharpness_of,
    tissue_colour,
)


def test_blur_takes_sharpness_away():
    rgb = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    blurred = cv2.GaussianBlur(rgb, (0, 0), 2)
    assert sharpness_of(rgb) > 50 * sharpness_of(blurred) > 0


def test_the_colour_is_that_of_the_tissue_alone_whatever_the_mask_s_size():
    rgb = np.full((40, 60, 3), 240, np.uint8)
    rgb[:20, :30] = (150, 60, 120)
    tissue = np.zeros((4, 6), bool)
    tissue[:2, :3] = True
    assert tissue_colour(rgb, tissue) == (150, 60, 120)
    assert tissue_colour(rgb, tissue & False) is None


def test_few_slides_or_alike_ones_have_none_that_stands_out():
    assert not blurred_ones([1.0, 1000.0]).any()
    assert not blurred_ones([500.0] * ENOUGH + [260.0]).any()
    assert blurred_ones([500.0] * ENOUGH + [0.0]).tolist() == [False] * ENOUGH + [True]
    pink, other = (190, 100, 160), (186, 104, 163)
    assert not odd_colours([pink, (0, 255, 0)]).any()
    assert not odd_colours([pink] * ENOUGH + [other]).any()
