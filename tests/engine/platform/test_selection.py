from __future__ import annotations

from pathlib import Path

import pytest

from pathassets.catalog.records import CohortFacts
from pathassets.engine.platform.selection import (
    choose_for,
    choose_slides,
    doubts_of,
    read_selection,
    save_selection,
)
from pathassets.engine.platform.selections.unknown import count_values
from pathassets.engine.platform.status import cohort_status
from pathassets.errors import SelectionError, SpecError
from tests.catalog.merges import remember_merge
from tests.engine.conftest import RECIPE

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def ids(platform, get_ready):
    """Of three slides, in order of registration."""
    return [one.slide_id for one in get_ready(platform, 3)]


def place(error: SelectionError) -> str:
    """What the error points at."""
    _, shown, carets = error.message.split("\n")
    return shown[carets.index("^") : len(carets)]


def test_ids_globs_and_lists_of_them_choose_slides_in_order_of_registration(platform, ids):
    a, b, c = ids
    assert choose_slides(platform, [f"{b},{a}"]) == [a, b]
    assert choose_slides(platform, [b, a]) == [a, b]
    assert choose_slides(platform, ["b-*", f"{c} & !a-*"]) == [b, c]
    assert choose_slides(platform, ["*"]) == ids
    assert choose_slides(platform, ["none-*"]) == []
    paths = platform.catalog.all_paths(ids)
    files = [Path(paths[slide_id][0].path) for slide_id in ids]
    assert choose_slides(platform, [f"{files[1].name},{files[0].stem}"]) == [a, b]
    assert choose_slides(platform, [f"{files[2]} & !b*"]) == [c]


def test_an_id_that_is_no_slide_s_is_pointed_at(platform, ids):
    with pytest.raises(SelectionError, match="not in the catalog") as caught:
        choose_slides(platform, [f"{ids[0]} | !b-typo,a-*"])
    assert place(caught.value) == "b-typo"
    with pytest.raises(SelectionError, match="not in the catalog") as caught:
        choose_slides(platform, [f"{ids[0]}x"])
    assert f"Did you mean {ids[0]}?" in caught.value.remedy


def test_an_id_of_before_a_merge_means_the_slide_of_today(platform, ids):
    remember_merge(platform.catalog, "old-id", into=ids[1])
    assert choose_slides(platform, ["old-id"]) == [ids[1]]
    assert str(read_selection(platform, ["old-id"])) == f"id:{ids[1]}"


def test_a_saved_selection_means_what_it_means_today(platform, ids):
    save_selection(platform, "pilot", "a-*", who="Ann")
    save_selection(platform, "rest", "!@pilot", who="Ann")
    assert choose_slides(platform, ["@rest"]) == ids[1:]
    save_selection(platform, "pilot", "a-*,b-*", who="Bob")
    assert choose_slides(platform, ["@rest"]) == ids[2:]
    assert str(read_selection(platform, ["@rest"])) == "!id:a-*,b-*"


def test_equal_selections_have_one_text_whatever_their_names(platform):
    save_selection(platform, "one", "mpp<0.3", who="Ann")
    save_selection(platform, "other", "(mpp < .3)", who="Ann")
    texts = {str(read_selection(platform, [text])) for text in ("@one", "@other", "mpp<0.30")}
    assert texts == {"mpp<0.3"}


@pytest.mark.usefixtures("ids")
def test_a_selection_that_names_itself_is_refused(platform):
    with pytest.raises(SelectionError, match="it names itself: @a in @a") as caught:
        save_selection(platform, "a", "x-* | @a", who="Ann")
    assert place(caught.value) == "@a"
    save_selection(platform, "b", "x-*", who="Ann")
    save_selection(platform, "a", "@b", who="Ann")
    with pytest.raises(SelectionError, match="it names itself: @b in @a in @b"):
        save_selection(platform, "b", "@a & !y-*", who="Ann")
    assert platform.catalog.saved_selections()["b"].text == "x-*"


@pytest.mark.usefixtures("ids")
def test_what_was_never_saved_is_pointed_at(platform):
    with pytest.raises(SelectionError, match="nothing was saved as 'pilot'") as caught:
        choose_slides(platform, ["a-* & @pilot"])
    assert place(caught.value) == "@pilot"
    assert "pathassets select save pilot" in caught.value.remedy
    save_selection(platform, "pilots", "*", who="Ann")
    with pytest.raises(SelectionError, match="nothing was saved as 'pilot'") as caught:
        choose_slides(platform, ["@pilot"])
    assert caught.value.remedy.startswith("Did you mean 'pilots'? ")


