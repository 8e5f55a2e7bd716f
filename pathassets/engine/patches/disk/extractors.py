"""Patches of one slide, or of many -> image files in a folder, and a manifest for each slide.

    patches object(s) ─▶ jobs ─▶ numbers and names, in input order ─▶ a task for each slide ─▶ files
                                                                      (processes, threads)

All work is done when an object is made. Names and content depend on neither processes nor threads;
the same call again does what is not done yet, and nothing else. The folder is made where there is
none. Names are `{slide}_{manifest id}_[{comment}_][{label}_]x{X}_y{Y}.{type}`, corners in level-0
pixels; a set's images lie in `set{N}/`, and tell their resolution before the label.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from pathassets.adapters.tqdm import progress_bar
from pathassets.core import display
from pathassets.core.slides.resolution import LevelOrMpp
from pathassets.engine.patches.disk.request import DiskRequest, disk_request
from pathassets.engine.patches.disk.slides import SlideDone, SlideJob, write_slide
from pathassets.engine.patches.extraction import Patches, ResamplingMode
from pathassets.engine.patches.parameters import (
    OnError,
    check_counts,
    check_on_error,
    extraction_spec,
)
from pathassets.engine.workers.pool import LocalWorkers
from pathassets.engine.workers.progress import ProgressCounter
from pathassets.errors import PathAssetsError, SpecError

logger = logging.getLogger(__name__)

TIMEOUT_S = 24 * 3600.0
"""Time a slide may take: its file may lie on a disk that does not answer. 100,000 PNGs take one
thread five minutes."""


class _Single:
    """What both single-slide classes share."""

    def __init__(self, request: DiskRequest, patches: Patches) -> None:
        (self._order,) = request.orders([patches])
        self._done = write_slide(self._order)

    def __repr__(self) -> str:
        return display.line(self, *self._order.job.facts(), f"in {display.path(self._order.root)}")

    @property
    def manifest_id(self) -> str:
        """The ID that is part of all names."""
        return self._done.manifest_id

    @property
    def patch_count(self) -> int:
        """Return the number of images."""
        return self._done.n_images

    @cached_property
    def patch_data(self) -> list[tuple[tuple[int, int], tuple[int, int], str]]:
        """Return ((x, y) in level-0 pixels, (width, height), label) of the patches extracted."""
        return self._order.job.patch_data

    @property
    def patch_labels(self) -> list[str]:
        """Return their distinct labels, sorted."""
        return self._order.job.patch_labels


class DiskPatchExtractor(_Single):
    """Saves the patches of one slide as files, each with its label and place in its name.

    `patches` is an object of a location class, or a `PatchesMock`; `num_workers` threads work on
    it, `mp_chunksize` patches at once each. `resampling_mode` None reads stored levels alone;
    `included_labels` or `excluded_labels` choose patches by label.

    Raises:
        SpecError: what is asked for is impossible.
        SlideError: the slide cannot be read; a note says what is on the disk.
        StoreError: the folder cannot be written.
    """

    def __init__(  # noqa: PLR0913 - the users' documents name them
        self, *, patches: Patches, num_workers: int, output_dir: str | Path, image_type: str,
        filename_comment: str = "", filename_separator: str = "_", create_subdirs: bool = False,
        mp_chunksize: int = 1, resampling_mode: ResamplingMode | None = None,
        included_labels: Sequence[str] = (), excluded_labels: Sequence[str] = (),
        quality: int | None = None,
    ) -> None:  # fmt: skip
        check_counts(num_workers=num_workers, mp_chunksize=mp_chunksize)
        spec = extraction_spec(None, resampling_mode, included_labels, excluded_labels)
        request = disk_request(
            spec, output_dir=output_dir, image_type=image_type,
            filename_comment=filename_comment, filename_separator=filename_separator,
            create_subdirs=create_subdirs, quality=quality, n_threads=num_workers,
            n_chunk=mp_chunksize,
        )  # fmt: skip
        super().__init__(request, patches)


class MultiResDiskPatchExtractor(_Single):
    """Saves patch sets of one slide: a folder each, with an image at each resolution.

    The images of a set share their centre and their size in pixels. An int of `levels_or_mpps` is a
    level, a float micrometres per pixel. Folders are `set{N}`, counted from `global_counter`; where
    that is None, `{slide}__set{n}`, counted from 1. See `DiskPatchExtractor` for all else.
    """

    def __init__(  # noqa: PLR0913 - the users' documents name them
        self, *, patches: Patches, levels_or_mpps: Sequence[LevelOrMpp], num_workers: int,
        output_dir: str | Path, image_type: str, filename_comment: str = "",
        filename_separator: str = "_", create_subdirs: bool = False,
        global_counter: int | None = 1, mp_chunksize: int = 1,
        resampling_mode: ResamplingMode | None = None, included_labels: Sequence[str] = (),
        excluded_labels: Sequence[str] = (), quality: int | None = None,
    ) -> None:  # fmt: skip
        check_counts(num_workers=num_workers, mp_chunksize=mp_chunksize)
        spec = extraction_spec(levels_or_mpps, resampling_mode, included_labels, excluded_labels)
        request = disk_request(
            spec, output_dir=output_dir, image_type=image_type,
            filename_comment=filename_comment, filename_separator=filename_separator,
            create_subdirs=create_subdirs, quality=quality, n_threads=num_workers,
            n_chunk=mp_chunksize, global_counter=global_counter,
        )  # fmt: skip
        super().__init__(request, patches)

    @property
    def patchset_count(self) -> int:
        """Return the number of patch sets."""
        return self._done.n_images // len(self._order.job.levels_or_mpps)

    @property
    def patchset_counter(self) -> int:
        """Return the last number of a set; one less than the first where there is no set."""
        return self._order.first_set + len(self._order.job) - 1


class _Pool:
    """What both pools share: results are in input order, of the slides that are complete."""

    errors: dict[int, Exception]
    """Errors of slides that failed, by their place in the pool."""
    indices: list[int]
    """Places in the pool of the slides that are complete."""

    def __init__(  # noqa: PLR0913 - what the pools' parameters come to
        self, request: DiskRequest, patches_pool: Iterable[Patches], *,
        proc_num_workers: int, proc_mp_chunksize: int, on_error: OnError, verbose: bool,
    ) -> None:  # fmt: skip
        check_counts(proc_num_workers=proc_num_workers, proc_mp_chunksize=proc_mp_chunksize)
        check_on_error(on_error)
        self._orders = orders = request.orders(_listed(patches_pool))
        self._done: dict[int, SlideDone] = {}
        self.errors = {}
        with _shown(orders, is_shown=verbose) as tasks:
            workers = LocalWorkers(n_workers=proc_num_workers, timeout_s=TIMEOUT_S)
            for (place, order), outcome in workers.imap(_attempt, enumerate(tasks)):
                if isinstance(outcome, SlideDone):
                    self._done[place] = outcome
                else:
                    self.errors[place] = _named(order, outcome)
        self._done = dict(sorted(self._done.items()))
        self.errors = dict(sorted(self.errors.items()))
        self.indices = list(self._done)
        self._report(on_error)

    def _report(self, on_error: OnError) -> None:
        if on_error == "skip":
            for place, error in self.errors.items():
                logger.warning("slide %d of the pool is left out: %s", place, error)
        if on_error == "raise" and self.errors:
            first, *others = self.errors.values()
            n_all = len(self._orders)
            first.add_note(f"{len(self._done)} of {n_all} slides are complete on the disk")
            for error in others:
                first.add_note(f"failed, too: {error}")
            raise first

    def __repr__(self) -> str:
        failed = f"{len(self.errors):,} failed" if self.errors else ""
        root = f"in {display.path(self._orders[0].root)}" if self._orders else ""
        slides, images = len(self._done), display.count(self.patch_count, "image")
        return display.line(self, display.count(slides, "slide"), images, failed, root)

    @property
    def manifest_ids(self) -> list[str]:
        """Return the IDs of the manifests."""
        return [done.manifest_id for done in self._done.values()]

    @property
    def patch_count(self) -> int:
        """Return the number of images."""
        return sum(done.n_images for done in self._done.values())

    @property
    def pids(self) -> list[int]:
        """Return the IDs of the processes, one for each slide."""
        return [done.pid for done in self._done.values()]


@contextmanager
def _shown(orders: Sequence[SlideJob], *, is_shown: bool) -> Iterator[Sequence[SlideJob]]:
    """The orders, whose progress is shown while they are worked on."""
    if not is_shown:
        yield orders
        return
    n_patches = sum(len(order.job) for order in orders)
    unit = "sets" if any(order.job.is_set for order in orders) else "patches"
    with (
        progress_bar(n_patches, unit=unit, label="saved", is_shown=True) as advance,
        ProgressCounter(len(orders), advance) as counter,
    ):
        yield [replace(order, counter=counter.place(i)) for i, order in enumerate(orders)]


def _listed(patches_pool: Iterable[Patches]) -> list[Patches]:
    if hasattr(patches_pool, "patch_data") or not isinstance(patches_pool, Iterable):
        raise SpecError(
            f"extractor: {type(patches_pool).__name__} is no pool of patches",
            remedy="Give a pool, or a list of objects of a location class",
        )
    return list(patches_pool)


class _Failed(NamedTuple):
    """A slide's error, as a worker sends it back: an outcome, which the pool need not log."""

    error: Exception


