import pickle
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from pathassets.adapters.files import stamp_of
from pathassets.core.address import Address
from pathassets.core.slides.slide import slide_version
from pathassets.engine.platform.annotations import AnnotationSource, withdraw
from pathassets.engine.platform.plan import (
    Planner,
    annotation_address,
    path_record,
    plan_slide,
    plan_slides,
    recorded_stamp,
    task_for,
)
from pathassets.engine.slides.scratch import open_scratch
from tests.engine.annotations import record_boxes
from tests.engine.conftest import RECIPE

MASK, GRID, STATS = ("tissue_mask", "otsu"), ("patch_locations", "grid"), ("features", "stats")


@pytest.fixture
def planned(platform, get_ready):
    return get_ready(platform, 1)[0]


def digests(planned):
    return {key: step.address.digest for key, step in planned.steps.items()}


def changed(planned, other):
    return {key for key in planned.steps if digests(planned)[key] != digests(other)[key]}


def test_every_per_slide_entry_has_a_step_after_that_of_its_parent(planned):
    assert list(planned.steps) == [MASK, GRID, STATS]
    root = Address.of_slide(planned.slide_id, planned.version)
    assert planned.steps[MASK].parents == (root,)
    assert planned.steps[GRID].parents == (planned.steps[MASK].address, root)
    assert planned.steps[STATS].parents == (planned.steps[GRID].address, root)
    assert {step.address.partition_key for step in planned.steps.values()} == {planned.slide_id}


def test_the_version_is_of_content_and_resolution(planned):
    assert planned.version == slide_version(planned.record.fingerprint, 0.5)
    assert planned.slide_mpp == 0.5


def test_planning_again_gives_the_same_and_opens_no_file(platform, make_slide, register):
    [planned] = register(platform, make_slide())
    for path in planned.paths:
        Path(path.path).unlink()
    assert digests(plan_slides(platform)[0]) == digests(planned)


@pytest.mark.parametrize(
    ("old", "new", "stale"),
    [
        ("mpp: 8.0", "mpp: 8.5", {MASK, GRID, STATS}),
        ("patch_px: 64", "patch_px: 65", {GRID, STATS}),
        ("encoder: colour_stats", "encoder: resnet18", {STATS}),
    ],
)
def test_an_entry_that_changes_changes_itself_and_what_is_made_from_it(
    planned, reopen, old, new, stale
):
    other = plan_slides(reopen(RECIPE.replace(old, new)))[0]
    assert changed(planned, other) == stale


def test_an_mpp_override_changes_all(platform, planned):
    platform.catalog.override_mpp(planned.slide_id, 0.4, who="me", why="the scanner's log")
    other = plan_slides(platform)[0]
    assert other.slide_mpp == 0.4
    assert other.version != planned.version
    assert changed(planned, other) == {MASK, GRID, STATS}


def test_an_override_that_says_what_the_file_says_changes_nothing(platform, planned):
    platform.catalog.override_mpp(planned.slide_id, 0.5, who="me", why="the same")
    assert changed(planned, plan_slides(platform)[0]) == set()


DRAWN = """\
annotations:
  tumour:
  mended:
tissue_mask:
  otsu: {mpp: 8.0, annotations: mended}
patch_locations:
  grid: {tissue_mask: otsu, patch_px: 64, mpp: 0.5}
  inside: {tissue_mask: otsu, patch_px: 64, region: annotations, annotations: tumour}
patch_set:
  pngs: {patch_locations: inside}
features:
  stats: {patch_locations: grid, encoder: colour_stats}
"""
INSIDE, PNGS = ("patch_locations", "inside"), ("patch_set", "pngs")
BOX, OTHER = (100.0, 100.0, 300.0, 200.0), (100.0, 100.0, 300.0, 201.0)


def test_a_drawing_changes_what_is_made_from_it_and_nothing_else(reopen, planned):
    platform = reopen(DRAWN)
    plans = [plan_slides(platform)[0]]
    for name, box in (("tumour", BOX), ("tumour", OTHER), ("mended", BOX)):
        record_boxes(platform, planned.slide_id, box, name=name)
        plans += plan_slides(platform)
    steps = [changed(one, other) for one, other in pairwise(plans)]
    assert steps == [{INSIDE, PNGS}, {INSIDE, PNGS}, {MASK, GRID, INSIDE, PNGS, STATS}]
    assert all(plan.version == planned.version for plan in plans)


def test_without_drawings_a_mask_that_may_take_one_is_what_it_was(reopen, planned):
    [other] = plan_slides(reopen(DRAWN))
    assert digests(other)[MASK] == digests(planned)[MASK]
    assert digests(other)[STATS] == digests(planned)[STATS]


