"""What the page on upkeep says, and tells to type."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from pathassets.adapters.store.opening import CACHE
from pathassets.engine.features.encoder_check import GOLDEN
from pathassets.engine.platform.cohort_page.kept import KEPT_IN
from pathassets.engine.platform.recipe import HASHES
from pathassets.engine.platform.upkeep.finding import FindingKind
from pathassets.engine.platform.upkeep.forgotten_since import BEFORE
from pathassets.engine.platform.upkeep.restore import RESTORING
from pathassets.engine.settings import read_settings
from pathassets.engine.slides.scratch import OWN
from pathassets.report.cohort_page.files import PAGE as COHORT_PAGE
from tests.upkeep.home import (
    output,
)

PAGE = Path(__file__).parents[2] / "docs" / "upkeep.md"


def test_the_page_names_every_kind_of_finding_and_no_other() -> None:
    [table] = re.findall(r"^## The doctor\n(.*?)^## ", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = [kind for cell in rows for kind in re.findall(r"`([a-z_]+)`", cell)]
    assert sorted(named) == sorted(get_args(FindingKind))


def test_what_the_page_tells_to_type_ends_well(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    [block] = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = block.splitlines()
    assert [line.split()[1] for line in lines] == ["doctor", "scrub", "gc", "backup"]
    for line in lines:
        output(*line.split()[1:])


def git(home: Path, *words: str) -> str:
    ours = ("-c", "core.excludesFile=/dev/null", "-C", str(home))
    done = subprocess.run(  # noqa: S603  (on a folder of this test)
        ["git", *ours, *words],  # noqa: S607
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


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
    named = COHORT_PAGE
    pages = (named, named.replace(".", "-007."), f".{named}.17.part")
    written = [*(f"{folder}/x" for folder in folders), *pages]
    assert git(home, "check-ignore", *written).splitlines() == written
