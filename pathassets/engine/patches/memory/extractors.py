"""Patch locations -> patches in memory: of one slide by threads, of many by worker processes.

    for image, label in MemPatchExtractorPool(patches_pool=pool, ...).patch_list:
        ...

Workers read ahead by no more than their rings hold, so memory is the same for any number of
patches, as long as the receiver lets them go.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Generic, Self, TypeVar
from weakref import WeakSet

from pathassets.adapters.tqdm import progress_bar
from pathassets.core import display
from pathassets.core.slides.resolution import LevelOrMpp
from pathassets.engine.patches.extraction import (
    ExtractionJob,
    ExtractionSpec,
    Patches,
    ResamplingMode,
    job_of,
)
from pathassets.engine.patches.memory.patches import Patch, cut_patches, cut_sets
from pathassets.engine.patches.memory.streaming import Stream
from pathassets.engine.patches.multi_resolution import read_job
from pathassets.engine.patches.parameters import (
    OnError,
    check_counts,
    check_on_error,
    extraction_spec,
)
from pathassets.engine.workers.parts.job import ReadSet
from pathassets.engine.workers.parts.stream import Progress, StreamSpec, n_batch_of
from pathassets.engine.workers.ring import SLOT_BYTES
from pathassets.errors import PathAssetsError, SpecError

T = TypeVar("T")
Cut = Callable[[ExtractionJob, ReadSet], Iterator[T]]


class _Single:
    """What both single-slide classes share."""

    def __init__(
        self, patches: Patches, spec: ExtractionSpec, *, num_workers: int, mp_chunksize: int
    ) -> None:
        check_counts(num_workers=num_workers, mp_chunksize=mp_chunksize)
        self._job = job_of(patches, spec)

    def __repr__(self) -> str:
        return display.line(self, *self._job.facts())

    @property
    def patch_count(self) -> int:
        """Number of patches, in all sets."""
        return len(self._job) * len(self._job.levels_or_mpps)

    @property
    def patch_data(self) -> list[tuple[tuple[int, int], tuple[int, int], str]]:
        """((x, y) in level-0 pixels, (width, height), label) of what is read, or read around."""
        return self._job.patch_data

    @property
    def patch_labels(self) -> list[str]:
        """Distinct labels of what is read, sorted."""
        return self._job.patch_labels


class MemPatchExtractor(_Single):
    """The patches of one slide, read by threads of this process.

    `patch_stream` can be gone through once. It reads ahead by a few batches, and its patches come
    in the order of `patch_data`. An item is a `Patch`: the pair (image, label), or with
    `inference_mode` the triple (image, label, place in `patch_data`). `mp_chunksize` is accepted
    and changes nothing.

    Raises:
        SpecError: a number is below 1, labels are both included and excluded, or a resolution is
            impossible.
    """

    def __init__(  # noqa: PLR0913 - the users' documents name them
        self, *, patches: Patches, num_workers: int, mp_chunksize: int = 1,
        resampling_mode: ResamplingMode | None = None, included_labels: Sequence[str] = (),
        excluded_labels: Sequence[str] = (), inference_mode: bool = False,
    ) -> None:  # fmt: skip
        spec = extraction_spec(None, resampling_mode, included_labels, excluded_labels)
        super().__init__(patches, spec, num_workers=num_workers, mp_chunksize=mp_chunksize)
        self._stream = _stream_of(
            self._job, num_workers, partial(cut_patches, placed=inference_mode)
        )

    @property
    def patch_stream(self) -> Iterator[Patch]:
        """The patches, as they are read; a SlideError where they cannot be."""
        return self._stream


class MultiResMemPatchExtractor(_Single):
    """Sets of patches of one slide, one at each of `levels_or_mpps`, around a shared centre.

    As `MemPatchExtractor`, but for the items: lists of patches, in the order of `levels_or_mpps`.
    """

    def __init__(  # noqa: PLR0913 - the users' documents name them
        self, *, patches: Patches, num_workers: int, levels_or_mpps: Sequence[LevelOrMpp],
        mp_chunksize: int = 1, resampling_mode: ResamplingMode | None = None,
        included_labels: Sequence[str] = (), excluded_labels: Sequence[str] = (),
        inference_mode: bool = False,
    ) -> None:  # fmt: skip
        spec = extraction_spec(levels_or_mpps, resampling_mode, included_labels, excluded_labels)
        super().__init__(patches, spec, num_workers=num_workers, mp_chunksize=mp_chunksize)
        self._stream = _stream_of(self._job, num_workers, partial(cut_sets, placed=inference_mode))

    @property
    def patch_stream(self) -> Iterator[list[Patch]]:
        """The sets, as they are read; a SlideError where they cannot be."""
        return self._stream


class PatchList(Generic[T]):
    """The patches of some slides, or sets of them: iterable any number of times.

    Each iteration reads them anew, by worker processes of its own, so two may go on at once. They
    end with the iteration, or when it is closed or dropped. `len()` is the number of items that
    there are, less those of slides that turned out bad.
    """

    def __init__(
        self, jobs: Sequence[ExtractionJob], spec: StreamSpec, cut: Cut[T], *,
        is_shown: bool = False,
    ) -> None:  # fmt: skip
        self._jobs = jobs
        self._is_shown = is_shown
        self._spec = spec
        self._cut = cut
        self._prepared: Stream | None = Stream(jobs, spec)
        """Its workers import what they need while nobody has asked for a patch yet."""
        self._streams = WeakSet([self._prepared])
        self.progress: Progress = self._prepared.progress
        """Of the latest iteration."""

    def __len__(self) -> int:
        return sum(map(len, self._jobs)) - self.progress.n_missing

    def facts(self) -> tuple[str, ...]:
        """What a person wants to know of it."""
        failed = f"{len(self.progress.errors):,} failed" if self.progress.errors else ""
        unit = self._jobs[0].unit if self._jobs else "patch"
        slides = display.count(len(self._jobs), "slide")
        return slides, display.count(len(self), unit), failed

    def __repr__(self) -> str:
        return display.line(self, *self.facts())

    def __iter__(self) -> Generator[T, None, None]:
        stream, self._prepared = self._prepared or Stream(self._jobs, self._spec), None
        self._streams.add(stream)
        self.progress = stream.progress
        unit = "sets" if any(job.is_set for job in self._jobs) else "patches"
        total = sum(map(len, self._jobs))
        with (
            progress_bar(total, unit=unit, label="read", is_shown=self._is_shown) as advance,
            closing(stream.run()) as events,
        ):
            for job, sets in events:
                n = len(sets.places)
                yield from self._cut(self._jobs[job], sets)
                del sets  # or its slot would be held until the next one comes
                advance(n)

    def close(self) -> None:
        """End all workers at once; an iteration that goes on raises `WorkerLost`."""
        self._prepared = None
        for stream in list(self._streams):
            stream.end()


class _Pool(Generic[T]):
    """What both pools share."""

    def __init__(  # noqa: PLR0913 - what the pools' parameters come to
        self, patches_pool: Iterable[Patches], spec: ExtractionSpec, cut: Cut[T], *,
        ordered: bool, on_error: OnError, verbose: bool, **counts: int,
    ) -> None:  # fmt: skip
        check_counts(**counts)
        check_on_error(on_error)
        how = StreamSpec(
            n_processes=int(counts["proc_num_workers"]),
            n_threads=int(counts["thread_num_workers"]), is_ordered=ordered, on_error=on_error,
        )  # fmt: skip
        self._list = PatchList(_jobs_of(patches_pool, spec), how, cut, is_shown=verbose)

    def __repr__(self) -> str:
        return display.line(self, *self._list.facts())

    @property
    def patch_list(self) -> PatchList[T]:
        """The patches, or sets of them, as they are read."""
        return self._list

    @property
    def pids(self) -> list[int]:
        """The process that finished each slide, in that order; of the latest iteration."""
        return list(self._list.progress.pids)

    @property
    def errors(self) -> dict[int, PathAssetsError]:
        """With on_error "collect": what is wrong with slides, by their place in the pool.

        Of the latest iteration.
        """
        return dict(sorted(self._list.progress.errors.items()))

    def close(self) -> None:
        """End all worker processes at once."""
        self._list.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class MemPatchExtractorPool(_Pool[Patch]):
    """The patches of many slides, read by worker processes.

    `patches_pool` is gone through once, here. `proc_num_workers` processes start at once; each
    reads one slide at a time, by `thread_num_workers` threads, or a part of one, where there are
    more processes than slides left. Chunk sizes are accepted and change nothing.

    Patches come as they are read. `ordered=True` gives them in the order of `patches_pool` and of
    each slide's `patch_data`, whatever the number of processes. What comes too early waits, up to
    128 MB of it, and slides are cut into parts of 64 to 128 MB: each decodes tiles on its edge
    again, 5 to 20 % of the work. One process pays nothing.

    A patch is its receiver's for as long as he keeps it, and is unpacked as (image, label). It
    keeps the batch it came with, 6 MB, or the shared memory of a worker, 48 MB: of few patches that
    are kept for long, keep copies of the pixels.

    A slide that cannot be read, or whose worker is killed, is bad. With on_error "raise" the first
    one ends all and is raised; with "skip" it is logged and left out; with "collect" it is left
    out and to be found in `errors`, by its place in the pool. Patches of it that were read before
    its fault are yielded, and those of all other slides are complete.

    Raises:
        SpecError: a number is below 1, labels are both included and excluded, a resolution is
            impossible, or an item of `patches_pool` has no patches; no process was started.
        PathAssetsError: there is too little shared memory.
    """

    def __init__(  # noqa: PLR0913 - the users' documents name them
        self, *, patches_pool: Iterable[Patches], proc_num_workers: int, thread_num_workers: int,
        proc_mp_chunksize: int = 1, thread_mp_chunksize: int = 1,
        resampling_mode: ResamplingMode | None = None, included_labels: Sequence[str] = (),
        excluded_labels: Sequence[str] = (), ordered: bool = False, on_error: OnError = "raise",
        verbose: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            patches_pool, extraction_spec(None, resampling_mode, included_labels, excluded_labels),
            cut_patches, proc_num_workers=proc_num_workers, thread_num_workers=thread_num_workers,
            proc_mp_chunksize=proc_mp_chunksize, thread_mp_chunksize=thread_mp_chunksize,
            ordered=ordered, on_error=on_error, verbose=verbose,
        )  # fmt: skip

    @property
    def patch_count(self) -> int:
        """Number of patches, without those that bad slides lack."""
        return len(self._list)


class MultiResMemPatchExtractorPool(_Pool[list[Patch]]):
    """Sets of patches of many slides, one at each of `levels_or_mpps`, around a shared centre.

    As `MemPatchExtractorPool`, but for the items of `patch_list`: lists of patches, in the order of
    `levels_or_mpps`.
    """

    def __init__(  # noqa: PLR0913 - the users' documents name them
        self, *, patches_pool: Iterable[Patches], levels_or_mpps: Sequence[LevelOrMpp],
        proc_num_workers: int, thread_num_workers: int, proc_mp_chunksize: int = 1,
        thread_mp_chunksize: int = 1, resampling_mode: ResamplingMode | None = None,
        included_labels: Sequence[str] = (), excluded_labels: Sequence[str] = (),
        ordered: bool = False, on_error: OnError = "raise", verbose: bool = False,
    ) -> None:  # fmt: skip
        spec = extraction_spec(levels_or_mpps, resampling_mode, included_labels, excluded_labels)
        self._n_resolutions = len(spec.levels_or_mpps or ())
        super().__init__(
            patches_pool, spec, cut_sets, ordered=ordered, on_error=on_error, verbose=verbose,
            proc_num_workers=proc_num_workers, thread_num_workers=thread_num_workers,
            proc_mp_chunksize=proc_mp_chunksize, thread_mp_chunksize=thread_mp_chunksize,
        )  # fmt: skip

    @property
    def patchset_count(self) -> int:
        """Number of sets, without those that bad slides lack."""
        return len(self._list)

    @property
    def patch_count(self) -> int:
        """Number of patches in all sets."""
        return self.patchset_count * self._n_resolutions


def _jobs_of(patches_pool: Iterable[Patches], spec: ExtractionSpec) -> list[ExtractionJob]:
    if not isinstance(patches_pool, Iterable):
        raise SpecError(
            f"in-memory patches: {type(patches_pool).__name__} is not a pool of patch locations",
            remedy="Give a pool, or a list of objects with patch locations",
        )
    return [job_of(patches, spec) for patches in patches_pool]


def _stream_of(job: ExtractionJob, n_threads: int, cut: Cut[T]) -> Generator[T, None, None]:
    """Read one slide; no method, so that an extractor that is dropped ends its threads at once."""
    n_batch = n_batch_of(job, SLOT_BYTES)
    sets = read_job(job, slice(0, len(job)), n_batch=n_batch, n_threads=n_threads)
    with closing(sets):
        for some in sets:
            yield from cut(job, some)
