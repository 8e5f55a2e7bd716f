"""Patch locations -> features: rows of numbers for every patch, by all encoders in one reading.

    locations.parquet, patch pixels ─▶ features.zarr, one for each encoder

They are begun in a folder that survives a kill, and continued from their last whole chunk.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Hashable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np

from pathassets.adapters.zarr.arrays import FeatureRows
from pathassets.adapters.zarr.feature_writer import FeatureWriter, is_finished
from pathassets.core.features.encoder import Encoder, EncoderCard, EncoderRequest
from pathassets.core.features.encoder_cards import card_of, kind_of
from pathassets.core.features.feature_map import (
    colours_of,
    draw_colours,
    find_components,
    fit_places,
)
from pathassets.core.features.features import FeatureSpec
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.slides.bad_tiles import BadTiles
from pathassets.core.spec import canonical_json
from pathassets.engine.features.batches import shape_of
from pathassets.engine.features.encoders import open_encoder
from pathassets.engine.features.works import SlideEncoded, SlideWork, Target
from pathassets.engine.slides.remote.reopening import SlideSource
from pathassets.engine.software import software_versions
from pathassets.engine.stages.context import OVERVIEW_MPP, SlideContext
from pathassets.engine.stages.job import Asking, Facts, Made, StageJob
from pathassets.engine.stages.outcomes import Step
from pathassets.engine.stages.patch_locations import load_patches
from pathassets.errors import EncoderError, WorkerLost

logger = logging.getLogger(__name__)

ROWS = "features.zarr"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """Features that are not finished."""

    job: StageJob
    encoder: Encoder | None
    """None where there is nothing to encode."""
    card: EncoderCard
    writer: FeatureWriter


def shared_reading(step: Step) -> Hashable:
    """Features that are made in one reading: of the same patches, read in the same way."""
    return step.parents, step.entry.spec.reading


def needs_device(spec: FeatureSpec) -> bool:
    """Whether an encoder runs on a line: one that has no use for a GPU takes less than reading."""
    return card_of(spec.encoder).can_use_gpu


def make_features(
    context: SlideContext, jobs: Sequence[StageJob]
) -> Asking[list[Made | Exception]]:
    """Have the patches encoded by all encoders in one reading; each fails by itself.

    All jobs have the same locations, read in the same way. Those that may be skipped have no row.
    """
    locations = load_patches(context, jobs[0].parents["patch_locations"])
    reading = _SharedReading(context, locations)
    begun = [reading.begin(job) for job in jobs]
    encoded = yield from reading.encode()
    return [
        one if isinstance(one, Made | Exception) else reading.finish(one, encoded) for one in begun
    ]


class _SharedReading:
    """One reading of a slide's patches, for as many encoders as want it."""

    def __init__(self, context: SlideContext, locations: PatchLocations) -> None:
        self._context = context
        self._locations = locations
        self._device = context.share.device
        self._begun: list[_Begun] = []

    def begin(self, job: StageJob) -> _Begun | Made | Exception:
        """Open the encoder and go on with what is there; `Made` where that is all but its name."""
        try:
            if is_finished(job.folder / ROWS):
                self._draw(job)
                return Made(facts=job.partial.facts)
            card, encoder = self._open(job)
            writer = FeatureWriter(
                job.folder / ROWS, shape=card.shape,
                boxes={"coordinates": self._locations.boxes_px0},
                attributes=self._attributes(job, card),
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - one encoder that fails stops no other
            return error
        begun = _Begun(job=job, encoder=encoder, card=card, writer=writer)
        self._begun.append(begun)
        return begun

    def _open(self, job: StageJob) -> tuple[EncoderCard, Encoder | None]:
        """Open the encoder, unless there is nothing to encode and its features' shape is known."""
        request: EncoderRequest = job.spec.encoder
        card = card_of(request)
        if not len(self._locations) and card.dim is not None:
            return card, None
        encoder = _encoder(request, self._device if card.can_use_gpu else "cpu")
        if request.weights and encoder.card.weights_sha256 not in job.weights_sha256.split("+"):
            raise EncoderError(
                encoder.card.name, f"{request.weights} changed after the recipe was read",
                remedy="Run again: other weights make other features, beside the old ones",
            )  # fmt: skip
        side_px = self._locations.patch_px
        shape_of(encoder, side_px, side_px)  # the card tells it from now on
        return encoder.card, encoder

    def work(self) -> SlideWork | None:
        """What is to be encoded, for all encoders that are open; None where there is nothing."""
        context = self._context
        targets = [
            Target(encoder=one.encoder, writer=one.writer) for one in self._begun if one.encoder
        ]
        if not targets:
            return None
        return SlideWork(
            name=context.slide.path, open=lambda: nullcontext(context.slide),
            targets=tuple(targets), locations=self._locations,
            source=SlideSource(
                context.slide.path, context.slide.info.stated_mpp, context.source.holes
            ),
            spec=self._begun[0].job.spec.reading,
        )  # fmt: skip

    def encode(self) -> Asking[SlideEncoded | None]:
        """Have the patches encoded; None where there is nothing to encode.

        Where a process that read them died, that may have been for another's want of memory: it is
        tried once more, from the last whole chunk on. One that hung would hang again.
        """
        work = self.work()
        if work is None:
            return None
        encoded = yield work
        error = encoded.error
        if isinstance(error, WorkerLost) and not error.is_late:
            logger.warning("%s: %s; it is read once more", work.name, error.message)
            for target in work.targets:
                target.writer.rewind()
            encoded = yield work
        return encoded

    def finish(self, begun: _Begun, encoded: SlideEncoded | None) -> Made | Exception:
        """Make the Zarr group whole, with a picture of it."""
        try:
            bad_tiles, stats, own_s = BadTiles(), None, 0.0
            if encoded is not None and begun.encoder is not None:
                number = [one.writer for one in encoded.work.targets].index(begun.writer)
                error = encoded.error or encoded.target_errors.get(number)
                if error is not None:
                    return error
                bad_tiles, stats = encoded.bad_tiles, encoded.stats
                own_s = encoded.computing_s.get(number, 0.0)
            facts = self._facts(begun.card, bad_tiles, begun.writer.left_out)
            begun.job.partial.note(facts)
            begun.writer.finish(n_patches=facts["n_patches"], n_skipped=facts["n_skipped"])
            self._draw(begun.job)
        except Exception as error:  # noqa: BLE001 - one encoder that fails stops no other
            return error
        return Made(facts=facts, stats=stats, own_s=own_s)

    def _facts(self, card: EncoderCard, bad_tiles: BadTiles, skipped: list[int]) -> Facts:
        return {
            "n_patches": len(self._locations) - len(skipped),
            "n_skipped": len(skipped),
            "skipped": skipped,
            **bad_tiles.facts(),
            "dim": card.dim,
            "encoder": card.name,
            "weights": card.weights,
            "precision": card.precision,
            "trained_mpp": card.mpp,
            "patch_mpp": self._locations.mpp,
            **self._context.reader_facts(),
            "device": self._device.partition(":")[0],  # which of several GPUs it was is chance
        }

    def _attributes(self, job: StageJob, card: EncoderCard) -> Facts:
        """What a person who has only the Zarr group needs to know.

        Of what it was made from the digests: what the recipe calls it decides no bytes.
        """
        context, locations = self._context, self._locations
        address = job.parents["patch_locations"]
        parents = context.store.read(address).parents
        return {
            "slide_id": context.slide_id,
            "slide_sha256": context.fingerprint,
            "slide_mpp": context.slide_mpp,
            "patch_px": locations.patch_px,
            "patch_mpp": locations.mpp,
            "side_px0": locations.side_px0,
            "patch_locations": address.digest,
            "tissue_mask": next((a.digest for a in parents if a.stage == "tissue_mask"), ""),
            "encoder": card.name,
            "encoder_version": card.version,
            "weights": card.weights,
            "weights_sha256": job.weights_sha256 or card.weights_sha256,
            "preprocessing": asdict(card.preprocessing),
            "pooling": card.pooling,
            "precision": card.precision,
            "device": self._device.partition(":")[0],
            "feature_names": list(card.feature_names),
            "software": software_versions(),
        }

    def _draw(self, job: StageJob) -> None:
        """Draw what the features look like."""
        context = self._context
        overview = context.overview(OVERVIEW_MPP).rgb
        rows = FeatureRows(job.folder / ROWS)
        picture = draw_colours(
            overview, rows.boxes_px0, _colours(rows), width_px0=context.slide.info.width_px0
        )
        job.save_preview(picture)


def _colours(rows: FeatureRows) -> np.ndarray:
    """A colour for each row; they are gone through twice, chunk by chunk."""
    wanted, start, sample = fit_places(len(rows)), 0, [np.zeros((0, rows.n_columns), np.float32)]
    for chunk in rows.chunks():
        here = wanted[(wanted >= start) & (wanted < start + len(chunk))]
        sample.append(chunk[here - start])
        start += len(chunk)
    components = find_components(np.concatenate(sample))
    placed = [components.project(chunk) for chunk in rows.chunks()]
    return colours_of(np.concatenate([np.zeros((0, 3)), *placed]))


_OPENING = threading.Lock()
"""Of two threads that want the same encoder, one opens it."""


def _encoder(request: EncoderRequest, device: str) -> Encoder:
    with _OPENING:
        return _opened(_EncoderKey(canonical_json(request), request), device)


class _EncoderKey:
    """A request that can be looked up: one with keyword arguments cannot."""

    def __init__(self, text: str, request: EncoderRequest) -> None:
        self._text = text
        self.request = request

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _EncoderKey) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


@cache
def _opened(key: _EncoderKey, device: str) -> Encoder:
    """One open encoder for each request of a recipe in a process: loading one costs seconds."""
    is_factory = kind_of(key.request.name) == "factory"
    if card_of(key.request).can_use_gpu and not is_factory:
        _prepare_torch()
    encoder = open_encoder(key.request, device=device)
    if is_factory and "torch" in sys.modules:  # only now it is known whether it has a use for it
        _prepare_torch()
    return encoder


def _prepare_torch() -> None:
    """Let torch compute by one thread: lines run side by side; more fight, and change last bits."""
    from pathassets.adapters.torch import prepare_process  # noqa: PLC0415 - torch takes seconds

    prepare_process(1)
