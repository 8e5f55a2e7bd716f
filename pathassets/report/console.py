"""What all reports share: the console, bars or plain lines, errors, counts in words."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TaskID
from rich.text import Text

from pathassets.core.text import paragraph, visible
from pathassets.engine.logs import log_as_told, told
from pathassets.errors import PathAssetsError
from pathassets.errors.wording import with_remedy

if TYPE_CHECKING:
    from pathassets.engine.platform.batches.throughput import (
        Throughput,  # brings the encoders along
    )

logger = logging.getLogger(__name__)
_BATCH_LOG = "pathassets.engine.platform.batch"

LOG_WIDTH = 200
"""Columns of a table in a log, where no terminal tells its width."""


class _Console(Console):
    """A console on which no text gives orders to the terminal, whoever wrote it.

    rich escapes its own markup where it is asked to, and lets escape sequences pass.
    """

    def __init__(self, **options: Any) -> None:
        # soft_wrap leaves long lines to the terminal, so that a command in them can be copied.
        super().__init__(soft_wrap=True, highlight=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Prepare a text, be it of a line or of a table's cell."""
        return super().render_str(visible(text, keep="\n\t"), **options)


def explained(message: str, remedy: str, reason: str) -> str:
    r"""What went wrong and what helps, to be printed: a file's name in it makes no line.

    >>> print(explained("new\nline.svs: is gone", "Put it back", "slide_unreadable"))
    new\nline.svs: is gone. Put it back
    """
    return paragraph(with_remedy(told(message, reason), visible(remedy)))


def open_console() -> Console:
    """Give standard output, as wide as its terminal."""
    console = _Console()
    if not console.is_terminal:
        console.width = LOG_WIDTH
    return console


def error(said: PathAssetsError | str) -> None:
    """Print why a request is impossible, to standard error."""
    if log_as_told():
        logger.error("%s", said)
        return
    if isinstance(said, str):
        text = visible(said)
    else:
        text = explained(said.message, said.remedy, said.reason)
    _Console(stderr=True).print(f"[bold red]error:[/] {escape(text)}")


@contextmanager
def progress(title: str, n_items: int) -> Iterator[Callable[[str], None]]:
    """A bar in a terminal, plain lines in a log; call the result with one line (or '') an item."""
    console = open_console()
    if not console.is_terminal:
        yield lambda line: console.print(visible(line), markup=False) if line else None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(title, total=n_items)

        def advance(line: str) -> None:
            if line:
                bar.console.print(visible(line), markup=False)
            bar.advance(task)

        yield advance


class _SlideLines(logging.Handler):
    """Shows the engine's line of each slide, and moves a bar where there is a terminal."""

    def __init__(self, console: Console, bar: Progress | None) -> None:
        super().__init__(logging.INFO if bar is None else logging.DEBUG)
        self._console = console
        self._bar = bar
        self._slides = bar.add_task("slides", total=None) if bar else None
        self._patches: TaskID | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Show one slide's line, or how far the lines are."""
        fields = vars(record)
        throughput = fields.get("throughput")
        if throughput is not None:
            self._show(throughput)
            return
        if "left" in fields:
            self._show_left(fields["left"])
            return
        style = "red" if fields.get("is_failed") else None
        line = explained(record.getMessage(), "", fields.get("reason", ""))
        self._console.print(line, markup=False, style=style)
        if self._bar is not None and self._slides is not None and "n_done" in fields:
            self._bar.update(self._slides, completed=fields["n_done"], total=fields["n_slides"])

    def _show_left(self, left: str) -> None:
        """Say beside the bar of slides how long the others will take."""
        if self._bar is not None and self._slides is not None:
            self._bar.update(self._slides, description=f"slides, {left}" if left else "slides")

    def _show(self, throughput: Throughput) -> None:
        """Move the bar of patches, which is there from the first on."""
        if self._bar is None:
            return
        if self._patches is None:
            self._patches = self._bar.add_task("patches", total=None)
        self._bar.update(
            self._patches, completed=throughput.n_patches, total=throughput.n_expected,
            description=f"patches, {throughput.patches_per_s:.0f}/s",
        )  # fmt: skip


@contextmanager
def slide_progress() -> Iterator[None]:
    """Show slides as they finish, while the block runs; logs as JSON have them already."""
    if log_as_told():
        yield
        return
    console = open_console()
    bar = Progress(console=console, transient=True) if console.is_terminal else None
    handler = _SlideLines(console, bar)
    log = logging.getLogger(_BATCH_LOG)
    level, propagate = log.level, log.propagate
    log.setLevel(handler.level)
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
