"""Slides of a formula, encoders that note what they are given, and works for the pipeline."""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import zarr

from pathassets.adapters.zarr.feature_writer import FeatureWriter
from pathassets.core.features.encoder import COLOUR_STATS_CARD
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches.read_plan import ReadSpec
from pathassets.engine.features.encoding import encode_slides
from pathassets.engine.features.works import EncodingHow, SlideEncoded, SlideWork, Target
from pathassets.errors import (
    EncoderError,
)
from tests.core.formula_slide import FormulaSlide

SIDE_PX = 16


class Means:
    """Mean colour of each patch and its corner; notes what it is given."""

    def __init__(self, rows: int = 8, name: str = "means", dim: int = 6) -> None:
        self.card = replace(COLOUR_STATS_CARD, name=name, dim=dim, feature_names=())
        self.rows = rows
        self.sizes: list[int] = []
        self.threads: set[int] = set()
        self.pause_s = 0.0
        self.fails: Callable[[np.ndarray], bool] = lambda _: False
        self.spoils: Callable[[np.ndarray], np.ndarray] = lambda batch: np.zeros(len(batch), bool)
        self.n_begun = self.most_begun = 0

    def encode(self, batch: np.ndarray) -> np.ndarray:
        self.sizes.append(len(batch))
        self.threads.add(threading.get_ident())
        time.sleep(self.pause_s)
        if self.fails(batch):
            raise EncoderError(self.card.name, "the device is gone")
        means = batch.reshape(len(batch), -1, 3).astype(np.float64).mean(axis=1)
        rows = np.concatenate([means, batch[:, 0, 0]], axis=1).astype(np.float32)
        rows[self.spoils(batch), 1] = np.nan
        return rows

    def begin(self, batch: np.ndarray) -> Callable[[], np.ndarray]:
        self.n_begun += 1
        self.most_begun = max(self.most_begun, self.n_begun)
        mine = batch.copy()
        batch[:] = 7  # it is the caller's again: nobody else may look at it
        result: list[np.ndarray] = []
        error: list[Exception] = []
        try:
            result.append(self.encode(mine))
        except EncoderError as failed:
            error.append(failed)

        def wait() -> np.ndarray:
            self.n_begun -= 1
            if error:
                raise error[0]
            return result[0]

        return wait


class KindMeans(Means):
    """Leaves the batch as it is, for others that look at it."""

    def begin(self, batch: np.ndarray) -> Callable[[], np.ndarray]:
        rows = self.encode(batch)
        return lambda: rows


def lay(n: int, *, x0: int = 0, side_px: int = SIDE_PX, across: int = 12) -> PatchLocations:
    i = np.arange(n)
    return PatchLocations(
        x_px0=x0 + (i % across) * side_px, y_px0=(i // across) * side_px,
        tissue_share=np.ones(n, np.float32), side_px0=side_px, patch_px=side_px, mpp=0.5,
    )  # fmt: skip


def slide_of(**changes) -> FormulaSlide:
    given = {"width_px0": 256, "height_px0": 4096, "tile_px": (64, 64)} | changes
    return OpenableSlide(**given)


class OpenableSlide(FormulaSlide):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def wanted(locations: PatchLocations, crop_px=None) -> np.ndarray:
    height, width = crop_px or (locations.patch_px,) * 2
    slide = slide_of()
    rows = []
    for x, y in zip(locations.x_px0.tolist(), locations.y_px0.tolist(), strict=True):
        rgb = slide.box(0, (x, y, x + width, y + height))
        means = rgb.reshape(1, -1, 3).astype(np.float64).mean(axis=1)[0]
        rows.append([*means, *rgb[0, 0]])
    return np.array(rows, np.float32).reshape(len(rows), 6)


class Bench:
    """Makes works whose features go under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def work(self, name: str, n: int, encoders, **changes) -> SlideWork:
        locations = changes.pop("locations", None) or lay(n)
        slide = changes.pop("slide", None) or slide_of()
        targets = tuple(
            Target(encoder=e, writer=self.writer(f"{name}_{i}", locations, e.card.dim))
            for i, e in enumerate(encoders)
        )
        return SlideWork(
            name=name, locations=locations, targets=targets,
            **({"open": lambda: slide} | changes),
        )  # fmt: skip

    def writer(self, name: str, locations: PatchLocations, dim: int = 6) -> FeatureWriter:
        return FeatureWriter(
            self.folder / name, shape=(dim,), boxes={"coordinates": locations.boxes_px0},
            attributes={"name": name},
        )  # fmt: skip

    def features(self, name: str) -> np.ndarray:
        return zarr.open_group(self.folder / name, mode="r")["features"][:]

    def hashes(self) -> dict[str, str]:
        files = sorted(p for p in self.folder.rglob("*") if p.is_file())
        return {
            str(p.relative_to(self.folder)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in files
        }


def run(works, *, finish: bool = True, **how) -> dict[str, SlideEncoded]:
    """Encode, finish what is sound, by name."""
    found = {}
    for done in encode_slides(works, EncodingHow(**how)):
        found[done.work.name] = done
        if finish and done.error is None:
            for i, target in enumerate(done.work.targets):
                if i not in done.target_errors:
                    target.writer.finish()
    assert not [t for t in threading.enumerate() if t.name.startswith(("feed", "decode"))]
    return found


SKIP = ReadSpec(bad_tiles="skip", max_bad_tile_share=0.5)