def _attempt(task: tuple[int, SlideJob]) -> SlideDone | _Failed:
    """Write one slide, in a worker process."""
    try:
        return write_slide(task[1])
    except PathAssetsError as error:
        return _Failed(error)


def _named(order: SlideJob, outcome: _Failed | Exception) -> Exception:
    """The error of a slide; it names the slide."""
    if isinstance(outcome, _Failed):
        outcome = outcome.error
    if isinstance(outcome, PathAssetsError):
        return outcome.named(order.job.wsi_file)
    outcome.add_note(f"while {order.job.wsi_file} was written")
    return outcome


class DiskPatchExtractorPool(_Pool):
    """Saves the patches of many slides as files: `DiskPatchExtractor` for each of them.

    `patches_pool` is a pool of a location class, or any iterable of patches objects.
    `proc_num_workers` processes work on so many slides at once, with `thread_num_workers` threads
    each; the chunk sizes are checked, and change no result. `on_error` says what becomes of slides
    that fail, once all others are complete: "raise" raises the error of the first of them, "skip"
    logs all, "collect" only keeps them in `errors`.

    Raises:
        SpecError: what is asked for is impossible; nothing is read then.
        PathAssetsError: with on_error="raise": the first slide's that failed.
    """

    def __init__(  # noqa: PLR0913 - the users' documents name them
        self, *, patches_pool: Iterable[Patches], proc_num_workers: int, thread_num_workers: int,
        output_dir: str | Path, image_type: str, filename_comment: str = "",
        filename_separator: str = "_", create_subdirs: bool = False, proc_mp_chunksize: int = 1,
        thread_mp_chunksize: int = 1, resampling_mode: ResamplingMode | None = None,
        included_labels: Sequence[str] = (), excluded_labels: Sequence[str] = (),
        on_error: OnError = "raise", quality: int | None = None, verbose: bool = False,
    ) -> None:  # fmt: skip
        check_counts(thread_num_workers=thread_num_workers, thread_mp_chunksize=thread_mp_chunksize)
        spec = extraction_spec(None, resampling_mode, included_labels, excluded_labels)
        request = disk_request(
            spec, output_dir=output_dir, image_type=image_type,
            filename_comment=filename_comment, filename_separator=filename_separator,
            create_subdirs=create_subdirs, quality=quality, n_threads=thread_num_workers,
            n_chunk=thread_mp_chunksize,
        )  # fmt: skip
        super().__init__(
            request, patches_pool, proc_num_workers=proc_num_workers,
            proc_mp_chunksize=proc_mp_chunksize, on_error=on_error, verbose=verbose,
        )  # fmt: skip


