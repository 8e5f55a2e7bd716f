from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathassets.core.exchange.names import names_of, safe_name, slides_by_stem, stem_of
from pathassets.errors import SpecError


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
    with pytest.raises(SpecError, match=r"slides a-1 and b-2: both .* --names slide_id"):
        names_of({"a-1": "x.svs", "b-2": "X.svs"}, "file")
    assert names_of({"a-1": "x.svs", "b-2": "X.svs"}, "slide_id") == {"a-1": "a-1", "b-2": "b-2"}


def test_a_name_that_cannot_be_one_is_refused_with_the_way_out():
    with pytest.raises(SpecError, match="--names slide_id"):
        names_of({"a-1": "...svs"}, "file")


def test_slides_are_found_by_stem_file_name_and_id():
    found = slides_by_stem([("a-1", "a.svs"), ("a-2", "a.ndpi")])
    assert found["a"] == {"a-1", "a-2"}
    assert found["a.svs"] == {"a-1"}
    assert found["a-2"] == {"a-2"}
