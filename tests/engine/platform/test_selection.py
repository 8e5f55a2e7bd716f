from __future__ import annotations

import pytest

from pathassets.engine.platform.selection import choose_slides, read_selection, save_selection
from pathassets.errors import SelectionError, SpecError
from tests.catalog.merges import remember_merge

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
