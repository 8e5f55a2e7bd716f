"""Slides of every fate on the page: each is there, and says what is to be said of it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import cv2
import numpy as np
import pytest

from pathassets.adapters.tifffile import PyramidSpec, corrupt_tile
from pathassets.catalog.records import ChangedBy, CohortChange, Verdict
from pathassets.engine.platform import platform as platform_module
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.cohort_page.kept import KEPT_IN, LARGE, SIZES
from pathassets.engine.platform.cohort_page.page import (
    BESIDE_PICTURE_BYTES,
    Surveys,
    describe_slides,
    look_at_slides,
    open_cohort,
    size_for,
)
from pathassets.errors import SpecError, WorkerLost
from tests.engine.conftest import RECIPE
from tests.engine.workers_here import WorkersHere

pytestmark = pytest.mark.usefixtures("here")


def seen(platform, **given):
    cohort = open_cohort(platform, **given)
    slides = look_at_slides(platform, cohort, cohort.slide_ids, size=LARGE)
    return cohort, {one.row.slide_id.partition("-")[0]: one for one in slides}


def run(platform, planned):
    return list(run_batch(platform, planned, platform.recipe.per_slide, run_id="run"))


def decoded(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.fixture
def fates(reopen, make_slide, register):
    """A platform with slides named by what befell them, after a run of all."""
    platform = reopen(
        RECIPE.replace(
            "dataset:", "slide_embedding:\n  top: {features: stats, method: max}\ndataset:"
        )
    )
    paths = {
        "good": make_slide("good.svs", seed=1),
        "blank": make_slide("blank.svs", blank=True),
        "corrupt": make_slide("corrupt.svs", seed=3),
        "moved": make_slide("moved.svs", seed=4),
        "damaged": make_slide("damaged.svs", seed=5),
        "unscaled": make_slide("unscaled.svs", spec=PyramidSpec(mpp=None, tile_px=64)),
    }
    corrupt_tile(paths["corrupt"], level=0, tile_index=33)
    planned = register(platform, *paths.values())
    run(platform, planned)
    paths["moved"].unlink()
    found = {one.slide_id.partition("-")[0]: one for one in planned}
    features, mask = (
        platform.store.path_of(found["damaged"].steps[key].address)
        for key in (("features", "stats"), ("tissue_mask", "otsu"))
    )
    shutil.rmtree(features / "features.zarr" / "features" / "c")
    (mask / "tissue.zarr" / "zarr.json").write_text("[]")
    return platform


def test_every_slide_is_there_says_what_is_to_be_said_of_it_and_is_read_once(fates, settings):
    cohort, slides = seen(fates)
    assert cohort.survey.map_of == "slide_embedding/top"
    assert [one.partition("-")[0] for one in cohort.slide_ids[:2]] == ["corrupt", "unscaled"]
    assert len(slides) == 6
    good = slides["good"]
    assert (good.row.state, good.oddities, good.look.problems) == ("current", (), ())
    assert decoded(good.look.picture).shape == (500, 600, 3)
    assert decoded(good.look.grid)[..., 3].any()
    cells = decoded(good.look.map)
    assert (cells[..., 3] > 0).sum() == good.row.n_patches > 0
    assert good.look.outline.startswith("M")
    assert good.measures.focus_median > 0
    assert np.abs(np.array(good.measures.rgb) - [170, 80, 160]).max() < 12
    assert all(0 <= share <= 1 for share in good.place)
    assert good.place != slides["moved"].place

    blank = slides["blank"]
    assert (blank.oddities, blank.place, blank.look.map) == (("no tissue",), None, b"")
    assert (blank.look.outline, blank.measures.focus_median, blank.look.problems) == ("", None, ())

    corrupt, unscaled = slides["corrupt"].row, slides["unscaled"].row
    assert (corrupt.state, corrupt.trouble.reason) == ("failed", "tile_unreadable")
    assert corrupt.trouble.remedy
    assert (unscaled.state, unscaled.trouble.reason) == ("failed", "resolution_missing")
    assert slides["unscaled"].look.picture
    assert "bad tiles" in slides["corrupt"].oddities or not corrupt.n_bad_tiles

    moved = slides["moved"]
    assert (moved.row.state, moved.look.picture) == ("current", b"")
    assert decoded(moved.thumbnail).ndim == 3
    assert "moved.svs" in moved.look.problems[0]
    assert moved.look.outline
    assert moved.look.map

    damaged = slides["damaged"].look
    assert (damaged.outline, damaged.map) == ("", b"")
    assert len(damaged.problems) == 2
    assert damaged.picture
    assert damaged.grid

    for path in (settings.home.parent / "scans").iterdir():
        path.unlink()
    described = describe_slides(fates, cohort, cohort.slide_ids)
    assert all(one.look is None for one in described)
    for one in described:
        there = slides[one.row.slide_id.partition("-")[0]]
        assert (one.measures, one.place) == (there.measures, there.place)
    kept = settings.home / KEPT_IN
    assert kept.stat().st_mode & 0o077 == 0
    for path in kept.glob("*.json"):
        path.write_bytes(b"[")  # what cannot be read is not believed
    _, again = seen(fates)
    assert again["good"].look.picture == good.look.picture
    assert "good.svs" in again["good"].look.problems[0]


def test_focus_and_colour_are_those_of_patch_quality_where_the_recipe_has_one(reopen, get_ready):
    quality = """
