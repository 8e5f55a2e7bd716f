"""What one thing costs among 100,000 slides, on SQLite and on PostgreSQL, in CPU and memory.

The cohort is filled in bulk (`catalog.py`), with Dagster's events; then 500 slides are registered
and run for real, and by the project's own commands and jobs, each a process of its own:

    a file is ingested, and one whose name is before all others; the 500 are run again, by `run`
    and as a batch of Dagster's backfill; all is made current; the inbox is looked into, with
    nothing new and with 20,000 new files; the code server's definitions are imported

The look at files is left out: only the 500 have any (the backfill's batch looks at theirs). With
`--short` there are none, and the 500 are copies. On PostgreSQL are the catalog and Dagster's
storage, and the server's CPU stands beside.

    .venv/bin/python benchmarks/many.py [--slides 100000] [--postgresql] [--short]
        [--folder /dev/shm]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from catalog import COMMAND, NO_DISK, run_command
from events import RECIPE, describe_machine, home_of, write_slides
from inbox import TICKS
from thousand import on_database, tree_cpu_s

if TYPE_CHECKING:
    import psutil

N_REAL = 500
N_NEW = 20_000
OPENED = """
import sys, uuid
import dagster as dg
from pathassets.defs.build import build_definitions
from pathassets.defs.instance import open_instance
from pathassets.engine.platform.platform import open_platform
from pathassets.engine.settings import read_settings
settings = read_settings()
with open_platform(settings) as platform, open_instance(settings) as instance:
    definitions = build_definitions(platform.recipe)
"""
BATCH = (
    OPENED
    + """
    from pathassets.defs.jobs import PROCESS_SLIDES
    from pathassets.defs.launch import QUIET
    from pathassets.defs.partitions import range_tags, slide_order
    chosen = slide_order(instance)[-N_REAL:]
    done = definitions.resolve_job_def(PROCESS_SLIDES).execute_in_process(
        instance=instance, run_id=str(uuid.uuid4()), tags=range_tags(chosen), run_config=QUIET)
    print(done.success, instance.get_run_stats(done.run_id).materializations, "materializations")
"""
)
CURRENT = (
    NO_DISK
    + OPENED
    + """
    done = definitions.resolve_job_def("make_current").execute_in_process(
        instance=instance, run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}})
    print(done.success)
"""
)


def fill(folder: Path, n_slides: int) -> str:
    """Make the cohort in a process of its own, so that this one stays small."""
    script = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import catalog"
    script += "; sys.exit(catalog.main())"
    return run_command(script, ["--fill", str(folder), "--slides", str(n_slides)])


def ids_of(files: list[Path]) -> list[str]:
    """Ids of the slides that files were registered as."""
    from pathassets.engine.platform.platform import open_platform  # noqa: PLC0415 - of the home
    from pathassets.engine.settings import read_settings  # noqa: PLC0415

    names = {path.stem for path in files}
    with open_platform(read_settings()) as platform:
        pages = platform.catalog.slide_pages()
        return [one for page in pages for one in page if one.rpartition("-")[0] in names]


def tell(servers: list[psutil.Process], what: str, script: str, *arguments: str) -> None:
    """Run and print a line."""
    before_s = sum(map(tree_cpu_s, servers))
    said = run_command(script, [*arguments])
    server = f"{sum(map(tree_cpu_s, servers)) - before_s:6.2f} of its server" if servers else ""
    print(f"{what:36} {said}  {server}", flush=True)


def measure(folder: Path, servers: list[psutil.Process], *, is_short: bool) -> None:
    """Measure on the home that is set."""
    home = Path(os.environ["PATHASSETS_HOME"])
    (home / "recipe.yaml").write_text(RECIPE)
    os.environ["PATHASSETS_WORKERS"] = "1"
    *real, last = write_slides(folder / "real", N_REAL + 3)[1:]
    first = last.rename(last.with_name("a.svs"))
    tell(servers, "status, first (plans all)", NO_DISK + COMMAND, "status", "--no-look")
    tell(servers, "ingest of one", COMMAND, "ingest", str(real[-1]))
    tell(servers, "the same, of a name before all", COMMAND, "ingest", str(first))
    if is_short:
        own = sorted(path.stem for path in (home / "inbox").glob("copy*"))[:N_REAL]
    else:
        tell(servers, f"ingest of {N_REAL}", COMMAND, "ingest", *map(str, real[:-1]))
        by_name = ",".join(path.stem for path in real[:-1])
        tell(servers, f"run of {N_REAL}, new", COMMAND, "run", "--slides", by_name)
        own = ids_of(real[:-1])
        tell(servers, "the same by name, nothing to do", COMMAND, "run", "--slides", by_name)
    for again in ("", ", again"):
        what = f"run of {N_REAL}, nothing to do{again}"
        tell(servers, what, NO_DISK + COMMAND, "run", "--slides", ",".join(own))
    tell(servers, "run of one, nothing to do", NO_DISK + COMMAND, "run", "--slides", own[0])
    if not is_short:
        batch = BATCH.replace("N_REAL", str(N_REAL))
        tell(servers, f"backfill's batch of {N_REAL}, all made", batch)
        tell(servers, "make_current, nothing to do", CURRENT)
    tell(servers, "code server's definitions", "import pathassets.definitions")
    tell(servers, "status", COMMAND, "status", "--no-look")
    os.environ["PATHASSETS_INBOX_STABLE_S"] = "0.001"
    ticks = TICKS.replace("NEW", str(N_NEW))
    subprocess.run([sys.executable, "-c", ticks], check=True)  # noqa: S603 - our own


def main() -> int:
    """Fill a home, measure, tidy up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slides", type=int, default=100_000)
    parser.add_argument("--postgresql", action="store_true", help="SQLite without it")
    parser.add_argument("--folder", type=Path, help="where the home is made")
    parser.add_argument("--short", action="store_true", help="without real slides and batches")
    parser.add_argument("--filled", type=Path, help="folder with a home that is filled; it stays")
    args = parser.parse_args()
    print(describe_machine(), flush=True)
    folder = args.filled or Path(tempfile.mkdtemp(prefix="pathassets-many-", dir=args.folder))
    try:
        with (
            home_of(folder / "home"),
            on_database(folder, is_postgresql=args.postgresql) as servers,
        ):
            if args.filled is None:
                print(f"{'filled':36} {fill(folder, args.slides)}", flush=True)
            measure(folder, servers, is_short=args.short)
    finally:
        if args.filled is None:
            shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
