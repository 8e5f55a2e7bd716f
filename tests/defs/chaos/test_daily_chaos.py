"""A day on which somebody dies ends as one on which nobody does.

One round is one day of a lab and one victim: a process of `pathassets ui` or of a run, PostgreSQL,
or the room on the disk. The moment is drawn by the number of the round. `pathassets ui` is started
again where it ends, as systemd does by `Restart=on-failure`; what is then not as on a day whose
acts are commands one after the other is left to one `pathassets run`. On the hard day all of them
die, one after the other.

`PATHASSETS_CHAOS_ROUNDS=20` says how many rounds, or `7,12` which ones; else it is one, in which
PostgreSQL dies, and no hard day. What became of each stands in `days.txt` beside the labs.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import killable_postgres
from tests.chaos import left_behind, wait_until
from tests.defs.chaos.day import Day
from tests.defs.chaos.ending import ending_of
from tests.defs.chaos.lab import GONE, Lab, Service, write_cohort
from tests.defs.chaos.victims import KINDS, PASSING, SERVER, Strike
from tests.killable_postgres import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

DISK_MB = 48
HEAL_S = 120.0
"""How long it may take until what heals by itself has healed, once nothing is under way: a look
for dead runs each 30 s, then one of Dagster's daemon for runs to be started again."""
DAY_S = 60.0
"""How long an undisturbed day takes on two idle cores. What is there now and then dies in its first
half, or as soon as there is one after that."""
GONE_S = 60.0


def rounds() -> list[int]:
    said = os.environ.get("PATHASSETS_CHAOS_ROUNDS", "1,")
    return [int(one) for one in said.split(",") if one] if "," in said else [*range(int(said))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chaos")


@pytest.fixture(scope="module")
def recipe(folder: Path) -> Path:
    return write_cohort(folder)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with killable_postgres.serving() as server:
        yield server


@dataclass(frozen=True)
class Reference:
    """What a day ends with whose acts were commands one after the other, without a page."""

    morning: Lab
    """Before it."""
    ending: Mapping[str, Any]


def by_commands(morning: Lab) -> Reference:
    morning.make()
    lab = morning.copied(morning.path.with_name(f"{morning.path.name}-by-commands"))
    day = Day(lab, Service(lab))
    day.arrive()
    day.type("ingest", lab.inbox)
    day.state()
    assert lab.type("run").returncode  # two slides cannot be made
    assert day.refused == []
    assert_nothing_left(lab)
    return Reference(morning, ending_of(lab))


@pytest.fixture(scope="module")
def on_sqlite(folder: Path, recipe: Path) -> Reference:
    return by_commands(Lab(folder / "sqlite", recipe, folder / "slides"))


@pytest.fixture(scope="module")
def on_postgres(folder: Path, recipe: Path, server: Server) -> Reference:
    return by_commands(Lab(folder / "postgres", recipe, folder / "slides", server))


@contextmanager
def serving(lab: Lab) -> Iterator[Day]:
    """Have the page of a lab served; ended in the end."""
    service = Service(lab)
    service.start()
    try:
        yield Day(lab, service)
    finally:
        service.end()


@contextmanager
def small_disk(lab: Lab) -> Iterator[None]:
    """Put the store of a lab onto a disk of its own, that can be filled up."""
    aside = lab.path / "aside"
    lab.store.rename(aside)
    lab.store.mkdir(mode=0o700)
    options = f"size={DISK_MB}m,mode=0700"
    mounted = subprocess.run(  # noqa: S603
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(lab.store)],  # noqa: S607
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        shutil.copytree(aside, lab.store, dirs_exist_ok=True)
        shutil.rmtree(aside)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(lab.store)], check=True)  # noqa: S603, S607


def assert_nothing_left(lab: Lab) -> None:
    wait_until(lambda: lab.processes() == [], limit_s=GONE_S, what=f"{lab.processes()} end")
    assert left_behind(lab) == []


def test_the_day_has_good_slides_and_bad_ones(on_sqlite: Reference) -> None:
    dagster = on_sqlite.ending["dagster"]
    hashes = on_sqlite.ending["bytes of what is green"].values()
    assert [one for one in hashes if not re.fullmatch("[0-9a-f]{64}", one)] == []
    assert dagster["unfinished runs"] == []
    assert [len(a["red"]) for a in dagster["assets"].values()] == [0, 2, 2, 2]
    assert [len(a["green"]) for a in dagster["assets"].values()] == [12, 10, 10, 10]


