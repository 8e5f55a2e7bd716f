"""Where the patches of one slide are: twelve classes, of three regions and four ways to sample.

                        Grid   Random   PoissonDisk   Custom
    WholeImage           x       x          x           x      bounds of the mask's foreground
    WholeImageInverted   x       x          x           x      those without the polygons
    PolygonRegion        x       x          x           x      each polygon

All arguments are by keyword; all work is done when the object is made. Whatever goes wrong with the
request names the slide. A mask without foreground, and an empty list of polygons, give no patches.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pathassets.core import display
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.slides.resolution import LevelOrMpp, as_level_or_mpp
from pathassets.core.tissue.tissue_mask import TissueMask
from pathassets.engine.locations.areas import (
    PolygonRegion,
    Region,
    WholeImage,
    WholeImageInverted,
)
from pathassets.engine.locations.preview import (
    Colour,
    Pens,
    Picture,
    draw_preview,
    preview_downsample,
    save_rgb,
)
from pathassets.engine.locations.requests import (
    Custom,
    Grid,
    PoissonDisk,
    Random,
    Sampling,
    SlideRequest,
)
from pathassets.engine.locations.rows import PatchRows, as_array
from pathassets.engine.locations.search import Request, find_patches
from pathassets.engine.slides.open import OpenedSlide, open_slide
from pathassets.errors import SpecError

_LISTED = 20
"""Longest list that is given in full."""

LocationRow = tuple[tuple[int, int], tuple[int, int], str]


class LocatedPatches:
    """Patches of one slide, found when this is made: small, and can be pickled.

    Parameters of all classes are those of `SlideRequest`; of the regions those of `WholeImage`,
    `WholeImageInverted` and `PolygonRegion`; of the ways to sample those of `Grid`, `Random`,
    `PoissonDisk` and `Custom`. `help` of a class tells its own.

    A patch is kept where enough of it is foreground and enough of it lies within its area; both are
    measured exactly, in level-0 pixels, also of patches that reach beyond the slide at any side.

    Raises:
        SlideError: the slide cannot be read, or its resolution is asked for and not known.
        AnnotationError: a file of polygons cannot be read.
        SpecError: what is asked for is impossible.
    """

    _region: ClassVar[type[Region]]
    _sampling: ClassVar[type[Sampling]]
    takes_fields_of: ClassVar[tuple[type, ...]]
    """Whose fields the parameters are."""
    __signature__: ClassVar[inspect.Signature]

    wsi_file: str
    slide_mpp: float | None
    """Micrometres per level-0 pixel, where it was stated."""
    level_or_mpp: LevelOrMpp
    patch_size: int
    """Side of a patch in pixels at `level_or_mpp`."""
    class_name: str
    param_info: dict[str, Any]
    """What was asked, by name; masks, polygons and points only told in words."""
    locations: PatchLocations
    patch_data: Sequence[LocationRow]
    """((x, y) in level-0 pixels, (size, size), label): equals such a list, and reads like one."""
    patch_count: int
    patch_info: dict[str, int]
    """Patches of each label, also of those without any."""
    patch_labels: list[str]
    """Distinct labels of the areas, sorted."""
    polygon_labels: list[str]
    """Label of each area."""
    mask_shape: tuple[int, int]
    """(width, height) of the mask."""
    shapely_polygons: list[Any]
    """The areas as patches were sampled in them: shapely polygons, in level-0 pixels."""

    def __init_subclass__(cls, *, region: type[Region], sampling: type[Sampling]) -> None:
        cls._region, cls._sampling = region, sampling
        cls.takes_fields_of = (sampling, region, SlideRequest)
        cls.__signature__ = inspect.Signature(
            [
                inspect.Parameter(
                    field.name, inspect.Parameter.KEYWORD_ONLY, annotation=field.type,
                    default=inspect.Parameter.empty if field.default is MISSING else field.default,
                )
                for kind in cls.takes_fields_of
                for field in fields(kind)  # type: ignore[arg-type] # each is a dataclass
            ]
        )  # fmt: skip

    def __init__(self, **arguments: Any) -> None:
        request = self.read_request(arguments)
        asked = request.slide
        self.wsi_file, self.slide_mpp = str(asked.wsi_file), asked.slide_mpp
        with _named(self.wsi_file), open_slide(asked.wsi_file, mpp=asked.slide_mpp) as slide:
            found = find_patches(request, slide)
        self.class_name = request.kind
        self.level_or_mpp = as_level_or_mpp(asked.level_or_mpp)
        self.locations = found.locations
        self.patch_size = found.locations.patch_px
        self.param_info = _param_info(request, self.patch_size)
        self.patch_data = _rows(found.locations)
        self.patch_count = len(found.locations)
        self.patch_labels = list(found.locations.labels)
        self.patch_info = _count(found.locations)
        self.polygon_labels = list(found.drawn.labels)
        self.mask_shape = found.mask_width_px, found.mask_height_px
        self.shapely_polygons = found.outlines.tolist()
        self._drawn = found.drawn.outlines.tolist()
        self._mask_downsample = found.mask_downsample
        self._slide: OpenedSlide | None = None

    @classmethod
    def read_request(cls, arguments: Mapping[str, Any]) -> Request:
        """Check what is asked, as far as it can be told without the slide.

        Raises:
            TypeError: a parameter is missing or unknown.
            SpecError: one is impossible.
        """
        try:
            bound = cls.__signature__.bind(**arguments).arguments
        except TypeError as error:
            raise TypeError(f"{cls.__name__}: {error}") from None
        with _named(str(arguments["wsi_file"])):
            slide, region, sampling = (
                kind(**{f.name: bound[f.name] for f in fields(kind) if f.name in bound})  # type: ignore[arg-type]
                for kind in (SlideRequest, cls._region, cls._sampling)
            )
        return Request(kind=cls.__name__, slide=slide, region=region, sampling=sampling)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return self.patch_count

    def __repr__(self) -> str:
        return display.line(
            self, display.path(self.wsi_file), display.count(self.patch_count, "patch"),
            display.labels(self.patch_labels),
        )  # fmt: skip

    def _repr_html_(self) -> str:
        """What a notebook shows: the first rows."""
        rows = ((*corner, label) for corner, _, label in self.patch_data)
        return display.table(repr(self), ("x_px0", "y_px0", "label"), rows, len(self))

    def __getstate__(self) -> dict[str, Any]:
        """Without the open slide: another process opens its own."""
        return self.__dict__ | {"_slide": None}

    @property
    def patch_data_mask_level(self) -> Sequence[tuple[tuple[float, float], Any, str]]:
        """As `patch_data`, in pixels of the mask: floats."""
        return _rows(self.locations, self._mask_downsample)

    @property
    def wsi_slide(self) -> OpenedSlide:
        """The slide, opened when it is first asked for and closed with this object."""
        if self._slide is None:
            self._slide = open_slide(self.wsi_file, mpp=self.slide_mpp)
            weakref.finalize(self, self._slide.close)
        return self._slide

    def save_preview_image(  # noqa: PLR0913, PLR0917 - the users' documents name them
        self,
        image_file: str | Path,
        patch_color: Colour | None = "red",
        bbox_color: Colour | None = "lime",
        polygon_color: Colour | None = "blue",
        holes_color: Colour | None = "teal",
        buffer_color: Colour | None = "black",
        thickness: int = 2,
        patch_markers: bool = False,  # noqa: FBT001, FBT002 - as documented
        level_or_minsize: int | None = None,
        drawn_labels: Sequence[str] = (),
        drawn_patches_labels: Sequence[str] = (),
    ) -> None:
        """Save the slide as an image, with patches and areas drawn on it.

        What has the colour None is not drawn; `buffer_color` is for areas that grew, shrank or
        were cut.
        `patch_markers` mark the corners of patches. The size is that of a level, or of the coarsest
        level with `level_or_minsize` pixels and more along both sides where that is above 99, or
        about that of the mask, up to 4096 px. `drawn_labels` choose areas and patches,
        `drawn_patches_labels` patches alone.

        Raises:
            SpecError: no such level, colour or kind of image.
            OSError: the image cannot be written.
        """
        picture = self._picture(list(drawn_labels), list(drawn_labels or drawn_patches_labels))
        pens = Pens(
            patch=patch_color, bounds=bbox_color, polygon=polygon_color, hole=holes_color,
            moved=buffer_color,
        )  # fmt: skip
        with _named(self.wsi_file), open_slide(self.wsi_file, mpp=self.slide_mpp) as slide:
            downsample = preview_downsample(slide, level_or_minsize, self._mask_downsample)
            strokes = picture.strokes(pens, thickness)
            if patch_markers and patch_color is not None:
                strokes.append(picture.markers(downsample, patch_color, thickness))
            save_rgb(Path(image_file), draw_preview(slide, downsample, strokes))

    def _picture(self, area_labels: Sequence[str], patch_labels: Sequence[str]) -> Picture:
        """What there is to draw of some labels; of all where none is given."""
        is_area = [not area_labels or label in area_labels for label in self.polygon_labels]
        places = np.flatnonzero(is_area)
        locations, drawn = self.locations, as_array(self._drawn)
        wanted = [not patch_labels or label in patch_labels for label in locations.labels]
        return Picture(
            boxes_px0=locations.boxes_px0[np.array(wanted, bool)[_codes_of(locations)]],
            drawn=drawn[places], outlines=as_array(self.shapely_polygons)[places],
        )  # fmt: skip


def _codes_of(locations: PatchLocations) -> np.ndarray:
    codes = locations.label_codes
    return np.zeros(len(locations), np.int32) if codes is None else codes


def _rows(locations: PatchLocations, downsample: float | None = None) -> PatchRows[Any]:
    """Patches as rows: in level-0 pixels, or in pixels of a raster that is so much smaller."""
    x, y, side = locations.x_px0, locations.y_px0, np.array(locations.patch_px)
    if downsample is not None:
        x, y, side = x / downsample, y / downsample, np.array(locations.side_px0 / downsample)
    return PatchRows(
        x=x, y=y, width=side, height=side, labels=locations.labels, codes=_codes_of(locations)
    )


def _count(locations: PatchLocations) -> dict[str, int]:
    counts = np.bincount(_codes_of(locations), minlength=len(locations.labels)).tolist()
    return dict(zip(locations.labels, counts, strict=True))


def _param_info(request: Request, patch_px: int) -> dict[str, Any]:
    """What was asked, in words and numbers that can be printed: what was not given is left out."""
    info = {
        field.name: _tell(getattr(asked, field.name))
        for asked in (request.sampling, request.region, request.slide)
        for field in fields(asked)  # type: ignore[arg-type] # each is a dataclass
        if getattr(asked, field.name) is not None
    }
    return info | {"patch_size": patch_px}


def _tell(value: Any) -> Any:
    """A value as manifests print it: large ones are counted."""
    if isinstance(value, TissueMask):
        return "mask of {1} x {0} px".format(*value.tissue.shape)
    if isinstance(value, np.ndarray):
        return f"array of shape {value.shape}"
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Sequence):
        plain = all(isinstance(entry, bool | int | float | str) for entry in value)
        return list(value) if plain and len(value) <= _LISTED else f"list of {len(value)}"
    return str(value)


@contextmanager
def _named(wsi_file: str) -> Iterator[None]:
    """Let what is wrong with a request say of which slide."""
    try:
        yield
    except SpecError as error:
        named = error.named(wsi_file)
        if named is error:
            raise
        raise named from error


class WholeImageGridPatches(LocatedPatches, region=WholeImage, sampling=Grid):
    """On a grid over the whole image."""


class WholeImageRandomPatches(LocatedPatches, region=WholeImage, sampling=Random):
    """Drawn at random from the whole image."""


class WholeImagePoissonDiskPatches(LocatedPatches, region=WholeImage, sampling=PoissonDisk):
    """Spread over the whole image, none nearer than a spacing."""


class WholeImageCustomPatches(LocatedPatches, region=WholeImage, sampling=Custom):
    """At given points, those that are in the whole image."""


class WholeImageInvertedGridPatches(LocatedPatches, region=WholeImageInverted, sampling=Grid):
    """On a grid over the whole image but some polygons."""


class WholeImageInvertedRandomPatches(LocatedPatches, region=WholeImageInverted, sampling=Random):
    """Drawn at random from the whole image but some polygons."""


class WholeImageInvertedPoissonDiskPatches(
    LocatedPatches, region=WholeImageInverted, sampling=PoissonDisk
):
    """Spread over the whole image but some polygons, none nearer than a spacing."""


class WholeImageInvertedCustomPatches(LocatedPatches, region=WholeImageInverted, sampling=Custom):
    """At given points, those that are in the whole image but some polygons."""


class PolygonRegionGridPatches(LocatedPatches, region=PolygonRegion, sampling=Grid):
    """On a grid over polygons."""


class PolygonRegionRandomPatches(LocatedPatches, region=PolygonRegion, sampling=Random):
    """Drawn at random from polygons."""


class PolygonRegionPoissonDiskPatches(LocatedPatches, region=PolygonRegion, sampling=PoissonDisk):
    """Spread over polygons, none nearer than a spacing."""


class PolygonRegionCustomPatches(LocatedPatches, region=PolygonRegion, sampling=Custom):
    """At given points, those that are in polygons."""
