from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathassets.core.exchange.names import (
    names_of,
    safe_name,
    slides_by_stem,
    stem_of,
    unfit_names,
)


@pytest.mark.parametrize(
    ("file_name", "stem"),
    [
        ("a.svs", "a"),
        ("a.b.svs", "a.b"),
        ("a.ome.tif", "a"),
        ("A.OME.TIFF", "A"),
        ("a", "a"),
        ("größe 1.ndpi", "größe 1"),
    ],
)
def test_a_stem_is_what_other_tools_take_for_it(file_name, stem):
    assert stem_of(file_name) == stem


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a\nb", "a\x1b[2J", "a\u202eb",
             "a\0b", "x" * 201],
)  # fmt: skip
def test_a_name_that_is_a_path_hidden_unseen_or_too_long_is_refused(name):
    with pytest.raises(ValueError, match="it "):
        safe_name(name)


@given(st.text())
def test_a_name_that_passes_stays_in_its_folder(name):
    try:
        safe_name(name)
    except ValueError:
        return
    assert name not in {".", ".."}
    assert not {"/", "\\", "\0", "\n", "\x1b"} & set(name)


def test_two_slides_of_one_name_are_refused_also_where_case_is_none():
    files = {"a-1": "x.svs", "b-2": "X.svs", "c-3": "c.svs"}
    told = unfit_names(names_of(files, "file"))
    assert told.keys() == {"a-1", "b-2"}
    assert told["a-1"].startswith("files of slide b-2 are named x, too")
    assert told["b-2"].endswith("--names slide_id, or choose with --slides")
    assert unfit_names(names_of(files, "slide_id")) == {}


def test_a_name_that_cannot_be_one_is_refused_with_the_way_out():
    told = unfit_names(names_of({"a-1": "...svs", "b-2": "b.svs", "c-3": "new\nline.svs"}, "file"))
    assert told.keys() == {"a-1", "c-3"}
    assert r"name 'new\nline' cannot name others: it has characters that" in told["c-3"]
    assert told["c-3"].endswith("Name them by slide id: --names slide_id")


def test_slides_are_found_by_stem_file_name_and_id():
    found = slides_by_stem([("a-1", "a.svs"), ("a-2", "a.ndpi")])
    assert found["a"] == {"a-1", "a-2"}
    assert found["a.svs"] == {"a-1"}
    assert found["a-2"] == {"a-2"}
