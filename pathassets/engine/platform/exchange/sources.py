"""A tool and a folder -> the features that are in it, and whose they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal

from pathassets.adapters.exchange.clam import find_clam
from pathassets.adapters.exchange.raw2features import find_raw2features
from pathassets.adapters.exchange.slide2vec import find_slide2vec
from pathassets.adapters.exchange.stamp import find_stamp
from pathassets.adapters.exchange.trident import find_trident
from pathassets.catalog.forgotten import Forgotten
from pathassets.core.exchange.audit import are_other_weights
from pathassets.core.exchange.encoder_names import our_name
from pathassets.core.exchange.found import Found, FoundFeatures
from pathassets.core.exchange.matching import KnownSlides, Label, Match, match_all
from pathassets.core.exchange.names import slides_by_stem
from pathassets.engine.platform.exchange.audit import Wanted
from pathassets.engine.platform.platform import Platform

Source = Literal["trident", "clam", "stamp", "slide2vec", "raw2features"]
Find = Callable[[], Iterator[Found]]

_READERS: dict[Source, Callable[[Path], Iterator[Found]]] = {
    "trident": find_trident,
    "stamp": find_stamp,
    "slide2vec": find_slide2vec,
    "raw2features": find_raw2features,
}
_PATCH_SIZES = ("patch_size", "tile_size_px", "requested_tile_size_px", "patch_px")
"""What tools call the side of a patch in the encoder's pixels; CLAM's is a level's."""


def reader_of(tool: Source, folder: Path, patches: Path | None) -> Find:
    """What finds a tool's features in a folder, each time that it is called."""
    if tool == "clam":
        return partial(find_clam, folder, patches)
    return partial(_READERS[tool], folder)


def match_slides(platform: Platform, found: Iterable[Found], wanted: Wanted) -> list[Match]:
    """The slide of each that is found, in order."""
    slides = platform.catalog.slides()
    paths = platform.catalog.all_paths()
    files = [
        (slide.slide_id, PurePosixPath(path.path).name)
        for slide in slides
        for path in paths.get(slide.slide_id, ())
    ]
    known = KnownSlides(
        by_name=slides_by_stem(files),
        by_sha256={slide.fingerprint: slide.slide_id for slide in slides},
    )
    labels = [_label(one, wanted) for one in found]
    forgotten = platform.catalog.forgotten()
    matches = zip(labels, match_all(labels, known), strict=True)
    return [_told_gone(label, match, forgotten) for label, match in matches]


def _told_gone(label: Label, match: Match, forgotten: Iterable[Forgotten]) -> Match:
    """The same, but of a slide that was taken out: that it was, and not that none is called so."""
    if match.slide_id:
        return match
    for one in forgotten:
        is_called = one.had_id(label.name) or one.had_id(label.stated_name)
        if is_called or one.has_content(label.slide_sha256):
            return Match(fault=f"its slide was {one.told}")
    return match


def _label(found: Found, wanted: Wanted) -> Label:
    if not isinstance(found, FoundFeatures):
        return Label(path=str(found.path), name=found.name)
    sizes = [found.parameters[name] for name in _PATCH_SIZES if name in found.parameters]
    is_asked = not found.encoder or our_name(found.encoder) == wanted.encoder
    is_asked &= not are_other_weights(found, wanted.entry.weights_sha256)
    is_asked &= found.level is not None or not sizes or sizes[0] == wanted.locations.patch_px
    return Label(
        path=str(found.files[0]), name=found.name, stated_name=found.stated_name,
        slide_sha256=found.slide_sha256,
        is_asked=is_asked,
    )  # fmt: skip
