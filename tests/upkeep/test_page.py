"""What the page on upkeep says, and tells to type."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from pathassets.engine.platform.upkeep.finding import FindingKind
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
