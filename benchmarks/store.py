"""What it costs to look at the store: `run` with nothing to do, and `status`, of 10,000 slides.

One trivial slide is registered and run for real, three artifacts of it. Its rows in the catalog,
its events in Dagster and its folders in the store are then copied for all others, each with its own
slide id, SHA-256 and digests, so that the cohort is what 10,000 runs would have left.

Each command is a process of its own, imports and all, run once to warm up and then several times;
with `--against FOLDER`, in turn with those of another checkout, on the same home.

    .venv/bin/python benchmarks/store.py [--slides 10000] [--times 3] [--against FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from events import describe_machine, home_of, register, run_through_dagster, write_slides

COMMAND = "from pathassets.cli import main; main()"
SHARE_S = 0.0005
"""How long a network share takes to answer a look, in the simulation of one."""


def slide_ids(n_slides: int) -> list[str]:
    """Slide ids of the copies."""
    return [f"copy{i:06}-{sha256(i)[:10]}" for i in range(1, n_slides)]


def sha256(number: int) -> str:
    """SHA-256 that a copy's file has by its record."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def copy_cohort(home: Path, n_slides: int) -> None:
    """Make the one slide of a home many."""
    from pathassets.engine.platform.plan import PlannedSlide, plan_slides  # noqa: PLC0415 - seconds
    from pathassets.engine.platform.platform import Platform, open_platform  # noqa: PLC0415
    from pathassets.engine.settings import read_settings  # noqa: PLC0415

    catalog = home / "store" / "catalog.sqlite"
    with closing(sqlite3.connect(catalog)) as connection, connection:
        _copy_slides(connection, n_slides)
    platform: Platform
    with open_platform(read_settings()) as platform:
        first, *others = sorted(plan_slides(platform), key=lambda p: p.slide_id.startswith("copy"))
    with closing(sqlite3.connect(catalog)) as connection, connection:
        for table in ("artifact", "artifact_parent", "attempt"):
            _copy_rows(connection, table, first, others)
        connection.execute(
            "INSERT OR REPLACE INTO latest_attempt SELECT partition_key, stage, name, max(id) "
            "FROM attempt GROUP BY partition_key, stage, name"
        )
    _copy_folders(home / "store", first, others)
    with closing(sqlite3.connect(home / ".dagster" / "history" / "runs" / "index.db")) as index:
        _copy_events(index, first, others)
    planned: list[PlannedSlide] = [first, *others]
    print(f"  {len(planned)} slides, {3 * len(planned)} artifacts", flush=True)


def _copy_slides(connection: sqlite3.Connection, n_slides: int) -> None:
    for table in ("slide", "slide_path"):
        names, [row] = _rows(connection, table)
        copies = []
        for number, slide_id in enumerate(slide_ids(n_slides), 1):
            changed = {"slide_id": slide_id, "fingerprint": sha256(number), "thumbnail": None}
            changed["path"] = f"/nowhere/{slide_id}.svs"
            copies.append([changed.get(n, v) for n, v in zip(names, row, strict=True)])
        _insert(connection, table, names, copies)


def _copy_rows(
    connection: sqlite3.Connection, table: str, first: Any, others: Iterable[Any]
) -> None:
    """Copy a table's rows of one slide, with the ids and digests of others in their place."""
    names, rows = _rows(connection, table)
    keep = [i for i, name in enumerate(names) if name != "id"]
    copies = [
        [_renamed(row[i], new) for i in keep]
        for new in _renamings(first, others)
        for row in rows
    ]  # fmt: skip
    _insert(connection, table, [names[i] for i in keep], copies)


def _renamings(first: Any, others: Iterable[Any]) -> Iterator[dict[str, str]]:
    """For each slide what stands in place of the first one's id and digests."""
    for other in others:
        new = {first.slide_id: other.slide_id, first.version: other.version}
        for key, step in first.steps.items():
            new[step.address.digest] = other.steps[key].address.digest
        yield new


def _renamed(value: Any, new: dict[str, str]) -> Any:
    if isinstance(value, str):
        for old, name in new.items():
            value = value.replace(old, name)
    return value


def _copy_folders(store: Path, first: Any, others: Iterable[Any]) -> None:
    for other in others:
        for key, step in first.steps.items():
            here, there = step.address, other.steps[key].address
            target = store / str(there)
            shutil.copytree(store / str(here), target)
            manifest = target / "artifact.json"
            text = manifest.read_text()
            [new] = _renamings(first, [other])
            manifest.write_text(_renamed(text, new))


