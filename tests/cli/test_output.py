"""Standard output that cannot be written, and one whose reader has gone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.defs.daemon import COMMAND, environment

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "words",
    [
        ("cohort", "list"),
        ("sql", "SELECT 1 AS a"),
        ("sql", "SELECT 1 AS a", "--json"),  # is written when the command ends
        ("--help",),
    ],
)
def test_output_to_a_full_disk_is_told_in_one_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    with FULL.open("wb") as full:
        done = subprocess.run(  # noqa: S603 - our own command
            [COMMAND, *words], env=environment(tmp_path), cwd=tmp_path, check=False,
            stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    *_, last = done.stderr.splitlines()
    assert last == (
        "error: standard output: cannot be written: No space left on device. "
        "Free its disk, or write elsewhere"
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert done.returncode == 2


def test_a_reader_that_has_seen_enough_is_no_fault(tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: S603 - our own command
        [COMMAND, "sql", "SELECT 1 AS a", "--json"], env=environment(tmp_path), cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        running.stdout.close()
        assert running.stderr is not None
        said = running.stderr.read()
        code = running.wait()
    assert "Traceback" not in said
    assert "Exception" not in said
    assert code == 1