@pytest.mark.parametrize("name", ["", "a b", "1a", "x" * 65, "a;b"])
def test_a_name_is_one_word(platform, name):
    with pytest.raises(SpecError, match="it cannot be called"):
        save_selection(platform, name, "*", who="Ann")


def test_an_asset_that_the_recipe_does_not_have_is_pointed_at(platform):
    with pytest.raises(SelectionError, match="no entry features/statz") as caught:
        choose_slides(platform, ["state.features/statz:failed"])
    assert place(caught.value) == "state.features/statz"
    assert caught.value.remedy == "Did you mean 'features/stats'?"


@pytest.fixture
def named(platform, ids):
    """Three slides of which something is said."""
    facts = [CohortFacts(slide_id=one, patient="Doe 1", label="acinar") for one in ids[:2]]
    platform.catalog.set_cohort_facts(facts)
    return ids


@pytest.mark.parametrize(
    ("text", "at", "near"),
    [
        ("!patient:doe", "doe", "'Doe 1'"),
        ("a-* & label:acinar,acinr", "acinr", "'acinar'"),
        ("label.subtyp<3", "label.subtyp", ""),
        ("cohort:luad", "luad", ""),
        ("tag:rerun", "rerun", ""),
        ("site:x", "x", ""),
        ("stain:H&E".replace("&", ""), "HE", ""),
        ("reason:tile_unreadabl", "tile_unreadabl", "'tile_unreadable'"),
        ("verdict:rejekt", "rejekt", "'reject'"),
        ("annotated:tumour", "tumour", ""),
    ],
)
@pytest.mark.usefixtures("named")
def test_a_word_that_no_slide_has_is_pointed_at_with_near_ones_and_where_they_are_listed(
    platform, text, at, near
):
    with pytest.raises(SelectionError, match="no slide has") as caught:
        choose_slides(platform, [text])
    assert place(caught.value) == at
    assert near in caught.value.remedy
    assert "pathassets select values " in caught.value.remedy


def test_a_pattern_a_reason_and_a_verdict_may_match_nothing(platform, named):
    for text in ("patient:x*", "reason:tile_unreadable", "verdict:reject", "label.label:acin?r"):
        choose_slides(platform, [text])
    assert choose_slides(platform, ['patient:"Doe 1"']) == named[:2]


@pytest.mark.usefixtures("named")
def test_values_of_a_field_are_counted_by_slides(platform):
    assert count_values(platform, "patient", None) == [("Doe 1", 2)]
    assert count_values(platform, "label", 5) == [("acinar", 2)]
    assert count_values(platform, "labels", 5) == []
    with pytest.raises(SelectionError, match="unknown field 'cohrot'"):
        count_values(platform, "cohrot", None)


def test_a_saved_selection_that_names_a_slide_that_was_taken_out_says_so(platform, ids):
    save_selection(platform, "pilot", f"{ids[0]},{ids[1]}", who="Ann")
    platform.catalog.begin_forgetting(ids[0], who="Bob", why="asked to")
    platform.catalog.erase_slide([ids[0]], keep_artifacts=False)
    with pytest.raises(SelectionError, match=r"was taken out on .* by Bob") as caught:
        choose_slides(platform, ["@pilot"])
    assert caught.value.message.startswith("@pilot: ")
    assert "pathassets select save" in caught.value.remedy


def test_what_a_dataset_selects_by_may_come_later_and_is_doubted_until_then(reopen):
    platform = reopen(RECIPE.replace("features: stats}", "features: stats, slides: 'cohort:luad'}"))
    [entry] = platform.recipe.datasets
    assert choose_for(platform, entry) == []
    [doubt] = doubts_of(platform)
    assert doubt.message.startswith("dataset/cohort: selection: no slide has cohort 'luad'")
    assert list(map(str, cohort_status(platform).doubts)) == [str(doubt)]


def test_a_dataset_whose_selection_cannot_be_read_fails_alone(reopen):
    platform = reopen(RECIPE.replace("features: stats}", "features: stats, slides: '@pilot'}"))
    [cell] = cohort_status(platform).datasets
    assert (cell.state, cell.reason) == ("failed", "spec_error")
    assert cell.message.startswith("selection: nothing was saved as 'pilot'")
    assert doubts_of(platform) == []


def test_a_measure_that_nothing_in_the_recipe_makes_is_refused_and_not_taken_for_none(
    platform, reopen
):
    with pytest.raises(SelectionError, match="nothing measures focus") as refused:
        choose_slides(platform, ["!focus<100"])
    assert "patch_quality" in refused.value.remedy
    quality = "patch_quality: {numbers: {patch_locations: grid}}\n"
    assert choose_slides(reopen(RECIPE + quality), ["focus<100 | n_patches>1"]) == []
