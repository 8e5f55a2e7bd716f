from dataclasses import replace

import pytest

from pathassets.catalog.records import AttemptRecord, CohortFacts
from pathassets.engine.platform import status
from pathassets.engine.platform.datasets import plan
from pathassets.engine.platform.datasets.build import build_dataset
from pathassets.engine.platform.datasets.inputs import inputs_of, rows_of
from pathassets.engine.platform.datasets.plan import plan_dataset
from pathassets.engine.platform.planned_datasets import dataset_address
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.platform.status import cohort_status
from tests.engine.conftest import RECIPE


@pytest.fixture
def planned(platform, get_ready):
    return get_ready(platform, 2, is_run=True)


def test_the_version_of_a_dataset_is_worked_out_once_for_the_same_slides(
    platform, planned, monkeypatch
):
    [entry] = platform.recipe.datasets
    plan_id = refresh_wanted(platform)
    address = plan_dataset(platform, entry).address
    assert dataset_address(platform, plan_id, entry) == address
    with monkeypatch.context() as patch:
        patch.setattr(plan, "plan_dataset", None)
        assert dataset_address(platform, plan_id, entry) == address
    label = CohortFacts(slide_id=planned[0].slide_id, patient=None, label="tumour")
    platform.catalog.set_cohort_facts([label])
    other = dataset_address(platform, plan_id, entry)
    assert other == plan_dataset(platform, entry).address != address


@pytest.mark.usefixtures("planned")
def test_of_versions_worked_out_those_of_rows_that_hold_are_kept(platform, reopen):
    other = reopen(RECIPE.replace("patch_px: 64", "patch_px: 32"))
    now = set()
    for one in (platform, other):
        plan_id, [entry] = refresh_wanted(one), one.recipe.datasets
        dataset_address(one, plan_id, entry)
        now.add(inputs_of(one, plan_id, entry))
    catalog = platform.catalog
    for n in range(50):
        catalog.note_dataset_plan("cohort", f"{n:064x}+0", "d")
    kept = {f"{49:064x}+0", *now}
    assert all(catalog.find_dataset_plan("cohort", inputs) for inputs in kept)
    assert not any(catalog.find_dataset_plan("cohort", f"{n:064x}+0") for n in range(49))
    catalog.note_dataset_plan("another", "x+0", "d")
    assert all(catalog.find_dataset_plan("cohort", inputs) for inputs in kept)


def test_rows_are_read_again_once_anything_was_made_tried_said_or_taken_out(
    platform, planned, monkeypatch
):
    [entry] = platform.recipe.datasets
    catalog, plan_id = platform.catalog, refresh_wanted(platform)
    n_read, read = [], catalog.dataset_inputs
    monkeypatch.setattr(catalog, "dataset_inputs", lambda *a: n_read.append(1) or read(*a))

    def rows():
        """Their hash, and how often they were read for it: asked twice, once at most."""
        n_read.clear()
        found = rows_of(platform, plan_id, entry)
        assert rows_of(platform, plan_id, entry) == found
        return found, len(n_read)

    before, _ = rows()
    assert rows() == (before, 0)
    a, b = planned
    made = catalog.find_artifact(a.steps["features", "stats"].address)
    catalog.record_artifact(replace(made, facts={**made.facts, "n_patches": 99}), [])
    anew, n = rows()
    assert (anew != before, n) == (True, 1)
    catalog.record_attempts([AttemptRecord(run_id="x", address=made.address, state="current")])
    assert rows() == (anew, 1)  # nothing of it changed
    catalog.set_cohort_facts([CohortFacts(slide_id=a.slide_id, patient=None, label="tumour")])
    labelled, n = rows()
    assert (labelled != anew, n) == (True, 1)
    catalog.erase_slide([b.slide_id], keep_artifacts=True)
    fewer, n = rows()
    assert (fewer != labelled, n) == (True, 1)


def test_a_dataset_is_another_once_features_are_damaged(platform, planned):
    [entry] = platform.recipe.datasets
    plan_id = refresh_wanted(platform)
    before = dataset_address(platform, plan_id, entry)
    features = planned[0].steps["features", "stats"].address
    platform.catalog.record_looks([], [features], lambda *_: "x is gone")
    assert dataset_address(platform, plan_id, entry) != before


def test_of_a_large_cohort_a_version_that_nobody_worked_out_is_not_worked_out_to_say_it_is_stale(
    platform, planned, monkeypatch
):
    [entry] = platform.recipe.datasets
    monkeypatch.setattr(status, "MAX_EXACT", 1)

    def cell():
        [found] = cohort_status(platform).datasets
        return found.state, found.digest

    built = build_dataset(platform, entry, run_id="run").artifact.address.digest
    monkeypatch.setattr(plan, "plan_dataset", None)
    assert cell() == ("current", built)
    label = CohortFacts(slide_id=planned[0].slide_id, patient=None, label="tumour")
    platform.catalog.set_cohort_facts([label])
    assert cell() == ("stale", "")


@pytest.mark.usefixtures("planned")
def test_the_first_version_is_worked_out_whatever_the_cohort(platform, monkeypatch):
    [entry] = platform.recipe.datasets
    monkeypatch.setattr(status, "MAX_EXACT", 1)
    digest = plan_dataset(platform, entry).address.digest
    assert [cell.digest for cell in cohort_status(platform).datasets] == [digest]


def test_a_version_whose_build_placed_its_patients_is_current_at_once(reopen, planned, monkeypatch):
    other = reopen(RECIPE.replace("{features: stats}", "{features: stats, split_by: stratified}"))
    monkeypatch.setattr(status, "MAX_EXACT", 1)
    [entry] = other.recipe.datasets
    built = build_dataset(other, entry, run_id="run").artifact.address.digest
    assert other.catalog.n_placed("cohort") == len(planned)
    monkeypatch.setattr(plan, "plan_dataset", None)
    [found] = cohort_status(other).datasets
    assert (found.state, found.digest) == ("current", built)
