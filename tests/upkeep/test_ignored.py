"""What is made by running goes into no history: the page of all slides names patients."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pathassets.adapters.store.opening import CACHE
from pathassets.engine.features.encoder_check import GOLDEN
from pathassets.engine.platform.cohort_page.kept import KEPT_IN
from pathassets.engine.platform.recipe import HASHES
from pathassets.engine.platform.upkeep.forgotten_since import BEFORE
from pathassets.engine.platform.upkeep.restore import RESTORING
from pathassets.engine.settings import read_settings
from pathassets.engine.slides.scratch import OWN
from pathassets.report.cohort_page.files import PAGE
from tests.upkeep.home import output


def git(home: Path, *words: str) -> str:
    ours = ("-c", "core.excludesFile=/dev/null", "-C", str(home))
    return subprocess.run(["git", *ours, *words], check=True, capture_output=True, text=True).stdout


def test_what_commands_write_into_a_home_is_ignored_and_what_people_write_is_not(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output("init", home)
    output("report")
    output("encoders", "check", "colour_stats")
    git(home, "init", "-q")
    untracked = git(home, "status", "--porcelain", "-uall").splitlines()
    assert {line.removeprefix("?? ") for line in untracked} == {
        ".gitignore", "a.geojson", "cohort.csv.example", "dagster.yaml", "recipe.yaml",
        "scans/a.svs", "scans/b.svs", "workspace.yaml",
    }  # fmt: skip
    monkeypatch.setenv("PATHASSETS_STORE", "s3://lab/store")
    folders = (
        f"{read_settings().work.name}/{CACHE}", KEPT_IN, OWN, HASHES, GOLDEN, RESTORING, "demo",
        f"{BEFORE}2026-05-03T101112",
    )  # fmt: skip
    pages = (PAGE, PAGE.replace(".", "-007."), f".{PAGE}.17.part")
    written = [*(f"{folder}/x" for folder in folders), *pages]
    assert git(home, "check-ignore", *written).splitlines() == written
