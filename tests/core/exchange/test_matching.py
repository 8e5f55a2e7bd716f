from __future__ import annotations

import pytest

from pathassets.core.exchange.matching import KnownSlides, Label, match_all

KNOWN = KnownSlides(
    by_name={"a": {"a-1"}, "b": {"b-2"}, "twin": {"c-3", "d-4"}},
    by_sha256={"1" * 64: "a-1", "2" * 64: "b-2"},
)


def one(**said):
    (match,) = match_all([Label(path="x", **said)], KNOWN)
    return match


def test_content_finds_a_slide_whatever_the_file_is_called():
    assert one(name="renamed", slide_sha256="1" * 64).slide_id == "a-1"


def test_a_name_finds_a_slide_where_the_file_says_no_more():
    assert one(name="b").slide_id == "b-2"


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"name": "twin"}, "2 slides are called 'twin': c-3, d-4"),
        ({"name": "nobody\x1b"}, r"no slide is called 'nobody\x1b'"),
        ({"name": "a", "slide_sha256": "2" * 64}, "called like a-1, and says it is of b-2"),
        ({"name": "a", "slide_sha256": "9" * 64}, "no slide has the SHA-256"),
    ],
)
def test_what_is_doubtful_is_refused(said, fault):
    assert fault in one(**said).fault


def test_files_of_one_slide_are_refused_together_but_not_those_of_another_encoder():
    labels = [Label(path="1", name="a"), Label(path="2", name="a"), Label(path="3", name="b")]
    first, second, other = match_all(labels, KNOWN)
    assert "2 files are of slide a-1" in first.fault
    assert "2 files are of slide a-1" in second.fault
    assert (other.slide_id, other.fault) == ("b-2", "")
    labels = [Label(path="1", name="a"), Label(path="2", name="a", is_asked=False)]
    taken, left = match_all(labels, KNOWN)
    assert (taken.slide_id, taken.fault, taken.is_other) == ("a-1", "", False)
    assert left.is_other
