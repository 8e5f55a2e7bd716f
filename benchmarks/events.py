"""What orchestration costs: CPU-seconds a slide of one batch run, beyond the slides' own work.

100 trivial slides, three assets each (a mask, a grid, colour statistics), are run twice:

    through Dagster    runs, plan, catalog, worker pool, events     what `pathassets run` does
    the tasks alone    the same slide tasks on the same workers     what the work itself costs

The difference is orchestration. CPU is user + system, of this process and all of its descendants.
A second pair of runs with one slide tells the fixed cost of a run from the cost of a slide.

    .venv/bin/python benchmarks/events.py [--slides 100] [--strict]
"""

from __future__ import annotations

import argparse
import os
import platform as machine
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TARGET_S = 0.15
"""CPU-seconds of orchestration a slide, on SQLite, for three assets."""
SIDE_PX = 300
RECIPE = """
tissue_mask: {mask: {method: otsu, mpp: 8.0}}
patch_locations: {grid: {tissue_mask: mask, patch_px: 256, mpp: 0.5, min_tissue_share: 0.0}}
features: {colours: {patch_locations: grid, encoder: colour_stats}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU and wall time of one piece of work."""

    own_s: float
    """CPU of this process."""
    others_s: float
    """CPU of its descendants."""
    wall_s: float

    @property
    def cpu_s(self) -> float:
        """Both together."""
        return self.own_s + self.others_s


def measure(work: Callable[[], object]) -> Cost:
    """Cost of calling `work`, with all of its worker processes gone."""
    before, started_s = _cpu(), time.perf_counter()
    work()
    wall_s = time.perf_counter() - started_s
    time.sleep(0.5)  # workers are reaped by their server, a moment after
    after = _cpu()
    return Cost(own_s=after[0] - before[0], others_s=after[1] - before[1], wall_s=wall_s)


def _cpu() -> tuple[float, float]:
    """User + system of this process, and of all that came of it: ended, living, and theirs."""
    import psutil  # noqa: PLC0415 - counted as an import

    own = resource.getrusage(resource.RUSAGE_SELF)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    living_s = sum(t.user + t.system + t.children_user + t.children_system for t in times)
    return own.ru_utime + own.ru_stime, ended.ru_utime + ended.ru_stime + living_s


@contextmanager
def home_of(folder: Path) -> Iterator[None]:
    """Point every `PATHASSETS_*` setting at one folder, and let processes keep their bytecode.

    Where the surroundings forbid it, each would compile the whole package.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for name in [n for n in os.environ if n.startswith(("PATHASSETS_", "DAGSTER_"))]:
        del os.environ[name]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(RECIPE)
    os.environ["PATHASSETS_HOME"] = str(folder)
    yield
    del os.environ["PATHASSETS_HOME"]


def write_slides(folder: Path, n_slides: int) -> list[Path]:
    """Slides with one patch each, no two alike."""
    import numpy as np  # noqa: PLC0415 - counted as an import

    from pathassets.adapters.tifffile import PyramidSpec, write_pyramid  # noqa: PLC0415

    folder.mkdir(parents=True)
    paths = [folder / f"s{number:04}.svs" for number in range(n_slides)]
    for number, path in enumerate(paths):
        rng = np.random.default_rng(number)
        rgb = np.full((SIDE_PX, SIDE_PX, 3), 240, np.uint8)
        rgb[40:260, 40:260] = rng.integers(0, 60, (220, 220, 3)) + np.array([170, 90, 150])
        write_pyramid(path, rgb, PyramidSpec(n_levels=1))
    return paths


def register(paths: list[Path]) -> None:
    """Register slides with catalog and Dagster; not part of what is measured."""
    from pathassets.defs.assets.slide import report_slides  # noqa: PLC0415
    from pathassets.defs.instance import open_instance  # noqa: PLC0415 - counted as imports
    from pathassets.engine.platform.ingestion.ingest import ingest  # noqa: PLC0415
    from pathassets.engine.platform.platform import open_platform  # noqa: PLC0415
    from pathassets.engine.settings import read_settings  # noqa: PLC0415

    settings = read_settings()
    with open_platform(settings) as platform, open_instance(settings) as instance:
        found = [one.slide_id for one in ingest(platform, paths)]
        report_slides(instance, platform, found)


def run_through_dagster() -> None:
    """All registered slides in one batch run, as `pathassets run` does it."""
    from pathassets.defs.build import build_definitions  # noqa: PLC0415 - counted as imports
    from pathassets.defs.current.choose import Wanted  # noqa: PLC0415
    from pathassets.defs.instance import open_instance  # noqa: PLC0415
    from pathassets.defs.launch import run_slides_here  # noqa: PLC0415
    from pathassets.engine.platform.platform import open_platform  # noqa: PLC0415
    from pathassets.engine.settings import read_settings  # noqa: PLC0415

    settings = read_settings()
    with open_platform(settings) as platform, open_instance(settings) as instance:
        wanted = Wanted(slide_ids=frozenset(), entries=platform.recipe.entries)
        run_slides_here(build_definitions(platform.recipe), instance, platform, wanted)


def run_tasks_alone() -> None:
    """The very same slide tasks on the same workers: no Dagster, no catalog."""
    from pathassets.engine.platform.plan import plan_slides, task_for  # noqa: PLC0415 - counted as imports
    from pathassets.engine.platform.platform import open_platform  # noqa: PLC0415
    from pathassets.engine.settings import read_settings  # noqa: PLC0415
    from pathassets.engine.stages.slide_task import run_slide  # noqa: PLC0415

    with open_platform(read_settings()) as platform, platform.store.staging("alone") as staging:
        entries = platform.recipe.per_slide
        tasks = [task_for(platform, p, entries, staging) for p in plan_slides(platform)]
        outcomes = [result for _, result in platform.workers.imap(run_slide, tasks)]
    failed = [o for o in outcomes if isinstance(o, Exception) or o.failure is not None]
    if failed:
        sys.exit(f"a slide task failed: {failed[0]}")


def count_events(home: Path) -> Counter[str]:
    """Events of the run, by type."""
    found: Counter[str] = Counter()
    for path in (home / ".dagster" / "history" / "runs").glob("*-*-*.db"):
        with sqlite3.connect(path) as connection:
            found.update(
                t for (t,) in connection.execute("SELECT dagster_event_type FROM event_logs")
            )
        connection.close()
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The same slides, both ways."""

    dagster: Cost
    alone: Cost

    @property
    def orchestration_s(self) -> float:
        """CPU-seconds beyond the work itself."""
        return self.dagster.cpu_s - self.alone.cpu_s


