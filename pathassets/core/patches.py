"""PatchLocations -> pixels: which level to read, and how a read becomes a patch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from pathassets.core.frames import LEVEL_TOLERANCE, coarsest_level
from pathassets.core.locations import PatchLocations
from pathassets.core.slide import Slide

CODE_VERSION = "1"
"""Part of the identity of whatever is made from patch pixels."""

BLOCK_PX = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchRead:
    """How the pixels of one set of equal patches are read."""

    level: int
    side_px: int
    """Side of the read, in pixels of the level."""
    patch_px: int
    """Side of the patch it becomes."""

    @property
    def is_upsampled(self) -> bool:
        """Whether the slide has fewer pixels than the patch asks for, beyond the tolerance."""
        return self.side_px * LEVEL_TOLERANCE < self.patch_px


def plan_read(locations: PatchLocations, level_downsamples: tuple[float, ...]) -> PatchRead:
    """Choose the coarsest level that still has all the detail that the patch asks for."""
    level = coarsest_level(level_downsamples, locations.side_px0 / locations.patch_px)
    side_px = max(1, round(locations.side_px0 / level_downsamples[level]))
    return PatchRead(level=level, side_px=side_px, patch_px=locations.patch_px)


def resample(region: np.ndarray, patch_px: int) -> np.ndarray:
    """Bring a square region, uint8 (s, s, 3), to (patch_px, patch_px, 3).

    Shrinking averages areas, which neither aliases nor blurs; enlarging is bilinear.
    """
    if region.shape[0] == patch_px:
        return region
    shrinks = region.shape[0] > patch_px
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(region, (patch_px, patch_px), interpolation=how))


def read_patches(
    slide: Slide, locations: PatchLocations, *, n_batch: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (index of the first patch, RGB uint8 (m, y, x, 3)) in location order, m <= `n_batch`.

    The array is reused: copy it to keep it past the next step.

    Raises:
        TileUnreadable: the pixels of a patch cannot be decoded.
    """
    read = plan_read(locations, slide.info.level_downsamples)
    batch = np.empty((n_batch, read.patch_px, read.patch_px, 3), np.uint8)
    for start in range(0, len(locations), n_batch):
        stop = min(start + n_batch, len(locations))
        for i in range(start, stop):
            region = slide.read_level(
                int(locations.x_px0[i]), int(locations.y_px0[i]),
                level=read.level, width_px=read.side_px, height_px=read.side_px,
            )  # fmt: skip
            batch[i - start] = resample(region, read.patch_px)
        yield start, batch[: stop - start]


def read_overview(slide: Slide, *, downsample: float) -> tuple[np.ndarray, float]:
    """Read the whole slide at most `downsample` times smaller: RGB (y, x, 3), true downsample.

    The level nearest from above is reduced by a whole number, block by block: memory is bounded by
    the overview and one block of 2048 px. Pixels at the right and lower edge that fill no overview
    pixel are left out, but where the slide is narrower than one: that one is the mean of what is
    there.

    Raises:
        TileUnreadable: the pixels of a block cannot be decoded.
    """
    info = slide.info
    level = coarsest_level(info.level_downsamples, downsample)
    level_downsample = info.level_downsamples[level]
    factor = max(1, int(downsample / level_downsample + 1e-6))
    level_width_px, level_height_px = info.level_sizes_px[level]
    width_px, height_px = max(1, level_width_px // factor), max(1, level_height_px // factor)
    overview = np.empty((height_px, width_px, 3), np.uint8)
    step = max(1, BLOCK_PX // factor)
    for y in range(0, height_px, step):
        for x in range(0, width_px, step):
            rows, columns = min(step, height_px - y), min(step, width_px - x)
            block = slide.read_level(
                round(x * factor * level_downsample), round(y * factor * level_downsample),
                level=level, width_px=min(columns * factor, level_width_px),
                height_px=min(rows * factor, level_height_px),
            )  # fmt: skip
            overview[y : y + rows, x : x + columns] = shrink(block, factor)
    return overview, level_downsample * factor


def shrink(block: np.ndarray, factor: int) -> np.ndarray:
    """Average squares of `factor` pixels, uint8 (y, x, 3), rounding to nearest.

    A side shorter than that becomes one pixel.
    """
    if factor == 1:
        return block
    size = (max(1, block.shape[1] // factor), max(1, block.shape[0] // factor))
    return np.asarray(cv2.resize(block, size, interpolation=cv2.INTER_AREA))
