from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from pathassets.adapters.store.folder_store import FolderStore
from pathassets.engine.platform.annotations import AnnotationSource, withdraw
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.datasets.build import build_dataset
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.provenance.causes import Cause
from pathassets.engine.platform.provenance.stale import find_stale
from tests.engine.annotations import record_boxes
from tests.engine.conftest import RECIPE

pytestmark = pytest.mark.usefixtures("here")

MASK, GRID, STATS = ("tissue_mask", "otsu"), ("patch_locations", "grid"), ("features", "stats")
COHORT = ("dataset", "cohort")
BY_HAND = (
    RECIPE.replace("{mpp: 8.0}", "{mpp: 8.0, annotations: tumour}") + "annotations:\n  tumour:\n"
)


@pytest.fixture
def made(platform, get_ready):
    """A platform with two slides, run, and their dataset built."""
    get_ready(platform, 2, is_run=True)
    build_dataset(platform, platform.recipe.entry(COHORT), run_id="run-2")
    return platform


def said(platform, slide_ids=None):
    """What is stale: of each asset whose changes reach it, and each slide's."""
    found: dict[tuple[str, str], set[tuple[str, str, str]]] = {}
    for one in find_stale(platform, slide_ids):
        of = found.setdefault(one.address.key, set())
        for change in one.changes:
            by = "/".join(change.inherited_from or ())
            of.add((str(change.cause), by, one.address.partition_key))
    return found


def whys(platform):
    return {key: {(cause, by) for cause, by, _ in of} for key, of in said(platform).items()}


def run(platform):
    entries = platform.recipe.per_slide
    list(run_batch(platform, plan_slides(platform), entries, run_id="again"))


def test_nothing_is_stale_after_a_run(made):
    assert find_stale(made) == []


def test_a_parameter_makes_its_entry_stale_and_what_is_made_from_it(made, reopen):
    changed = reopen(RECIPE.replace("patch_px: 64, mpp: 0.5", "patch_px: 32, mpp: 0.5"))
    cause = "recipe patch_px: 64 → 32"
    assert whys(changed) == {
        GRID: {(cause, "")},
        STATS: {(cause, "patch_locations/grid")},
        COHORT: {
            ("members its features are to be made anew: 2 slides", ""),
            (cause, "patch_locations/grid"),
        },
    }
    assert {slide for _, _, slide in said(changed)[GRID]} == {
        one.slide_id for one in plan_slides(made)
    }
    run(changed)
    build_dataset(changed, changed.recipe.entry(COHORT), run_id="again")
    assert find_stale(changed) == []


@pytest.mark.usefixtures("made")
def test_all_changes_that_reach_it_are_named_its_own_first(reopen):
    changed = reopen(
        RECIPE.replace("patch_px: 64, mpp: 0.5", "patch_px: 32, mpp: 1.0").replace("8.0", "4.0")
    )
    [grid, *_] = [one for one in find_stale(changed) if one.address.key == GRID]
    own = ["recipe patch_px: 64 → 32", "recipe mpp: 0.5 → 1.0"]
    assert [str(one) for one in grid.changes] == [
        *own, "since tissue_mask/otsu is: recipe mpp: 8.0 → 4.0"
    ]  # fmt: skip
    [stats, *_] = [one for one in find_stale(changed) if one.address.key == STATS]
    assert [str(one) for one in stats.changes] == [
        *(f"since patch_locations/grid is: {one}" for one in own),
        "since tissue_mask/otsu is: recipe mpp: 8.0 → 4.0",
    ]


def test_a_resolution_beside_a_change_of_the_recipe_reaches_what_is_made_from_both(made, reopen):
    [slide, _] = plan_slides(made)
    made.catalog.override_mpp(slide.slide_id, 0.25, who="Ada", why="the scanner's log")
    changed = reopen(RECIPE.replace("{mpp: 8.0}", "{mpp: 4.0}"))
    found = {cause for cause, _, of in said(changed)[STATS] if of == slide.slide_id}
    assert found == {"recipe mpp: 8.0 → 4.0", "mpp: 0.5 → 0.25, by Ada"}


@pytest.mark.usefixtures("made")
def test_changes_of_before_and_since_are_told_of_what_was_made_before_both(reopen):
    between = reopen(RECIPE.replace("{mpp: 8.0}", "{mpp: 4.0}"))
    list(run_batch(between, plan_slides(between), [between.recipe.entry(MASK)], run_id="again"))
    changed = reopen(RECIPE.replace("{mpp: 8.0}", "{mpp: 4.0, min_object_um2: 7.0}"))
    of_mask, of_grid = (
        {cause.split(":")[0] for cause, _ in whys(changed)[key]} for key in (MASK, GRID)
    )
    assert of_mask == {"recipe min_object_um2"}
    assert of_grid == {"recipe mpp", "recipe min_object_um2"}


def test_what_was_made_from_a_mask_of_before_is_stale_though_the_mask_was_made_anew(made, reopen):
    assert find_stale(made) == []
    changed = reopen(RECIPE.replace("otsu: {mpp: 8.0}", "otsu: {mpp: 4.0}"))
    mask = changed.recipe.entry(MASK)
    list(run_batch(changed, plan_slides(changed), [mask], run_id="again"))
    found = whys(changed)
    assert MASK not in found
    assert found[GRID] == found[STATS] == {("recipe mpp: 8.0 → 4.0", "tissue_mask/otsu")}


