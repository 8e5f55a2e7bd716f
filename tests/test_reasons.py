"""Reason codes are for machines and for people: docs/slides.md has them all, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pathassets.core.selection.fields import REASONS
from pathassets.core.slides.tiles import FaultReason

ROOT = Path(__file__).parent.parent
BASES = {"error", "slide_error"}
"""Of classes that only their children are raised of."""
CODE = re.compile(r"[a-z][a-z0-9_]+")


def reasons_in(tree: ast.AST) -> Iterator[str]:
    """Constants that are given to, or set as, a `reason`."""
    for node in ast.walk(tree):
        match node:
            case (
                ast.keyword(arg="reason", value=value)
                | ast.Assign(
                    targets=[ast.Name(id="reason") | ast.Attribute(attr="reason")], value=value
                )
                | ast.AnnAssign(target=ast.Name(id="reason"), value=value)
            ):
                yield from constants(value)


def constants(value: ast.expr | None) -> Iterator[str]:
    if isinstance(value, ast.IfExp):
        yield from constants(value.body)
        yield from constants(value.orelse)
    elif isinstance(value, ast.Constant) and value.value:
        assert CODE.fullmatch(value.value), value.value
        yield value.value


def in_code() -> set[str]:
    files = (ROOT / "pathassets").rglob("*.py")
    return {reason for path in files for reason in reasons_in(ast.parse(path.read_text()))}


def page() -> str:
    return (ROOT / "docs" / "slides.md").read_text()


def on_page() -> list[str]:
    """Codes in the first column of the page's tables."""
    rows = [line.split("|")[1] for line in page().splitlines() if line.startswith("| `")]
    return [code for cell in rows for code in re.findall(r"`([^`]+)`", cell)]


def test_the_page_explains_every_reason_once_and_none_that_there_is_not():
    documented = on_page()
    assert len(documented) == len(set(documented))
    assert set(documented) == in_code() - BASES == REASONS


def test_the_page_names_every_fault_of_a_tile():
    assert all(f"`{reason}`" in page() for reason in get_args(FaultReason))


def test_reasons_are_found_wherever_they_stand():
    tree = ast.parse(
        "raise X(path, reason='one')\n"
        "Y(reason='two' if found else 'three')\n"
        "class E:\n    reason: str = 'four'\n"
        "error.reason = 'five'\n"
        "reason = 'six'\n"
        "Z(reason='', other='seven')\n"
    )
    assert set(reasons_in(tree)) == {"one", "two", "three", "four", "five", "six"}