def _copy_events(index: sqlite3.Connection, first: Any, others: list[Any]) -> None:
    """Copy the newest event of each kind and asset; without pictures, as many would fill a disk."""
    names, rows = _rows(index, "event_logs", f"partition = '{first.slide_id}'")
    tag_names, tags = _rows(index, "asset_event_tags")
    [next_id] = index.execute("SELECT max(id) + 1 FROM event_logs").fetchone()
    events, event_tags = [], []
    for new in _renamings(first, others):
        for row in rows:
            found = dict(zip(names, row, strict=True))
            told = [tag for tag in tags if tag[tag_names.index("event_id")] == found["id"]]
            found["id"], next_id = next_id, next_id + 1
            events.append([_renamed(value, new) for value in found.values()])
            for tag in told:
                changed = dict(zip(tag_names, tag, strict=True)) | {"event_id": found["id"]}
                event_tags.append([_renamed(changed[n], new) for n in tag_names if n != "id"])
        if len(events) > 5000:  # noqa: PLR2004 - pictures are in them
            _insert(index, "event_logs", names, events)
            events.clear()
    _insert(index, "event_logs", names, events)
    _insert(index, "asset_event_tags", [n for n in tag_names if n != "id"], event_tags)
    partitions = [("slides", other.slide_id) for other in others]
    _insert(index, "dynamic_partitions", ["partitions_def_name", "partition"], partitions)
    index.execute("UPDATE asset_keys SET cached_status_data = NULL")
    index.commit()


def _rows(
    connection: sqlite3.Connection, table: str, where: str = "1"
) -> tuple[list[str], list[tuple[Any, ...]]]:
    found = connection.execute(f"SELECT * FROM {table} WHERE {where}")  # noqa: S608 - our own words
    return [column[0] for column in found.description], found.fetchall()


def _insert(
    connection: sqlite3.Connection, table: str, names: list[str], rows: Iterable[Iterable[Any]]
) -> None:
    columns = ", ".join(f'"{name}"' for name in names)
    values = ", ".join("?" for _ in names)
    connection.executemany(
        f"INSERT INTO {table} ({columns}) VALUES ({values})",  # noqa: S608 - our own words
        [tuple(row) for row in rows],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """One command, or one look."""

    cpu_s: float
    wall_s: float
    said: str = ""

    def __str__(self) -> str:
        return f"{self.cpu_s:6.2f} CPU-s {self.wall_s:6.1f} s  {self.said}"


def time_command(arguments: list[str], checkout: Path | None) -> Took:
    """Run `pathassets`, as one checkout has it, in a process of its own."""
    environment = os.environ | {"COLUMNS": "200"}  # Python imports what is in its folder
    before, started_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", COMMAND, *arguments],
        capture_output=True, text=True, check=False, env=environment, cwd=checkout,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{arguments}: {done.stdout[-500:]}{done.stderr[-2000:]}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(cpu_s=cpu_s, wall_s=time.perf_counter() - started_s, said=" ".join(arguments))


def time_looks() -> None:
    """The look alone, with one thread and with several, on this disk and on a slow share."""
    from pathassets.adapters.store import damage  # noqa: PLC0415 - seconds
    from pathassets.engine.platform.platform import open_platform  # noqa: PLC0415
    from pathassets.engine.settings import read_settings  # noqa: PLC0415

    with open_platform(read_settings()) as platform:
        expected = [(r.address, r.files) for r in platform.catalog.artifacts()]
        n_files = sum(1 + len(files) for _, files in expected)
        print(f"\nthe look alone: {len(expected)} artifacts, {n_files} files")

        def slow(address: Any, files: Any) -> Any:
            time.sleep(SHARE_S * (2 + len(files)))
            return platform.store.check_sizes(address, files)

        for n_threads in (1, 2, 8):
            took = _time(
                damage.look_over_side_by_side(
                    platform.store.check_sizes, expected, n_threads=n_threads
                )
            )
            per_us = 1e6 * took.cpu_s / len(expected)
            print(f"  {n_threads} threads: {took}, {per_us:.0f} us an artifact")
        some = expected[:2000]
        for n_threads in (1, 8):
            took = _time(damage.look_over_side_by_side(slow, some, n_threads=n_threads, n_batch=20))
            print(
                f"  a share that answers in {SHARE_S * 1e3} ms, 2000, {n_threads} threads: {took}"
            )
        took = _time(platform.store.find_damaged_bytes(some, n_threads=2))
        print(f"  every byte of 2000, 2 threads: {took}")


def _time(found: Iterable[Any]) -> Took:
    cpu_s, started_s = time.process_time(), time.perf_counter()
    said = list(found)
    took = Took(cpu_s=time.process_time() - cpu_s, wall_s=time.perf_counter() - started_s)
    return replace(took, said=f"{len(said)} damaged")


def main() -> int:
    """Fill a home, time the commands, tidy up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slides", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--against", type=Path, help="another checkout, with the same catalog")
    args = parser.parse_args()
    print(describe_machine(), flush=True)
    folder = Path(tempfile.mkdtemp(prefix="pathassets-store-"))
    try:
        paths = write_slides(folder / "slides", 1)
        with home_of(folder / "home"):
            register(paths)
            run_through_dagster()
            copy_cohort(folder / "home", args.slides)
            for arguments in (["run"], ["status", "--json"]):
                time_command(arguments, None)
                for _ in range(args.times):
                    for checkout in filter(None, (args.against, Path.cwd())):
                        print(f"{checkout}: {time_command(arguments, checkout)}", flush=True)
            time_looks()
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
