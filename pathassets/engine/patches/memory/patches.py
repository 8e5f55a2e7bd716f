"""ReadSet -> Patch: pixels and where they are from, in the shape of (image, label)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pathassets.core import display
from pathassets.core.patches.names import resolution_part
from pathassets.core.slides.resolution import LevelOrMpp
from pathassets.engine.patches.extraction import ExtractionJob
from pathassets.engine.workers.parts.job import ReadSet

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patch:  # noqa: PLW1641 - as a tuple with a picture it has no hash
    """A patch in memory; as a sequence it is the pair (image, label).

    `image, label = patch`, `patch[0]`, `len(patch)` and `patch == (image, label)` do what they do
    with a tuple. The picture is made each time that it is asked for: who wants an array takes
    `pixels`.
    """

    pixels: np.ndarray = field(repr=False)
    """RGB uint8 (height, width, 3); the receiver's own."""
    slide_id: str
    """Name of the slide's file, without its last extension."""
    wsi_file: str = field(repr=False)
    x_px0: int
    """Left edge; negative where the patch reaches beyond the slide."""
    y_px0: int
    level_or_mpp: LevelOrMpp
    """Level (int) or micrometres per pixel (float) that it was read at."""
    label: str
    index: int
    """Place among all patches of the slide, before any were left out by their label."""
    place: int | None = field(default=None, repr=False)
    """Place among those that were left, for a patch of a single-slide extractor in inference mode:
    the third of a triple."""

    def __repr__(self) -> str:
        height_px, width_px = self.pixels.shape[:2]
        return display.line(
            self, display.path(self.slide_id), f"x_px0={self.x_px0}", f"y_px0={self.y_px0}",
            f"{width_px} x {height_px} px", resolution_part(self.level_or_mpp),
            display.labels([self.label]),
        )  # fmt: skip

    @property
    def image(self) -> Image:
        """A PIL image, RGB."""
        from PIL import Image  # noqa: PLC0415 - who takes arrays does not pay for it

        return Image.fromarray(self.pixels)

    def __len__(self) -> int:
        return 2 if self.place is None else 3

    def __iter__(self) -> Iterator[Any]:
        yield self.image
        yield from self._rest()

    def __getitem__(self, key: int | slice) -> Any:
        if isinstance(key, slice):
            return tuple(self)[key]
        return (self.image if key in {0, -len(self)} else None, *self._rest())[key]

    def _rest(self) -> tuple[Any, ...]:
        return (self.label,) if self.place is None else (self.label, self.place)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Patch | tuple):
            return tuple(self) == tuple(other)
        return NotImplemented


Sequence.register(Patch)  # for `match`, and for who asks whether it can be unpacked


def cut_patches(job: ExtractionJob, sets: ReadSet, *, placed: bool = False) -> Iterator[Patch]:
    """Yield the patches of a job that has one resolution."""
    return _cut(job, sets, 0, placed=placed)


def cut_sets(job: ExtractionJob, sets: ReadSet, *, placed: bool = False) -> Iterator[list[Patch]]:
    """Yield lists of patches, one at each resolution of the job in turn."""
    views = range(len(job.levels_or_mpps))
    return map(list, zip(*(_cut(job, sets, view, placed=placed) for view in views), strict=True))


def _cut(job: ExtractionJob, sets: ReadSet, view: int, *, placed: bool) -> Iterator[Patch]:
    """Yield the patches of one resolution of a job."""
    places = sets.places
    rows = zip(
        sets.pixels[view], sets.corners_px0[view].tolist(), places.tolist(),
        job.index[places].tolist(), job.label_codes[places].tolist(),
        job.width_px[places].tolist(), job.height_px[places].tolist(), strict=True,
    )  # fmt: skip
    slide_id, wsi_file, labels = job.slide_id, job.wsi_file, job.labels
    level_or_mpp = job.levels_or_mpps[view]
    for pixels, (x_px0, y_px0), place, index, code, width_px, height_px in rows:
        yield Patch(
            pixels=pixels[:height_px, :width_px], slide_id=slide_id, wsi_file=wsi_file,
            x_px0=x_px0, y_px0=y_px0, level_or_mpp=level_or_mpp, label=labels[code], index=index,
            place=place if placed else None,
        )  # fmt: skip
