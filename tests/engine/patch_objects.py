"""Objects with patch locations, and what of worker processes is left."""

import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil

from tests.formula_tiff import HEIGHT_PX0, WIDTH_PX0, formula_box

SHM = Path("/dev/shm")  # noqa: S108 - where Linux has one


def grid_on(path, *, side_px=16, n=None, label="", start=0):
    """Squares of level 0, row by row, from the `start`-th on; a row has 2048 / side_px."""
    corners = [
        (x, y)
        for y in range(0, HEIGHT_PX0 - side_px + 1, side_px)
        for x in range(0, WIDTH_PX0 - side_px + 1, side_px)
    ]
    return patches_on(path, corners[start:][:n], side_px=side_px, label=label)


def patches_on(path, corners, *, side_px=16, label="", level_or_mpp=0):
    return SimpleNamespace(
        wsi_file=str(path),
        patch_data=[(corner, (side_px, side_px), label) for corner in corners],
        level_or_mpp=level_or_mpp,
        class_name="Foreign",
        param_info={},
    )


def pixels_at(x_px0, y_px0, side_px=16):
    return formula_box(0, x_px0, y_px0, side_px, side_px)


def is_right(patch):
    height_px, width_px = patch.pixels.shape[:2]
    return np.array_equal(
        patch.pixels, formula_box(0, patch.x_px0, patch.y_px0, width_px, height_px)
    )


def segments_now():
    """Names of shared memory that Python made."""
    return {path.name for path in SHM.glob("psm_*")}


def none_is_left(processes, before, within_s=10.0):
    """Whether some processes, and all shared memory but what was there before, are soon gone."""
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        if not any(map(is_alive, processes)) and not segments_now() - before:
            return True
        time.sleep(0.02)
    return False


def is_alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
