"""Datasets as a terminal and a program are told of them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pathassets.core.datasets.changes import compare
from pathassets.report.datasets import change_tables, changes_json
from tests.core.datasets.test_changes import TWO, using

ONE, OTHER = using(TWO, a=[0, 8], b=[1]), using(TWO, a=[0, 1, 8], b=[1])


def test_a_person_reads_of_how_many_and_which_slides_other_patches_are_used(
    capsys: pytest.CaptureFixture[str],
) -> None:
    changes = compare(ONE, OTHER)
    change_tables(changes)
    said = capsys.readouterr().out
    assert "other patches: 1 slide" in said
    assert "n_used_from" in said
    assert "nothing changed" not in said
    told = json.loads(changes_json(changes))
    assert told["other_patches"] == [{"slide_id": "a", "n_used_from": 2, "n_used_to": 3}]
    assert told["remade"] == []


def test_what_is_not_known_of_used_patches_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    changes = compare(ONE, replace(OTHER, used=None))
    change_tables(changes)
    said = capsys.readouterr().out
    assert "not known other patches" in said
    assert "nothing changed" not in said
    assert json.loads(changes_json(changes))["other_patches"] is None
