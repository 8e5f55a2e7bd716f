"""Datasets as a terminal and a program are told of them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.datasets.changes import compare
from pathassets.engine.platform.provenance.lineage import Relative
from pathassets.engine.platform.standing.rows import Cell
from pathassets.report.cohort import _cell_text
from pathassets.report.datasets import change_tables, changes_json
from pathassets.report.lineage import lineage_tree
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


@pytest.mark.parametrize(
    ("n_used", "said"), [(48, "48 of 68 patches"), (68, " 68 patches"), (None, " 68 patches")]
)
def test_a_dataset_whose_rules_leave_patches_out_is_told_with_those_that_it_uses(
    n_used: int | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    key = ("dataset", "clean")
    cell = Cell(key=key, state="current", digest="d", n_patches=68, n_used=n_used)
    assert _cell_text(cell).endswith(said)
    facts = {"n_patches": 68} | ({} if n_used is None else {"n_used": n_used})
    made = Relative(address=Address(*key, ALL_SLIDES, "0" * 16), facts=facts)
    lineage_tree(replace(made, children=(made,)))
    asked, _, line = capsys.readouterr().out.partition("made from it")
    assert ("n_patches 48 of 68" in asked) is (n_used == 48)
    assert f"{said.strip()}" in line
    assert ("of" in line) is (n_used == 48)
