"""Some patches -> one small picture of them, for a person to judge a set by."""

from __future__ import annotations

import cv2
import numpy as np

COLUMNS, ROWS = 8, 4
SIDE_PX = 64
GAP_PX = 2
PAPER = 255


def choose_some(n: int, seed: int) -> np.ndarray:
    """Indices of up to 32 of `n` patches, int64, ascending.

    >>> choose_some(3, seed=1).tolist()
    [0, 1, 2]
    """
    drawn = np.random.default_rng(seed).permutation(n)[: COLUMNS * ROWS]
    return np.sort(drawn).astype(np.int64)


def lay_sheet(patches: np.ndarray) -> np.ndarray:
    """Lay patches, RGB uint8 (m, y, x, 3), side by side, row by row; the rest is white."""
    pitch_px = SIDE_PX + GAP_PX
    sheet = np.full((ROWS * pitch_px - GAP_PX, COLUMNS * pitch_px - GAP_PX, 3), PAPER, np.uint8)
    for place, patch in enumerate(patches[: COLUMNS * ROWS]):
        y_px, x_px = (part * pitch_px for part in divmod(place, COLUMNS))
        is_larger = max(patch.shape[:2]) > SIDE_PX
        how = cv2.INTER_AREA if is_larger else cv2.INTER_NEAREST
        small = cv2.resize(patch, (SIDE_PX, SIDE_PX), interpolation=how)
        sheet[y_px : y_px + SIDE_PX, x_px : x_px + SIDE_PX] = small
    return sheet
