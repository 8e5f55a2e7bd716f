import pytest

from pathassets.catalog.records import CohortFacts
from pathassets.engine.platform import dataset
from pathassets.engine.platform.dataset import plan_dataset
from pathassets.engine.platform.planned_datasets import dataset_address
from pathassets.engine.platform.standing.refresh import refresh_wanted


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
        patch.setattr(dataset, "plan_dataset", None)
        assert dataset_address(platform, plan_id, entry) == address
    label = CohortFacts(slide_id=planned[0].slide_id, patient=None, label="tumour")
    platform.catalog.set_cohort_facts([label])
    other = dataset_address(platform, plan_id, entry)
    assert other == plan_dataset(platform, entry).address != address


def test_a_dataset_is_another_once_features_are_damaged(platform, planned):
    [entry] = platform.recipe.datasets
    plan_id = refresh_wanted(platform)
    before = dataset_address(platform, plan_id, entry)
    features = planned[0].steps["features", "stats"].address
    platform.catalog.record_looks([], [features], lambda *_: "x is gone")
    assert dataset_address(platform, plan_id, entry) != before
