"""YAML text -> plain data that remembers its lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pathassets.core.recipe import Recipe, Weigh, parse_recipe
from pathassets.errors import SpecError

DEEPEST = 4
"""Keys above the deepest value of a recipe; beyond it an alias may lead in circles."""


def load_recipe(path: Path, weigh: Weigh | None = None) -> Recipe:
    """Read a recipe file; `weigh` looks at the files with weights that it names.

    Raises:
        SpecError: with file, line and remedy.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(
            f"{path}: cannot read the recipe: {error}",
            remedy="Point PATHASSETS_RECIPE at a recipe file, or unset it for the default one",
        ) from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SpecError(
            f"{path}:{line}: not YAML: {error.problem}", remedy="Mend the line"
        ) from error
    except (yaml.YAMLError, ValueError) as error:  # a date such as 2025-13-45 is a ValueError
        raise SpecError(f"{path}: not YAML: {error}", remedy="Mend the file") from error
    lines: dict[tuple[Any, ...], int] = {}
    _note_lines(node, (), lines, path)

    def where(place: tuple[Any, ...]) -> str:
        while place and place not in lines:
            place = place[:-1]
        return f"{path}:{lines.get(place, 1)}"

    return parse_recipe(data, where) if weigh is None else parse_recipe(data, where, weigh)


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
