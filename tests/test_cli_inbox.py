"""What `pathassets inbox` and `ingest --watch` say and do, from a terminal."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from pathassets.cli import main
from pathassets.cli.daily import inbox as watching
from tests.defs.dagster_state import copy_state
from tests.defs.small_slides import RECIPE, write_slide
from tests.engine.workers_here import workers_here

pytestmark = pytest.mark.usefixtures("cheap_databases")


@dataclass
class Rounds:
    """Clocks of a watch that ends by SIGTERM after some looks; `at` says what happens after one."""

    n_rounds: int
    now_s: float = 1_000.0
    slept_s: list[float] = field(default_factory=list)

    def time(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds
        if len(self.slept_s) == self.n_rounds:
            signal.raise_signal(signal.SIGTERM)


@dataclass(kw_only=True)
class Removing(Rounds):
    """The same, and after its first look a file is removed."""

    file: Path

    def sleep(self, seconds: float) -> None:
        self.file.unlink(missing_ok=True)
        super().sleep(seconds)


@dataclass(kw_only=True)
class Arriving(Rounds):
    """The same, after some looks of which something comes."""

    at: dict[int, tuple[str, str, int]]
    arrive: Callable[[str, str, int], None]

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if (what := self.at.get(len(self.slept_s))) is not None:
            self.arrive(*what)


class Finalized:
    """Something on whose end a signal comes, where Python raises nothing."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


class LostSignal(Rounds):
    """The same, whose signal is heard by its handler alone."""

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        Finalized()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dagster_state: Path) -> Iterator[Path]:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    monkeypatch.setenv("PATHASSETS_INBOX", f"{tmp_path / 'one'}:{tmp_path / 'two'}")
    monkeypatch.setenv("COLUMNS", "300")
    copy_state(dagster_state, tmp_path)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with workers_here():
        yield tmp_path


def output(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_what_arrives_is_told_taken_run_and_told_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = write_slide(home / "one" / "a.svs", 1)
    bad = home / "two" / "b\x1b[31m.svs"
    bad.write_bytes(slide.read_bytes()[:9000])
    (home / "one" / "t.csv").write_text("file,patient\na.svs,P1\nlater.svs,P2\n")

    said = output("inbox")
    assert "3 waiting" in said
    assert f"{slide}: unchanged for 0 of 60 s" in said
    assert "nobody looks into the inbox" in said

    before = signal.getsignal(signal.SIGTERM)
    rounds = Rounds(n_rounds=7)
    asked_by = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in what a script starts with `&`
    monkeypatch.setattr(watching, "time", rounds)
    said = output("ingest", "--watch", "--run")
    assert f"watching {home / 'one'}, {home / 'two'}; Ctrl-C ends it" in said
    assert said.count("new a-") == 1
    assert "the file is cut short" in said
    assert "t.csv: taken, 1 change, 1 of 2 lines about what nobody knows yet" in said
    assert said.endswith("no longer watching; what was taken is kept\n")
    assert rounds.slept_s == [10.0] * 7
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.signal(signal.SIGINT, asked_by) is signal.SIG_IGN
    (row,) = json.loads(output("status", "--json"))["slides"]
    assert {asset["state"] for asset in row["assets"].values()} == {"current"}

    facts = json.loads(output("inbox", "--json"))
    assert facts["waiting"] == []
    assert [(one["path"], one["reason"]) for one in facts["refused"]] == [(str(bad), "truncated")]
    assert [one["slide_id"] for one in facts["slides"]] == [row["slide_id"]]
    assert [one["open_lines"] for one in facts["tables"]] == [[3]]
    said = output("inbox")
    assert "\x1b" not in said
    assert "1 refused" in said
    assert "Copy it again" in said
    assert "is looked at again" in output("inbox", "retry", bad)
    assert [one["path"] for one in json.loads(output("inbox", "--json"))["waiting"]] == [str(bad)]
    assert "is neither refused nor waiting" in output("inbox", "retry", slide, code=2)
    assert "1 table taken" in said
    assert ": 1 change, 1 of 2 lines open" in said
    for gone in (bad.with_name("nosuch.svs"), home / "nosuch.svs"):
        told = output("inbox", "retry", gone, code=2)
        assert "there is no such file" in told
        assert "ingest takes it" not in told


def test_a_refused_file_that_is_removed_is_forgotten_by_a_watch(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = home / "two" / "b.svs"
    bad.write_bytes(b"II*\0")
    monkeypatch.setattr(watching, "time", Rounds(n_rounds=7))
    output("ingest", "--watch")
    assert [one["path"] for one in json.loads(output("inbox", "--json"))["refused"]] == [str(bad)]
    monkeypatch.setattr(watching, "time", Removing(n_rounds=32, file=bad))  # 320 s
    output("ingest", "--watch")
    assert json.loads(output("inbox", "--json"))["refused"] == []


def test_a_watch_runs_by_the_recipe_as_it_is_by_then_and_waits_while_it_is_none(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_slide(home / "one" / "a.svs", 1)

    def arrive(name: str, text: str, seed: int) -> None:
        (home / "recipe.yaml").write_text(text)
        write_slide(home / "one" / name, seed)

    renamed = RECIPE.replace("grid", "lattice")
    at = {8: ("b.svs", renamed, 2), 16: ("c.svs", "tissue_mask: [", 3), 28: ("d.svs", renamed, 4)}
    monkeypatch.setattr(watching, "time", Arriving(n_rounds=38, at=at, arrive=arrive))
    said = output("ingest", "--watch", "--run")
    assert said.count("ran 1 slide") == 4
    assert said.count("Until then 1 new slide will not be run") == 1
    assert said.count("0 slides failed") == 4
    rows = json.loads(output("status", "--json"))["slides"]
    states = {row["slide_id"][0]: {a["state"] for a in row["assets"].values()} for row in rows}
    assert [states[name] for name in "bcd"] == [{"current"}] * 3
    assert "patch_locations/lattice" in rows[0]["assets"]


@pytest.mark.usefixtures("home")
@pytest.mark.filterwarnings("ignore:Exception ignored in")
def test_a_signal_that_comes_upon_a_finalizer_ends_it_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rounds = LostSignal(n_rounds=1)
    monkeypatch.setattr(watching, "time", rounds)
    assert output("ingest", "--watch").endswith("no longer watching; what was taken is kept\n")
    assert rounds.slept_s == [10.0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument 'PATHS...'"),
        (["x", "--run"], "--run goes with --watch"),
        (["--watch", "--cohort", "t.csv"], "no --cohort"),
        (["--watch", "--id-scheme", "manifest"], "there is no table to take ids from"),
        (["--watch", "nowhere"], "nowhere: is no folder to watch"),
    ],
)
def test_what_cannot_be_watched_is_refused(arguments: list[str], said: str) -> None:
    assert said in output("ingest", *arguments, code=2)
