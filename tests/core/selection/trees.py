"""Any selection, and any slide's row, for Hypothesis: of few words, so that many match."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from pathassets.core.selection.fields import FIELDS
from pathassets.core.selection.nodes import (
    Compare,
    Field,
    Saved,
    Selection,
    Value,
    both,
    either,
    match,
    negated,
)

ASSETS = ("tissue_mask/otsu", "features/stats")
LABELS = ("", "subtype", "tumour stage", "age")
WORDS = ("a", "b", "HE", "60", "0.5", "a b", 'say "x"', "a*b", "C:\\x", "é", "")
OPERATORS = st.sampled_from(["<", "<=", "=", ">=", ">"])
GLOBS = ("*", "a*", "?", r"a\*b", "*b*", "[a]", "a_%", r"\\*", "**", "b")


def globs() -> st.SearchStrategy[Value]:
    written = st.sampled_from(GLOBS).map(lambda glob: Value(glob=glob.replace("**", "*")))
    return written | st.sampled_from(WORDS).map(Value.of)


def names(max_size: int = 12) -> st.SearchStrategy[str]:
    """Any text that a name can be: without NUL and halves of characters."""
    return st.text(
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=max_size
    )


def any_globs() -> st.SearchStrategy[Value]:
    """Values of any characters."""
    pieces = st.one_of(
        st.just("*"), st.just("?"), names(max_size=4).map(lambda text: Value.of(text).glob)
    )
    joined = st.lists(pieces, max_size=4).map("".join)
    return joined.filter(lambda glob: "**" not in glob).map(lambda glob: Value(glob=glob))


def fields(*, is_number: bool) -> st.SearchStrategy[Field]:
    kinds = {n: k for n, k in FIELDS.items() if (k.is_number if is_number else k.is_text)}
    chosen: list[Field] = []
    for name, kind in kinds.items():
        which = {"": ("",), "label": LABELS, "asset": ("", *ASSETS)}[kind.which]
        chosen += [Field(name=name, of=of) for of in which]
    return st.sampled_from(chosen)


def conditions(values: st.SearchStrategy[Value]) -> st.SearchStrategy[Selection]:
    def matching(field: Field) -> st.SearchStrategy[Selection]:
        known = FIELDS[field.name].values
        one = st.sampled_from([Value.of(text) for text in known]) if known else values
        return st.lists(one, min_size=1, max_size=3).map(lambda found: match(field, found))

    compared = st.builds(
        Compare, field=fields(is_number=True), operator=OPERATORS,
        number=st.sampled_from([0.0, 0.25, 0.5, 60.0, 1e22, -3.0]),
    )  # fmt: skip
    return fields(is_number=False).flatmap(matching) | compared


def selections(
    values: st.SearchStrategy[Value], *, with_saved: bool = False
) -> st.SearchStrategy[Selection]:
    leaf = conditions(values)
    if with_saved:
        leaf |= st.text(min_size=1, max_size=5).map(lambda name: Saved(name=name))
    lists: Callable[..., st.SearchStrategy[list[Selection]]] = st.lists
    return st.recursive(
        leaf,
        lambda below: st.one_of(
            below.map(negated),
            lists(below, min_size=1, max_size=3).map(both),
            lists(below, min_size=1, max_size=3).map(either),
        ),
        max_leaves=6,
    )
