"""Names on a command line -> entries of the recipe."""

from __future__ import annotations

from collections.abc import Iterable

from pathassets.core.near_names import did_you_mean
from pathassets.core.recipe import ANNOTATIONS, Entry, Key
from pathassets.engine.platform.platform import Platform
from pathassets.errors import SpecError


def choose_entries(platform: Platform, select: Iterable[str]) -> tuple[Entry, ...]:
    """Entries that names stand for: a stage, or stage/name; all where none is named.

    Raises:
        SpecError: the recipe has no such stage or entry, or nothing of it can be made.
    """
    makeable = [*platform.recipe.per_slide, *platform.recipe.datasets]
    chosen: set[Key] = set()
    for text in select:
        stage, _, name = text.partition("/")
        keys = {e.key for e in makeable if e.stage.name == stage and name in {"", e.name}}
        if not keys:
            if stage == ANNOTATIONS:
                raise SpecError(
                    f"--select {text}: annotations are recorded, not made",
                    remedy="Record some: pathassets annotations set",
                )
            raise SpecError(
                f"--select {text}: the recipe has no such entry",
                remedy=did_you_mean(text, ("/".join(e.key) for e in makeable), "It has"),
            )
        chosen |= keys
    return tuple(e for e in makeable if not chosen or e.key in chosen)
