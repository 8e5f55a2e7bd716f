"""What a Ray cluster costs beside the slides' own work: CPU-seconds a slide, by kind of process.

    slides ─▶ run_batch on this machine, then on a cluster of two nodes on this machine

Trivial slides, four assets each (a mask, a grid, colour statistics on a device line, their mean).
CPU is user + system of every process, sampled; a process of ours on a node, or of `LocalWorkers`,
is work, all else is overhead: the driver, raylets, the GCS, Ray's agents, and the hosts that Ray
keeps our processes by. Each number of slides is run in a cluster of its own. Ray's overhead is what
that is more than here, of the larger batch, with all that Ray does once; the cluster's own start is
no part of it.

    .venv/bin/python benchmarks/ray_overhead.py [--slides 20 100] [--strict]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import psutil
from events import describe_machine, home_of, write_slides

TARGET_S = 0.1
"""CPU-seconds of overhead a slide."""
EMBEDDING = "slide_embedding: {mean: {features: colours}}\n"
SAMPLE_S = 0.2
OTHER = "other"
KINDS = {
    "engine/workers/worker.py": "work", "raylet/raylet": "raylets", "gcs/gcs_server": "gcs",
    "ray::DashboardAgent": "agents", "ray::RuntimeEnvAgent": "agents", "agent.py": "agents",
    "ray::": "hosts", "default_worker.py": "hosts", "dashboard": "head", "monitor": "head",
}  # fmt: skip
"""What a process is, by what is first found in its command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one batch took, in CPU-seconds, by kind of process."""

    n_slides: int
    cpu_s: Counter[str]
    n_hosts: int
    wall_s: float

    @property
    def overhead_s(self) -> float:
        """All but the work."""
        return sum(cpu_s for kind, cpu_s in self.cpu_s.items() if kind != "work")


class Sampler:
    """CPU of this process and all below it, as each was when it was last seen."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, float], tuple[str, float]] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._own = psutil.Process()

    def __enter__(self) -> Self:
        self._before = self.now()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(SAMPLE_S):
            self.now()

    def now(self) -> tuple[Counter[str], int]:
        """CPU-seconds by kind so far, and hosts seen."""
        for process in self._own.children(recursive=True):
            try:
                with process.oneshot():
                    name = process.pid, process.create_time()
                    kind = _kind_of(" ".join(process.cmdline()))
                    if kind == OTHER and name in self._seen:  # it is ending, and has no name now
                        kind, _ = self._seen[name]
                    self._seen[name] = kind, sum(process.cpu_times()[:2])
            except psutil.Error:
                continue
        found: Counter[str] = Counter()
        for kind, cpu_s in self._seen.values():
            found[kind] += cpu_s
        found["driver"] = sum(self._own.cpu_times()[:2]) - self._thread_s()
        return found, sum(kind == "hosts" for kind, _ in self._seen.values())

    def _thread_s(self) -> float:
        """CPU of the sampling itself."""
        ident = self._thread.native_id
        threads = {one.id: one.user_time + one.system_time for one in self._own.threads()}
        return threads.get(ident or 0, 0.0)

    def taken(self) -> tuple[Counter[str], int]:
        """CPU-seconds by kind since it was entered."""
        cpu_s, n_hosts = self.now()
        cpu_s.subtract(self._before[0])
        return cpu_s, n_hosts


def _kind_of(command: str) -> str:
    return next((kind for part, kind in KINDS.items() if part in command), OTHER)


@contextmanager
def cluster_of_two() -> Iterator[Any]:
    """Two nodes with a core each; where they are found."""
    from ray.cluster_utils import Cluster as Nodes  # noqa: PLC0415 - only one of two ways needs it

    from pathassets.engine.settings import Cluster  # noqa: PLC0415 - likewise

    how = {
        "num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False,
        "memory": 4 * 2**30,
    }  # fmt: skip
    kept = {"num_workers_soft_limit": 2}  # as the operations page has it
    nodes = Nodes(initialize_head=True, head_node_args=how | {"_system_config": kept})
    try:
        nodes.add_node(**how)
        nodes.wait_for_nodes()
        yield Cluster(address=nodes.address, line_gb=1.0)
    finally:
        nodes.shutdown()


