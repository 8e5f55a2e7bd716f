"""examples/: what they print, and that it is the same again."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.defs.daemon import COMMAND, environment
from tests.engine.datasets.bag_store import DIM, Slide, write_dataset

ROOT = Path(__file__).parent.parent
ATTENTION_MIL = ROOT / "examples" / "attention_mil.py"
TRAINING = ROOT / "docs" / "training.md"


def slide(number: int, *, shift: float) -> Slide:
    """Every second slide is of class b: a fifth of its patches lie elsewhere."""
    rng = np.random.default_rng(number)
    n = int(rng.integers(5, 40))
    features = rng.standard_normal((n, DIM), np.float32)
    label = "ab"[number % 2]
    features[: 1 + n // 5, 0] += shift if label == "b" else 0.0
    split = "test" if number < 12 else "train"
    return Slide(slide_id=f"s{number:02}", n=n, label=label, split=split, features=features)


def auc_printed(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(sys, "argv", ["attention_mil.py", str(folder)])
    with torch.random.fork_rng():
        runpy.run_path(str(ATTENTION_MIL))
    printed = capsys.readouterr().out
    [auc] = re.findall(r"^AUC (\d\.\d\d) of 12 test slides, b against a$", printed, re.MULTILINE)
    return float(auc)


@pytest.mark.parametrize(("shift", "within"), [(6.0, (0.95, 1.0)), (0.0, (0.1, 0.9))])
def test_attention_finds_the_patches_that_tell_and_nothing_where_none_do(
    tmp_path, monkeypatch, capsys, shift, within
):
    slides = [slide(number, shift=shift) for number in range(36)]
    folder = write_dataset(tmp_path / "store", slides)
    assert within[0] <= auc_printed(folder, monkeypatch, capsys) <= within[1]


def test_the_example_prints_the_same_again(tmp_path, monkeypatch, capsys):
    slides = [slide(number, shift=1.0) for number in range(24)]
    folder = write_dataset(tmp_path / "store", slides)
    aucs = {auc_printed(folder, monkeypatch, capsys) for _ in range(2)}
    assert len(aucs) == 1


def test_the_example_has_forty_lines_at_most():
    lines = [line for line in ATTENTION_MIL.read_text().splitlines() if line.strip()]
    assert len(lines) <= 40


def documented() -> list[str]:
    """Commands, and what the last of them prints."""
    _, _, begun = TRAINING.read_text().partition("```\npathassets sample ")
    return f"pathassets sample {begun.partition('```')[0]}".splitlines()


@pytest.mark.slow  # 40 slides are painted and run
def test_the_documented_commands_print_the_documented_auc(tmp_path):
    *commands, expected = documented()
    programs = {"pathassets": [COMMAND], "python": [sys.executable]}
    for line in commands:
        program, *words = line.replace("examples/", f"{ROOT}/examples/").split()
        done = subprocess.run(  # noqa: S603  (our own commands)
            [*programs[program], *words],
            cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == expected + "\n"
