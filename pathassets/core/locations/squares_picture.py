"""Squares of a slide -> small pictures that lie over it: their edges, or a colour for each."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pathassets.core.locations.locations import PatchLocations
from pathassets.core.locations.overlay import patch_colours

MAX_CELLS = 96
"""Most cells along a side of a picture of colours: of smaller squares several share one."""
STEP = 17
"""Colours are told in sixteen steps: more are not told apart, and take twice the bytes."""


def draw_edges(
    locations: PatchLocations, *, width_px0: int, height_px0: int, longest_px: int
) -> np.ndarray:
    """Edges of squares on nothing: RGBA uint8 (y, x, 4), of the area of the slide.

    Each has the colour of its label, where there is more than one.
    """
    scale = longest_px / max(width_px0, height_px0)
    shape = max(1, round(height_px0 * scale)), max(1, round(width_px0 * scale))
    picture = np.zeros((*shape, 4), np.uint8)
    corners = np.rint(locations.boxes_px0 * scale).astype(int).tolist()
    for (x0, y0, x1, y1), colour in zip(corners, patch_colours(locations), strict=True):
        cv2.rectangle(picture, (x0, y0), (max(x0, x1 - 1), max(y0, y1 - 1)), (*colour, 255), 1)
    return picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """A slide in cells, each of one colour."""

    rgba: np.ndarray
    """uint8 (rows, columns, 4); the first begins at level-0 point (0, 0)."""
    side_px0: float
    """Of a cell."""

    def size_in(self, scale: float) -> tuple[float, float]:
        """Width and height of all of them, in units of which a level-0 pixel has `scale`."""
        rows, columns = self.rgba.shape[:2]
        return round(columns * self.side_px0 * scale, 2), round(rows * self.side_px0 * scale, 2)


def paint_cells(
    boxes_px0: np.ndarray,
    colours: np.ndarray,
    *,
    width_px0: int,
    height_px0: int,
    max_cells: int = MAX_CELLS,
) -> Cells:
    """Paint a cell for each square.

    There are `max_cells` along a side at most. A square gives its colour to the cell that its
    middle lies in; of several there the mean is taken, where none is, there is nothing.
    """
    side_px0 = float((boxes_px0[:, 2:] - boxes_px0[:, :2]).max()) if len(boxes_px0) else 1.0
    cell_px0 = max(side_px0, max(width_px0, height_px0) / max_cells)
    rows, columns = int(-(-height_px0 // cell_px0)), int(-(-width_px0 // cell_px0))
    middle = (boxes_px0[:, :2] + boxes_px0[:, 2:]) / 2
    x, y = (middle // cell_px0).astype(int).T
    place = np.clip(y, 0, rows - 1) * columns + np.clip(x, 0, columns - 1)
    count = np.bincount(place, minlength=rows * columns)
    sums = [np.bincount(place, colours[:, i], rows * columns) for i in range(3)]
    mean = np.stack(sums, axis=1) / np.maximum(count, 1)[:, None]
    rgba = np.zeros((rows * columns, 4), np.uint8)
    rgba[:, :3] = np.rint(mean / STEP) * STEP
    rgba[:, 3] = np.where(count > 0, 255, 0)
    rgba[count == 0, :3] = 0
    return Cells(rgba=rgba.reshape(rows, columns, 4), side_px0=cell_px0)