def run(folder: Path, slides: list[Path], name: str, cluster: Any) -> Run:
    """Make all of some registered slides, in a store of their own."""
    from pathassets.engine.platform.batch import run_batch  # noqa: PLC0415 - after the environment
    from pathassets.engine.platform.ingestion.ingest import ingest  # noqa: PLC0415 - likewise
    from pathassets.engine.platform.plan import plan_slides  # noqa: PLC0415 - likewise
    from pathassets.engine.platform.platform import open_platform  # noqa: PLC0415 - likewise
    from pathassets.engine.settings import read_settings  # noqa: PLC0415 - likewise

    home = folder / f"{name}-{len(slides)}"
    with home_of(home):
        recipe = home / "recipe.yaml"
        recipe.write_text(recipe.read_text() + EMBEDDING)
        os.environ["PATHASSETS_WORKERS"] = "2"
        settings = read_settings()
        with open_platform(settings) as platform:
            list(ingest(platform, slides))
            there = replace(platform, settings=replace(settings, cluster=cluster))
            planned = plan_slides(there)
            with Sampler() as sampler:
                started_s = time.perf_counter()
                outcomes = run_batch(there, planned, there.recipe.per_slide, run_id="run")
                states = Counter(step.state for one in outcomes for step in one.steps)
                cpu_s, n_hosts = sampler.taken()
                wall_s = time.perf_counter() - started_s
    if states != {"made": 4 * len(slides)}:
        sys.exit(f"not all was made: {states}")
    return Run(n_slides=len(slides), cpu_s=cpu_s, n_hosts=n_hosts, wall_s=wall_s)


def tell(name: str, few: Run, many: Run) -> None:
    """Print both, and what one slide more takes."""
    n_more = many.n_slides - few.n_slides
    print(f"\n{name}: CPU-seconds{'':8}{few.n_slides:6} slides{many.n_slides:6} slides   per slide")
    for kind in sorted(set(few.cpu_s) | set(many.cpu_s)):
        per_slide_s = (many.cpu_s[kind] - few.cpu_s[kind]) / n_more
        print(f"  {kind:24}{few.cpu_s[kind]:10.2f}{many.cpu_s[kind]:13.2f}{per_slide_s:12.4f}")
    print(f"  hosts: {few.n_hosts}, {many.n_hosts}; wall: {few.wall_s:.0f} s, {many.wall_s:.0f} s")


def compare(folder: Path, counts: list[int]) -> tuple[Run, Run]:
    """The larger batch here, and on a cluster."""
    slides = write_slides(folder / "scans", max(counts))

    def both(make: Callable[[int], Run]) -> tuple[Run, Run]:
        make(2)  # what is imported, and opened for the first time
        return make(min(counts)), make(max(counts))

    def on_cluster(n_slides: int) -> Run:
        with cluster_of_two() as cluster:
            return run(folder, slides[:n_slides], "ray", cluster)

    here = both(lambda n: run(folder, slides[:n], "here", None))
    there = both(on_cluster)
    tell("here", *here)
    tell("on Ray, two nodes of a core", *there)
    return here[1], there[1]


def main() -> None:
    """Compare, and tell whether it is within the target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slides", type=int, nargs=2, default=[20, 100])
    parser.add_argument("--strict", action="store_true")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        print(describe_machine())
        here, there = compare(folder, chosen.slides)
    finally:
        shutil.rmtree(folder)
    ray_s = there.overhead_s - here.overhead_s
    overhead_s = ray_s / there.n_slides
    verdict = "PASS" if overhead_s <= TARGET_S else "MISS"
    print(f"\nbeside the work: {here.overhead_s:.2f} here, {there.overhead_s:.2f} on Ray")
    print(f"{verdict}: {overhead_s:.3f} CPU-seconds of Ray a slide, target {TARGET_S}")
    sys.exit(chosen.strict and verdict == "MISS")


if __name__ == "__main__":
    main()
