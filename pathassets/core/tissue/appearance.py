"""Pixels of tissue -> how sharp they are, what colour they have, and which slides stand out."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

FOCUS_MPP = 1.0
"""Micrometres per pixel at which focus is measured: nuclei have some 6 to 10 pixels there."""
FOCUS_PX = 256
"""Side of the squares that it is measured on."""
ENOUGH = 8
"""Slides below which none is said to stand out."""
FAR = 3.5
"""Deviations from the middle of the others at which a slide stands out.

Source: Iglewicz & Hoaglin 1993, How to Detect and Handle Outliers, ASQC
"""
TO_DEVIATION = 1.4826
"""From the median distance to the median, of a normal distribution, to its standard deviation."""
LEAST_BLUR = 0.5
"""Share of the others' focus below which one can stand out at all."""
LEAST_COLOUR = 12.0
"""The same of colour, a distance in CIELAB: a person sees two or three as another colour."""


def sharpness_of(rgb: np.ndarray) -> float:
    """Variance of the Laplacian of the grey values of RGB uint8 (y, x, 3): higher is sharper.

    It depends on the tissue, too: slides of one stain and organ can be compared, at one resolution.

    Source: Pech-Pacheco et al. 2000, doi:10.1109/ICPR.2000.903548

    >>> sharpness_of(np.full((8, 8, 3), 200, np.uint8))
    0.0
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def tissue_colour(rgb: np.ndarray, tissue: np.ndarray) -> tuple[int, int, int] | None:
    """Mean colour of the tissue on a picture of a slide; None where there is none.

    `tissue` is a mask bool (y, x) of the same area, of any size.
    """
    size = rgb.shape[1], rgb.shape[0]
    is_tissue = cv2.resize(tissue.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    if not is_tissue.any():
        return None
    red, green, blue = np.rint(rgb[is_tissue].mean(axis=0)).astype(int).tolist()
    return red, green, blue


def blurred_ones(sharpness: Sequence[float]) -> np.ndarray:
    """Which slides are far less sharp than the others, bool (n,).

    >>> blurred_ones([100, 110, 90, 120, 95, 105, 115, 4]).nonzero()[0].tolist()
    [7]
    """
    if len(sharpness) < ENOUGH:
        return np.zeros(len(sharpness), bool)
    logs = np.log(np.maximum(sharpness, np.finfo(np.float64).tiny))
    below = np.median(logs) - logs
    return np.asarray(below > np.maximum(FAR * _deviation(np.abs(below)), -np.log(LEAST_BLUR)))


def odd_colours(rgb: Sequence[tuple[int, int, int]]) -> np.ndarray:
    """Which slides have a colour far from that of the others, bool (n,).

    >>> odd_colours([(180, 90, 150)] * 8 + [(60, 120, 90)]).nonzero()[0].tolist()
    [8]
    """
    if len(rgb) < ENOUGH:
        return np.zeros(len(rgb), bool)
    pixels = np.array(rgb, np.float32).reshape(-1, 1, 3) / 255
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)[:, 0]
    distance = np.linalg.norm(lab - np.median(lab, axis=0), axis=1)
    return np.asarray(distance > max(FAR * _deviation(distance), LEAST_COLOUR))


def _deviation(distances: np.ndarray) -> float:
    return TO_DEVIATION * float(np.median(distances))
