from dataclasses import replace
from functools import cache

import cv2
import numpy as np

from pathassets.core.demo_painting import (
    EOSIN_OD,
    GLASS_RGB,
    HAEMATOXYLIN_OD,
    SAMPLE_MPP,
    TRUTH_DOWNSAMPLE,
    Appearance,
    Piece,
    _mixtures,
    paint,
)

BLOB = Piece(x=0.5, y=0.5, length=0.45, width=0.35)
STROMA = Appearance(width_px0=1005, height_px0=807, pieces=(BLOB,))
GLASS = replace(STROMA, pieces=())


@cache
def painted(seed, **changes):
    """Tests only look at it."""
    return paint(replace(STROMA, **changes), seed=seed)


def saturation_of(painting):
    """HSV saturation, 0..255, at the truth's resolution, where truth is far enough from an edge."""
    height, width = painting.tissue.shape
    inner = painting.rgb[: height * TRUTH_DOWNSAMPLE, : width * TRUTH_DOWNSAMPLE]
    small = cv2.resize(inner, (width, height), interpolation=cv2.INTER_AREA)
    saturation = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)[..., 1]
    near = np.ones((7, 7), np.uint8)
    return (
        saturation[cv2.erode(painting.tissue, near) > 0],
        saturation[cv2.dilate(painting.tissue, near) == 0],
    )


def test_the_same_seed_paints_the_same_pixels_and_another_seed_does_not():
    first, again, other = painted(3), paint(STROMA, seed=3), painted(4)
    assert np.array_equal(first.rgb, again.rgb)
    assert np.array_equal(first.tissue, again.tissue)
    assert not np.array_equal(first.rgb, other.rgb)
    assert not np.array_equal(first.tissue, other.tissue)


def test_a_slide_without_pieces_is_pale_glass_with_shade_and_noise():
    painting = paint(GLASS, seed=1)
    assert not painting.tissue.any()
    assert painting.rgb.min() > 225
    assert saturation_of(painting)[1].max() < 15
    assert painting.rgb[400:408, 500:508].std() > 0.5
    assert painting.rgb[400:440, 500:540].mean() > painting.rgb[:40, :40].mean() + 3


def test_tissue_is_saturated_and_glass_is_not_even_in_tears():
    painting = painted(2, tear_share=0.15, gland_share=0.4)
    tissue, glass = saturation_of(painting)
    assert np.median(tissue) > 30
    assert np.mean(tissue > 15) > 0.95
    assert glass.max() < 15


def test_tears_take_their_share_from_the_tissue():
    whole, torn = (painted(3, **tears).tissue for tears in ({}, {"tear_share": 0.3}))
    assert np.all(whole[torn > 0] == 255)
    assert 0.1 < 1 - torn.sum() / whole.sum() < 0.5


def test_the_truth_has_two_values_and_the_size_of_the_slide_cut_to_whole_pixels():
    painting = painted(3)
    assert painting.rgb.shape == (807, 1005, 3)
    assert painting.tissue.shape == (100, 125)
    assert np.unique(painting.tissue).tolist() == [0, 255]


def test_nuclei_are_dark_purple_and_of_a_nucleus_size():
    painting = painted(4)
    dark = (painting.rgb[..., 0] < 150).astype(np.uint8)
    n, _, stats, _ = cv2.connectedComponentsWithStats(dark)
    areas = stats[1:, cv2.CC_STAT_AREA]
    diameters_um = 2 * np.sqrt(areas[areas > 20] / np.pi) * SAMPLE_MPP
    assert n > 100
    assert 4 < np.median(diameters_um) < 10
    red, green, blue = np.median(painting.rgb[dark > 0], axis=0)
    assert blue > red > green


def test_glands_have_lumens_that_are_pale_in_the_pixels_and_tissue_in_the_truth():
    bare, glandular = (painted(4, **glands) for glands in ({}, {"gland_share": 1}))
    pale = [(p.rgb.min(axis=2) > 220)[200:600, 300:700].mean() for p in (bare, glandular)]
    assert pale[1] > pale[0] + 0.02
    assert np.array_equal(bare.tissue, glandular.tissue)


def test_dyes_mix_by_the_law_of_beer_and_lambert():
    colours = _mixtures(replace(GLASS, warmth=0.0))
    both = np.array(EOSIN_OD) + np.array(HAEMATOXYLIN_OD)
    assert colours[0, 0].tolist() == list(GLASS_RGB)
    np.testing.assert_allclose(
        colours[0, 128], GLASS_RGB * np.exp(-np.array(HAEMATOXYLIN_OD)), atol=0.5
    )
    np.testing.assert_allclose(colours[128, 128], GLASS_RGB * np.exp(-both), atol=0.5)
