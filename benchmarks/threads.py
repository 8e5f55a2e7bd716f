"""At how many decoding threads one process stops gaining, told by a machine with two cores.

Threads of one process wait for each other where they hold its interpreter lock. How much that is
shows with threads that do not decode: each tile's decoding is replaced by a sleep of the time that
it takes, which needs no core, and all that Python does around it stays. So sixteen threads can be
looked at on two cores.

    real      patches/s of one thread that decodes: r
    asleep    patches/s of 1, 2, 4 ... threads whose decoding is a sleep: what they gain
    ceiling   the most that any number of them reach: one process never feeds more than that
    CPU       of a patch that is read by a thread here, and by a process over its ring

The bound is the number of threads up to which twice as many gain at least 1.6 times as much.
Medians of rounds count: where others use the machine, a thread that wakes may find no core.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform as machine
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import simplejpeg
from read import CASES, Case, lay_patches, paint_tissue, read_ours, write_slide

from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches.read_plan import ReadSpec
from pathassets.engine.features.reading import SlideJob, read_part
from pathassets.engine.slides.open import OpenedSlide, open_slide
from pathassets.engine.slides.remote.reopening import SlideSource
from pathassets.engine.workers.parts.processes import ReaderProcesses
from pathassets.engine.workers.parts.stream import PartStream, StreamSpec

SIDE_PX = 12_000
THREADS = (1, 2, 4, 8, 16, 32)
GAIN = 1.6
"""Least by which twice as many threads are faster, or they are too many: as in `read.py`."""
PR_SET_TIMERSLACK = 29


@contextmanager
def decoding_asleep(decode_s: float) -> Iterator[None]:
    """Let each tile take as long as it does, but asleep."""
    real = simplejpeg.decode_jpeg

    def sleep(data: bytes, _colorspace: str, *, buffer: np.ndarray, **_: Any) -> np.ndarray:
        simplejpeg.decode_jpeg_header(data)
        time.sleep(decode_s)
        return buffer

    simplejpeg.decode_jpeg = sleep
    try:
        yield
    finally:
        simplejpeg.decode_jpeg = real


def tile_s(path: Path, case: Case) -> float:
    """CPU seconds that the decoder alone takes for a tile."""
    kept, real = [0.0, 0], simplejpeg.decode_jpeg

    def timed(*args: Any, **kwargs: Any) -> np.ndarray:
        started_s = time.thread_time()
        rgb: np.ndarray = real(*args, **kwargs)
        kept[0] += time.thread_time() - started_s
        kept[1] += 1
        return rgb

    simplejpeg.decode_jpeg = timed
    try:
        with open_slide(path, backend="tiles") as slide:
            read_ours(slide, locations_of(case, 16), case)
    finally:
        simplejpeg.decode_jpeg = real
    return kept[0] / kept[1]


def locations_of(case: Case, n: int) -> PatchLocations:
    """A block of patches."""
    return lay_patches(case, n, n, 1024)


def rate(slide: OpenedSlide, case: Case, n_threads: int, n: int) -> float:
    """Patches in a second, by the clock."""
    locations = locations_of(case, n)
    read_ours(slide, locations_of(case, 4), case, n_threads)  # what is done once
    started_s = time.perf_counter()
    read_ours(slide, locations, case, n_threads)
    return len(locations) / (time.perf_counter() - started_s)


def cpu_ms(path: Path, case: Case, n: int, *, by_process: bool) -> tuple[float, float]:
    """CPU milliseconds of a patch, read by one thread: all, and of them in this process."""
    locations = locations_of(case, n)
    if not by_process:
        with open_slide(path, backend="tiles") as slide:
            before_s = time.process_time()
            read_ours(slide, locations, case)
            took_s = time.process_time() - before_s
            return 1e3 * took_s / len(locations), 1e3 * took_s / len(locations)
    readers = ReaderProcesses(read_part, n_processes=1)
    try:
        read_through(readers, path, locations_of(case, 4), case)  # its start
        before_s, before_children_s = time.process_time(), child_s(readers)
        read_through(readers, path, locations, case)
        here_s, there_s = time.process_time() - before_s, child_s(readers) - before_children_s
    finally:
        readers.end()
    return 1e3 * (here_s + there_s) / len(locations), 1e3 * here_s / len(locations)


def child_s(readers: ReaderProcesses) -> float:
    """CPU seconds of the processes that read, so far."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0
    for worker in readers.workers:
        said = Path(f"/proc/{worker.process.pid}/stat").read_text().rpartition(")")[2].split()
        total += int(said[11]) + int(said[12])
    return total / ticks


