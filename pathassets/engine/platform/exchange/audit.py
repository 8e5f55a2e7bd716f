"""Features of another tool, and the entry that they are wanted for -> why not to take them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pathassets.catalog.records import BadTileRecord
from pathassets.core.exchange.audit import Asked, fault_of_rows, faults_of
from pathassets.core.exchange.bags import SlideFacts
from pathassets.core.exchange.found import FoundFeatures
from pathassets.core.locations.location_spec import LocationSpec
from pathassets.core.recipe import Entry
from pathassets.engine.platform.exchange.bags import facts_of
from pathassets.engine.platform.exchange.what import Member
from pathassets.engine.platform.plan import PlannedSlide
from pathassets.engine.platform.platform import Platform
from pathassets.errors import PathAssetsError, SpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An entry of the recipe that features are imported for."""

    entry: Entry
    locations: LocationSpec

    @property
    def encoder(self) -> str:
        """Its name here."""
        card = self.entry.card
        return "" if card is None else card.name


def wanted_entry(platform: Platform, name: str) -> Wanted:
    """The entry of the recipe, and the locations that it asks for.

    Raises:
        SpecError: the recipe has no such features, or they are maps.
    """
    entry = platform.recipe.entry(("features", name))
    card = entry.card
    if entry.parent is None or card is None or card.map_shape:
        raise SpecError(
            f"features/{name}: keeps a map of each patch, which no other tool has",
            remedy="Name features with one row a patch",
        )
    return Wanted(entry=entry, locations=platform.recipe.entry(entry.parent).spec)


def slide_facts(planned: PlannedSlide) -> SlideFacts:
    """What an audit knows of a slide.

    Raises:
        SpecError: its resolution is not known.
    """
    member = Member(
        record=planned.record, file_name=planned.slide_id, mpp=planned.slide_mpp,
        address=planned.steps[next(iter(planned.steps))].address,
    )  # fmt: skip
    return facts_of(member, planned.slide_id, None)


def asked_of(platform: Platform, wanted: Wanted, slide: SlideFacts, *, max_off: float) -> Asked:
    """What the entry asks of features of one slide; sides may be off by a share `max_off`."""
    spec, card = wanted.locations, wanted.entry.card
    mpp = _mpp(spec, slide)
    side_px0 = max(1, round(spec.patch_px * mpp / slide.mpp))
    return Asked(
        encoder=wanted.encoder, dim=None if card is None else card.dim, patch_px=spec.patch_px,
        mpp=mpp, side_px0=side_px0, is_within=spec.within_bound,
        weights_sha256=wanted.entry.weights_sha256,
        max_off_px0=max(1.0, max_off * side_px0),
        bad_boxes_px0=_bad_boxes(platform, slide),
    )  # fmt: skip


def _mpp(spec: LocationSpec, slide: SlideFacts) -> float:
    """Micrometres per pixel of the patches: asked for, or those of a level."""
    if spec.mpp is not None:
        return spec.mpp
    level, downsamples = spec.level or 0, slide.level_downsamples
    if level >= len(downsamples):
        raise SpecError(
            f"{slide.slide_id}: has {len(downsamples)} levels, and level {level} is asked for",
            remedy="Ask for a resolution",
        )
    return slide.mpp * downsamples[level]


def _bad_boxes(platform: Platform, slide: SlideFacts) -> np.ndarray:
    """Parts of level 0 that are known to be unreadable, float64 (k, 4)."""
    boxes = {
        _box_px0(tile, slide.level_downsamples[tile.level])
        for tile in platform.catalog.bad_tiles(slide.slide_id)
        if tile.level < len(slide.level_downsamples)
    }
    return np.array(sorted(boxes), np.float64).reshape(-1, 4)


def _box_px0(tile: BadTileRecord, scale: float) -> tuple[float, float, float, float]:
    x, y = tile.x_px * scale, tile.y_px * scale
    return x, y, x + tile.width_px * scale, y + tile.height_px * scale


def audit(found: FoundFeatures, slide: SlideFacts, asked: Asked) -> Iterator[str]:
    """Why features are not taken; their rows are read where nothing else speaks against them."""
    faults = list(faults_of(found, slide, asked))
    yield from faults
    if faults:
        return
    start = 0
    try:
        for rows in found.chunks():
            fault = fault_of_rows(rows, start)
            if fault:
                yield fault
                return
            start += len(rows)
    except (PathAssetsError, OSError, ValueError, RuntimeError) as error:
        yield f"its rows cannot be read: {error}"
