"""A slide whose removal was begun, and did not come to its end, is outside of all work."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pathassets.catalog.records import Verdict
from pathassets.core.selection.nodes import Field
from pathassets.defs.events.slide_events import said_unknown
from pathassets.engine.platform.platform import open_to_read
from pathassets.engine.settings import read_settings
from tests.upkeep.home import (
    artifacts,
    findings,
    ids,
    invoke,
    opened,
    output,
    status,
)

CONSENT = ("--who", "Ann", "--why", "consent withdrawn")


@pytest.fixture
def going(home: Path) -> str:
    """Slide a, after a `forget` that was killed once its artifacts were gone."""
    a, _ = ids(home)
    with opened(home) as catalog:
        catalog.begin_forgetting(a, who="Ann", why="consent withdrawn")
    for folder in (home / "store").glob(f"*/*/{a}"):
        shutil.rmtree(folder)
    return a


def ending(slide_id: str) -> str:
    return f"pathassets forget {slide_id} --who NAME --why … --from-releases"


def told(text: str) -> str:
    return " ".join(text.split())


def test_a_run_makes_nothing_of_it_and_says_once_how_its_removal_is_ended(
    home: Path, going: str
) -> None:
    (b,) = ids(home)
    said = told(output("run"))
    assert said.count(f"slide {going} is being taken out: its removal was begun on ") == 1
    assert f"End its removal: {ending(going)}" in said
    assert not [path for path in artifacts(home) if going in path]
    assert told(output("run")).startswith("nothing to do: 1 current slide")
    assert told(output("run", "--dry-run")).count(ending(going)) == 1
    assert ids(home) == [b]


def test_where_no_other_slide_is_left_that_is_said_too(home: Path, going: str) -> None:
    (b,) = ids(home)
    with opened(home) as catalog:
        catalog.begin_forgetting(b, who="Ann", why="consent withdrawn")
    for command in ("run", "status"):
        said = told(output(command))
        assert said.startswith("no slides yet")
        assert [said.count(ending(one)) for one in (going, b)] == [1, 1]


def test_status_has_no_row_of_it_and_says_once_how_its_removal_is_ended(
    home: Path, going: str
) -> None:
    (b,) = ids(home)
    found = status()
    assert [one["slide_id"] for one in found["slides"]] == [b]
    (line,) = found["removals_begun"]
    assert ending(going) in line
    assert told(output("status")).count(ending(going)) == 1


def test_the_doctor_offers_no_run_for_what_is_gone_of_it(home: Path, going: str) -> None:
    for file in (home / "scans").glob("a.*"):
        file.unlink()
    found = findings("--fix")
    assert [one["subject"] for one in found["slide_half_forgotten"]] == [going]
    assert not [kind for kind, some in found.items() if "pathassets run" in str(some)], found


def test_who_names_it_is_told_how_its_removal_is_ended(home: Path, going: str) -> None:
    path = home.parent / "nowhere"
    for asked in (
        ("run", "--slides", going),
        ("status", "--slides", going),
        ("mpp", "set", going, "0.5", *CONSENT),
        ("export", "trident", f"features/colour/{going}", path),
    ):
        result = invoke(*asked)
        assert result.exit_code == 2, result.output
        assert ending(going) in result.stderr, asked
    with open_to_read(read_settings()) as platform:
        assert ending(going) in said_unknown(platform, going)


@pytest.mark.usefixtures("going")
def test_no_list_to_work_on_has_it(home: Path) -> None:
    (b,) = ids(home)
    with opened(home) as catalog:
        catalog.set_verdict(Verdict(slide_id=b, verdict="review", who="Ann", why="look"))
        assert catalog.count_words(Field(name="patient"), None) == [("Roe", 1)]
        hashed = catalog.longest_unhashed(99, before=datetime.now(UTC) + timedelta(days=1))
        assert {one.partition_key for one, _ in hashed} == {b, "all"}
    queue = json.loads(output("qc", "queue", "--json"))
    assert [one["slide_id"] for one in queue] == [b]


@pytest.mark.usefixtures("going")
def test_of_two_slides_of_a_name_the_one_that_stays_is_meant(home: Path) -> None:
    (b,) = ids(home)
    (home / "elsewhere").mkdir()
    shutil.copy(home / "scans" / "b.svs", home / "elsewhere" / "a.svs")
    output("ingest", home / "elsewhere")
    assert output("qc", "set", "a.svs", "accept", *CONSENT).startswith(b)


def test_a_table_that_names_it_is_told_that_its_removal_is_not_ended(
    home: Path, going: str
) -> None:
    (home / "qc.csv").write_text(f"slide,verdict,why\n{going},accept,x\n")
    said = told(invoke("qc", "import", home / "qc.csv", *CONSENT[:2]).output)
    assert "was to be taken out, which was begun on " in said


def test_the_next_version_of_a_dataset_is_without_it(home: Path, going: str) -> None:
    def withdrawn() -> list[str]:
        return [
            one["slide_id"]
            for one in json.loads(output("dataset", "show", "cohort", "--json"))["withdrawn"]
        ]

    assert withdrawn() == [going]
    output("run")
    assert withdrawn() == []
    folder = home.parent / "theirs"
    assert "1 written" in output("export", "trident", "features/colour", folder)


def test_its_file_is_not_taken_in_meanwhile(home: Path, going: str, tmp_path: Path) -> None:
    with opened(home) as catalog:
        (file,) = (Path(one.path) for one in catalog.paths(going))
    said = told(output("ingest", file, code=1))
    assert f"its slide {going} is being taken out" in said
    assert ending(going) in said
    copy = Path(shutil.copy(file, tmp_path / "copy.svs"))
    assert "its slide was taken out on " in output("ingest", copy, code=1)
    assert len(ids(home)) == 1


def test_the_same_command_ends_its_removal(home: Path, going: str) -> None:
    (b,) = ids(home)
    output("run")
    said = output("forget", going, *CONSENT, "--from-releases")
    assert said.startswith(f"{going}: taken out; ")
    assert findings() == {}
    assert ids(home) == [b]
    assert status()["removals_begun"] == []
    assert "was taken out on " in invoke("status", "--slides", going).stderr
    with opened(home) as catalog:
        assert catalog.begun_removals() == {}


def test_it_is_a_slide_again_once_the_row_that_keeps_it_out_is_deleted(
    home: Path, going: str
) -> None:
    with closing(sqlite3.connect(home / "store" / "catalog.sqlite")) as database:
        database.execute("DELETE FROM forgotten_slide")
        database.commit()
    assert going in ids(home)
    assert "slide_half_forgotten" not in findings()
    output("run")
    assert [path for path in artifacts(home) if going in path]
