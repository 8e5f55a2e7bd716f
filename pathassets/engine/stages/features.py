"""What the stages beyond the patches do for one slide.

    features          locations.parquet, patch pixels ─▶ features.zarr, by all encoders in one pass
    slide_embedding   features.zarr                   ─▶ embedding.zarr

Features are begun in a folder that survives a kill, and continued from their last whole chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np

from pathassets.adapters.opencv import preview_jpeg
from pathassets.adapters.parquet import load_locations
from pathassets.adapters.store.partial import Partial
from pathassets.adapters.zarr.arrays import FeatureRows, save_embedding
from pathassets.adapters.zarr.features import FeatureWriter, is_finished
from pathassets.core.address import Address
from pathassets.core.features.embedding import EmbeddingSpec, max_of, mean_of
from pathassets.core.features.encoder import Encoder, EncoderCard, EncoderRequest
from pathassets.core.features.encoder_cards import card_of
from pathassets.core.features.feature_map import (
    colours_of,
    draw_colours,
    find_components,
    fit_places,
)
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.slides.bad_tiles import BadTiles
from pathassets.core.spec import canonical_json
from pathassets.engine.features.batches import shape_of
from pathassets.engine.features.encoders import open_encoder
from pathassets.engine.features.encoding import (
    EncodingHow,
    EncodingStats,
    SlideEncoded,
    SlideWork,
    Target,
    encode_slides,
)
from pathassets.engine.software import software_versions
from pathassets.engine.stages.context import LOCATIONS, OVERVIEW_MPP, PREVIEW, Bench, Facts, Order
from pathassets.engine.workers.devices import lease_device
from pathassets.errors import EncoderError, FeaturesNotFinite, SpecError

FEATURES = "features.zarr"
EMBEDDING = "embedding.zarr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a pass made for one entry."""

    facts: Facts
    stats: EncodingStats | None = None
    """Of the whole pass; None where all was there but its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """Features that are not finished."""

    order: Order
    partial: Partial
    encoder: Encoder | None
    """None where there is nothing to encode."""
    card: EncoderCard
    writer: FeatureWriter


def make_features(
    bench: Bench, orders: Sequence[Order], partials: Sequence[Partial]
) -> list[Made | Exception]:
    """Encode the patches by all encoders in one pass; each fails by itself.

    All orders have the same locations, read in the same way. Those that may be skipped have no row.
    """
    locations = load_patches(bench, orders[0].parents["patch_locations"])
    cards = [card_of(order.spec.encoder) for order in orders]
    needs_gpu = len(locations) > 0 and any(card.can_use_gpu for card in cards)
    with lease_device(bench.device if needs_gpu else "cpu") as device:
        line = _Pass(bench, locations, device)
        begun = [line.begin(*pair) for pair in zip(orders, partials, strict=True)]
        line.encode()
        return [one if isinstance(one, Made | Exception) else line.finish(one) for one in begun]


class _Pass:
    """One reading of a slide's patches, for as many encoders as want it."""

    def __init__(self, bench: Bench, locations: PatchLocations, device: str) -> None:
        self._bench = bench
        self._locations = locations
        self._device = device
        self._begun: list[_Begun] = []
        self._encoded: SlideEncoded | None = None

    def begin(self, order: Order, partial: Partial) -> _Begun | Made | Exception:
        """Open the encoder and go on with what is there; `Made` where that is all but its name."""
        try:
            if is_finished(order.folder / FEATURES):
                self._draw(order)
                return Made(facts=partial.facts)
            card, encoder = self._open(order)
            writer = FeatureWriter(
                order.folder / FEATURES, shape=card.shape,
                boxes={"coordinates": self._locations.boxes_px0},
                attributes=self._attributes(order, card),
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - one encoder that fails stops no other
            return error
        begun = _Begun(order=order, partial=partial, encoder=encoder, card=card, writer=writer)
        self._begun.append(begun)
        return begun

    def _open(self, order: Order) -> tuple[EncoderCard, Encoder | None]:
        """Open the encoder, unless there is nothing to encode and its features' shape is known."""
        request: EncoderRequest = order.spec.encoder
        card = card_of(request)
        if not len(self._locations) and card.dim is not None:
            return card, None
        encoder = _encoder(request, self._device if card.can_use_gpu else "cpu")
        if request.weights and encoder.card.weights_sha256 not in order.weights_sha256.split("+"):
            raise EncoderError(
                encoder.card.name, f"{request.weights} changed after the recipe was read",
                remedy="Run again: other weights make other features, beside the old ones",
            )  # fmt: skip
        side_px = self._locations.patch_px
        shape_of(encoder, side_px, side_px)  # the card tells it from now on
        return encoder.card, encoder

    def encode(self) -> None:
        """Read the patches once."""
        targets = [
            Target(encoder=one.encoder, writer=one.writer) for one in self._begun if one.encoder
        ]
        if not targets:
            return
        bench = self._bench
        work = SlideWork(
            name=bench.slide.path, open=lambda: nullcontext(bench.slide), targets=tuple(targets),
            locations=self._locations, spec=self._begun[0].order.spec.reading,
        )  # fmt: skip
        [self._encoded] = encode_slides([work], EncodingHow(n_threads=bench.n_threads))

    def finish(self, begun: _Begun) -> Made | Exception:
        """Make the group whole, with a picture of it."""
        encoded = self._encoded
        try:
            bad_tiles, stats = BadTiles(), None
            if encoded is not None and begun.encoder is not None:
                number = [one.writer for one in encoded.work.targets].index(begun.writer)
                error = encoded.error or encoded.target_errors.get(number)
                if error is not None:
                    return error
                bad_tiles, stats = encoded.bad_tiles, encoded.stats
            facts = self._facts(begun.card, bad_tiles, begun.writer.left_out)
            begun.partial.note(facts)
            begun.writer.finish(n_patches=facts["n_patches"], n_skipped=facts["n_skipped"])
            self._draw(begun.order)
        except Exception as error:  # noqa: BLE001 - one encoder that fails stops no other
            return error
        return Made(facts=facts, stats=stats)

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
            **self._bench.reader_facts(),
            "device": self._device.partition(":")[0],  # which of several GPUs it was is chance
        }

    def _attributes(self, order: Order, card: EncoderCard) -> Facts:
        """What a person who has only the Zarr group needs to know."""
        bench, locations = self._bench, self._locations
        address = order.parents["patch_locations"]
        parents = bench.store.read(address).parents
        return {
            "slide_id": bench.slide_id,
            "slide_sha256": bench.fingerprint,
            "slide_mpp": bench.slide_mpp,
            "patch_px": locations.patch_px,
            "patch_mpp": locations.mpp,
            "side_px0": locations.side_px0,
            "patch_locations": str(address),
            "tissue_mask": next((str(a) for a in parents if a.stage == "tissue_mask"), ""),
            "encoder": card.name,
            "encoder_version": card.version,
            "weights": card.weights,
            "weights_sha256": order.weights_sha256 or card.weights_sha256,
            "preprocessing": asdict(card.preprocessing),
            "pooling": card.pooling,
            "precision": card.precision,
            "device": self._device.partition(":")[0],
            "feature_names": list(card.feature_names),
            "software": software_versions(),
        }

    def _draw(self, order: Order) -> None:
        """Draw what the features look like."""
        bench = self._bench
        overview = bench.overview(OVERVIEW_MPP).rgb
        rows = FeatureRows(order.folder / FEATURES)
        picture = draw_colours(
            overview, rows.boxes_px0, _colours(rows), width_px0=bench.slide.info.width_px0
        )
        (order.folder / PREVIEW).write_bytes(preview_jpeg(picture))


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


