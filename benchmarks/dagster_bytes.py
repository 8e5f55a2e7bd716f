"""What of Dagster's own state one slide is: bytes by database, by kind of event, by metadata.

Slides of 1024 x 768 px with a mask, a grid and features are registered and run in one batch; then
the databases below `.dagster` are read. On SQLite an event of an asset is there twice: in the file
of its run, which the run's page reads, and in `index.db`, which the asset's pages read.

    .venv/bin/python benchmarks/dagster_bytes.py [--slides 60]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from events import describe_machine, home_of, register, run_through_dagster

sys.path.insert(0, str(Path(__file__).parent.parent))  # for the tests' slides

N_SHOWN = 12


def make_home(folder: Path, n_slides: int) -> None:
    """Register and run slides."""
    from tests.defs.small_slides import RECIPE, write_slide  # noqa: PLC0415 - with the package

    (folder / "home" / "recipe.yaml").write_text(RECIPE)
    slides = folder / "slides"
    slides.mkdir()
    register([write_slide(slides / f"s{n:04}.svs", n) for n in range(n_slides)])
    run_through_dagster()


def event_texts(database: Path) -> Iterator[tuple[str, str]]:
    """Kind and text of each event of a database."""
    with closing(sqlite3.connect(database)) as connection:
        for kind, text in connection.execute("SELECT dagster_event_type, event FROM event_logs"):
            yield kind or "log line", text


def table_bytes(database: Path) -> Iterator[tuple[str, int]]:
    """Bytes of each table and index, by its pages."""
    query = "SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC"
    with closing(sqlite3.connect(database)) as connection:
        yield from connection.execute(query)


def metadata_bytes(value: Any) -> Iterator[tuple[str, int]]:
    """Name and bytes of the metadata of an event, wherever they stand in it."""
    if isinstance(value, list):
        for one in value:
            yield from metadata_bytes(one)
        return
    if not isinstance(value, dict):
        return
    for name, one in value.items():
        if name in {"metadata", "metadata_entries", "tags"}:
            yield from _entries(name, one)
        else:
            yield from metadata_bytes(one)


def _entries(name: str, entries: Any) -> Iterator[tuple[str, int]]:
    if isinstance(entries, list):
        yield from ((one.get("label", name), len(json.dumps(one))) for one in entries)
    elif isinstance(entries, dict) and name != "tags":
        yield from ((label, len(json.dumps(one))) for label, one in entries.items())
    else:
        yield name, len(json.dumps(entries))


def report(state: Path, n_slides: int) -> None:
    """Print bytes a slide."""
    files = {path: path.stat().st_size for path in state.rglob("*") if path.is_file()}
    print(f"{sum(files.values()) / n_slides / 1e3:.1f} KB a slide in {len(files)} files")
    index_db = state / "history" / "runs" / "index.db"
    runs = [p for p in files if p.parent == index_db.parent and p.suffix == ".db" and p != index_db]
    for name, databases in (("index.db", [index_db]), ("the runs' files", runs)):
        print(f"  {name}: {sum(map(files.get, databases)) / n_slides / 1e3:.1f} KB a slide")  # type: ignore[arg-type]
        tables: Counter[str] = Counter()
        for one in databases:
            tables.update(dict(table_bytes(one)))
        _print_most(tables, n_slides)
    kinds: Counter[str] = Counter()
    metadata: Counter[str] = Counter()
    for kind, text in event_texts(index_db):
        kinds[kind] += len(text)
        metadata.update(dict(metadata_bytes(json.loads(text))))
    print("  text of the events of index.db")
    _print_most(kinds, n_slides)
    print("  of it metadata and tags")
    _print_most(metadata, n_slides)


def _print_most(sizes: Counter[str], n_slides: int) -> None:
    for name, n_bytes in sizes.most_common(N_SHOWN):
        print(f"    {name:40} {n_bytes / n_slides / 1e3:8.2f} KB a slide")


def main() -> int:
    """Make, look, tidy up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slides", type=int, default=60)
    args = parser.parse_args()
    print(describe_machine(), flush=True)
    folder = Path(tempfile.mkdtemp(prefix="pathassets-bytes-"))
    try:
        with home_of(folder / "home"):
            make_home(folder, args.slides)
            os.sync()
            report(folder / "home" / ".dagster", args.slides)
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
