from __future__ import annotations

import pandas as pd

from pathassets.core.datasets.leaks import find_leaks, is_accepted, same_slide
from pathassets.core.datasets.similarity import Likeness

COLUMNS = ["slide_id", "patient", "split", "site"]


def manifest(*rows: tuple[str, str | None, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS, dtype="string")


def test_one_patient_under_two_spellings_in_two_parts_is_found_with_slides_and_remedy() -> None:
    table = manifest(
        ("a", "P-007", "train", ""), ("b", "p 7", "test", ""), ("c", "P-007", "train", "")
    )
    (leak,) = find_leaks(table)
    assert (leak.kind, leak.one, leak.other) == ("two_spellings", "P-007", "p 7")
    assert leak.message == (
        "patients 'P-007' (train) and 'p 7' (test) are one name in two spellings (slides a, c; b)"
    )
    assert (leak.slides, leak.remedy) == (("a", "c", "b"), "Spell it in one way")


def test_two_spellings_in_one_part_leak_nothing() -> None:
    assert find_leaks(manifest(("a", "P-7", "train", ""), ("b", "p7", "train", ""))) == []


def test_a_patient_and_a_site_in_two_parts_are_found() -> None:
    table = manifest(
        ("a", "p1", "train", "north"), ("b", "p1", "test", "south"), ("c", "p2", "test", "north")
    )
    assert [(leak.kind, leak.one) for leak in find_leaks(table)] == [
        ("patient_in_two_parts", "p1"),
        ("site_in_two_parts", "north"),
    ]


def test_nobody_without_a_name_is_in_two_parts() -> None:
    assert find_leaks(manifest(("a", None, "train", ""), ("b", "", "test", ""))) == []


def test_a_spelling_that_orders_a_terminal_about_is_written_out() -> None:
    table = manifest(("a", "p7\x1b[2J", "train", ""), ("b", "P7[2j", "test", ""))
    (leak,) = find_leaks(table)
    assert "\x1b" not in leak.message


def test_slides_of_one_tissue_are_named_in_one_order() -> None:
    table = manifest(("a", "p1", "train", ""), ("b", "p2", "test", ""))
    seen = [
        Likeness(one=one, other=other, distance_bits=4, correlation=0.9)
        for one, other in (("a", "b"), ("b", "a"))
    ]
    one, other = (same_slide(table, [like])[0] for like in seen)
    assert one == other
    assert one.message == (
        "slides a (train) and b (test) show the same tissue: aligned, their overviews correlate "
        "by 0.90"
    )
    assert len(one.finding) == 16


def test_what_was_accepted_is_about_a_manifest_while_both_are_in_two_parts() -> None:
    apart = manifest(("a", "p1", "train", ""), ("b", "p2", "test", ""))
    assert is_accepted(apart, "same_slide", "a", "b")
    assert is_accepted(apart, "two_spellings", "p1", "p2")
    assert not is_accepted(apart.assign(split="train"), "same_slide", "a", "b")
    assert not is_accepted(apart, "same_slide", "a", "c")
    assert not is_accepted(apart.drop(columns="site"), "site_in_two_parts", "x", "x")
