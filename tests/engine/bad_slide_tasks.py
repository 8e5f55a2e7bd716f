"""A visit to a bad slide, in a worker: a module, for a worker imports a task by its name."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pathassets.engine.slides.open import open_slide
from pathassets.errors import PathAssetsError

REGION = {"x_px0": 150, "y_px0": 120, "width_px": 300, "height_px": 200}


@dataclass(frozen=True, kw_only=True)
class Visit:
    path: Path
    good: Path


@dataclass(frozen=True, kw_only=True)
class Found:
    pid: int
    opened: str
    """`read`, or the reason why it was not opened."""
    pixels: str
    """The same of all its pixels."""
    path: str
    message: str
    remedy: str
    after: np.ndarray
    """A region of the good slide, read by the same process after that."""


def visit(task: Visit) -> Found:
    opened, pixels, error = "read", "", None
    try:
        with open_slide(task.path) as slide:
            pixels, error = read_all(slide)
    except PathAssetsError as problem:
        opened, error = problem.reason, problem
    with open_slide(task.good) as good:
        after = good.read_region(**REGION)
    return Found(
        pid=os.getpid(),
        opened=opened,
        pixels=pixels,
        path=getattr(error, "path", ""),
        message=getattr(error, "message", ""),
        remedy=getattr(error, "remedy", ""),
        after=after,
    )


def read_all(slide):
    for level, (width_px, height_px) in enumerate(slide.info.level_sizes_px):
        try:
            slide.read_region(0, 0, level=level, width_px=width_px, height_px=height_px)
        except PathAssetsError as problem:
            return problem.reason, problem
    return "read", None
