"""Which slides wait for a person, and in what order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pathassets import report
from pathassets.catalog.records import Verdict
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.quality.queue import review_queue
from tests.catalog.filled import artifact
from tests.catalog.hostile_words import HOSTILE, path_of, slide_of

RECIPE = """\
tissue_mask: {otsu: {}}
patch_locations: {grid: {tissue_mask: otsu}}
patch_quality:
  fine:
    patch_locations: grid
    checks: {min_focus: 100, max_ink_share: 0.1, max_colour_deviation: 5}
  plain: {patch_locations: grid}
"""
GOOD = {
    "focus_median": 400.0, "ink_share": 0.0, "od_red": 0.2, "od_green": 0.4, "od_blue": 0.25,
    "fold_share": None,
}  # fmt: skip
SLIDES = {
    "good": {},
    "inked": {"ink_share": 0.3},
    "soft": {"focus_median": 10.0},
    "pale": {"od_red": 0.8},
    "empty": dict.fromkeys(GOOD),
    "other": {},
    "asked": {},
}
"""What each differs in from a good one."""


@pytest.fixture
def platform(reopen):
    """Slides of which nothing is known but their quality."""
    platform = reopen(RECIPE)
    for name in SLIDES:
        platform.catalog.register_slide(slide_of(name), path_of(name))
    for planned in plan_slides(platform):
        address = planned.steps["patch_quality", "fine"].address
        old = replace(address, digest="of_another_recipe")
        platform.catalog.record_artifact(artifact(old, {**GOOD, "focus_median": 1.0}), [])
        record_facts(platform, planned)
    return platform


def record_facts(platform, planned):
    facts = {**GOOD, **SLIDES[planned.slide_id]}
    address = planned.steps["patch_quality", "fine"].address
    platform.catalog.record_artifact(artifact(address, facts), [])


def say(platform, slide_id, word, why="x"):
    platform.catalog.set_verdict(Verdict(slide_id=slide_id, verdict=word, who="Ann", why=why))


def waiting(platform):
    return [one.slide_id for one in review_queue(platform)]


def test_the_worst_comes_first_and_each_says_what_speaks_against_it(platform):
    found = {one.slide_id: one for one in review_queue(platform)}
    # Nothing is known of the first; then 0.6 OD where 0.05 would be allowed, 10 of 100, 3 of 1.
    assert [*found] == ["empty", "pale", "soft", "inked"]
    assert [str(rule) for rule in found["soft"].broken] == ["focus 10 is below min_focus 100"]
    assert found["pale"].broken[0].rule == "max_colour_deviation"
    assert found["pale"].facts["colour_deviation"] == pytest.approx(60.0)
    assert found["empty"].facts == {}
    some = review_queue(platform, ["inked", "pale", "good"])
    assert some == [found["pale"], found["inked"]]
    assert {one.entry for one in found.values()} == {"fine"}


def test_a_verdict_ends_it_until_the_quality_is_another_and_review_begins_it(platform, capsys):
    say(platform, "soft", "accept")
    say(platform, "inked", "reject")
    say(platform, "asked", "review", why=HOSTILE["terminal"])
    assert waiting(platform) == ["empty", "pale", "asked"]
    report.review_queue(review_queue(platform), is_measured=True, as_json=False)
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "pathassets qc set empty accept --who" in said
    say(platform, "asked", "accept")
    platform.catalog.override_mpp("soft", 0.25, who="Bob", why="caliper")
    assert waiting(platform) == ["empty", "pale"]  # its patches are others now: not measured yet
    record_facts(platform, *plan_slides(platform, ["soft"]))
    assert waiting(platform) == ["empty", "pale", "soft"]
