"""`pathassets inbox`, and `ingest --watch`: what waits in the watched folders, and taking it."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import TYPE_CHECKING

import click

from pathassets import report
from pathassets.adapters.objects.remote_file import FilePlace, RemoteFile
from pathassets.adapters.objects.urls import BUCKETS
from pathassets.cli.home import make_current, opened
from pathassets.cli.options import PLACE
from pathassets.core.text import counted
from pathassets.engine.platform.platform import (
    Platform,
    open_platform,
    open_to_read,
    with_recipe_of_now,
)
from pathassets.engine.settings import read_settings
from pathassets.errors import SpecError

if TYPE_CHECKING:
    import dagster as dg

    from pathassets.engine.platform.inbox.tables import TableOutcome
    from pathassets.engine.platform.ingestion.ingest import IdScheme, Registration

MAX_PAUSE_S = 10.0
FORGET_EACH_S = 300.0
"""Between two looks whether what was refused is still there: each object costs a request."""


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.pass_context
def inbox(context: click.Context, *, as_json: bool) -> None:
    """Tell what waits in the inbox and why, what was refused, what was taken and when."""
    if context.invoked_subcommand is not None:
        return
    from pathassets.engine.platform.inbox.overview import overview  # noqa: PLC0415 - opens slides

    with open_to_read(read_settings()) as platform:
        found = overview(platform)
    if as_json:
        click.echo(report.inbox_json(found))
    else:
        report.inbox_lists(found)


@inbox.command("retry")
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=PLACE)
def retry_files(files: tuple[FilePlace, ...]) -> None:
    """Take FILEs that were refused, or given up, for such that were never looked at."""
    from pathassets.engine.platform.inbox.overview import retry  # noqa: PLC0415 - opens slides

    with open_platform(read_settings(), is_beginning=False) as platform:
        for file in files:
            click.echo(report.retried_line(retry(platform, file)))


def watch(folders: tuple[FilePlace, ...], scheme: IdScheme, *, is_running: bool) -> None:
    """Take what becomes whole in folders, or in the inbox, until somebody ends it."""
    if scheme == "manifest":
        raise SpecError(
            "--watch: there is no table to take ids from", remedy="Use --id-scheme stem or hash"
        )
    for folder in folders:
        if not _is_watchable(folder):
            raise SpecError(
                f"{folder}: is no folder to watch",
                remedy="Name folders, or prefixes of buckets (s3://, gs://, az://)",
            )
    with opened(is_beginning=True) as (platform, instance), _ended_by_signals() as asked:
        named = tuple(
            folder if isinstance(folder, RemoteFile) else folder.absolute() for folder in folders
        )
        settings = replace(platform.settings, inboxes=named or platform.settings.inboxes)
        watched = replace(platform, settings=settings)
        click.echo(report.watching_line(settings.inboxes))
        pause_s = min(MAX_PAUSE_S, settings.inbox_stable_s / 4)
        rounds = _Rounds(watched, instance, scheme, is_running=is_running)
        with suppress(KeyboardInterrupt):
            while not asked:
                rounds.look()
                time.sleep(pause_s)
        click.echo("no longer watching; what was taken is kept")


@dataclass(slots=True)
class _Rounds:
    """What is done each time that somebody looks into the folders."""

    platform: Platform
    instance: dg.DagsterInstance
    scheme: IdScheme
    is_running: bool = field(kw_only=True)
    forget_again_s: float = -math.inf
    """When to look whether refused files are gone, on the monotonic clock."""
    taken: list[str] = field(default_factory=list)
    """New slides that were not run yet."""
    told: str = ""
    """Why they are not."""

    def look(self) -> None:
        """Take what is whole, and run it, if that is asked for."""
        self._forget_gone()
        new = _take_whole(self.platform, self.instance, self.scheme)
        if self.is_running:
            self.taken += new
        if self.taken:
            self._run()

    def _run(self) -> None:
        """Run what was taken by the recipe as it is now; where that is none, it waits for one."""
        try:
            platform = with_recipe_of_now(self.platform)
        except SpecError as error:
            if str(error) != self.told:
                waiting = counted(len(self.taken), "new slide")
                report.error(f"{error}. Until then {waiting} will not be run")
            self.told = str(error)
            return
        slides, self.taken, self.told = tuple(self.taken), [], ""
        done = make_current(platform, self.instance, slides, (), retry=False)
        report.troubles(done.troubles, done.kept_back)

    def _forget_gone(self) -> None:
        """Forget refusals of files that are gone, if it is time."""
        from pathassets.engine.platform.inbox.taking import (  # noqa: PLC0415 - opens slides
            forget_gone,
        )

        if (now_s := time.monotonic()) >= self.forget_again_s:
            forget_gone(self.platform)
            self.forget_again_s = now_s + FORGET_EACH_S


def _is_watchable(folder: FilePlace) -> bool:
    """Whether it can be listed: a folder, or a prefix of a bucket."""
    return folder.url.scheme in BUCKETS if isinstance(folder, RemoteFile) else folder.is_dir()


@contextmanager
def _ended_by_signals() -> Iterator[list[int]]:
    """Let SIGTERM and Ctrl-C end what runs here; gives a list of those that were heard.

    What a handler raises is lost where it comes upon a finalizer, in which Python raises nothing.
    Both, for a run of Dagster's lets SIGTERM do what SIGINT does: nothing, in what a script started
    with `&`.
    """
    heard: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        heard.append(number)
        raise KeyboardInterrupt

    asked = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, end) for number in asked}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _take_whole(platform: Platform, instance: dg.DagsterInstance, scheme: IdScheme) -> list[str]:
    """Take what is whole, say so, and tell Dagster; returns the slides that are new."""
    from pathassets.defs.inbox import tell_dagster  # noqa: PLC0415 - dagster takes seconds
    from pathassets.engine.platform.inbox.taking import take  # noqa: PLC0415 - opens slides
    from pathassets.engine.platform.ingestion.ingest import Registration  # noqa: PLC0415

    slides: list[Registration] = []
    tables: list[TableOutcome] = []
    for one in take(platform, _whole(platform), scheme=scheme):
        if isinstance(one, Registration):
            slides.append(one)
            click.echo(report.registration_line(one))
        else:
            tables.append(one)
            click.echo(report.table_line(one))
    if slides or tables:
        tell_dagster(instance, platform, slides, tables)
    return [one.slide_id for one in slides if one.state == "new"]


def _whole(platform: Platform) -> list[str]:
    """What is whole by now, be it that Dagster's sensor asked for it and no run came."""
    from pathassets.engine.platform.inbox.look import (  # noqa: PLC0415 - opens slides
        advanced,
        look_into,
        note_look,
    )

    catalog, settings = platform.catalog, platform.settings
    clock = advanced(catalog.inbox_clock(), wall_s=time.time(), monotonic_s=time.monotonic())
    look = look_into(catalog, settings.inboxes, clock)
    look = replace(look, seen={path: replace(one, asked="") for path, one in look.seen.items()})
    note_look(catalog, look, clock)
    return look.whole(settings.inbox_stable_s)
