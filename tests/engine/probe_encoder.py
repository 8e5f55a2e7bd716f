"""An encoder that sees where pixels lie, and what OpenSlide reads of stored boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import openslide

from pathassets.core.features.encoder import EncoderCard, check_batch
from pathassets.core.slides.regions import resample
from pathassets.core.slides.resolution import choose_level

CARD = EncoderCard(
    name="probe", version="1", dim=15, input_px=None, is_trained=False, precision="float32",
    weights_sha256="", licence="", description="",
)  # fmt: skip


class Probe:
    """Mean colour, and the four corners of the patch: a patch moved by a pixel is another."""

    def __init__(self, rows: int = 8) -> None:
        self.card = CARD
        self.rows = rows
        self.n_encoded = 0

    def encode(self, batch: np.ndarray) -> np.ndarray:
        check_batch(self.card, batch)
        self.n_encoded += len(batch)
        corners = batch[:, [0, 0, -1, -1], [0, -1, 0, -1]].reshape(len(batch), 12)
        means = batch.mean(axis=(1, 2), dtype=np.float64)
        return (np.concatenate([means, corners], axis=1) / 255).astype(np.float32)

    def begin(self, batch: np.ndarray) -> Callable[[], np.ndarray]:
        rows = self.encode(batch)
        return lambda: rows


def read_box(slide: openslide.OpenSlide, box_px0: np.ndarray, told: Mapping) -> np.ndarray:
    """RGB of a stored box, by OpenSlide alone, resampled as the package says."""
    height, width = told["patch_input_shape"]
    x0, y0, x1, y1 = (int(edge) for edge in box_px0)
    downsamples = slide.level_downsamples
    side_px0, patch_px = max(x1 - x0, y1 - y0), max(height, width)
    if told["units"] == "level":
        level, side_px = int(told["resolution"]), patch_px
    else:
        level = choose_level(downsamples, side_px0 / patch_px).level
        side_px = max(1, round(side_px0 / downsamples[level]))
    corner_px0 = [round(round(edge / downsamples[level]) * downsamples[level]) for edge in (x0, y0)]
    rgba = np.asarray(slide.read_region(corner_px0, level, (side_px, side_px)))
    rgb = np.where(rgba[..., 3:] == 0, 255, rgba[..., :3]).astype(np.uint8)
    return resample(rgb, width_px=patch_px, height_px=patch_px)[:height, :width]


def read_again(path: Path, group: Mapping, told: Mapping) -> np.ndarray:
    """RGB uint8 (n, y, x, 3) of all boxes of an output."""
    with openslide.OpenSlide(path) as slide:
        boxes = np.asarray(group["coordinates_px0"])
        return np.stack([read_box(slide, box, told) for box in boxes])
