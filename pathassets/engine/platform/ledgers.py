"""Outcomes, checks and the recipe -> what the catalog's ledgers keep: bad tiles, and encoders."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pathassets.adapters.files import FileStamp
from pathassets.adapters.objects.remote_file import FilePlace, RemoteFile
from pathassets.adapters.store.store import Artifact
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.records import BadTileRecord, EncoderRecord, PathRecord
from pathassets.core.recipe import Entry, Recipe
from pathassets.core.slides.tiles import TileFault
from pathassets.engine.settings import CATALOG_FILE, Settings
from pathassets.engine.stages.outcomes import SlideOutcome
from pathassets.errors import CatalogError, SlideError, StoreError

if TYPE_CHECKING:  # it brings along what opens slides
    from pathassets.engine.slides.tile_check import Check

logger = logging.getLogger(__name__)

CHECK = "check"
"""Who found a tile that is in no artifact's facts: `pathassets check`, which reads all."""


def bad_tiles_met(outcome: SlideOutcome) -> list[BadTileRecord]:
    """Tiles that were left out of what was made of a slide, or for which it was not made."""
    return [
        BadTileRecord(slide_id=outcome.slide_id, found_by=step.step.address.stage, **tile)
        for step in outcome.all_steps
        for tile in (*step.bad_tiles, *_left_out(step.artifact))
    ]


def _left_out(artifact: Artifact | None) -> Iterable[Mapping[str, Any]]:
    return () if artifact is None else artifact.facts.get("bad_tiles", ())


def bad_tiles_checked(slide_id: str, faults: Iterable[TileFault]) -> list[BadTileRecord]:
    """What a look at every tile of a slide found."""
    return [BadTileRecord(slide_id=slide_id, found_by=CHECK, **one.facts()) for one in faults]


def enter_check(settings: Settings, done: Check) -> None:
    """Enter what a look at every tile found, of a file that is a known slide as it was registered.

    A home that has no catalog gets none by it; one that cannot be written is told, and the look is
    worth the same.
    """
    own = settings.work / CATALOG_FILE
    if done.info is None or (settings.has_own_catalog and not own.is_file()):
        return
    try:
        with Catalog.open(settings.catalog_url) as catalog:
            path = done.path if isinstance(done.path, RemoteFile) else done.path.absolute()
            known = catalog.find_path(str(path))
            if known is not None and _looks_as(known, done.path):
                tiles = bad_tiles_checked(known.slide_id, done.faults)
                catalog.replace_bad_tiles(known.slide_id, tiles)
    except (CatalogError, SlideError, StoreError) as error:
        logger.warning("%s: its bad tiles are not kept in the catalog: %s", done.path, error)


def _looks_as(known: PathRecord, path: FilePlace) -> bool:
    """Whether a file looks as it did when its content was registered."""
    from pathassets.adapters.objects.remote_slides import stamp_at  # noqa: PLC0415 - as above

    registered = FileStamp(
        size_bytes=known.size_bytes, mtime_ns=known.mtime_ns, ctime_ns=known.ctime_ns,
        etag=known.etag,
    )  # fmt: skip
    return stamp_at(path) == registered


def encoders_of(recipe: Recipe) -> Iterator[EncoderRecord]:
    """What the encoders that a recipe names declare of themselves, each once.

    Those whose weights could not be read are left out: nobody knows which they are.
    """
    yield from dict.fromkeys(filter(None, map(_encoder, recipe.entries)))


def _encoder(entry: Entry) -> EncoderRecord | None:
    card = entry.card
    if card is None or entry.unread is not None:
        return None
    return EncoderRecord(
        name=card.name, version=card.version, weights_sha256=entry.weights_sha256, dim=card.dim,
        input_px=card.input_px, mpp=card.mpp, pooling=card.pooling, precision=card.precision,
        weights=card.weights, licence=card.licence, is_gated=card.is_gated, source=card.source,
        description=card.description,
    )  # fmt: skip
