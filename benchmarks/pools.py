"""What the in-memory pool costs: over a plain loop, and against a pool around a manager's list.

One slide of 20,000 x 20,000 px with JPEG tiles of 256 px, and four (the same under four names), are
read patch by patch, 256 px, in processes of their own, by turns:

    loop      `read_patches`, one thread, no pool
    2 loops   two of them at once, each reading all: what this machine gives two processes
    pool      `MemPatchExtractorPool`; the clock runs from the first question, once its processes
              have started, to the last patch
    manager   one process a slide, a thread pool in each, OpenSlide's `read_region` for each patch,
              PIL images through a `multiprocessing.Manager().list()`, which is then gone through

CPU time is of all processes over the same span, and what the start took beside it. The speed of a
pool is compared with that of the loops before and after it, in each of several rounds; what is
printed is the median, as a machine that others use, too, changes its pace. Memory is the greatest
sum of what all processes have, shared pages counted once (PSS), looked at every 50 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import platform as machine
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from multiprocessing import Barrier, Manager, Pool, Process
from multiprocessing.pool import ThreadPool
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from statistics import median
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import openslide
import psutil
from read import SIDE_PX, paint_tissue, write_slide

from pathassets.core.locations.locations import PatchLocations
from pathassets.engine.patches.memory.extractors import MemPatchExtractorPool
from pathassets.engine.slides.open import open_slide
from pathassets.engine.slides.read_patches import read_patches
from pathassets.engine.workers.parts.schedule import WAITING_BYTES

PATCH_PX = 256
N_ACROSS = SIDE_PX // PATCH_PX
N_ROUNDS = 5
START_S = 2.5
"""Time in which the processes of a pool start."""
TARGETS = {"pool 1x1": 0.9, "pool 2x1": 1.7}
"""Least that a pool of so many processes and threads reaches of the loop's patches a second, on an
idle machine."""
MANAGER_RATIO = 8.0
"""Least by which a pool has more patches a CPU-second than one around a manager."""
FIRST_S = 1.0
"""Most until a pool's first patch comes, from the first question on."""
FLAT_RATIO = 1.15
"""Most by which 20,000 patches need more memory than 2,000. Where patches are ordered, up to 128 MB
of them may wait for their turn, which 2,000 do not fill."""