def measure_pair(folder: Path, n_slides: int) -> Pair:
    """Run `n_slides` both ways, in two homes with the same slides."""
    paths = write_slides(folder / "slides", n_slides)
    costs = {}
    for name, work in (("alone", run_tasks_alone), ("dagster", run_through_dagster)):
        with home_of(folder / name):
            register(paths)
            costs[name] = measure(work)
        _say(
            f"{n_slides} slides, {name}: {costs[name].cpu_s:.2f} CPU-s, {costs[name].wall_s:.1f} s"
        )
    made = list((folder / "dagster" / "store" / "features").rglob("artifact.json"))
    if len(made) != n_slides:
        sys.exit(f"{len(made)} of {n_slides} slides have features")
    return Pair(dagster=costs["dagster"], alone=costs["alone"])


def import_all() -> Cost:
    """Import all that is needed, so that no run pays for it."""

    def work() -> None:
        import pathassets.cli  # noqa: PLC0415
        import pathassets.defs.build  # noqa: F401, PLC0415

    return measure(work)


def report(one: Pair, many: Pair, n_slides: int, imports: Cost, events: Counter[str]) -> bool:
    """Print the figures; returns whether the target is met."""
    slope = (many.orchestration_s - one.orchestration_s) / (n_slides - 1)
    share = many.orchestration_s / n_slides
    print(f"\n{'CPU-seconds':28}{'1 slide':>10}{f'{n_slides} slides':>12}{'per slide':>12}")
    rows = [
        ("through Dagster", one.dagster.cpu_s, many.dagster.cpu_s),
        ("the tasks alone", one.alone.cpu_s, many.alone.cpu_s),
        ("orchestration", one.orchestration_s, many.orchestration_s),
        ("  of it in this process", *(p.dagster.own_s - p.alone.own_s for p in (one, many))),
    ]
    for name, few, all_of_them in rows:
        print(f"{name:28}{few:10.2f}{all_of_them:12.2f}{all_of_them / n_slides:12.3f}")
    print(f"\none slide more: {slope:.3f}; one run more: {one.orchestration_s - slope:.2f}")
    print(f"imports, once a process: {imports.cpu_s:.1f}")
    named = ", ".join(f"{n} {name or 'log lines'}" for name, n in events.most_common(4))
    print(f"events of the run: {events.total()} ({named}, …)")
    is_met = share <= TARGET_S
    verdict = "PASS" if is_met else "FAIL"
    print(f"{verdict}: {share:.3f} CPU-seconds of orchestration a slide, target {TARGET_S}")
    return is_met


def describe_machine() -> str:
    """Cores, Python and the versions that matter."""
    from importlib.metadata import version  # noqa: PLC0415 - only here

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{cores} cores {machine.machine()}, Python {machine.python_version()}, "
        f"dagster {version('dagster')} on SQLite {sqlite3.sqlite_version}"
    )


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


def main() -> int:
    """Measure, print, tidy up; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slides", type=int, default=100)
    parser.add_argument("--strict", action="store_true", help="exit with 1 where it costs more")
    args = parser.parse_args()
    print(describe_machine(), flush=True)
    folder = Path(tempfile.mkdtemp(prefix="pathassets-events-"))
    try:
        imports = import_all()
        measure_pair(folder / "warm", 2)  # what is done once a process: lazy imports, worker server
        one = measure_pair(folder / "one", 1)
        many = measure_pair(folder / "many", args.slides)
        events = count_events(folder / "many" / "dagster")
    finally:
        shutil.rmtree(folder)
    return int(not report(one, many, args.slides, imports, events) and args.strict)


if __name__ == "__main__":
    sys.exit(main())
