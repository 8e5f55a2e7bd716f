"""YAML text -> plain data that remembers its lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from pathassets.adapters.named_files import open_named
from pathassets.core.recipe import Recipe
from pathassets.core.recipe_file import HashWeights, parse_recipe
from pathassets.errors import SpecError

DEEPEST = 4
"""Keys above the deepest value of a recipe."""
MOST_BYTES = 256 * 2**10
"""Of a recipe; PyYAML reads 100 KiB in a second."""
MOST_LEVELS = 20
MOST_VALUES = 20_000
"""A few aliases of aliases stand for more than any memory holds."""


def load_recipe(path: Path, hash_weights: HashWeights | None = None) -> Recipe:
    """Read a recipe file; `hash_weights` looks at the files with weights that it names.

    Raises:
        SpecError: with file, line and remedy.
    """
    text = _text_of(path)
    with _telling(path):
        _check_depth(text, path)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            _n_values(node, {}, path)
        data = yaml.safe_load(text)  # a tree of its own: merges change the one it is made from
    lines: dict[tuple[Any, ...], int] = {}
    _note_lines(node, (), lines, path)

    def where(place: tuple[Any, ...]) -> str:
        while place and place not in lines:
            place = place[:-1]
        return f"{path}:{lines.get(place, 1)}"

    return (
        parse_recipe(data, where)
        if hash_weights is None
        else parse_recipe(data, where, hash_weights)
    )


def _text_of(path: Path) -> str:
    try:
        with open_named(path) as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode()
    except UnicodeDecodeError as error:
        raise SpecError(
            f"{path}: cannot read the recipe: it is no text in UTF-8",
            remedy="Save it as UTF-8, or point PATHASSETS_RECIPE at a recipe file",
        ) from error
    except OSError as error:
        raise SpecError(
            f"{path}: cannot read the recipe: {error.strerror or error}",
            remedy="Put it back or mount its disk, or point PATHASSETS_RECIPE at a recipe file",
        ) from error
    if len(data) > MOST_BYTES:
        raise SpecError(
            f"{path}: is larger than {MOST_BYTES // 1024} KiB, which no recipe is",
            remedy="Point PATHASSETS_RECIPE at a recipe file",
        )
    return text


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Say of which file and line PyYAML says something.

    Raises:
        SpecError: it does.
    """
    try:
        yield
    except SpecError:
        raise
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SpecError(
            f"{path}:{line}: not YAML: {error.problem}", remedy="Mend the line"
        ) from error
    except (yaml.YAMLError, ValueError) as error:  # a date such as 2025-13-45 is a ValueError
        said = " ".join(str(error).split())  # PyYAML says the place on a line of its own
        raise SpecError(f"{path}: not YAML: {said}", remedy="Mend the file") from error


def _check_depth(text: str, path: Path) -> None:
    """Refuse what is nested so deep that to follow it takes a minute, or all of the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MOST_LEVELS and event.start_mark is not None:
            raise SpecError(
                f"{path}:{event.start_mark.line + 1}: nested deeper than {MOST_LEVELS} levels",
                remedy="Look for brackets that are not closed; a recipe has five levels",
            )


def _n_values(node: yaml.Node, known: dict[int, int], path: Path) -> int:
    """Values that a node stands for, those that its aliases repeat each time that they do."""
    if id(node) in known:
        if not known[id(node)]:
            raise SpecError(
                f"{path}:{node.start_mark.line + 1}: holds an alias of itself",
                remedy="Write out what is meant",
            )
        return known[id(node)]
    known[id(node)] = 0
    n = 1
    if isinstance(node, yaml.CollectionNode):
        pairs = isinstance(node, yaml.MappingNode)
        parts = [part for pair in node.value for part in pair] if pairs else node.value
        n += sum(_n_values(part, known, path) for part in parts)
    if n > MOST_VALUES:
        raise SpecError(
            f"{path}:{node.start_mark.line + 1}: stands for more than {MOST_VALUES:,} values",
            remedy="Repeat less by aliases",
        )
    known[id(node)] = n
    return n


def _note_lines(
    node: yaml.Node | None, place: tuple[Any, ...], lines: dict[tuple[Any, ...], int], path: Path
) -> None:
    """Note the line of every key; a key given twice is refused, YAML would keep the last."""
    if not isinstance(node, yaml.MappingNode) or len(place) > DEEPEST:
        return
    for key, value in node.value:
        spot = (*place, key.value)
        if spot in lines:
            raise SpecError(
                f"{path}:{key.start_mark.line + 1}: {key.value!r} is given twice, "
                f"first in line {lines[spot]}",
                remedy="Keep one",
            )
        lines[spot] = key.start_mark.line + 1
        _note_lines(value, spot, lines, path)