patch_quality:
  other: {patch_locations: wide}
  numbers: {patch_locations: grid, checks: {min_focus: 1000000}}
"""
    grids = "patch_locations:\n  wide: {tissue_mask: otsu, patch_px: 128, mpp: 0.5}"
    platform = reopen(RECIPE.replace("patch_locations:", grids, 1) + quality)
    first, second = get_ready(platform, 2, is_run=False)
    run(platform, [first])
    cohort, slides = seen(platform)
    assert cohort.survey.quality.of == "patch_quality/numbers"
    with closing(sqlite3.connect(platform.store.root / "catalog.sqlite")) as catalog:
        ((slide_id, focus, red),) = catalog.execute(
            "SELECT slide_id, focus_median, od_red FROM v_quality WHERE name = 'numbers'"
        )
    measured, unknown = slides["a"], slides["b"]
    assert (measured.row.slide_id, unknown.row.slide_id) == (slide_id, second.slide_id)
    assert (measured.measures.focus_median, measured.measures.od_red) == (focus, red)
    assert measured.oddities == ("min_focus",)
    assert measured.broken == {"min_focus": f"focus {focus:.4g} is below min_focus 1e+06"}
    assert measured.asked.numbers["patch_quality", "numbers"]["focus"] == focus
    assert (unknown.broken, unknown.asked.numbers, unknown.asked.n_bad_tiles) == ({}, {}, None)
    assert (unknown.measures.rgb, unknown.oddities) == (None, ())
    assert unknown.look.picture
    assert not [*(platform.settings.home / KEPT_IN).glob("*.json")]

    surveys = Surveys()
    open_cohort(platform, surveys=surveys)
    run(platform, [second])
    cohort = open_cohort(platform, surveys=surveys)
    assert all(one.measures.rgb for one in describe_slides(platform, cohort, cohort.slide_ids))


def test_what_people_say_is_on_the_page_and_a_lost_worker_costs_one_picture(
    platform, get_ready, monkeypatch
):
    first, second = (one.slide_id for one in get_ready(platform, 2, is_run=True))
    said = [("slide", first, "patient", "P1"), ("patient", "P1", "site", "Kyoto"),
            ("slide", first, "label.grade", "3"), ("slide", first, "tag", "pilot")]  # fmt: skip
    changes = [
        CohortChange(subject=who, key=key, field=field, old=None, new=new,
                     kind="number" if field == "label.grade" else None)
        for who, key, field, new in said
    ]  # fmt: skip
    platform.catalog.record_changes(changes, ChangedBy(who="Ada"))
    for word in ("reject", "accept"):
        platform.catalog.set_verdict(
            Verdict(slide_id=second, verdict=word, who="Bob", why="a fold")
        )
    surveys = Surveys()
    cohort = open_cohort(platform, chosen=[second, first], surveys=surveys)
    assert cohort.survey.map_of == "mean of features/stats"
    assert open_cohort(platform, surveys=surveys).survey is cohort.survey
    one, other = describe_slides(platform, cohort, cohort.slide_ids)
    alone = open_cohort(platform, chosen=[first])
    assert describe_slides(platform, alone, [first])[0].place == (0.5, 0.5)

    monkeypatch.setattr(platform_module, "LocalWorkers", Losing)
    lost, found = look_at_slides(platform, cohort, cohort.slide_ids, size=LARGE)
    assert "it is gone" in lost.look.problems[0]
    assert lost.thumbnail
    assert found.look.picture
    assert one.row.facts == {"patient": "P1", "site": "Kyoto"}
    assert (one.row.labels, one.row.tags, one.row.verdict) == ({"grade": "3"}, ("pilot",), None)
    assert (other.row.verdict.verdict, other.row.verdict.why) == ("accept", "a fold")


def test_a_cohort_without_slides_or_features_has_a_page_and_unknown_features_are_refused(
    platform, register, make_slide, reopen
):
    assert [*open_cohort(platform).pages] == [[]]
    register(platform, make_slide())
    _, slides = seen(platform)
    assert (slides["a"].row.state, slides["a"].place) == ("missing", None)
    assert slides["a"].look.picture
    with pytest.raises(SpecError, match="features/stts") as refused:
        open_cohort(platform, features="stts")
    assert "stats" in refused.value.remedy
    bare = reopen("tissue_mask: {otsu: {mpp: 8.0}}")
    assert open_cohort(bare).shown.tissue_mask == ("tissue_mask", "otsu")


class Losing(WorkersHere):
    """Workers of which one is lost with a slide."""

    def imap(self, fn, items, *, cpus=1):
        for item in items:
            if item.slide_id.startswith("a"):
                yield item, WorkerLost(f"{item.slide_id}: it is gone")
            else:
                yield from super().imap(fn, [item], cpus=cpus)


def test_pages_have_500_slides_and_stay_under_20_mb(platform, monkeypatch):
    ids = [f"s{n}" for n in range(1001)]
    monkeypatch.setattr(platform.catalog, "slide_pages", lambda: iter([ids]))
    pages = open_cohort(platform).pages
    assert [len(page) for page in pages] == [500, 500, 1]
    for n_slides in (1, 141, 257, 500):
        size = size_for(n_slides)
        assert n_slides * (size.max_bytes * 4 / 3 + BESIDE_PICTURE_BYTES) <= 20_000_000
    assert size_for(10_000) == SIZES[-1]
