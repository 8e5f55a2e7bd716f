from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathassets.core.selection.nodes import (
    All,
    Field,
    Match,
    Not,
    Saved,
    Selection,
    Value,
    conditions,
)
from pathassets.core.selection.parser import MAX_DEPTH, MAX_VALUES, parse
from pathassets.core.text import visible
from pathassets.errors import SelectionError
from tests.core.selection.trees import any_globs, names, selections


@given(selections(any_globs(), with_saved=True))
def test_what_is_written_is_read_as_what_it_was(selection: Selection) -> None:
    assert parse(str(selection)) == selection
    assert str(parse(str(selection))) == str(selection)


@given(selections(any_globs()), st.sampled_from(["{}", " {}\n", "({})", "( ({} ) )", "{} & {}"]))
def test_spaces_brackets_and_what_is_said_twice_change_nothing(
    selection: Selection, around: str
) -> None:
    both = around if "&" not in around else "({}) & ({})"
    assert str(parse(both.replace("{}", str(selection)))) == str(selection)


@given(st.text(alphabet="ab:&|!(),@\"'\\<=*. ", max_size=12))
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    error = refusal(text)
    if error is not None:
        fact, shown, carets = error.message.split("\n")
        assert fact.startswith("selection: ")
        assert set(carets.strip()) == {"^"}
        assert shown.startswith("  ")
        assert error.remedy


def refusal(text: str) -> SelectionError | None:
    try:
        parse(text)
    except SelectionError as error:
        return error
    return None


def test_the_example_of_the_documents_is_what_it_says() -> None:
    text = "cohort:luad & stain:HE & state:failed & !reason:tile_unreadable & label.subtype:acinar"
    found = parse(text)
    assert isinstance(found, All)
    assert set(found.of) == {
        Match(field=Field(name="cohort"), values=(Value.of("luad"),)),
        Match(field=Field(name="stain"), values=(Value.of("HE"),)),
        Match(field=Field(name="state"), values=(Value.of("failed"),)),
        Not(of=Match(field=Field(name="reason"), values=(Value.of("tile_unreadable"),))),
        Match(field=Field(name="label", of="subtype"), values=(Value.of("acinar"),)),
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a,b", "b | a"),
        ("a,b", "id:b,a,"),
        ("a & b & a", "(b) & ((a))"),
        ("!!a", "a"),
        ("mpp < 0.30", "mpp<.3"),
        ("stain:HE | stain:IHC | a", "a | stain:IHC,HE"),
        ("label.label:x", "label:x"),
        ('label."subtype":x', "label.subtype:'x'"),
        (r"path:*/my\ slides/**", r"path:*/my\ slides/*"),
        ("@pilot", '@"pilot"'),
        ('"a b"', r"a\ b"),
    ],
)
def test_equal_selections_have_equal_text(one: str, other: str) -> None:
    assert str(parse(one)) == str(parse(other))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("a | b & c", "id:a | id:b & id:c"),
        ("(a | b:c)", None),
        ("(a | mpp<1) & !(stain:HE & c)", "!(id:c & stain:HE) & (id:a | mpp<1)"),
        ("! a & b", "!id:a & id:b"),
        ("label.age>=60", "label.age>=60"),
        ("n_patches.features/stats>100", "n_patches.features/stats>100"),
        ("stain:'a,b'", 'stain:"a,b"'),
        (r'label:"say \"x\""', r'label:"say \"x\""'),
        ('label:"unclear?"', 'label:"unclear?"'),
        ("label:unclear?", "label:unclear?"),
    ],
)
def test_and_binds_before_or_and_not_before_both(text: str, canonical: str | None) -> None:
    if canonical is None:
        with pytest.raises(SelectionError, match="unknown field 'b'"):
            parse(text)
    else:
        assert str(parse(text)) == canonical


def test_a_value_in_quotation_marks_is_no_pattern() -> None:
    bare, marked = (parse(text) for text in ("label:a*", 'label:"a*"'))
    assert isinstance(bare, Match)
    assert isinstance(marked, Match)
    assert bare.values[0].text is None
    assert marked.values[0].text == "a*"


def test_every_condition_knows_where_it_stands() -> None:
    text = "cohort:luad & (@pilot | mpp<0.3)"
    places = {
        text[slice(*(one.span if isinstance(one, Saved) else one.field.span))]
        for one in conditions(parse(text))
    }
    assert places == {"cohort", "@pilot", "mpp"}


