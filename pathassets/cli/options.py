"""Options that several commands take."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from pathassets.adapters.objects.remote_file import FilePlace, on_disk, typed_place
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


class OnDisk(click.Path):
    """A path of this machine, and no URL: `click.Path` takes that for one."""

    def __init__(self, *, is_read: bool = False, **bounds: bool) -> None:
        super().__init__(path_type=Path, **bounds)
        self.is_read = is_read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take what lies on a disk, or will."""
        on_disk(value, is_read=self.is_read)
        return super().convert(value, param, ctx)


class _Filled(click.ParamType[Any]):
    """A type whose values are not empty on the command line, as those of a variable not set are.

    Empty would mean all slides, or the folder in which one is.
    """

    def __init__(self, kind: click.ParamType[Any]) -> None:
        self.kind = kind
        self.name = kind.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        is_typed = (
            ctx is not None
            and param is not None
            and ctx.get_parameter_source(param.name or "") == ParameterSource.COMMANDLINE
        )
        if is_typed and isinstance(value, str) and not value.strip(", \t\n"):
            self.fail("it is empty: give it a value, or leave it out", param, ctx)
        return self.kind(value, param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return self.kind.shell_complete(ctx, param, incomplete)


def refusing_empty(command: click.Command) -> click.Command:
    """The command, once it and those below it take no empty text or path."""
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        refusing_empty(below)
    for param in command.params:
        if isinstance(param.type, _FILLED) and param.name not in _MAY_BE_EMPTY:
            param.type = _Filled(param.type)
    return command


def listed(values: tuple[str, ...]) -> tuple[str, ...]:
    """Take `--select a,b` for `--select a --select b`."""
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())


_FILLED = (type(click.STRING), click.Path, _Place)
_MAY_BE_EMPTY = {"na_values"}
"""No text that stands for no value."""
WORDS = _Words()
PLACE = _Place()
TARGET, SOURCE = OnDisk(), OnDisk(is_read=True)
"""What is written, and what is read, on a disk alone."""
SOURCE_FOLDER = OnDisk(is_read=True, exists=True, file_okay=False)