def make_slide_embedding(bench: Bench, order: Order) -> Facts:
    """Make one vector of all features of the slide; of none, one of no number."""
    spec: EmbeddingSpec = order.spec
    address = order.parents["features"]
    _, folder = bench.artifact(address)
    rows = FeatureRows(folder / FEATURES)
    if rows.is_map:
        raise SpecError(
            f"{'/'.join(order.address.key)}: {'/'.join(address.key)} keeps a map of each patch",
            remedy="Make it from features whose encoder has another pooling than none",
        )
    if not len(rows):
        vector = np.zeros(0, np.float32)
    elif spec.has_module:
        vector = _aggregate(bench, spec, np.concatenate(list(rows.chunks())))
    else:
        vector = (mean_of if spec.method == "mean" else max_of)(rows.chunks())
    save_embedding(order.folder / EMBEDDING, vector, {
        **{name: rows.attributes[name] for name in _INHERITED},
        "features": str(address),
        "method": spec.method,
        "embedding_weights_sha256": order.weights_sha256,
        "n_patches": len(rows),
        "embedding_software": software_versions(),
    })  # fmt: skip
    return {
        "n_patches": len(rows),
        "dim": len(vector),
        "norm": float(np.linalg.norm(vector.astype(np.float64))),
        "method": spec.method,
    }


_INHERITED = (
    "slide_id", "slide_sha256", "slide_mpp", "encoder", "encoder_version", "weights",
    "weights_sha256", "precision", "patch_px", "patch_mpp",
)  # fmt: skip
"""Attributes of the features that hold for their embedding."""


def _aggregate(bench: Bench, spec: EmbeddingSpec, bag: np.ndarray) -> np.ndarray:
    """What a user's module makes of a bag (n, d)."""
    from pathassets.adapters.torch.aggregator import aggregate  # noqa: PLC0415 - torch takes seconds

    with lease_device(bench.device) as device:
        vector: np.ndarray = aggregate(spec.method, spec.weights, bag, device=device)
    if not np.isfinite(vector).all():
        raise FeaturesNotFinite(
            spec.method, "the embedding is not finite", remedy="Look at the module and its weights"
        )
    return vector


def load_patches(bench: Bench, address: Address) -> PatchLocations:
    """The patch locations of a slide."""
    artifact, folder = bench.artifact(address)
    facts = artifact.facts
    return load_locations(
        folder / LOCATIONS, side_px0=facts["side_px0"], patch_px=facts["patch_px"],
        mpp=facts["mpp"], level=facts["asked_level"],
    )  # fmt: skip


def _encoder(request: EncoderRequest, device: str) -> Encoder:
    return _opened(_Question(canonical_json(request), request), device)


class _Question:
    """A request that can be looked up: one with keyword arguments cannot."""

    def __init__(self, text: str, request: EncoderRequest) -> None:
        self._text = text
        self.request = request

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Question) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


@lru_cache(maxsize=4)
def _opened(question: _Question, device: str) -> Encoder:
    """One open encoder for each request and device in a worker: loading one costs seconds."""
    if card_of(question.request).can_use_gpu:
        from pathassets.adapters.torch import prepare_process  # noqa: PLC0415 - torch takes seconds

        prepare_process(1)  # slides run side by side; more threads fight, and change last bits
    return open_encoder(question.request, device=device)
