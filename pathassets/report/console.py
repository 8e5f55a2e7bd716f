"""What all reports share: the console, bars or plain lines, errors, counts in words."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

_BATCH_LOG = "pathassets.engine.batch"

LOG_WIDTH = 200
"""Columns of a table in a log, where no terminal tells its width."""


def open_console() -> Console:
    """Give standard output, as wide as its terminal."""
    # soft_wrap leaves long lines to the terminal, so that a command in them can be copied.
    console = Console(soft_wrap=True, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = LOG_WIDTH
    return console


def error(text: str) -> None:
    """Print why a request is impossible, to standard error."""
    console = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
    console.print(f"[bold red]error:[/] {escape(text)}")


def counted(n: int, noun: str) -> str:
    """Count in words.

    >>> counted(1, "slide"), counted(2, "slide")
    ('1 slide', '2 slides')
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


@contextmanager
def progress(title: str, n_items: int) -> Iterator[Callable[[str], None]]:
    """A bar in a terminal, plain lines in a log; call the result with one line (or '') an item."""
    console = open_console()
    if not console.is_terminal:
        yield lambda line: console.print(line, markup=False) if line else None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(title, total=n_items)

        def advance(line: str) -> None:
            if line:
                bar.console.print(line, markup=False)
            bar.advance(task)

        yield advance


class _SlideLines(logging.Handler):
    """Shows the engine's line of each slide, and moves a bar where there is a terminal."""

    def __init__(self, console: Console, bar: Progress | None) -> None:
        super().__init__(logging.INFO)
        self._console = console
        self._bar = bar
        self._task = bar.add_task("slides", total=None) if bar else None

    def emit(self, record: logging.LogRecord) -> None:
        """Show one slide's line."""
        style = "red" if getattr(record, "is_failed", False) else None
        self._console.print(record.getMessage(), markup=False, style=style)
        if self._bar is not None and self._task is not None:
            fields = vars(record)
            self._bar.update(self._task, completed=fields["n_done"], total=fields["n_slides"])


@contextmanager
def slide_progress() -> Iterator[None]:
    """Show slides as they finish, while the block runs."""
    console = open_console()
    bar = Progress(console=console, transient=True) if console.is_terminal else None
    handler = _SlideLines(console, bar)
    log = logging.getLogger(_BATCH_LOG)
    level, propagate = log.level, log.propagate
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(handler)
    try:
        if bar is None:
            yield
        else:
            with bar:
                yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate
