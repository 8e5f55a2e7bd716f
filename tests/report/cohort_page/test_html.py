"""The page as text: what comes of strangers is data on it, and nothing can be loaded or run."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest

from pathassets.engine.platform.cohort_page.task import SlideLook
from pathassets.report.cohort_page import html
from pathassets.report.cohort_page.html import Page, PageLine, Served, index_html, page_html
from pathassets.report.cohort_page.words import look_words, script_json

HOSTILE = "</script><img src=x onerror=alert(1)>&amp;'\"`\u2028![x](bait)"


def between(text: str, tag: str) -> list[str]:
    return re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)


def policy_of(text: str) -> dict[str, list[str]]:
    (said,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    rules = (rule.split() for rule in said.replace("&#39;", "'").split("; "))
    return {name: values for name, *values in rules}


@pytest.mark.parametrize("value", ["<!--<script>", "]]>", "\u2029</SCRIPT >", ["<", {"&": ">"}]])
def test_no_value_can_end_the_element_that_it_stands_in(value: object) -> None:
    text = str(script_json({"said": value, "bait": HOSTILE}))
    assert json.loads(text) == {"said": value, "bait": HOSTILE}
    assert not set("<>&\u2028\u2029") & set(text)


@pytest.mark.parametrize("is_served", [True, False])
def test_only_the_page_s_own_style_and_script_are_let_run(*, is_served: bool) -> None:
    served = Served(selection=HOSTILE, fault=HOSTILE, opened=HOSTILE) if is_served else None
    text = page_html(Page(title=HOSTILE, slides=[], served=served))
    policy, nothing = policy_of(text), ["'none'"]
    assert policy["default-src"] == nothing
    for tag, name in (("style", "style-src"), ("script", "script-src")):
        (inner,) = between(text, tag)
        sha256 = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert policy[name] == [f"'sha256-{sha256}'"]
    assert policy["img-src"] == (["data:", "'self'"] if is_served else ["data:"])
    assert policy.get("connect-src", nothing) == (["'self'"] if is_served else nothing)
    assert "<img" not in text
    assert text.count("</script>") == 2
    assert not re.search(r"""(src|href|action)=["']?(https?:|//)""", text)


def test_a_page_without_slides_says_how_to_get_some_and_an_index_is_escaped() -> None:
    assert html.NO_SLIDES in page_html(Page(title="a", slides=[]))
    line = PageLine(href="a b.html", n_slides=1, first=HOSTILE, last="b", states="1 current")
    text = index_html(HOSTILE, [line])
    assert "<img" not in text
    assert "<script" not in text
    assert 'href="a b.html"' in text


def test_what_is_seen_of_a_slide_stands_on_the_page_or_has_an_address_of_its_own() -> None:
    look = SlideLook(slide_id="a", picture=b"1", map=b"2", problems=("a\x1b[2Jb",))
    words = look_words(look)
    assert words["picture"] == "data:image/webp;base64,MQ=="
    assert (words["grid"], words["map"]) == ("", "data:image/webp;base64,Mg==")
    assert words["problems"] == ["a\\x1b[2Jb"]
    assert look_words(SlideLook(slide_id="a"), b"1")["picture"] == "data:image/jpeg;base64,MQ=="
    assert "picture" not in look_words(look, has_picture=False)


def test_the_page_names_every_key_that_it_heeds() -> None:
    (keys,) = re.findall(r"Keys: (.*?)</p>", page_html(Page(title="a", slides=[], served=Served())))
    named = set(re.findall(r"[^\s,;]+", keys))
    assert {*"/tgf+-0arv", "arrows", "Home", "End", "Enter", "Esc"} <= named


@pytest.mark.parametrize("served", [None, Served(is_read_only=True)])
def test_a_page_that_takes_no_verdict_has_no_form_for_one_and_names_no_such_key(
    served: Served | None,
) -> None:
    text = page_html(Page(title="a", slides=[], served=served))
    assert "<form" not in text.partition("<dialog")[2]
    (keys,) = re.findall(r"Keys: (.*?)</p>", text)
    assert not {"accept", "reject", "review"} & {*re.findall(r"\w+", keys)}