class MultiResDiskPatchExtractorPool(_Pool):
    """Saves patch sets of many slides: `MultiResDiskPatchExtractor` for each of them.

    Sets are numbered over all slides from `global_counter`, in input order, without gaps; from 1 in
    each where that is None. A slide that fails keeps its numbers. See `DiskPatchExtractorPool`.
    """

    def __init__(  # noqa: PLR0913 - the users' documents name them
        self, *, patches_pool: Iterable[Patches], levels_or_mpps: Sequence[LevelOrMpp],
        proc_num_workers: int, thread_num_workers: int, output_dir: str | Path, image_type: str,
        filename_comment: str = "", filename_separator: str = "_", create_subdirs: bool = False,
        global_counter: int | None = 1, proc_mp_chunksize: int = 1, thread_mp_chunksize: int = 1,
        resampling_mode: ResamplingMode | None = None, included_labels: Sequence[str] = (),
        excluded_labels: Sequence[str] = (), on_error: OnError = "raise",
        quality: int | None = None, verbose: bool = False,
    ) -> None:  # fmt: skip
        check_counts(thread_num_workers=thread_num_workers, thread_mp_chunksize=thread_mp_chunksize)
        spec = extraction_spec(levels_or_mpps, resampling_mode, included_labels, excluded_labels)
        request = disk_request(
            spec, output_dir=output_dir, image_type=image_type,
            filename_comment=filename_comment, filename_separator=filename_separator,
            create_subdirs=create_subdirs, quality=quality, n_threads=thread_num_workers,
            n_chunk=thread_mp_chunksize, global_counter=global_counter,
        )  # fmt: skip
        super().__init__(
            request, patches_pool, proc_num_workers=proc_num_workers,
            proc_mp_chunksize=proc_mp_chunksize, on_error=on_error, verbose=verbose,
        )  # fmt: skip

    @property
    def patchset_count(self) -> int:
        """Return the number of patch sets."""
        n_views = {len(order.job.levels_or_mpps) for order in self._orders}
        return self.patch_count // max(n_views, default=1)
