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


def listed(values: tuple[str, ...]) -> tuple[str, ...]:
    """Take `--select a,b` for `--select a --select b`."""
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())


WORDS = _Words()
