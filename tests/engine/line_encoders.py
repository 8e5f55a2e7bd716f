"""Encoders for lines, which do one thing or another at a slide that is painted for it."""

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pathassets.adapters.tifffile import write_pyramid
from pathassets.core.features.colour_stats import ColourStats
from tests.engine.conftest import PYRAMID

NAME = "tests.engine.line_encoders:make"
OPENED: list[str] = []
"""Ways of the encoders that were opened in this process."""
BATCHES: list[int] = []
"""Rows that they were handed at once."""
SLOW_S = 0.5
LOG = "LINE_ENCODERS_LOG"
"""Variable with a file that is told of each encoder that is opened: by which process."""


def write_marked(path: Path, n_px: int = 500) -> Path:
    """A slide with a pink rectangle, at which the encoders do their thing."""
    pixels = np.full((n_px, 600, 3), 245, np.uint8)
    noise = np.random.default_rng(99).integers(0, 40, (n_px - 120, 480, 3), np.uint8)
    pixels[60:-60, 60:540] = np.array([200, 70, 110], np.uint8) + noise
    path.parent.mkdir(parents=True, exist_ok=True)
    write_pyramid(path, pixels, PYRAMID)
    return path


def is_marked(batch: np.ndarray) -> bool:
    red, blue = batch[..., 0].mean(axis=(1, 2)), batch[..., 2].mean(axis=(1, 2))
    return bool((red > blue + 45).any())


class Marking(ColourStats):
    rows = 8

    def __init__(self, deed: Callable[[], object]) -> None:
        super().__init__()
        self.deed = deed

    def encode(self, batch: np.ndarray) -> np.ndarray:
        BATCHES.append(len(batch))
        if is_marked(batch):
            self.deed()
        return super().encode(batch)


def raise_error() -> None:
    raise ValueError("a pink slide")


DEEDS: dict[str, Callable[[], object]] = {
    "raise": raise_error,
    "exit": lambda: sys.exit(7),
    "kill": lambda: os.kill(os.getpid(), 9),
    "hang": threading.Event().wait,
    "nap": lambda: time.sleep(0.02),
}


def make(way: str = "") -> ColourStats:
    """Open an encoder; what it does at a marked slide, or as it is opened, is its way."""
    OPENED.append(way)
    if LOG in os.environ:
        with Path(os.environ[LOG]).open("a") as log:
            log.write(f"{os.getpid()}\n")
    if way.startswith("slow"):
        time.sleep(SLOW_S)
    if way == "no opening":
        sys.exit(3)
    return Marking(DEEDS.get(way, int))
