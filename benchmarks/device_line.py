"""How busy a device is kept, how often its encoder is opened, and what that takes.

12 slides of 12,000 px a side and less are encoded at half their resolution, 256 px a patch, by a
device that is simulated: it needs half of the patches that all cores can decode, which is measured
first. Each run is in processes of its own:

    batch        `run_batch`, what `pathassets run` does: mask, grid, features
    extractor    `DeepFeatureExtractor`
    two          the batch, on two devices of half the speed
    memory       the batch, over 12 slides and over 48, on a device of twice the speed
    resnet18     the batch on the cores themselves, against its forward on as many at once

The busy share is of the time from a device's first pass to the last of any. Where there is no GPU a
line is a share of the cores: one device is one share with all threads (PATHASSETS_WORKERS=1), and
has one process for masks and grids beside it, where a machine with a GPU would have one a core.
Memory is the greatest sum of what all processes have, shared pages counted once. What ResNet-18
costs is the difference between a run over many slides and one over few: neither imports nor the
start of processes are in it. The exit code is 1 where a goal is missed.
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pools import _memory_mb
from pyramids import Sides, Slides
from simulated_device import DeviceLog, read_log

HERE = Path(__file__).parent
BATCH_SHARE = 0.95
"""Least that the device is busy in a batch."""
EXTRACTOR_SHARE = 0.97
TWO_SHARE = 0.9
"""Least that each of two devices is busy."""
FLAT_RATIO = 1.15
"""Most by which 48 slides need more memory than 12."""
FORWARD_SHARE = 0.95
"""Least that ResNet-18's forward is of the CPU time of all."""
LONGEST = 4
"""Gaps that are told of each device."""

Found = Iterator[tuple[str, float, str, bool]]
"""What was measured, how much, the goal, and whether it is met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured."""

    n_slides: int
    n_many: int
    """For memory."""
    n_few: int
    """For ResNet-18, and three times as many: two are worked on at once from the first on."""
    sides_px: Sides
    small_sides_px: Sides
    """For ResNet-18."""


FULL = Sizes(
    n_slides=12, n_many=48, n_few=2, small_sides_px=((6_000, 6_000),),
    sides_px=((12_000, 12_000), (12_000, 9_000), (9_000, 6_000)),
)  # fmt: skip
QUICK = Sizes(
    n_slides=6, n_many=12, n_few=2, small_sides_px=((3_600, 3_600),), sides_px=((6_000, 6_000),)
)


class Bench:
    """Runs in processes of their own."""

    def __init__(self, folder: Path, n_workers: int) -> None:
        self.folder = folder
        self.n_workers = n_workers
        self.n_cores = len(os.sched_getaffinity(0))
        self._n_runs = 0

    def start(self, run: str, paths: list[str], workers: int = 0, **job: Any) -> subprocess.Popen:
        """Begin a run; with so many workers, else with what the platform takes by itself."""
        self._n_runs += 1
        home = self.folder / f"home_{self._n_runs}"
        job |= {"run": run, "paths": paths, "home": str(home), "n_threads": self.n_cores}
        unset = ("PATHASSETS_", "DAGSTER_")
        env = {name: said for name, said in os.environ.items() if not name.startswith(unset)}
        env["PYTHONPATH"] = str(HERE)
        if workers:
            env["PATHASSETS_WORKERS"] = str(workers)
        command = [sys.executable, str(HERE / "device_line_runs.py"), json.dumps(job)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)  # noqa: S603 - ourselves

    def run(self, run: str, paths: list[str], **job: Any) -> dict[str, float]:
        """Run to the end; what it took, with its peak memory where that is asked for."""
        with_memory = job.pop("with_memory", False)
        process, peak_mb = self.start(run, paths, **job), 0.0
        while with_memory and process.poll() is None:
            peak_mb = max(peak_mb, _memory_mb(process.pid))
            time.sleep(0.1)
        return facts_of(process) | {"peak_mb": peak_mb}

    def on_device(
        self, run: str, paths: list[str], *, rate: float, n_devices: int = 1, **job: Any
    ) -> tuple[DeviceLog, dict[str, float]]:
        """Run with simulated devices; what they did, and what it took."""
        log = Path(tempfile.mkdtemp(dir=self.folder, prefix="device-"))
        kwargs = {"rate": rate, "folder": str(log), "n_devices": n_devices}
        encoder = {"name": "simulated_device:make", "kwargs": kwargs}
        facts = self.run(run, paths, encoder=encoder, **job)
        return read_log(log), facts


def facts_of(process: subprocess.Popen) -> dict[str, float]:
    """What a run says once it has ended."""
    out, _ = process.communicate()
    if process.returncode:
        sys.exit(f"a run ended with code {process.returncode}")
    return json.loads(out)


def print_devices(title: str, log: DeviceLog) -> None:
    """Print how each device was kept busy, and when it was not."""
    first_s, last_s = log.span_s
    print(f"\n{title}: {log.n_patches:,} patches in {last_s - first_s:.1f} s, "
          f"opened {len(log.pids)} times by {len(set(log.pids))} processes")  # fmt: skip
    for (device, passes), share in zip(log.passes.items(), log.busy_shares, strict=True):
        gaps = log.gaps(device)
        told = ", ".join(f"{long_s:.2f} s at {at_s:.1f}" for at_s, long_s in gaps[:LONGEST])
        lost_s = sum(long_s for _, long_s in gaps)
        began_s = passes[0][0] - first_s
        print(f"  device {device}: {len(passes)} passes from {began_s:.1f} s on, busy {share:.3f}; "
              f"{len(gaps)} gaps, {lost_s:.2f} s: {told}", flush=True)  # fmt: skip


