from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pathassets.catalog.records import UNSTAMPED, AnnotationRecord, MppOverride
from pathassets.errors import CatalogError
from tests.catalog.test_catalog import BARE, SLIDE, path_of

TUMOUR = AnnotationRecord(
    slide_id=SLIDE.slide_id,
    name="tumour",
    digest="aaaa",
    file="CMU-1 (é).geojson",
    sha256="a" * 64,
    n_polygons=3,
    labels={"": 1, "Tumor/invasive [G2]": 2},
    who="Ann",
    why="review of 3 May",
)
WITHDRAWN = replace(
    TUMOUR, digest="", file="", sha256="", n_polygons=0, labels={}, why="of another slide"
)


@pytest.fixture
def drawn_on(catalog):
    """The catalog, with two slides to draw on."""
    catalog.register_slide(SLIDE, path_of(SLIDE))
    catalog.register_slide(BARE, path_of(BARE, "/b"))
    return catalog


def test_the_newest_override_is_in_force_and_the_old_ones_are_kept(catalog) -> None:
    catalog.register_slide(SLIDE, path_of(SLIDE))
    catalog.register_slide(BARE, path_of(BARE, "/b"))
    for mpp in (0.25, 0.5, 0.26):
        catalog.override_mpp(BARE.slide_id, mpp, who="Ann", why=f"ruler {mpp}")
    catalog.override_mpp(SLIDE.slide_id, 0.4, who="Bob", why="scanner sheet")
    in_force = MppOverride(slide_id=BARE.slide_id, mpp=0.26, who="Ann", why="ruler 0.26")
    assert catalog.overrides()[BARE.slide_id] == in_force
    assert catalog.overrides()[SLIDE.slide_id].mpp == 0.4
    assert [o.mpp for o in catalog.mpp_history(BARE.slide_id)] == [0.26, 0.5, 0.25]
    assert catalog.slide(BARE.slide_id).mpp is None


def test_an_override_of_an_unknown_slide_is_refused(catalog) -> None:
    with pytest.raises(CatalogError, match="slide nobody: not in the catalog"):
        catalog.override_mpp("nobody", 0.5, who="Ann", why="guess")
    assert catalog.overrides() == {}


def test_a_drawing_comes_back_as_it_went_in_with_its_time(drawn_on) -> None:
    assert drawn_on.record_annotation(TUMOUR)
    [kept] = drawn_on.annotation_history(SLIDE.slide_id)
    assert kept == TUMOUR
    assert kept.made_at != UNSTAMPED
    assert timedelta(0) <= datetime.now(UTC) - kept.made_at < timedelta(minutes=1)
    assert drawn_on.annotations() == {SLIDE.slide_id: {"tumour": TUMOUR}}


def test_the_newest_drawing_of_a_name_is_in_force_and_the_old_ones_are_kept(drawn_on) -> None:
    second = replace(TUMOUR, digest="bbbb", why="the margin was wrong")
    stroma = replace(TUMOUR, name="stroma", digest="cccc")
    elsewhere = replace(TUMOUR, slide_id=BARE.slide_id)
    for one in (TUMOUR, stroma, second, elsewhere):
        assert drawn_on.record_annotation(one)
    assert drawn_on.annotations() == {
        SLIDE.slide_id: {"stroma": stroma, "tumour": second},
        BARE.slide_id: {"tumour": elsewhere},
    }
    assert drawn_on.annotation_history(SLIDE.slide_id) == [second, stroma, TUMOUR]


def test_a_drawing_that_is_withdrawn_is_not_in_force_and_can_be_recorded_again(drawn_on) -> None:
    drawn_on.record_annotation(TUMOUR)
    assert drawn_on.record_annotation(WITHDRAWN)
    [in_force] = drawn_on.annotations()[SLIDE.slide_id].values()
    assert in_force == WITHDRAWN
    assert in_force.is_withdrawn
    assert drawn_on.record_annotation(TUMOUR)
    assert drawn_on.annotations()[SLIDE.slide_id] == {"tumour": TUMOUR}
    assert drawn_on.annotation_history(SLIDE.slide_id) == [TUMOUR, WITHDRAWN, TUMOUR]


def test_a_drawing_is_entered_once_and_again_where_another_person_says_so(drawn_on) -> None:
    drawn_on.record_annotation(TUMOUR)
    assert not drawn_on.record_annotation(TUMOUR)
    confirmed = replace(TUMOUR, who="Bob", why="second opinion")
    assert drawn_on.record_annotation(confirmed)
    assert drawn_on.record_annotation(TUMOUR)
    assert drawn_on.annotation_history(SLIDE.slide_id) == [TUMOUR, confirmed, TUMOUR]


def test_a_drawing_of_an_unknown_slide_is_refused(drawn_on) -> None:
    with pytest.raises(CatalogError, match=r"Did you mean b-1111111111\?"):
        drawn_on.record_annotation(replace(TUMOUR, slide_id="b-111111111"))
    assert drawn_on.annotations() == {}


def test_a_label_that_no_database_can_hold_is_refused(drawn_on) -> None:
    with pytest.raises(CatalogError, match="has bytes that are no text"):
        drawn_on.record_annotation(replace(TUMOUR, why="\udc80"))
    assert drawn_on.annotation_history(SLIDE.slide_id) == []
