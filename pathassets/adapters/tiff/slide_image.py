"""Directories of a TIFF -> which of its images is the slide: never the label, never the macro.

    OME-XML? ─yes─▶ the largest image that is not called a label, macro, overview, …
       │no
       └──────────▶ the first directory, if none that is no level of it is larger

The label shows who the patient is, and it is often the first image. Where it cannot be told which
image is the slide, the file is refused. OpenSlide always takes the first directory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathassets.adapters.tiff.fields import (
    APERIO,
    DESCRIPTION,
    NEW_SUBFILE_TYPE,
    PAGE_NAME,
    SAMPLES,
    Fields,
)
from pathassets.adapters.tiff.ome import UNPARSED, OmeImage, names_another_file, ome_images
from pathassets.adapters.tiff.remedies import alone
from pathassets.core.slides.slide import MppSource
from pathassets.core.text import quoted
from pathassets.errors import SlideUnreadable

_WORDS = "label|macro|overview|thumbnail|thumb|barcode|localizer|preview|navigation"
_BESIDE = re.compile(
    rf"(?:slide[ _-]?)?(?:{_WORDS}|map)"
    r"(?:[ _-]*+(?:mask|image|scan|photo|picture|\d++(?:x\d++)?))*+",
    re.IGNORECASE,
)
"""What images beside the slide are called by Aperio, Bio-Formats, QuPath and scanners. It never
goes back over what it took: 40 digits of a stranger's name would take it days."""
_MAY_BE_BESIDE = re.compile(rf"(?<![a-z])(?:{_WORDS})(?![a-z])", re.IGNORECASE)
_BETWEEN = re.compile(r" - |[\[\](){}|/:#\r\n]")
"""What stands between the name of a file and that of an image in it."""
_FINER = 1.5
"""So much finer than the largest image is what may be the slide, and the largest its macro."""
_MAX_NAMED, _NAME_CHARS = 5, 40
_MASK = 4
MAX_TEXT_BYTES = 1 << 26


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideImage:
    """The image of a TIFF that is the slide."""

    directory: int
    """Its number in the main chain; further levels are below it, or follow it."""
    mpp_statements: tuple[MppSource, ...]
    """What the OME-XML says about the size of its pixels, in micrometres."""
    notes: tuple[str, ...]
    """What else there is, and is not read."""


def find_slide_image(path: Path, directories: Sequence[Fields]) -> SlideImage:
    """Tell which image is the slide.

    Raises:
        SlideUnreadable: it cannot be told (`slide_image_unclear`).
    """
    description = directories[0].text(DESCRIPTION, MAX_TEXT_BYTES)
    images = ome_images(description)
    if images:
        return _by_xml(path, images, directories)
    if holder := names_another_file(description):
        raise _unclear(path, f"its OME-XML is in another file, {_said(holder)}", _ONE_FILE)
    notes = _by_size(path, directories, description)
    return SlideImage(
        directory=0, mpp_statements=UNPARSED if images is None else (), notes=notes
    )  # fmt: skip


def is_beside(name: str) -> bool:
    """Whether an image of that name is one beside the slide.

    >>> [is_beside(n) for n in ("Label Image", "a.svs - macro", "label", "overview #2", "MACRO_1")]
    [True, True, True, True, True]
    >>> [is_beside(n) for n in ("", "label-free liver", "slide 3", "macrophages.svs", "Image:0")]
    [False, False, False, False, False]
    """
    parts = (part.strip(" .,;_-") for part in _BETWEEN.split(name))
    return any(_BESIDE.fullmatch(part) for part in parts)


def _by_xml(path: Path, images: Sequence[OmeImage], directories: Sequence[Fields]) -> SlideImage:
    slides = [image for image in images if not is_beside(image.name)]
    if not slides:
        raise _unclear(path, f"none of its images is a slide by its name: {_names(images)}")
    sizes_px = {id(image): _size_px(path, image, directories) for image in slides}
    areas = [sizes_px[id(image)][0] * sizes_px[id(image)][1] for image in slides]
    chosen = slides[areas.index(max(areas))]
    if areas.count(max(areas)) > 1:
        raise _unclear(path, f"several of its images are equally large: {_names(slides)}")
    if len(images) > 1 and _MAY_BE_BESIDE.search(chosen.name):
        raise _unclear(path, f"its largest image may be no slide by its name: {_names([chosen])}")
    if any(_is_finer(image, chosen) for image in slides):
        raise _unclear(path, f"its largest image is not its finest: {_names(slides)}")
    if chosen.elsewhere:
        raise _unclear(
            path, f"its pixels are in another file, {_said(chosen.elsewhere)}", _ONE_FILE
        )
    number = _directory(path, chosen, images, directories)
    return SlideImage(
        directory=number,
        mpp_statements=chosen.mpp_statements,
        notes=(*_planes_left(chosen, directories[number]), *_images_left(chosen, slides)),
    )


