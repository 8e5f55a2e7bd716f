import logging
from dataclasses import replace
from pathlib import Path

import pytest

from pathassets.adapters.tifffile import corrupt_tile
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.database.query import open_query
from pathassets.catalog.records import BadTileRecord
from pathassets.engine.platform.ledgers import encoders_of, enter_check
from pathassets.engine.slides.tile_check import CheckTask, check_slide
from tests.engine.conftest import RECIPE, register_files
from tests.engine.platform.test_status import run

SKIP = RECIPE.replace("mpp: 8.0}", "mpp: 8.0, bad_tiles: skip, max_bad_tile_share: 0.5}").replace(
    "encoder: colour_stats}", "encoder: colour_stats, bad_tiles: skip, max_bad_tile_share: 0.5}"
)


def check(path):
    return check_slide(CheckTask(path=path, fingerprint="", n_threads=1))


@pytest.fixture
def damaged(make_slide):
    """A slide of which a tile of level 0, in the tissue, cannot be decoded."""
    path = make_slide()
    corrupt_tile(path, level=0, tile_index=34)
    return path


@pytest.mark.usefixtures("here")
def test_tiles_that_a_run_left_out_are_entered_as_its_artifacts_list_them(reopen, damaged):
    platform = reopen(SKIP)
    [planned] = register_files(platform, damaged)
    run(platform)
    [features] = platform.catalog.artifacts("features")
    [listed] = features.facts["bad_tiles"]
    expected = BadTileRecord(slide_id=planned.slide_id, found_by="features", **listed)
    assert platform.catalog.bad_tiles(planned.slide_id) == [expected]
    run(platform, run_id="again")
    assert platform.catalog.bad_tiles(planned.slide_id) == [expected]


@pytest.mark.usefixtures("here")
def test_a_tile_that_a_slide_failed_by_is_entered_and_none_is_none_only_once_all_were_read(
    platform, damaged, make_slide
):
    failing, sound = register_files(platform, damaged, make_slide("sound.svs", seed=9))
    run(platform)
    [found] = platform.catalog.bad_tiles(failing.slide_id)
    assert (found.found_by, found.tile, found.reason) == ("features", 34, "undecodable")
    assert n_bad_tiles(platform) == {failing.slide_id: (1, False), sound.slide_id: (None, False)}
    for planned in (failing, sound):
        enter_check(platform.settings, check(Path(planned.paths[0].path)))
    assert n_bad_tiles(platform) == {failing.slide_id: (1, True), sound.slide_id: (0, True)}


def n_bad_tiles(platform):
    """Of each slide, and whether all its tiles were read."""
    query = "SELECT slide_id, n_bad_tiles, tiles_checked_at FROM v_slides"
    with open_query(platform.settings.catalog_url, query, timeout_s=20) as result:
        return {slide_id: (n, at is not None) for slide_id, n, at in result.rows()}


def test_what_check_finds_replaces_what_was_listed_of_a_slide(platform, damaged):
    [planned] = register_files(platform, damaged)
    gone = BadTileRecord(
        slide_id=planned.slide_id, level=1, x_px=0, y_px=0, width_px=1, height_px=1, tile=0,
        reason="missing", message="", found_by="features",
    )  # fmt: skip
    platform.catalog.enter_bad_tiles([gone])
    done = check(damaged)
    enter_check(platform.settings, done)
    [found] = platform.catalog.bad_tiles(planned.slide_id)
    assert (found.found_by, found.tile, found.reason) == ("check", 34, "undecodable")
    enter_check(platform.settings, replace(done, levels=()))
    assert platform.catalog.bad_tiles(planned.slide_id) == []


def test_a_file_that_is_no_known_slide_or_not_as_it_was_is_not_entered(
    platform, make_slide, damaged
):
    [planned] = register_files(platform, damaged)
    enter_check(platform.settings, check(make_slide("other.svs", seed=9)))
    done = check(damaged)
    with damaged.open("ab") as file:
        file.write(b"more")
    enter_check(platform.settings, done)
    assert platform.catalog.bad_tiles(planned.slide_id) == []


def test_a_look_makes_no_catalog(settings, tmp_path, damaged):
    elsewhere = replace(
        settings, store=tmp_path / "none", catalog_url=f"sqlite:///{tmp_path}/none/catalog.sqlite"
    )
    enter_check(elsewhere, check(damaged))
    assert not (tmp_path / "none").exists()


def test_a_catalog_that_cannot_be_written_is_told_and_the_look_counts(settings, damaged, caplog):
    broken = replace(settings, catalog_url="sqlite:////proc/catalog.sqlite")
    with caplog.at_level(logging.WARNING):
        enter_check(broken, check(damaged))
    assert "its bad tiles are not kept in the catalog" in caplog.text


def test_the_encoders_of_a_recipe_are_entered_when_its_home_is_opened_to_write(platform, settings):
    assert platform.catalog.encoders() == list(encoders_of(platform.recipe))
    assert [one.name for one in platform.catalog.encoders()] == ["colour_stats"]
    with Catalog.open(settings.catalog_url) as catalog:
        assert [one.licence for one in catalog.encoders()] == ["none needed: no weights"]
