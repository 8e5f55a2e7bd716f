"""Standard output as commands have it: what cannot be written there is told in one line."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

from pathassets import report
from pathassets.cli.options import BAD_INPUT, SOME_FAILED
from pathassets.errors import StoreError


class _Output(TextIOWrapper):
    """Of which an error is told from all others that the system has."""

    def write(self, text: str) -> int:
        """Write text."""
        with _told():
            return super().write(text)

    def flush(self) -> None:
        """Write what is held back."""
        with _told():
            super().flush()


@contextmanager
def output_told() -> Iterator[None]:
    """Run a command; where its output cannot be written, one line says so, and it exits with 2.

    A reader that has seen enough, as `head`, is no fault that is told.
    """
    if sys.stdout is sys.__stdout__ and isinstance(sys.stdout, TextIOWrapper):
        sys.stdout = _of(sys.stdout)
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except StoreError as error:
        report.error(error)
        sys.exit(BAD_INPUT)
    except BrokenPipeError:
        _drop_the_rest()
        sys.exit(SOME_FAILED)


def _of(stdout: TextIOWrapper) -> _Output:
    """The same place; a file's name may be no text at all."""
    stdout.flush()
    return _Output(
        open(stdout.fileno(), "wb", closefd=False),
        encoding=stdout.encoding, errors="backslashreplace",
        line_buffering=stdout.line_buffering, write_through=stdout.write_through,
    )  # fmt: skip


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        _drop_the_rest()
        raise StoreError(
            "standard output", f"cannot be written: {error.strerror or error}",
            remedy="Free its disk, or write elsewhere",
        ) from error  # fmt: skip


def _drop_the_rest() -> None:
    """Let what is held back go nowhere: Python would write it when it ends, and fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.__stdout__.fileno() if sys.__stdout__ else 1)
    os.close(nowhere)
