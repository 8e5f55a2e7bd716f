"""Options that several commands take."""

from __future__ import annotations

import click

SOME_FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
"""Exit codes."""


class _Words(click.ParamType[str]):
    """Text that says something: who states a fact, and why, is what its worth rests on."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value.strip():
            self.fail("it says nothing", param, ctx)
        return value


WORDS = _Words()
