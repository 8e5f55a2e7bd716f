"""A release goes on naming a slide that was taken out, and says that it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import pathassets
from pathassets.errors import MembersForgotten
from tests.upkeep.home import ids, output, refused

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

    loads_and_copies_the_rest_alone(home / "copied", a, b)


def loads_and_copies_the_rest_alone(to: Path, gone: str, left: str) -> None:
    """Whoever takes a release that names a slide taken out since says that he means the rest."""
    said = rf"cohort@1: 1 of 2 slides .*: {gone} was forgotten on .* by Ann: .*without_forgotten=T"
    with pytest.raises(MembersForgotten, match=said):
        pathassets.load_dataset("cohort@1")
    assert "--without-forgotten" in refused("dataset", "copy", "cohort@1", to)
    rest = pathassets.load_dataset("cohort@1", without_forgotten=True)
    assert (rest.slide_ids, [one.slide_id for one in rest.withdrawn]) == ([left], [gone])
    assert len(rest.classes) == 2
    assert "1 forgotten left out" in repr(rest)
    said = output("dataset", "copy", "cohort@1", to, "--without-forgotten")
    assert (
        f"1 slide of cohort@1 copied: pathassets.load_dataset('{to}', without_forgotten=True)"
        in said
    )
    assert f"left out: {gone} was forgotten on " in said
    with pytest.raises(MembersForgotten, match=gone):
        pathassets.load_dataset(to, verify=True)
    copied = pathassets.load_dataset(to, verify=True, without_forgotten=True)
    assert torch.equal(copied[0].features, rest[0].features)
    assert copied.withdrawn == rest.withdrawn
    folder = to.with_name("exported")
    assert "--without-forgotten" in refused("export", "trident", "cohort@1", folder)
    assert "2 written" in output("export", "trident", "cohort@1", folder, "--without-forgotten")


def test_one_whose_artifacts_were_kept_is_withdrawn_all_the_same(home: Path) -> None:
    a, _ = ids(home)
    output("forget", a, *CONSENT, "--keep-artifacts")
    [manifest] = (home / "store" / "dataset").rglob("manifest.parquet")
    version = f"cohort@{manifest.parent.name}"
    [fault] = json.loads(output("dataset", "verify", version, "--json", code=1))["faults"]
    assert (fault["name"], fault["reason"]) == (a, "slide_forgotten")
    for what in (version, "cohort", manifest.parent):
        with pytest.raises(MembersForgotten, match=a):
            pathassets.load_dataset(what)
    said = refused("dataset", "freeze", version, *STATED)
    assert f"dataset {version}: names what is not to be used any more: {a} was forgotten" in said
    assert "pathassets run --select dataset/cohort builds it without" in said
