"""ExtractionJob, its pixels -> images: encoded in threads, and kept in order.

    read_job ─▶ batch ─▶ threads: encode, hash, store what needs no order ─▶ kept in order ─▶ rows
    (threads)   of pixels                                                     (this thread)

What is kept, and where, depends on neither threads nor batches. Memory is that of the reader's
budget and of two batches and what they are encoded to, however many patches there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pathassets.adapters.images.encode import encode_image
from pathassets.core.patches.names import PatchNames, PatchPlace
from pathassets.core.patches.patch_set import EncodedPatch, PatchWriter, Row, row_of
from pathassets.engine.patches.extraction import ExtractionJob
from pathassets.engine.workers.parts.job import ReadSet
from pathassets.errors import PathAssetsError

BATCH_PATCHES = 64
BATCH_BYTES = 48 * 2**20
"""Pixels of a batch, all resolutions together; no batch has more, but of one patch alone."""
N_AHEAD = 1
"""Batches that are read while one is encoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageWork:
    """What images are made of pixels."""

    job: ExtractionJob
    names: PatchNames
    quality: int | None
    first_set: int = 1
    """Number of the first patch's set."""
    n_threads: int = 1
    n_chunk: int = 1
    """Images that a thread takes at once."""

    @property
    def n_batch(self) -> int:
        """Patches that are read at once."""
        return batch_size_of(self.job)


def batch_size_of(job: ExtractionJob) -> int:
    """Patches of a job that are read at once, fewer the larger they are."""
    patch_bytes = job.slot_px**2 * 3 * len(job.levels_or_mpps)
    return max(1, min(BATCH_PATCHES, BATCH_BYTES // patch_bytes))


def write_images(
    work: ImageWork, batches: Iterable[ReadSet], writer: PatchWriter
) -> Generator[list[Row], None, None]:
    """Encode batches and have them kept; yield the rows of one after the other.

    Where reading fails, what was read before is kept first.

    Raises:
        PathAssetsError: what `batches` raise, or an image cannot be kept.
    """
    placing = _Placing(work)
    failed: list[PathAssetsError] = []
    waiting: deque[list[Future[list[EncodedPatch]]]] = deque()
    pool = ThreadPoolExecutor(work.n_threads, "encode")
    reading = _until_failure(batches, failed)
    try:
        for batch in reading:
            images = placing.images_of(batch)
            chunks = [images[i : i + work.n_chunk] for i in range(0, len(images), work.n_chunk)]
            waiting.append([pool.submit(_encode, work, writer, chunk) for chunk in chunks])
            del batch, images, chunks  # the threads let go of pixels one by one
            if len(waiting) > N_AHEAD:
                yield _kept(waiting.popleft(), writer)
        while waiting:
            yield _kept(waiting.popleft(), writer)
    finally:
        reading.close()  # not once the traceback is gone: it holds a slide
        pool.shutdown(cancel_futures=True)
    if failed:
        raise failed[0]


def _until_failure(
    batches: Iterable[ReadSet], failed: list[PathAssetsError]
) -> Generator[ReadSet, None, None]:
    try:
        yield from batches
    except PathAssetsError as error:
        failed.append(error)


def _encode(
    work: ImageWork, writer: PatchWriter, images: list[tuple[PatchPlace, np.ndarray]]
) -> list[EncodedPatch]:
    encoded = []
    for place, pixels in images:
        data = encode_image(pixels, work.names.spec.image_type, quality=work.quality)
        patch = EncodedPatch.of(place, work.names.path_of(place), data)
        writer.store(patch)
        encoded.append(patch)
    return encoded


def _kept(futures: list[Future[list[EncodedPatch]]], writer: PatchWriter) -> list[Row]:
    patches = [patch for future in futures for patch in future.result()]
    return [
        row_of(patch, where) for patch, where in zip(patches, writer.write(patches), strict=True)
    ]


class _Placing:
    """Tells of each image of a job what it is."""

    def __init__(self, work: ImageWork) -> None:
        self._job = job = work.job
        self._first_set = work.first_set if job.is_set else None
        resolutions = list(job.levels_or_mpps)
        self._repeats = [
            sum(_is_same(resolution, other) for other in resolutions[:i])
            for i, resolution in enumerate(resolutions)
        ]
        table = pd.DataFrame({"x": job.x_px0, "y": job.y_px0, "label": job.label_codes})
        repeats: list[int] = table.groupby(["x", "y", "label"]).cumcount().tolist()
        self._again = None if job.is_set else repeats
        """How many patches before each lie at its place, with its label."""

    def images_of(self, batch: ReadSet) -> list[tuple[PatchPlace, np.ndarray]]:
        """What a batch holds: patch by patch, and of each all resolutions."""
        return [
            self._image(batch, number, place, view)
            for number, place in enumerate(batch.places.tolist())
            for view in range(len(batch.pixels))
        ]

    def _image(
        self, batch: ReadSet, number: int, place: int, view: int
    ) -> tuple[PatchPlace, np.ndarray]:
        job, first_set, again = self._job, self._first_set, self._again
        width_px, height_px = int(job.width_px[place]), int(job.height_px[place])
        x_px0, y_px0 = batch.corners_px0[view][number].tolist()
        patch = PatchPlace(
            index=int(job.index[place]), label=job.labels[job.label_codes[place]],
            x_px0=x_px0, y_px0=y_px0, width_px=width_px, height_px=height_px,
            level_or_mpp=job.levels_or_mpps[view],
            set_number=None if first_set is None else first_set + place,
            repeat=self._repeats[view] if again is None else again[place],
        )  # fmt: skip
        return patch, batch.pixels[view][number, :height_px, :width_px]


def _is_same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other