@pytest.mark.parametrize("number", rounds())
def test_a_day_on_which_somebody_dies_ends_as_any_other(
    number: int, request: pytest.FixtureRequest, folder: Path
) -> None:
    kind = KINDS[number % len(KINDS)]
    draw = random.Random(number)  # noqa: S311 - not for secrets
    on_server = kind in SERVER or draw.random() < 1 / 3
    reference: Reference = request.getfixturevalue("on_postgres" if on_server else "on_sqlite")
    live_through(reference, folder / f"round-{number}", [kind], draw)


@pytest.mark.skipif(
    "PATHASSETS_CHAOS_ROUNDS" not in os.environ,
    reason="takes minutes on idle cores: PATHASSETS_CHAOS_ROUNDS asks for it, too",
)
def test_a_day_on_which_one_dies_after_the_other_ends_as_any_other(
    on_sqlite: Reference, folder: Path
) -> None:
    kinds = [kind for kind in KINDS if kind not in SERVER]
    live_through(on_sqlite, folder / "hard-day", kinds, random.Random(0))  # noqa: S311 - likewise


def live_through(
    reference: Reference, path: Path, kinds: Sequence[str], draw: random.Random
) -> None:
    """Live through a day on which these die, and see that it ends as any other."""
    lab = reference.morning.copied(path)
    with ExitStack() as stack:
        if "disk" in kinds:
            stack.enter_context(small_disk(lab))
        day, strikes = stack.enter_context(struck(lab, kinds, draw))
        healed = heal(day, reference)
        day.service.stop()
        tell(day, strikes, healed)
        assert odd(ending_of(lab), reference.ending) == []
        assert_nothing_left(lab)
        assert {name for one in strikes for name in one.named if Path(name).exists()} == set()
        gone = ("slide_gone", lab.slide_id(GONE))
        # Whole, by who died before it was entered, and of what was stated anew since.
        strays = {*findings(lab, "--fix")} - {gone}
        assert {kind for kind, _ in strays} <= {"artifact_unrecorded"}
        assert findings(lab) == [gone]


@contextmanager
def struck(
    lab: Lab, kinds: Sequence[str], draw: random.Random
) -> Iterator[tuple[Day, list[Strike]]]:
    """A lab whose day is over, and who died on it; its page is still served."""
    strikes = [
        Strike(lab, kind, draw.uniform(0, DAY_S / 2 if kind in PASSING else DAY_S), draw.random())
        for kind in kinds
    ]
    with serving(lab) as day:
        with ExitStack() as stack:
            for strike in strikes:
                stack.enter_context(strike)
            day.live()
            for strike in strikes:
                strike.at_last()
        for strike in strikes:
            assert strike.error is None, strike.error
            assert strike.is_struck, f"no {strike.kind} after {strike.at_s:.1f} s"
        day.be_quiet()
        yield day, strikes


def findings(lab: Lab, *options: str) -> list[tuple[str, str]]:
    """What the doctor finds."""
    found = json.loads(lab.type("doctor", "--json", *options).stdout)
    return [(one["kind"], one["subject"]) for one in found]


def tell(day: Day, strikes: Sequence[Strike], healed: str) -> None:
    """Note what became of a day, for who looks at many."""
    lab = day.lab
    died = ", ".join(f"{one.kind} at {one.was_s:.1f} s" for one in strikes)
    said = (
        f"{lab.path.name}, {'SQLite' if lab.server is None else 'PostgreSQL'}: {died}; healed by "
        f"{healed}; ui started again {day.service.n_restarts} times\n"
    )
    with lab.path.with_name("days.txt").open("a") as told:
        told.writelines([said, *(f"    refused: {one}\n" for one in day.refused)])


def heal(day: Day, reference: Reference) -> str:
    """Wait until all is as on the undisturbed day, or type the one command; tells which."""
    until_s = time.monotonic() + HEAL_S
    while time.monotonic() < until_s:
        if not odd(ending_of(day.lab), reference.ending):
            return "itself"
        time.sleep(3)
        day.be_quiet()
    lacking = odd(ending_of(day.lab), reference.ending)
    done = day.lab.type("run")
    day.be_quiet()
    return f"`pathassets run` ({done.stdout.strip()}), before it: {lacking}"


def odd(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """What differs, part by part."""
    return [said for name in expected for said in _differing(found[name], expected[name], name)]


def _differing(found: Any, expected: Any, where: str) -> Iterator[str]:
    if isinstance(found, dict) and isinstance(expected, dict):
        for name in sorted(found.keys() | expected.keys(), key=str):
            yield from _differing(found.get(name), expected.get(name), f"{where}/{name}")
    elif found != expected:
        yield f"{where}: {found!r}, not {expected!r}"