def corners_of(n: int) -> list[tuple[int, int]]:
    """Corners of the first `n` patches of a slide, row by row."""
    rows = -(-n // N_ACROSS)
    return [(x * PATCH_PX, y * PATCH_PX) for y in range(rows) for x in range(N_ACROSS)][:n]


def patches_of(path: Path, n: int) -> SimpleNamespace:
    """An object with patch locations."""
    return SimpleNamespace(
        wsi_file=str(path), level_or_mpp=0, class_name="", param_info={},
        patch_data=[(corner, (PATCH_PX, PATCH_PX), "") for corner in corners_of(n)],
    )  # fmt: skip


class Stopwatch:
    """Wall and CPU time of this process and all below it, from `start` on."""

    def __init__(self) -> None:
        self._began_cpu_s = _cpu_s()
        self._first_s = 0.0
        self.start()

    def start(self) -> None:
        """Begin to count what is reported; what came before is the start's."""
        self._wall_s, self._cpu_s = time.perf_counter(), _cpu_s()
        children = psutil.Process().children(recursive=True)
        self._living_s = sum(sum(child.cpu_times()[:2]) for child in children)

    def note_first(self) -> None:
        """Note when the first patch came."""
        self._first_s = time.perf_counter() - self._wall_s

    def stop(self) -> None:
        """Stop the clock."""
        self._wall_s = time.perf_counter() - self._wall_s

    def facts(self, n: int) -> dict[str, float]:
        """What it took, once all processes have ended."""
        start_s = self._cpu_s - self._began_cpu_s + self._living_s
        cpu_s = _cpu_s() - self._began_cpu_s - start_s
        return {
            "n": n, "wall_s": self._wall_s, "cpu_s": cpu_s, "start_cpu_s": start_s,
            "first_s": self._first_s,
        }  # fmt: skip


def _cpu_s() -> float:
    """CPU time of this process, and of those it has seen the end of."""
    usages = (getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def run_loop(paths: Sequence[Path], n: int, watch: Stopwatch) -> int:
    """Read all patches by a plain loop; returns their number."""
    x_px0, y_px0 = np.array(corners_of(n)).T
    locations = PatchLocations(
        x_px0=x_px0, y_px0=y_px0, tissue_share=np.ones(n, np.float32),
        side_px0=PATCH_PX, patch_px=PATCH_PX, mpp=None, level=0,
    )  # fmt: skip
    watch.start()
    count = 0
    for path in paths:
        with open_slide(path) as slide:
            count += sum(len(batch.indices) for batch in read_patches(slide, locations))
    watch.stop()
    return count


def run_two_loops(paths: Sequence[Path], n: int, watch: Stopwatch) -> int:
    """Read all patches twice, by two processes that know nothing of each other."""
    ready = Barrier(3)
    processes = [Process(target=_loop_at, args=(ready, paths, n)) for _ in range(2)]
    for process in processes:
        process.start()
    ready.wait()
    watch.start()
    for process in processes:
        process.join()
    watch.stop()
    return 0 if any(process.exitcode for process in processes) else 2 * n * len(paths)


def _loop_at(ready: Any, paths: Sequence[Path], n: int) -> None:
    ready.wait()
    run_loop(paths, n, Stopwatch())


def run_pool(
    paths: Sequence[Path], n: int, watch: Stopwatch, *, n_processes: int, ordered: bool = False
) -> int:
    """Read all patches by the pool."""
    with MemPatchExtractorPool(
        patches_pool=[patches_of(path, n) for path in paths],
        proc_num_workers=n_processes, thread_num_workers=1, ordered=ordered,
    ) as pool:  # fmt: skip
        time.sleep(START_S)
        watch.start()
        patches = iter(pool.patch_list)
        next(patches)
        watch.note_first()
        count = 1 + sum(1 for _ in patches)
        watch.stop()
    return count


def run_manager(
    paths: Sequence[Path], n: int, watch: Stopwatch, *, n_processes: int, n_threads: int = 1
) -> int:
    """Read all patches as PIL images, through a list that a manager keeps."""
    with Manager() as manager, Pool(n_processes) as processes:
        shared = manager.list()
        watch.start()
        task = partial(_extract, shared, n, n_threads)
        deque(processes.imap_unordered(task, map(str, paths)), maxlen=0)
        count = sum(image.mode == "RGB" for image, _ in shared)
        watch.stop()
        processes.close()
        processes.join()
    return count


def _extract(shared: list[Any], n: int, n_threads: int, path: str) -> None:
    """One slide, in a process of its own."""
    with openslide.OpenSlide(path) as slide, ThreadPool(n_threads) as threads:

        def read(corner: tuple[int, int]) -> tuple[Any, str]:
            return slide.read_region(corner, 0, (PATCH_PX, PATCH_PX)).convert("RGB"), ""

        for item in threads.imap_unordered(read, corners_of(n)):
            shared.append(item)  # noqa: PERF402 - a message to the manager each, as it is done there


METHODS = {
    "loop": run_loop,
    "2 loops": run_two_loops,
    "pool 1x1": partial(run_pool, n_processes=1),
    "pool 2x1": partial(run_pool, n_processes=2),
    "pool 2x1, ordered": partial(run_pool, n_processes=2, ordered=True),
    "manager": partial(run_manager, n_processes=1),
}


def run_here(method: str, n: int, paths: list[Path]) -> None:
    """In a process of its own: run a method; prints what it took."""
    cv2.setNumThreads(1)
    watch = Stopwatch()
    count = METHODS[method](paths, n, watch)
    wanted = n * len(paths) * (2 if method == "2 loops" else 1)
    if count != wanted:
        sys.exit(f"{method}: {count} of {wanted} patches came")
    print(json.dumps(watch.facts(count)))


def run(
    method: str, n: int, paths: Sequence[Path], *, with_memory: bool = False
) -> dict[str, float]:
    """Run a method on `n` patches of each slide; returns what it took."""
    process = subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, __file__, "--run", method, str(n), *map(str, paths)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    peak_mb = 0.0
    while with_memory and process.poll() is None:
        peak_mb = max(peak_mb, _memory_mb(process.pid))
        time.sleep(0.05)
    out, _ = process.communicate()
    if process.returncode:
        sys.exit(f"{method} ended with code {process.returncode}")
    return json.loads(out) | {"peak_mb": peak_mb}


def _memory_mb(pid: int) -> float:
    """PSS of a process and of all below it."""
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return 0.0
    return sum(map(_pss_mb, family))


def _pss_mb(process: psutil.Process) -> float:
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def measure_speed(paths: Sequence[Path], n: int, n_rounds: int) -> dict[str, dict[str, float]]:
    """Every method on all slides, a loop before and after each; the medians of all rounds."""
    costs: dict[str, list[dict[str, float]]] = {method: [] for method in METHODS}
    before = run("loop", n, paths)
    for number in range(n_rounds):
        for method in METHODS:
            if method == "loop" or (method == "manager" and number):  # it takes long
                continue
            # It keeps all patches in memory, and each costs the same.
            seen = run(method, min(n, 1_500) if method == "manager" else n, paths)
            after = run("loop", n, paths)
            loop = (_speed(before) + _speed(after)) / 2
            costs[method].append(seen | {"of_loop": _speed(seen) / loop})
            costs["loop"].append(after | {"of_loop": 1.0})
            before = after
    return {
        method: {key: median(cost[key] for cost in seen) for key in seen[0]}
        for method, seen in costs.items()
    }


def _speed(cost: dict[str, float]) -> float:
    return cost["n"] / cost["wall_s"]


def print_speed(costs: dict[str, dict[str, float]], n_slides: int) -> list[str]:
    """Print a table; returns the targets that are missed."""
    missed = []
    per_cpu = {method: cost["n"] / cost["cpu_s"] for method, cost in costs.items()}
    title = f"{n_slides} slide(s), {costs['loop']['n']:,.0f} patches"
    print(f"\n{title:28}{'patches/s':>10}{'of loop':>9}{'target':>8}"
          f"{'patches/CPU-s':>15}{'of manager':>12}{'start, CPU-s':>14}")  # fmt: skip
    for method, cost in costs.items():
        target = TARGETS.get(method)
        said = "" if target is None else f"{target:.1f}"
        print(f"{method:28}{_speed(cost):10,.0f}{cost['of_loop']:9.2f}{said:>8}"
              f"{per_cpu[method]:15,.0f}{per_cpu[method] / per_cpu['manager']:12.1f}"
              f"{cost['start_cpu_s']:14.2f}", flush=True)  # fmt: skip
        if target is not None and cost["of_loop"] < target:
            missed.append(f"{n_slides} slide(s), {method}: {cost['of_loop']:.2f}")
    first_s = max(cost["first_s"] for cost in costs.values())
    print(f"first patch of a pool: {1e3 * first_s:.0f} ms after the question at most", flush=True)
    if first_s > FIRST_S:
        missed.append(f"{n_slides} slide(s), first patch: {first_s:.1f} s")
    ratio = per_cpu["pool 1x1"] / per_cpu["manager"]
    if ratio < MANAGER_RATIO:
        missed.append(f"{n_slides} slide(s), over manager: {ratio:.1f}")
    return missed


def print_memory(paths: Sequence[Path]) -> list[str]:
    """Measure and print what all processes have at 2,000 patches and at 20,000."""
    missed = []
    print("\npeak memory of all processes, MB")
    for method in ("pool 1x1", "pool 2x1", "pool 2x1, ordered"):
        few, many = (run(method, n // len(paths), paths, with_memory=True)["peak_mb"]
                     for n in (2_000, 20_000))  # fmt: skip
        print(f"{method:28}{few:7.0f} at 2,000{many:7.0f} at 20,000{many / few:7.2f}", flush=True)
        most = FLAT_RATIO * few + (WAITING_BYTES / 2**20 if "ordered" in method else 0)
        if many > most:
            missed.append(f"memory of {method}: {few:.0f} and {many:.0f} MB")
    return missed


def measure(folder: Path, n: int, n_rounds: int) -> list[str]:
    """Make the slides, measure, print; returns the targets that are missed."""
    paths = [folder / f"slide_{i}.svs" for i in range(4)]
    write_slide(paths[0], paint_tissue(), SIDE_PX, SIDE_PX, 256)
    for path in paths[1:]:
        path.hardlink_to(paths[0])
    missed = print_speed(measure_speed(paths[:1], n, n_rounds), 1)
    missed += print_speed(measure_speed(paths, n, n_rounds), 4)
    return missed + print_memory(paths)


def main() -> int:
    """Measure, print, tidy up; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, default=N_ACROSS**2, help="of each slide")
    parser.add_argument("--rounds", type=int, default=N_ROUNDS)
    parser.add_argument("--strict", action="store_true", help="exit with 1 for a missed target")
    parser.add_argument("--run", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        method, n, *paths = args.run
        run_here(method, int(n), [Path(path) for path in paths])
        return 0
    load = os.getloadavg()[0]
    print(f"{len(os.sched_getaffinity(0))} cores {machine.machine()}, "
          f"Python {machine.python_version()}, load {load:.1f} before")  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="pathassets-pools-"))
    try:
        missed = measure(folder, args.patches, args.rounds)
    finally:
        shutil.rmtree(folder)
    print("\n" + ("PASS: every target is met" if not missed else "MISSED: " + "; ".join(missed)))
    return int(bool(missed) and args.strict)


if __name__ == "__main__":
    sys.exit(main())