@given(names())
def test_what_is_shown_can_be_typed(text: str) -> None:
    shown = str(Field(name="label", of=text)) if text else "label"
    asked = f"{shown}:{Value.of(text)},{text!r}"
    assert visible(asked) == asked
    [condition] = conditions(parse(asked))
    assert isinstance(condition, Match)
    assert condition.field == Field(name="label", of=text)
    assert [value.text for value in condition.values] == [text]


REFUSED = [
    (r'label."a\qb":x', r"\q", r"'\q' stands for no character", r"Write \\ for the backslash"),
    (r"@'\x0'", r"\x", r"'\x' stands for no character", "Write"),
    (r'label:x,"\ud800"', r"\ud800", r"'\ud800' stands for no character", "Write"),
    ("cohrot:luad & stain:HE", "cohrot", "unknown field 'cohrot'", "Did you mean 'cohort'?"),
    ("a & zzzzz:b", "zzzzz", "unknown field 'zzzzz'", "Known are id, patient, site"),
    ("cohort:", " ", "it ends too early", "Expected a field, a slide id or a value"),
    ("a b", "b", "'b' is not expected here", "Write & or | between two conditions"),
    ("a and b", "and", "'and' is not expected here", "Write & for and"),
    ("a OR b", "OR", "'OR' is not expected here", "Write | for OR"),
    ("(a", " ", "it ends too early", "Expected"),
    ("a)", ")", "')' is not expected here", "Expected"),
    ("", " ", "it is empty", "Expected a field, a slide id or a value, !, ( or @"),
    ("stain!=HE", "!", "'!' is not expected here", "!field:value"),
    ("cohort:a,stain:HE", ":", "':' is not expected here", "A comma stands between values"),
    ("stain<3", "<", "stain is a text, and no number", "Write stain:3"),
    ("mpp:0.5", "mpp", "mpp is a number", "Compare it: mpp < 1"),
    ("mpp<fine", "fine", "'fine' is no number", "Write one"),
    ("label.age>nan", "nan", "'nan' is no number", "or label.age:nan"),
    ("state:faild", "faild", "no state is called 'faild'", "Did you mean 'failed'?"),
    ("a | 'b", "'b", "a quotation mark that nothing closes", "Close it with '"),
    ("a\\", "\\", "a backslash that nothing follows", "Write \\\\"),
    ("state.features:failed", "state.features", "state cannot be asked so", "STAGE/NAME"),
    ("mpp.x<2", "mpp.x", "mpp cannot be asked so", "Write mpp"),
    ("label.:x", "label.", "label cannot be asked so", "label.NAME"),
]


@pytest.mark.parametrize(("text", "place", "fact", "remedy"), REFUSED)
def test_an_error_points_at_the_place_and_says_what_to_do(
    text: str, place: str, fact: str, remedy: str
) -> None:
    with pytest.raises(SelectionError) as caught:
        parse(text)
    said, shown, carets = caught.value.message.split("\n")
    assert said == f"selection: {fact}"
    assert remedy in caught.value.remedy
    assert shown == f"  {text}"
    marked = f"{shown} "[carets.index("^") : len(carets)]
    assert marked == place
    assert str(caught.value) == f"{caught.value.message}\n{caught.value.remedy}"


def test_the_place_is_found_beside_what_cannot_be_seen_and_what_is_wide() -> None:
    with pytest.raises(SelectionError) as caught:
        parse("切片\x1b[2J & cohrot:x")
    _, shown, carets = caught.value.message.split("\n")
    assert "\x1b" not in shown
    assert shown[carets.index("^") - 2 :].startswith("cohrot")  # two wide characters before it


def test_of_a_long_text_the_place_is_shown() -> None:
    ids = ",".join(f"slide-{n}" for n in range(1000))
    with pytest.raises(SelectionError) as caught:
        parse(f"{ids} & cohrot:x & {ids}")
    _, shown, carets = caught.value.message.split("\n")
    assert len(shown) < 100
    assert shown[carets.index("^") : len(carets)] == "cohrot"
    assert shown.startswith("  … ")
    assert shown.endswith(" …")


@pytest.mark.parametrize("text", ["(" * 5000 + "a" + ")" * 5000, "!" * 5000 + "a"])
def test_what_is_nested_without_end_is_refused(text: str) -> None:
    with pytest.raises(SelectionError, match=f"more than {MAX_DEPTH} brackets"):
        parse(text)


def test_as_many_slides_as_a_database_takes_can_be_named() -> None:
    found = parse(",".join(f"s{n}" for n in range(5000)))
    assert isinstance(found, Match)
    assert len(found.values) == 5000
    with pytest.raises(SelectionError, match=f"more than {MAX_VALUES} values"):
        parse(",".join(f"s{n}" for n in range(MAX_VALUES + 1)))