@pytest.mark.usefixtures("made")
def test_another_parent_is_a_change_of_the_recipe(reopen):
    changed = reopen(
        RECIPE.replace("otsu: {mpp: 8.0}", "otsu: {mpp: 8.0}\n  fine: {mpp: 4.0}").replace(
            "tissue_mask: otsu", "tissue_mask: fine"
        )
    )
    assert whys(changed)[GRID] == {("recipe tissue_mask: otsu → fine", "")}
    assert MASK not in whys(changed)
    assert ("tissue_mask", "fine") not in whys(changed)  # never made is missing, not stale


def test_a_resolution_makes_all_of_its_slide_stale_and_nothing_else(made):
    [slide, other] = plan_slides(made)
    made.catalog.override_mpp(slide.slide_id, 0.25, who="Ada", why="the scanner's log")
    cause = "mpp: 0.5 → 0.25, by Ada"
    found = said(made)
    assert found[MASK] == {(cause, "", slide.slide_id)}
    assert found[GRID] == found[STATS] == {(cause, "tissue_mask/otsu", slide.slide_id)}
    assert said(made, [other.slide_id]) == {}
    assert said(made, [slide.slide_id])[MASK] == found[MASK]
    made.catalog.override_mpp(slide.slide_id, 0.5, who="Ada", why="a slip")
    assert said(made) == {}


def test_what_is_drawn_makes_what_is_made_from_it_stale(reopen, make_slide, register):
    platform = reopen(BY_HAND)
    [planned] = register(platform, make_slide())
    run(platform)
    assert said(platform) == {}
    drawn = record_boxes(platform, planned.slide_id, (60.0, 60.0, 540.0, 440.0)).annotation
    first = f"annotation tumour: none → {drawn.digest}, by Ann"
    behind = {(first, "tissue_mask/otsu")}
    assert whys(platform) == {MASK: {(first, "")}, GRID: behind, STATS: behind}
    run(platform)
    again = record_boxes(platform, planned.slide_id, (60.0, 60.0, 300.0, 440.0)).annotation
    assert whys(platform)[MASK] == {
        (f"annotation tumour: {drawn.digest} → {again.digest}, by Ann", "")
    }
    run(platform)
    withdraw(platform, planned.slide_id, AnnotationSource(name="tumour", who="Bob", why="wrong"))
    # The mask of bare tissue was made once and is there: what was made last is stale no more.
    assert said(platform) == {}


def test_an_annotation_that_is_named_no_more_is_a_change_of_the_recipe(
    reopen, make_slide, register
):
    platform = reopen(BY_HAND)
    [planned] = register(platform, make_slide())
    record_boxes(platform, planned.slide_id, (60.0, 60.0, 540.0, 440.0))
    run(platform)
    changed = reopen(BY_HAND.replace(", annotations: tumour", ""))
    assert whys(changed)[MASK] == {("recipe annotations: tumour → not set", "")}


def with_entry(platform, key, **changes):
    """The platform, with another entry of that key."""
    entries = tuple(
        replace(entry, **changes) if entry.key == key else entry
        for entry in platform.recipe.entries
    )
    return replace(platform, recipe=replace(platform.recipe, entries=entries))


def test_other_weights_are_told_with_both_hashes_and_by_the_digest_where_the_old_are_gone(
    platform, get_ready
):
    get_ready(platform, 1)
    old, new = (with_entry(platform, STATS, file_sha256=one * 64) for one in "ab")
    run(old)
    assert said(old) == {}
    assert whys(new) == {STATS: {(f"weights sha256: {'a' * 64} → {'b' * 64}", "")}}
    [slide] = plan_slides(old)
    shutil.rmtree(platform.store.path_of(slide.steps[STATS].address))
    assert whys(new) == {STATS: {(f"weights sha256: not known any more → {'b' * 64}", "")}}


def test_code_of_another_version_makes_its_stage_stale(made):
    stage = made.recipe.entry(GRID).stage
    changed = with_entry(made, GRID, stage=replace(stage, code_version="99"))
    cause = f"code version: {stage.code_version} → 99"
    found = whys(changed)
    assert found[GRID] == {(cause, "")}
    assert found[STATS] == {(cause, "patch_locations/grid")}
    assert MASK not in found


def test_what_failed_since_its_change_is_stale_still(made, reopen):
    changed = reopen(RECIPE.replace("patch_px: 64", "patch_px: 32"))
    from pathassets.catalog.records import AttemptRecord  # noqa: PLC0415

    [first, _] = plan_slides(changed)
    failed = AttemptRecord(
        run_id="again", address=first.steps[GRID].address, state="failed", reason="unexpected"
    )
    changed.catalog.record_attempts([failed])
    assert {slide for _, _, slide in said(changed)[GRID]} == {
        one.slide_id for one in plan_slides(made)
    }


def test_a_slide_more_makes_the_dataset_stale(made, make_slide, register, monkeypatch):
    monkeypatch.setattr(FolderStore, "look_over", None)  # it is told by the catalog alone
    register(made, make_slide("z.svs", seed=9))
    left_out = "members patients, labels or slides left out: 2 slides → 2 slides"
    assert said(made) == {COHORT: {(left_out, "", "all")}}
    run(made)
    assert said(made) == {COHORT: {("members 1 more: 2 slides → 3 slides", "", "all")}}


def test_a_cause_is_told_in_one_line():
    cause = Cause(change="weights", what="sha256", old="a", new="b")
    assert str(cause) == "weights sha256: a → b"
