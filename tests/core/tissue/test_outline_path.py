import re

import cv2
import numpy as np

from pathassets.core.tissue.outline_path import MAX_CHARS, outline_path
from pathassets.core.tissue.tissue_mask import TissueMask

FRAME_PX = 1024


def drawn(path, shape):
    """The path filled by the rule `evenodd`, in pixels of the frame."""
    rings = []
    for ring in path.split("z")[:-1]:
        start, steps = ring[1:].split("l")
        numbers = [int(n) for n in re.findall(r"-?\d+", steps)]
        corners = np.array(
            [[int(n) for n in start.split()], *zip(*[iter(numbers)] * 2, strict=True)]
        )
        rings.append(corners.cumsum(axis=0).astype(np.int32))
    picture = np.zeros(shape, np.uint8)
    cv2.fillPoly(picture, rings, 1)
    return picture > 0


def a_mask(tissue, downsample):
    return TissueMask(tissue=tissue, downsample=downsample, slide_mpp=0.5)


def test_the_path_filled_is_the_tissue_with_its_holes():
    y, x = np.mgrid[:300, :400]
    distance = np.hypot(x - 180, y - 140)
    tissue = (distance < 120) & (distance > 40)
    for downsample in (4.0, 64.0):  # the slide is as wide as the mask: 400 pixels of it
        path = outline_path(
            a_mask(tissue, downsample), longest_px0=round(400 * downsample), frame_px=FRAME_PX
        )
        seen = drawn(path, (768, FRAME_PX))
        meant = cv2.resize(tissue.astype(np.uint8), (FRAME_PX, 768)) > 0
        assert (seen ^ meant).mean() < 0.01
        assert len(path) < 1500


def test_even_noise_gives_a_path_of_bounded_length_and_bare_glass_none():
    noise = np.random.default_rng(0).random((600, 800)) > 0.5
    path = outline_path(a_mask(noise, 8.0), longest_px0=6400, frame_px=FRAME_PX)
    assert len(path) <= MAX_CHARS
    assert outline_path(a_mask(noise & False, 8.0), longest_px0=9, frame_px=FRAME_PX) == ""
