import sqlite3
from contextlib import closing

import pytest

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.database import connect
from pathassets.catalog.database.views import VIEWS
from pathassets.catalog.tables import metadata
from pathassets.core.spec import digest_of
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.plan import Planner, plan_slides
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.platform.status import cohort_status, open_work
from tests.cohort_rows import rows_of
from tests.engine.conftest import RECIPE

pytestmark = pytest.mark.usefixtures("here")
OF_0006 = {
    "slide", "slide_path", "merged_slide", "rejected_file", "mpp_override", "annotation",
    "artifact", "artifact_parent", "attempt",
}  # fmt: skip
KEYS = [("tissue_mask", "otsu"), ("patch_locations", "grid"), ("features", "stats")]


def test_nothing_is_planned_twice(platform, get_ready, monkeypatch):
    get_ready(platform, 2)
    plan_id = refresh_wanted(platform)
    monkeypatch.setattr(Planner, "digests", None)  # to plan a slide would fail
    assert refresh_wanted(platform) == plan_id


def test_another_recipe_is_another_plan_and_the_one_before_is_still_there(
    platform, get_ready, reopen, monkeypatch
):
    get_ready(platform, 1, is_run=True)
    first = refresh_wanted(platform)
    other = reopen(RECIPE.replace("patch_px: 64", "patch_px: 65"))
    second = refresh_wanted(other)
    assert second != first
    assert open_work(other, second, KEYS, retry=False).slide_ids
    monkeypatch.setattr(Planner, "digests", None)
    assert refresh_wanted(platform) == first
    assert not open_work(platform, first, KEYS, retry=False).slide_ids


@pytest.mark.parametrize(
    ("old", "new", "is_another"),
    [
        ("mpp: 8.0", "mpp: 8.5", True),
        ("encoder: colour_stats", "encoder: resnet18", True),
        ("otsu", "renamed", True),
        ("cohort: {features: stats}", "cohort: {features: stats, seed: 3}", False),
    ],
)
def test_a_plan_is_of_what_the_recipe_says_of_slides(platform, reopen, old, new, is_another):
    before = Planner(platform.recipe).recipe_digest
    after = Planner(reopen(RECIPE.replace(old, new)).recipe).recipe_digest
    assert (after != before) is is_another


def test_digests_are_those_of_the_whole_entry(platform, get_ready):
    [planned] = get_ready(platform, 1)
    parent = planned.version
    for entry in platform.recipe.per_slide:
        whole = {**entry.identity, "parents": [parent]}
        assert planned.steps[entry.key].address.digest == digest_of(whole)
        parent = planned.steps[entry.key].address.digest


def test_some_slides_are_planned_alone_and_ids_of_none_left_out(platform, get_ready):
    first, second = get_ready(platform, 2)
    assert plan_slides(platform, [second.slide_id, "nobody"]) == [second]
    assert plan_slides(platform, [second.slide_id, first.slide_id]) == [first, second]
    assert plan_slides(platform, []) == []


def test_a_catalog_of_the_version_before_is_current_and_nothing_is_computed_again(
    platform, get_ready, settings, reopen
):
    planned = get_ready(platform, 2, is_run=True)
    platform.close()
    go_back(settings)
    old = reopen()
    rows = rows_of(old)
    assert [[cell.state for cell in row.cells] for row in rows] == [["current"] * 3] * 2
    assert cohort_status(old).counts == {key: {"current": 2} for key in KEYS}
    plan_id = refresh_wanted(old)
    assert open_work(old, plan_id, KEYS, retry=False).slide_ids == set()
    outcomes = list(run_batch(old, planned, old.recipe.per_slide, run_id="again"))
    assert {step.state for one in outcomes for step in one.steps} == {"current"}


def go_back(settings):
    """Make a catalog what revision 0006 left: without what came after."""
    with closing(sqlite3.connect(settings.store / "catalog.sqlite")) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for view in VIEWS:
            connection.execute(f"DROP VIEW {view}")
        for table in metadata.tables.keys() - OF_0006:
            connection.execute(f'DROP TABLE "{table}"')
        connection.execute("DROP INDEX ix_slide_registered_at_slide_id")
        for column in ("scanner", "stain", "codec"):
            connection.execute(f"ALTER TABLE slide DROP COLUMN {column}")
        for column in ("seen_whole_at", "damage"):
            connection.execute(f"ALTER TABLE artifact DROP COLUMN {column}")
        for table, column in (
            ("rejected_file", "ctime_ns"), ("rejected_file", "etag"), ("slide_path", "etag"),
        ):  # fmt: skip
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute(f"UPDATE {connect.VERSION_TABLE} SET version_num = '0006'")  # noqa: S608


def test_the_newest_attempt_of_a_catalog_of_the_version_before_is_known(
    platform, get_ready, settings
):
    get_ready(platform, 1, is_run=True)
    before = platform.catalog.latest_attempts()
    platform.close()
    go_back(settings)
    with Catalog.open(settings.catalog_url) as catalog:
        assert catalog.latest_attempts() == before
        assert len(before) == len(KEYS)
