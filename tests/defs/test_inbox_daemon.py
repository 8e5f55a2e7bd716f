"""300 files arrive in two inboxes, good and bad, and the machine dies while they are registered."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bounded_slides import write_mrxs
from tests.defs.daemon import Daemon, pathassets, running, wait_for
from tests.defs.small_slides import RECIPE, write_slide

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STABLE_S = 4
N_PLAIN = 276
N_COPIES = 10
N_SLOW = 5
BY_SENSOR = {"key": "dagster/sensor_name", "value": "inbox"}


@dataclass(frozen=True)
class Arrivals:
    """Two folders, what of them is to become slides, and what is to be refused."""

    home: Path
    first: Path
    second: Path

    @property
    def growing(self) -> Path:
        return self.first / "growing.svs"

    @property
    def mrxs(self) -> Path:
        return self.second / "set.mrxs"

    @property
    def last_part(self) -> Path:
        return self.second / "set" / "Data0000.dat"

    @property
    def settings(self) -> dict[str, str]:
        return {
            "PATHASSETS_INBOX": f"{self.first}:{self.second}",
            "PATHASSETS_INBOX_STABLE_S": str(STABLE_S),
        }

    @property
    def stems(self) -> Counter[str]:
        """Names of the slides that there are to be, and of how many contents each."""
        plain = [f"p{number:03}" for number in range(N_PLAIN)]
        slow = [f"slow{number}" for number in range(N_SLOW)]
        return Counter([*plain, *slow, "same", "same", "growing", "set"])


REFUSED = {
    "cut.svs": "truncated",
    "page.svs": "html_page",
    "pipe.svs": "not_a_file",
    "\\xff.svs": "bad_name",
    "log.csv": "table_refused",
}
"""Beside them lie an empty file, which waits, and one with a name of a copy under way."""


def arrive(arrivals: Arrivals, base: bytes) -> None:
    """Put there what needs no time."""
    first, second = arrivals.first, arrivals.second
    (first / "2026" / "05").mkdir(parents=True)
    second.mkdir()
    (first / "2026" / "back").symlink_to(first)
    folders = [first, first / "2026" / "05", second]
    for number in range(N_PLAIN):
        (folders[number % 3] / f"p{number:03}.svs").write_bytes(base + b"%d" % number)
    for number in range(N_COPIES):
        (second / f"z{number}.svs").write_bytes(base + b"%d" % number)  # the last in order
    for folder in folders[:2]:
        (folder / "same.svs").write_bytes(base + bytes(folder))
    (first / "cut.svs").write_bytes(base[:90_000])
    (first / "page.svs").write_text("<!DOCTYPE html><title>Log in</title>")
    (first / "empty.svs").touch()
    (first / "halfway.svs.part").write_bytes(base)
    os.mkfifo(first / "pipe.svs")
    Path(os.fsdecode(bytes(first) + b"/\xff.svs")).write_bytes(base)
    (second / "log.csv").write_text("time,what\n1,started\n")
    names = [*(f"p{number:03}.svs" for number in range(N_PLAIN)), "growing.svs", "set.mrxs"]
    lines = [f"{name},P{place // 2},{'ab'[place % 2]}\n" for place, name in enumerate(names)]
    (second / "cohort.csv").write_text("file,patient,label\n" + "".join(lines))
    scan = np.full((256 * 2, 256 * 2, 3), (150, 60, 120), np.uint8)
    write_mrxs(arrivals.mrxs, scan, (8, 8), (2, 2))
    arrivals.last_part.rename(arrivals.home / "later")


def write_slowly(folder: Path, growing: Path, base: bytes, stop: threading.Event) -> None:
    """Write some files for a while, and let one grow until it is stopped; it is whole then."""
    step = len(base) // (2 * STABLE_S)
    for start in range(0, len(base), step):
        for number in range(N_SLOW):
            with (folder / f"slow{number}.svs").open("ab") as file:
                file.write(base[start : start + step])
                if start + step >= len(base):
                    file.write(b"slow%d" % number)
        growing.write_bytes(base[:start])
        time.sleep(1)
    while not stop.wait(1):
        with growing.open("ab") as file:
            file.write(b"x")
    growing.write_bytes(base + b"growing")


@pytest.fixture
def arrivals(tmp_path: Path) -> Arrivals:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    arrivals = Arrivals(tmp_path, tmp_path / "scanner-1", tmp_path / "scanner-2")
    arrivals.first.mkdir()
    return arrivals


def rows(home: Path, query: str) -> list[Any]:
    """Ask the catalog's file itself, for the command takes seconds."""
    file = home / "store" / "catalog.sqlite"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def n_rows(home: Path, table: str) -> int:
    return int(rows(home, f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608 - our own words


@pytest.fixture
def writing(arrivals: Arrivals, tmp_path: Path) -> Iterator[threading.Event]:
    """Everything arrives, and one file grows until the event is set."""
    base = write_slide(tmp_path / "base.svs", 1).read_bytes()
    arrive(arrivals, base)
    stop = threading.Event()
    thread = threading.Thread(
        target=write_slowly, args=(arrivals.first, arrivals.growing, base, stop)
    )
    thread.start()
    yield stop
    stop.set()
    thread.join()


def ingestions(daemon: Daemon) -> list[str]:
    """States of the runs that register, newest first."""
    return [one["status"] for one in daemon.runs(BY_SENSOR) if one["jobName"] == "ingest_files"]


def quarantined(daemon: Daemon) -> dict[str, str]:
    """File -> reason, as the asset of that name shows it."""
    found = daemon.ask(
        """{ assetNodeOrError(assetKey: {path: ["quarantine"]}) { ... on AssetNode {
             assetMaterializations(limit: 1) { metadataEntries {
               ... on TableMetadataEntry { table { records } } } } } } }"""
    )
    (made,) = found["assetMaterializations"]
    (table,) = (one["table"] for one in made["metadataEntries"] if "table" in one)
    records = [json.loads(record) for record in table["records"]]
    return {Path(one["file"]).name: one["reason"] for one in records}


def test_an_inbox_of_300_files_becomes_features_once_each_though_the_machine_dies(
    arrivals: Arrivals, writing: threading.Event, tmp_path: Path
) -> None:
    home = arrivals.home
    with running(home, tmp_path / "first.log", **arrivals.settings) as daemon:
        daemon.start_sensor("inbox")
        wait_for(lambda: n_rows(home, "slide") > N_PLAIN // 4, "some slides", within_s=240)
        daemon.kill()
    assert n_rows(home, "slide") < sum(arrivals.stems.values()) - 2  # it was amid its work
    assert n_rows(home, "taken_table") == 0

    with running(home, tmp_path / "second.log", **arrivals.settings) as daemon:
        wait_for(lambda: "SUCCESS" in ingestions(daemon), "a whole ingest run", within_s=240)
        waiting = json.loads(pathassets(home, "inbox", "--json", **arrivals.settings).stdout)
        why = {Path(one["path"]).name: one["why"] for one in waiting["waiting"]}
        assert why["set.mrxs"] == "1 of 2 files are not there yet, such as Data0000.dat"
        assert why["growing.svs"].startswith("unchanged for ")
        assert why["empty.svs"] == "it is empty so far"
        writing.set()
        (home / "later").rename(arrivals.last_part)

        n_slides = sum(arrivals.stems.values())
        made = "attempt WHERE stage = 'features' AND state = 'made'"
        wait_for(lambda: n_rows(home, made) >= n_slides, "all features", within_s=400)
        wait_for(
            lambda: {one["status"] for one in daemon.runs(BY_SENSOR)} <= {"SUCCESS", "FAILURE"},
            "the end of the runs", within_s=120,
        )  # fmt: skip
        time.sleep(20)  # two ticks more
        assert ingestions(daemon) == ["SUCCESS", "SUCCESS", "FAILURE"]
        assert len(daemon.runs(BY_SENSOR)) == 3 + 2
        assert Counter(one.rpartition("-")[0] for one in daemon.partitions()) == arrivals.stems
        assert quarantined(daemon) == REFUSED
        green = daemon.health()["features/colour"]

    assert green == (n_slides, [])
    once = rows(home, f"SELECT count(*), count(DISTINCT partition_key) FROM {made}")  # noqa: S608
    assert once == [(n_slides, n_slides)]
    assert n_rows(home, "inbox_file") == 1  # the empty one
    said = rows(home, "SELECT slide_id, patient, label FROM slide WHERE patient IS NOT NULL")
    assert len(said) == N_PLAIN + 2
    patients = {slide_id.rpartition("-")[0]: patient for slide_id, patient, _ in said}
    assert (patients["p000"], patients["set"]) == ("P0", f"P{(N_PLAIN + 1) // 2}")
    assert rows(home, "SELECT count(*) FROM slide_path") == [(n_slides + N_COPIES,)]