def _size_px(path: Path, image: OmeImage, directories: Sequence[Fields]) -> tuple[int, int]:
    """(width, height) of an image, by the XML and by its directory, which must not differ."""
    number = image.directory
    if image.elsewhere or number is None or number >= len(directories):
        return image.size_px or (0, 0)
    size_px = directories[number].size_px
    if image.size_px not in {None, size_px}:
        raise _unclear(
            path, f"its OME-XML says {_px(image.size_px)} of directory {number}, "
            f"which has {_px(size_px)}",
        )  # fmt: skip
    return size_px


def _directory(
    path: Path, chosen: OmeImage, images: Sequence[OmeImage], directories: Sequence[Fields]
) -> int:
    number = chosen.directory
    n_there = sum(image.directory == number and not image.elsewhere for image in images)
    if number is None or number >= len(directories) or n_there > 1:
        raise _unclear(path, f"its OME-XML does not say where the image {_said(chosen.name)} is")
    return number


def _is_finer(image: OmeImage, chosen: OmeImage) -> bool:
    """Whether an image says that it has far smaller pixels than the one chosen."""
    try:
        here, there = (float(each.mpp_statements[0].value) for each in (image, chosen))
    except (IndexError, ValueError):
        return False
    return 0.0 < here * _FINER < there


def _planes_left(chosen: OmeImage, fields: Fields) -> Iterator[str]:
    n_apart = chosen.n_channels // max(1, fields.number(SAMPLES, 1))
    n_planes = chosen.n_stacked * max(1, n_apart)
    if n_planes > 1:
        yield f"of its {n_planes} planes the first is read"


def _images_left(chosen: OmeImage, slides: Sequence[OmeImage]) -> Iterator[str]:
    """Further images, by their sizes: a name may be a patient's, and notes are kept."""
    others = [_px(image.size_px) for image in slides if image is not chosen]
    if others:
        more = ", …" if len(others) > _MAX_NAMED else ""
        yield f"its largest image is read, and not {', '.join(others[:_MAX_NAMED])}{more}"


def _by_size(path: Path, directories: Sequence[Fields], description: str) -> tuple[str, ...]:
    """What is said of a TIFF whose first directory is the slide, if nothing speaks against it."""
    first, *others = directories
    is_aperio = description.startswith(APERIO)  # OpenSlide knows which of them are levels
    said = [first.text(PAGE_NAME, MAX_TEXT_BYTES), *description.splitlines()[:2]]
    if found := next((text for text in said if is_beside(text)), ""):
        raise _unclear(path, f"its first image is no slide by its name, {_said(found)}")
    width_px, height_px = first.size_px
    n_alike = 0
    for other in others:
        if is_aperio or other.is_reduced or other.number(NEW_SUBFILE_TYPE, 0) & _MASK:
            continue
        size_px = other.size_px
        if size_px[0] * size_px[1] > width_px * height_px:
            number = other.directory.number
            raise _unclear(
                path,
                f"its first image has {_px(first.size_px)}, and directory {number} {_px(size_px)}",
                alone(number),
            )
        n_alike += size_px == (width_px, height_px)
    return (f"of its {n_alike + 1} images of one size the first is read",) if n_alike else ()


def _px(size_px: tuple[int, int] | None) -> str:
    return "no size" if size_px is None else f"{size_px[0]} x {size_px[1]} px"


def _said(text: str) -> str:
    return quoted(text, _NAME_CHARS)


def _names(images: Sequence[OmeImage]) -> str:
    listed = [f"{_said(i.name)} ({_px(i.size_px)})" for i in images[:_MAX_NAMED]]
    more = [f"{len(images) - _MAX_NAMED} more"] if len(images) > _MAX_NAMED else []
    return ", ".join([*listed, *more])


_ONE_FILE = "Export the slide as one OME-TIFF that holds its own pixels and XML"


def _unclear(path: Path, fact: str, remedy: str = "") -> SlideUnreadable:
    return SlideUnreadable(
        path,
        f"which of its images is the slide cannot be told: {fact}",
        remedy=remedy or alone(),
        reason="slide_image_unclear",
    )
