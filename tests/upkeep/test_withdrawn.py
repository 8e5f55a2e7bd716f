"""A release goes on naming a slide that was taken out, and says that it was."""

from __future__ import annotations

import json
from pathlib import Path

from tests.upkeep.home import ids, output

STATED = ("--who", "Ann", "--why", "paper")
CONSENT = ("--who", "Ann", "--why", "consent \x1b[31m[red]withdrawn[/]", "--from-releases")


def test_a_member_that_was_taken_out_is_shown_and_verified_as_withdrawn(home: Path) -> None:
    a, b = ids(home)
    output("dataset", "freeze", "cohort", *STATED)
    before = json.loads(output("dataset", "show", "cohort@1", "--json"))
    assert before["withdrawn"] == []
    assert "0 faults" in output("dataset", "verify", "cohort@1")

    assert "cohort@1" in output("forget", a, *CONSENT)
    after = json.loads(output("dataset", "show", "cohort@1", "--json"))
    [gone] = after["withdrawn"]
    assert (gone["slide_id"], gone["who"]) == (a, "Ann")
    assert after["counts"] == before["counts"]
    shown = output("dataset", "show", "cohort@1")
    assert f"withdrawn {a} on " in shown.replace("\n", " ")
    assert "\x1b[31m" not in shown

    verified = json.loads(output("dataset", "verify", "cohort@1", "--json", code=1))
    [fault] = verified["faults"]
    assert (fault["name"], fault["reason"]) == (a, "slide_forgotten")
    assert b not in fault["said"]
    assert "slide_forgotten" in output("dataset", "verify", "cohort@1", "--own", code=1)


def test_one_whose_artifacts_were_kept_is_withdrawn_all_the_same(home: Path) -> None:
    a, _ = ids(home)
    output("dataset", "freeze", "cohort", *STATED)
    output("forget", a, *CONSENT, "--keep-artifacts")
    [fault] = json.loads(output("dataset", "verify", "cohort@1", "--json", code=1))["faults"]
    assert (fault["name"], fault["reason"]) == (a, "slide_forgotten")
