"""TissueMask -> its outline as the path of an SVG, small enough to be one of hundreds on a page."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from pathassets.core.tissue.tissue_mask import TissueMask

HALF = 127
MAX_CHARS = 3_000
MAX_RINGS = 300
"""Most rings that are drawn, the largest ones: more are dust, or noise."""
STAIR = 0.4
"""Share of a mask's pixel that is no corner: where the frame is finer, its steps would be seen."""


def outline_path(mask: TissueMask, *, longest_px0: int, frame_px: int) -> str:
    """Outline tissue and its holes, simplified until the path has `MAX_CHARS` at most.

    Its units are such that the slide's longer side has `frame_px` of them; whole ones. Filled by
    the rule `evenodd` it is the tissue; empty where there is none.
    """
    scale = mask.downsample * frame_px / longest_px0
    rings = _rings(mask, scale)
    tolerance = max(1.0, STAIR * scale)
    while len(path := _path(rings, tolerance)) > MAX_CHARS:
        tolerance *= 2
    return path


def _rings(mask: TissueMask, scale: float) -> list[np.ndarray]:
    """Rings around tissue and holes, float32 (n, 2); a mask's pixel has `scale` of their units."""
    tissue = mask.tissue.astype(np.uint8)
    if not tissue.any():
        return []
    height, width = tissue.shape
    columns, rows = max(1, round(width * min(1, scale))), max(1, round(height * min(1, scale)))
    if (rows, columns) != tissue.shape:
        shares = cv2.resize(tissue * 255, (columns, rows), interpolation=cv2.INTER_AREA)
        tissue = (shares > HALF).astype(np.uint8)
    found, _ = cv2.findContours(tissue, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    to_frame = np.array([scale * width / columns, scale * height / rows])
    # OpenCV counts from the middle of a pixel, the frame from its corner.
    rings = [((ring[:, 0] + 0.5) * to_frame).astype(np.float32) for ring in found]
    return sorted(rings, key=cv2.contourArea, reverse=True)[:MAX_RINGS]


def _path(rings: Iterable[np.ndarray], tolerance: float) -> str:
    simple = (cv2.approxPolyDP(ring[:, None], tolerance, closed=True)[:, 0] for ring in rings)
    return "".join(_ring_path(ring) for ring in simple if len(ring) > 2)  # noqa: PLR2004


def _ring_path(ring: np.ndarray) -> str:
    """One closed ring, each corner told from the one before.

    >>> _ring_path(np.array([[1.0, 2.0], [5.0, 2.0], [5.0, 9.0]]))
    'M1 2l4 0 0 7z'
    """
    corners = np.rint(ring).astype(int)
    steps = " ".join(f"{x} {y}" for x, y in np.diff(corners, axis=0).tolist())
    return f"M{corners[0, 0]} {corners[0, 1]}l{steps}z"
