from __future__ import annotations

import logging
import shutil

import pytest
from sqlalchemy import delete, update

from pathassets.catalog.database import connect
from pathassets.catalog.tables import annotation, mpp_override, slide, slide_path
from pathassets.engine.platform.annotation_matching import match_files
from pathassets.engine.platform.annotations import AnnotationSource, find_preview, withdraw
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.cohorts.imports import label_by_hand
from pathassets.engine.platform.plan import annotation_address, plan_slides
from pathassets.engine.platform.provenance.lineage import lineage_of
from tests.catalog.merges import remember_merge
from tests.engine.annotations import record_boxes, write_boxes
from tests.engine.conftest import RECIPE

DRAWN = RECIPE + "annotations:\n  tumour:\n"
STATED = AnnotationSource(name="tumour", who="Ann", why="drawn anew")
BOX = (100.0, 100.0, 300.0, 200.0)


def merge(platform, old_id: str, into: str) -> None:
    """What the migration does to the catalog."""
    remember_merge(platform.catalog, old_id, into=into)
    with connect.writing(platform.catalog._engine) as connection:
        for table in (slide_path, mpp_override, annotation):
            moved = update(table).where(table.c.slide_id == old_id)
            connection.execute(moved.values(slide_id=into))
        connection.execute(delete(slide).where(slide.c.slide_id == old_id))


@pytest.fixture
def two(reopen, make_slide, register):
    platform = reopen(DRAWN)
    kept, old = register(platform, make_slide("a.svs"), make_slide("b.svs", seed=1))
    return platform, kept.slide_id, old


@pytest.mark.usefixtures("here")
def test_what_was_drawn_on_a_merged_slide_is_where_the_other_one_has_it_and_its_history_is_told(
    two, reopen
) -> None:
    platform, kept_id, old = two
    recorded = record_boxes(platform, old.slide_id, BOX)
    (outcome,) = run_batch(platform, [old], platform.recipe.per_slide, run_id="run-1")
    merge(platform, old.slide_id, kept_id)

    platform = reopen()
    (planned,) = plan_slides(platform)
    drawn = planned.annotation("tumour")
    assert drawn.slide_id == kept_id
    assert find_preview(platform, drawn) == find_preview(platform, recorded.annotation)
    assert platform.catalog.find_artifact(annotation_address(drawn)) is not None

    features = outcome.steps[-1].artifact
    ancestor = lineage_of(platform, platform.store.path_of(features.address))
    assert ancestor.address.partition_key == old.slide_id
    root = ancestor.parents[-1]
    assert root.facts["sha256"] == planned.record.fingerprint
    assert len(root.facts["paths"]) == 2


def test_a_drawing_that_is_gone_is_told_at_every_opening_and_stops_nothing(
    two, reopen, caplog
) -> None:
    platform, kept_id, old = two
    recorded = record_boxes(platform, old.slide_id, BOX)
    shutil.rmtree(platform.store.path_of(annotation_address(recorded.annotation)))
    merge(platform, old.slide_id, kept_id)
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            reopen()
        assert f"annotations/tumour/{kept_id}" in caplog.text
        assert "cannot be taken over" in caplog.text


def test_what_is_drawn_under_the_old_id_is_of_the_slide_it_became(two, reopen) -> None:
    platform, kept_id, old = two
    merge(platform, old.slide_id, kept_id)
    platform = reopen()
    assert record_boxes(platform, old.slide_id, BOX).annotation.slide_id == kept_id
    assert withdraw(platform, old.slide_id, STATED).slide_id == kept_id


def test_an_id_of_old_still_names_a_file_of_annotations_and_a_history(two, tmp_path):
    platform, kept, old = two
    label_by_hand(platform.catalog, "slide", kept, {"grade": "2"}, who="Ann")
    merge(platform, old.slide_id, kept)
    write_boxes(tmp_path / "drawn" / f"{old.slide_id}.geojson", BOX)
    [match] = match_files(platform, tmp_path / "drawn", STATED, is_dry=True)
    assert (match.state, match.slide_id) == ("fits", kept)
    [change] = platform.catalog.cohort_history(old.slide_id)
    assert (change.change.key, change.change.new) == (kept, "2")
