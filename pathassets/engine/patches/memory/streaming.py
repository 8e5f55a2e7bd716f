"""ExtractionJobs -> their patches, read by worker processes that are the stream's own.

jobs ─▶ parts ─▶ worker: read_sets ══ ring ══▶ caller, as they come or in order
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pathassets.core.slides.slide import Slide
from pathassets.engine.patches.extraction import ExtractionJob
from pathassets.engine.patches.multi_resolution import ReadHow, read_sets
from pathassets.engine.workers.parts.job import Note, PartHow, ReadSet
from pathassets.engine.workers.parts.processes import ReaderProcesses
from pathassets.engine.workers.parts.stream import PartStream, StreamSpec, n_parts_of


class Stream(PartStream):
    """Worker processes that read the patches of some jobs, once; they start at once."""

    def __init__(self, jobs: Sequence[ExtractionJob], spec: StreamSpec) -> None:
        readers = ReaderProcesses(
            read_part, n_processes=min(spec.n_processes, n_parts_of(jobs)),
            patch_bytes=max((job.patch_bytes for job in jobs), default=1),
        )  # fmt: skip
        super().__init__(jobs, spec, readers)
        try:
            self.start()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """End all workers at once."""
        self._readers.end()


def read_part(
    slide: Slide, job: ExtractionJob, how: PartHow
) -> Generator[ReadSet | Note, None, None]:
    """Read a part of a job; what a worker process does."""
    return read_sets(slide, job, ReadHow(
        n_batch=how.n_batch, n_threads=how.n_threads, allocate=how.allocate,
        budget_bytes=how.budget_bytes,
    ))  # fmt: skip