def test_a_step_names_the_drawing_among_its_parents(reopen, planned):
    platform = reopen(DRAWN)
    drawn = record_boxes(platform, planned.slide_id, BOX).annotation
    mended = record_boxes(platform, planned.slide_id, BOX, name="mended").annotation
    [one] = plan_slides(platform)
    root = Address.of_slide(one.slide_id, one.version)
    steps = one.steps
    assert steps[MASK].parents == (root, annotation_address(mended))
    assert steps[INSIDE].parents == (steps[MASK].address, annotation_address(drawn), root)
    assert steps[GRID].parents == (steps[MASK].address, root)
    assert {key: step.lacks for key, step in steps.items() if step.lacks} == {}
    behind = {key: [a.name for a in step.annotations] for key, step in steps.items()}
    assert behind == {
        MASK: ["mended"], GRID: ["mended"], STATS: ["mended"],
        INSIDE: ["mended", "tumour"], PNGS: ["mended", "tumour"],
    }  # fmt: skip


def test_a_step_lacks_only_what_it_cannot_do_without(reopen, planned):
    [one] = plan_slides(reopen(DRAWN))
    assert one.slide_id == planned.slide_id
    lacking = {key: step.lacks for key, step in one.steps.items() if step.lacks}
    assert lacking == {INSIDE: ("annotations", "tumour")}
    assert one.annotation("tumour") is None


def test_what_is_withdrawn_is_as_if_it_had_never_been(reopen, planned):
    platform = reopen(DRAWN)
    [before] = plan_slides(platform)
    for name in ("tumour", "mended"):
        record_boxes(platform, planned.slide_id, BOX, name=name)
        withdraw(
            platform, planned.slide_id, AnnotationSource(name=name, who="Bob", why="wrong slide")
        )
    [after] = plan_slides(platform)
    assert changed(before, after) == set()
    assert after.steps[INSIDE].lacks == ("annotations", "tumour")
    assert after.annotation("tumour") is None
    assert after.annotations["tumour"].is_withdrawn


def test_a_drawing_is_one_slide_s(reopen, get_ready):
    platform = reopen(DRAWN)
    first, second = get_ready(platform, 2)
    record_boxes(platform, first.slide_id, BOX)
    plans = plan_slides(platform)
    assert [changed(*pair) for pair in zip((first, second), plans, strict=True)] == [
        {INSIDE, PNGS}, set()
    ]  # fmt: skip


def test_slides_are_planned_in_order_of_registration(platform, make_slide, register):
    paths = [make_slide(f"{name}.svs", seed=i) for i, name in enumerate("cab")]
    for path in paths:
        register(platform, path)
    assert [p.slide_id[0] for p in plan_slides(platform)] == ["c", "a", "b"]


def test_a_slide_without_a_file_or_a_resolution_is_planned_too(platform, planned):
    record = replace(planned.record, mpp=None, resolution_reason="resolution_missing")
    lost = plan_slide(Planner(platform.recipe), record, None, ())
    assert lost.paths == ()
    assert lost.slide_mpp is None
    assert len(lost.steps) == 3
    task = task_for(platform, lost, platform.recipe.per_slide, platform.settings.home)
    assert task.paths == ()
    assert task.resolution_reason == "resolution_missing"


def test_a_task_has_the_wanted_steps_parents_first(platform, planned, tmp_path):
    entries = [platform.recipe.entry(key) for key in (STATS, MASK)]
    task = task_for(platform, planned, entries, tmp_path / "staging")
    assert [step.address.key for step in task.steps] == [MASK, STATS]
    assert task.slide_id == planned.slide_id
    assert task.fingerprint == planned.record.fingerprint
    assert task.slide_mpp == 0.5
    assert task.paths[0].path == planned.paths[0].path
    assert task.paths[0].stamp == stamp_of([Path(planned.paths[0].path)])
    assert task.scratch is None
    assert task.store_root == str(platform.store.root)
    assert task.staging == str(tmp_path / "staging")


def test_a_task_knows_the_scratch_folder_of_its_batch(platform, planned, tmp_path):
    with open_scratch(tmp_path / "scratch", 1) as scratch:
        task = task_for(platform, planned, platform.recipe.per_slide, tmp_path, scratch)
        assert task.scratch == scratch
        assert pickle.loads(pickle.dumps(task)) == task  # noqa: S301


def test_a_look_goes_into_the_catalog_and_comes_back(planned):
    [path] = planned.paths
    assert path_record(path.path, planned.slide_id, recorded_stamp(path)) == path
