from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathassets.core.text import HEADER_CHARS, UNSEEN, header_text, visible


@given(st.text())
def test_nothing_unseen_is_left_and_nothing_else_is_changed(text: str) -> None:
    said = visible(text)
    assert not {unicodedata.category(one) for one in said} & UNSEEN
    if not {unicodedata.category(one) for one in text} & UNSEEN:
        assert said == text


@pytest.mark.parametrize("text", ["Grün, 切片, naïve", "a\u00a0b", "e\u0301", "µm²", "", "[a] `b`"])
def test_the_words_of_every_language_stay_as_they_are(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\x00\x1b\x7f\x9b", "\\x00\\x1b\\x7f\\x9b"),
        ("a\u202eb\u200b\ufeff", "a\\u202eb\\u200b\\ufeff"),
        ("a\r\nb\u2028", "a\\r\\nb\\u2028"),
        ("not UTF-8: \udcff", "not UTF-8: \\udcff"),
    ],
)
def test_what_is_unseen_is_written_as_python_would(text: str, said: str) -> None:
    assert visible(text) == said


def test_lines_may_stay_apart() -> None:
    assert visible("a\n\tb\r", keep="\n\t") == "a\n\tb\\r"


def test_a_header_is_told_up_to_its_first_eighty_characters() -> None:
    assert header_text("x" * HEADER_CHARS) == "x" * HEADER_CHARS
    assert header_text("x" * 10**6) == "x" * HEADER_CHARS + " …"