def read_through(
    readers: ReaderProcesses, path: Path, locations: PatchLocations, case: Case
) -> None:
    """Read patches by the processes; nobody looks at them."""
    job = SlideJob(
        name=str(path), source=SlideSource(str(path), None), wanted=locations,
        spec=ReadSpec(fast=case.fast),
    )  # fmt: skip
    spec = StreamSpec(n_processes=1, n_threads=1, is_ordered=True, on_error="raise")
    n = sum(len(sets.places) for _, sets in PartStream([job], spec, readers).run())
    if n != len(locations):
        sys.exit(f"{n} of {len(locations)} patches were read")


def measure(folder: Path, case: Case, n_rounds: int) -> dict[str, Any]:
    """All figures of one way to cut patches: medians of rounds."""
    path, n = folder / f"tiles_{case.tile_px}.svs", 40
    decode_s = tile_s(path, case)
    asleep: dict[int, list[float]] = {m: [] for m in THREADS}
    with open_slide(path, backend="tiles") as slide:
        real = median(rate(slide, case, 1, n) for _ in range(n_rounds))
        with decoding_asleep(decode_s):
            for _ in range(n_rounds):
                for m in THREADS:
                    asleep[m].append(rate(slide, case, m, n))
    rates = {m: median(found) for m, found in asleep.items()}
    costs = {
        kind: [median(part) for part in zip(*(
            cpu_ms(path, case, n, by_process=kind == "process") for _ in range(n_rounds)
        ), strict=True)]
        for kind in ("thread", "process")
    }  # fmt: skip
    return {"decode_s": decode_s, "real": real, "asleep": rates, "costs": costs}


def bound_of(rates: dict[int, float]) -> int:
    """Threads up to which twice as many gain enough."""
    bound = 1
    for m in THREADS[1:]:
        if rates[m] < GAIN * rates[m // 2]:
            break
        bound = m
    return bound


def show(case: Case, found: dict[str, Any]) -> None:
    """Print the figures of one way."""
    rates, (thread, _), (process, here) = found["asleep"], *found["costs"].values()
    print(f"\n{case.name}: a tile takes {1e6 * found['decode_s']:.0f} us of decoding, "
          f"one thread reads {found['real']:,.0f} patches/s")  # fmt: skip
    for m, value in rates.items():
        print(f"  {m:3} threads asleep: {value:8,.0f} patches/s, {value / rates[1]:5.2f} of one")
    ceiling = max(rates.values())
    print(f"  at most {ceiling:,.0f} patches/s: {ceiling / found['real']:.1f} threads that decode; "
          f"twice as many gain {GAIN} up to {bound_of(rates)}")  # fmt: skip
    print(f"  CPU ms of a patch: {thread:.3f} by a thread here, {process:.3f} by a process, "
          f"{here:.3f} of them here")  # fmt: skip


def main() -> int:
    """Measure, print, tidy up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--json", type=Path, help="where the figures go, too")
    args = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1)  # or each sleep is 50 us longer than asked for
    print(f"{len(os.sched_getaffinity(0))} cores {machine.machine()}, "
          f"Python {machine.python_version()}")  # fmt: skip
    folder, found = Path(tempfile.mkdtemp(prefix="pathassets-threads-")), {}
    try:
        tissue = paint_tissue()
        write_slide(folder / "tiles_256.svs", tissue, SIDE_PX, SIDE_PX, 256)
        for case in CASES[:2]:  # shrinking would need cores that are not there
            found[case.name] = measure(folder, case, args.rounds)
            show(case, found[case.name])
    finally:
        shutil.rmtree(folder)
    if args.json:
        args.json.write_text(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