def measure_batch(bench: Bench, paths: list[str], rate: float) -> Found:
    """One device, through the platform."""
    log, _ = bench.on_device("batch", paths, rate=rate, workers=bench.n_workers)
    print_devices("batch", log)
    share, n_opened = min(log.busy_shares), len(log.pids)
    yield "batch: busy share", share, f">= {BATCH_SHARE}", share >= BATCH_SHARE
    yield "batch: times the encoder was opened", n_opened, "1", n_opened == 1


def measure_extractor(bench: Bench, paths: list[str], rate: float) -> Found:
    """One device, through the class."""
    log, _ = bench.on_device("extractor", paths, rate=rate)
    print_devices("extractor", log)
    share = min(log.busy_shares)
    yield "extractor: busy share", share, f">= {EXTRACTOR_SHARE}", share >= EXTRACTOR_SHARE


def measure_two(bench: Bench, paths: list[str], rate: float) -> Found:
    """Two devices of half the speed."""
    log, _ = bench.on_device("batch", paths, rate=rate / 2, n_devices=2, workers=2)
    print_devices("two devices", log)
    share = min(log.busy_shares) if len(log.passes) > 1 else 0.0
    yield "two devices: busy share of the less busy", share, f">= {TWO_SHARE}", share >= TWO_SHARE


def measure_memory(bench: Bench, few: list[str], many: list[str], rate: float) -> Found:
    """Peak memory over few slides and over many."""
    few_mb, many_mb = (
        bench.on_device("batch", paths, rate=2 * rate, workers=bench.n_workers, with_memory=True)[
            1
        ]["peak_mb"]
        for paths in (few, many)
    )
    print(f"\npeak memory: {few_mb:.0f} MB over {len(few)} slides, "
          f"{many_mb:.0f} MB over {len(many)}", flush=True)  # fmt: skip
    ratio = many_mb / few_mb
    yield "memory over many slides, of few", ratio, f"<= {FLAT_RATIO}", ratio <= FLAT_RATIO


def measure_resnet18(bench: Bench, few: list[str], many: list[str]) -> Found:
    """The model on all cores: CPU and wall time a patch, against its forward on all of them."""
    encoder = {"name": "feature_models:resnet18"}
    less, more = (bench.run("batch", paths, encoder=encoder) for paths in (few, many))
    n = more["n"] - less["n"]
    alone = [bench.start("forward", [], n=n // bench.n_cores) for _ in range(bench.n_cores)]
    forwards = [facts_of(process) for process in alone]
    n_forward = sum(facts["n"] for facts in forwards)
    costs = {
        "forward": {"cpu_s": sum(facts["cpu_s"] for facts in forwards) / n_forward,
                    "wall_s": max(facts["wall_s"] for facts in forwards) / n_forward},
        "batch": {key: (more[key] - less[key]) / n for key in ("cpu_s", "wall_s")},
    }  # fmt: skip
    print(f"\n{f'ResNet-18, {n:,.0f} patches':24}{'CPU-ms a patch':>16}{'patches/s':>12}")
    for name, cost in costs.items():
        print(f"{name:24}{1e3 * cost['cpu_s']:16.2f}{1 / cost['wall_s']:12.1f}", flush=True)
    for what, key in (("CPU", "cpu_s"), ("wall", "wall_s")):
        share = costs["forward"][key] / costs["batch"][key]
        is_met = share >= FORWARD_SHARE
        yield f"ResNet-18: the forward's share of {what} time", share, f">= {FORWARD_SHARE}", is_met


def measure(bench: Bench, slides: Slides, sizes: Sizes, wanted: list[str]) -> Found:
    """Measure what is wanted."""
    paths = slides.some(sizes.n_slides, sizes.sides_px)
    decoding = bench.run("decoding", paths)
    rate = round(decoding["n"] / decoding["wall_s"] / 2, 1)
    print(f"{bench.n_cores} threads decode {2 * rate:,.0f} patches/s: "
          f"a device has {rate:,.0f}", flush=True)  # fmt: skip
    n_many, n_few = sizes.n_many, sizes.n_few
    parts: dict[str, Callable[[], Found]] = {
        "batch": lambda: measure_batch(bench, paths, rate),
        "extractor": lambda: measure_extractor(bench, paths, rate),
        "two": lambda: measure_two(bench, paths, rate),
        "memory": lambda: measure_memory(bench, paths, slides.some(n_many, sizes.sides_px), rate),
        "resnet18": lambda: measure_resnet18(
            bench, *(slides.some(n, sizes.small_sides_px) for n in (n_few, 3 * n_few))
        ),
    }
    for name in wanted or parts:
        yield from parts[name]()


def main() -> int:
    """Measure, print, tidy up; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help="batch, extractor, two, memory, resnet18; all")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller slides: a minute")
    parser.add_argument("--workers", type=int, default=1, help="processes that one device has")
    args = parser.parse_args()
    print(f"{len(os.sched_getaffinity(0))} cores {machine.machine()}, "
          f"Python {machine.python_version()}, load {os.getloadavg()[0]:.1f} before")  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="pathassets-device-line-"))
    try:
        bench, slides = Bench(folder, args.workers), Slides(folder)
        sizes = QUICK if args.quick else FULL
        found = list(measure(bench, slides, sizes, args.parts))
    finally:
        shutil.rmtree(folder)
    print()
    for what, value, goal, is_met in found:
        print(f"{what:46}{value:8.3f}  {goal:9}{'met' if is_met else 'MISSED'}")
    return int(not all(is_met for *_, is_met in found))


if __name__ == "__main__":
    sys.exit(main())
