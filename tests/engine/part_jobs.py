"""Jobs of numbers, for processes that read parts: they know of no slide."""

import os
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pathassets.engine.workers.parts.job import Note, ReadSet
from pathassets.engine.workers.parts.processes import ReaderProcesses
from pathassets.engine.workers.parts.stream import PartStream, StreamSpec

SIDE_PX = 4


class Numbers(NamedTuple):
    """Opens a list of the processes and times it was opened by."""

    name: str
    folder: str = ""

    def prepare(self):
        pass

    @contextmanager
    def open(self):
        if self.name == "missing":
            raise FileNotFoundError(self.name)
        if self.folder:
            with Path(self.folder, "opened").open("a") as file:
                file.write(f"{self.name} {os.getpid()}\n")
        yield self.name


@dataclass(frozen=True, kw_only=True)
class NumberJob:
    """Patches that all have the colour of their place."""

    source: Numbers
    places: np.ndarray
    side_px: int = SIDE_PX
    hangs_at: int | None = None
    dies_at: int | None = None
    n_resolutions: int = 1

    def __len__(self):
        return len(self.places)

    @property
    def name(self):
        return self.source.name

    @property
    def patch_bytes(self):
        return 3 * self.side_px**2

    def cut(self, squares):
        return replace(self, places=self.places[squares])


def job_of(n, name="a", folder="", **changes):
    return NumberJob(source=Numbers(name, str(folder)), places=np.arange(n), **changes)


def read_numbers(_opened, job, how):
    for start in range(0, len(job), how.n_batch):
        places = np.arange(start, min(start + how.n_batch, len(job)))
        own = job.places[places]
        if job.hangs_at in own:
            time.sleep(600)
        if job.dies_at in own:
            os.kill(os.getpid(), signal.SIGKILL)
        pixels = how.allocate(how.n_batch, job.side_px, job.side_px, 3)[: len(places)]
        pixels[:] = (own % 251).astype(np.uint8)[:, None, None, None]
        yield Note(own[0])
        yield ReadSet(places, (np.stack([own, own], axis=1),), (pixels,))
    yield Note("end")


def readers_of(n=2, side_px=SIDE_PX):
    return ReaderProcesses(read_numbers, n_processes=n, patch_bytes=3 * side_px**2)


def spec_of(n=2, **changes):
    how = {"n_processes": n, "n_threads": 1, "is_ordered": True, "on_error": "raise"} | changes
    return StreamSpec(**how)


def stream_of(jobs, readers, on_told=None, **changes):
    return PartStream(jobs, spec_of(readers.n_processes, **changes), readers, on_told)
