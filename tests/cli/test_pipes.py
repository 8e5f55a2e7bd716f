"""A named pipe where a command wants a file: it is waited for by nobody."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pathassets.cli import main
from pathassets.engine.platform.ingestion.ingest import find_files, ingest
from pathassets.engine.platform.platform import open_platform
from pathassets.engine.settings import read_settings
from tests.defs.small_slides import RECIPE, write_slide
from tests.engine.workers_here import workers_here

pytestmark = pytest.mark.usefixtures("cheap_databases")

BY = ("--who", "Ann", "--why", "asked")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text(f"annotations: {{drawn: {{}}}}\n{RECIPE}")
    slide = write_slide(tmp_path / "a.svs", 1)
    with workers_here(), open_platform(read_settings()) as platform:
        list(ingest(platform, find_files([slide])))
    return tmp_path


@pytest.fixture
def _impatient() -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise TimeoutError("the pipe is waited for")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    "words",
    [
        ("cohort", "import", "p.csv"),
        ("qc", "import", "p.csv", "--who", "Ann"),
        ("restore", "p.tar", "--force"),
        ("lineage", "p.pt"),
        ("annotations", "set", "a", "p.geojson", "--name", "drawn", *BY),
        ("annotations", "set", "a", "p.png", "--name", "drawn", *BY),
        ("encoders", "check", "uni", "--weights", "p.pt"),
    ],
)
def test_a_pipe_is_refused_with_what_to_do(home: Path, words: tuple[str, ...]) -> None:
    pipe = next(word for word in words if word.startswith("p."))
    os.mkfifo(home / pipe)
    said = CliRunner().invoke(main, words)
    assert said.exit_code == 2
    assert f"{pipe}: " in said.stderr
    assert "is not a regular file but a named pipe" in said.stderr
    assert "Write what it gives into a file, and name that" in said.stderr


@pytest.mark.usefixtures("home", "_impatient")
def test_what_a_shell_puts_in_the_place_of_a_command_is_refused_and_not_called_empty() -> None:
    reads, writes = os.pipe()
    os.write(writes, b"slide,label\na,x\n")
    os.close(writes)
    said = CliRunner().invoke(main, ["cohort", "import", f"/dev/fd/{reads}"])
    os.close(reads)
    assert said.exit_code == 2
    assert "it is not a regular file but a named pipe" in said.stderr
