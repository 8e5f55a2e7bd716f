"""Options that several commands take."""

from __future__ import annotations

import math
from typing import Any

import click

from pathassets.adapters.objects.remote_file import FilePlace, typed_place
from pathassets.core.text import is_text

SOME_FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
"""Exit codes."""


class _Words(click.ParamType[str]):
    """Text that says something: who states a fact, and why, is what its worth rests on."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value.strip():
            self.fail("it says nothing", param, ctx)
        if not is_text(value):
            self.fail("it has bytes that are no text", param, ctx)
        return value


class Number(click.FloatRange):
    """A number within bounds. Those of click let `nan` through, and `inf` where there is no end."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take what is a number."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{found} is no number that can be reckoned with", param, ctx)
        return found


class _Place(click.ParamType[FilePlace]):
    """A path, or the URL of an object; `click.Path` makes `s3:/bucket` of `s3://bucket`."""

    name = "path or url"

    def convert(
        self, value: str | FilePlace, param: click.Parameter | None, ctx: click.Context | None
    ) -> FilePlace:
        del param, ctx
        return typed_place(value) if isinstance(value, str) else value


def listed(values: tuple[str, ...]) -> tuple[str, ...]:
    """Take `--select a,b` for `--select a --select b`."""
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())


WORDS = _Words()
PLACE = _Place()
