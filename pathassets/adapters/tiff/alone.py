"""TiffLayout -> facts of a slide that is not the first image of its TIFF, as OpenSlide takes it."""

from __future__ import annotations

import numpy as np

from pathassets.adapters.tiff.levels import TiffLayout
from pathassets.core.slides.slide import SlideInfo, audit_mpp
from pathassets.core.slides.tiles import TileSource
from pathassets.errors import SpecError

VENDOR = "generic-tiff"
"""As OpenSlide calls a TIFF that no scanner's maker knows as its own."""
_COMPARED = (
    "the slide is directory {} of the file, where OpenSlide takes 0: "
    "its tiles were compared with tifffile's"
)


def facts_of(layout: TiffLayout, *, reader: str) -> SlideInfo:
    """What the slide is by its own image alone; levels by size, as OpenSlide counts them."""
    sizes_px = sorted({(v.grid.width_px, v.grid.height_px) for v in layout.levels}, reverse=True)
    sizes_px = [size_px for size_px in sizes_px if layout.level_of(*size_px)]
    width_px0, height_px0 = sizes_px[0]
    return SlideInfo(
        width_px0=width_px0,
        height_px0=height_px0,
        level_downsamples=tuple((width_px0 / w + height_px0 / h) / 2 for w, h in sizes_px),
        level_sizes_px=tuple(sizes_px),
        vendor=VENDOR,
        reader=reader,
        objective_power=None,
        audit=audit_mpp((*layout.mpp_statements, *layout.tiff_statements)),
        codec=layout.codec_of(width_px0, height_px0),
        notes=(_COMPARED.format(layout.directory), *layout.notes),
    )


class NoOpenSlide:
    """What stands where OpenSlide's reader would: it knows nothing of this image.

    The other images of the file are label and macro, or may be: they are not handed out.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.properties: dict[str, str] = {}
        self.associated_names: tuple[str, ...] = ()

    def tiles(self, level: int) -> TileSource:
        """Refuse: all its levels are stored in tiles.

        Raises:
            SpecError: always.
        """
        raise SpecError(f"{self.path}: level {level} has no tiles that OpenSlide could read")

    def read_associated(self, name: str) -> np.ndarray:
        """Refuse: there is none.

        Raises:
            SpecError: always.
        """
        raise SpecError(f"{self.path}: no associated image {name!r}", remedy="It has none")

    def close(self) -> None:
        """Do nothing."""
