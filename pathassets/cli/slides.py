"""`pathassets ingest`, `mpp`, `check`: slides, what is known of them, whether they are readable."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from pathassets import report
from pathassets.adapters.objects.remote_file import FilePlace, RemoteFile, place_of
from pathassets.adapters.objects.urls import is_url
from pathassets.cli.home import opened, register
from pathassets.cli.options import PLACE, SOME_FAILED, SOURCE, WORDS
from pathassets.core.slides.slide import check_mpp
from pathassets.core.text import visible
from pathassets.engine.platform.ingestion.cohort_table import NO_COHORT, UNKNOWN_WORDS, read_cohort
from pathassets.engine.platform.ingestion.ingest import IdScheme, find_files, find_listed
from pathassets.engine.platform.ledgers import enter_check
from pathassets.engine.platform.platform import Platform, open_to_read
from pathassets.engine.platform.selection import choose_slides
from pathassets.engine.platform.selections.names import slide_named
from pathassets.engine.settings import read_settings, usable_cores
from pathassets.engine.slides.scratch import scratch_for
from pathassets.engine.slides.tile_check import CheckTask, check_slides
from pathassets.engine.workers.pool import LocalWorkers
from pathassets.errors import SpecError


@click.command("ingest")
@click.argument("paths", nargs=-1, type=PLACE)
@click.option("--cohort", type=SOURCE, help="CSV: file, patient, label, mpp.")
@click.option(
    "--na-values",
    metavar="WORD,WORD",
    default=",".join(UNKNOWN_WORDS),
    show_default=True,
    help="What in the CSV means unknown, as an empty cell does; '' for nothing else.",
)
@click.option(
    "--id-scheme",
    "scheme",
    type=click.Choice(["stem", "hash", "manifest"]),
    default="stem",
    show_default=True,
    help="Slide ids from file name and hash, hash alone, or the table's slide_id.",
)
@click.option(
    "--watch",
    "is_watching",
    is_flag=True,
    help="Take what becomes whole in PATHS, or in the inbox, until Ctrl-C; cohort tables, too.",
)
@click.option("--run", "is_running", is_flag=True, help="With --watch: run the recipe on it.")
def ingest_command(  # noqa: PLR0913 - the options of a command
    paths: tuple[FilePlace, ...], cohort: Path | None, na_values: str, scheme: IdScheme,
    *, is_watching: bool, is_running: bool,
) -> None:  # fmt: skip
    """Register slides: files, folders that are searched, or URLs (s3, gs, az, https) of either."""
    _check_options(paths, cohort, is_watching=is_watching, is_running=is_running)
    if is_watching:
        from pathassets.cli.daily.inbox import watch  # noqa: PLC0415 - what few need

        watch(paths, scheme, is_running=is_running)
        return
    with opened(is_beginning=True) as (platform, instance):
        table = read_cohort(cohort, unknown=na_values.split(",")) if cohort else NO_COHORT
        if cohort:
            click.echo(visible(f"{cohort}: {table.reading}"))
        files, is_whole = find_listed(paths)
        n_refused = register(platform, instance, files, table, scheme)
    if n_refused or not is_whole:
        sys.exit(SOME_FAILED)


def _check_options(
    paths: tuple[FilePlace, ...], cohort: Path | None, *, is_watching: bool, is_running: bool
) -> None:
    if not (paths or is_watching):
        raise click.UsageError("Missing argument 'PATHS...'.")
    if is_running and not is_watching:
        raise click.UsageError("--run goes with --watch: `pathassets run` runs what is registered.")
    if cohort and is_watching:
        raise click.UsageError("--watch takes the tables that lie in the folders, no --cohort.")


@click.group()
def mpp() -> None:
    """State a slide's resolution, or look at what was stated."""


@mpp.command("set")
@click.argument("slide_id")
@click.argument("value", type=float)
@click.option("--who", required=True, type=WORDS, help="Who states it.")
@click.option("--why", required=True, type=WORDS, help="Where the value is from.")
def mpp_set(slide_id: str, value: float, who: str, why: str) -> None:
    """State micrometres per pixel of a slide's finest level."""
    check_mpp(value, subject=slide_id)
    with opened() as (platform, instance):
        from pathassets.defs.assets.slide import report_slides  # noqa: PLC0415 - dagster takes seconds

        known = slide_named(platform.catalog, slide_id)
        platform.catalog.override_mpp(known, value, who=who, why=why)
        report_slides(instance, platform, [known])
        click.echo(f"{known}: {value:g} um per pixel; what was made with another is stale now")


@mpp.command("show")
@click.argument("slide_id")
def mpp_show(slide_id: str) -> None:
    """Print what a slide's file and people state."""
    with open_to_read(read_settings()) as platform:
        record = platform.catalog.slide(slide_named(platform.catalog, slide_id))
        report.resolution(record, platform.catalog.mpp_history(record.slide_id))


@click.command()
@click.argument("slides", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def check(slides: tuple[str, ...], *, as_json: bool) -> None:
    """Read every tile of SLIDES, files, folders or selections of slides, and say which are bad."""
    settings = read_settings()
    workers = LocalWorkers(n_workers=1, timeout_s=settings.slide_timeout_s)
    tasks = [task for slide in slides for task in _check_tasks(slide, usable_cores())]
    checks = []
    with scratch_for(settings, (str(task.path) for task in tasks)) as scratch:
        for done in check_slides(workers, (replace(task, scratch=scratch) for task in tasks)):
            checks.append(done)
            enter_check(settings, done)
            if not as_json:
                report.check(done)
    if as_json:
        click.echo(report.checks_json(checks))
    if not all(done.is_sound for done in checks):
        sys.exit(SOME_FAILED)


def _check_tasks(slide: str, n_threads: int) -> list[CheckTask]:
    """What a word of the command line means: a file or folder, else a selection of known slides."""
    path = place_of(slide) if is_url(slide) else Path(slide)
    is_place = isinstance(path, RemoteFile) or path.exists() or path.is_symlink()
    if is_place or (os.sep in slide and ":" not in slide):  # state.features/x:failed is no path
        files = find_files([path])
        return [CheckTask(path=p, fingerprint="", n_threads=n_threads) for p in files]
    with open_to_read(read_settings()) as platform:
        return [
            _check_task(platform, slide_id, n_threads)
            for slide_id in choose_slides(platform, [slide])
        ]


def _check_task(platform: Platform, slide_id: str, n_threads: int) -> CheckTask:
    seen = platform.catalog.paths(slide_id)
    if not seen:
        raise SpecError(f"{slide_id}: no file of it is known", remedy="Ingest its file again")
    record = platform.catalog.slide(slide_id)
    return CheckTask(
        path=place_of(seen[0].path), fingerprint=record.fingerprint, n_threads=n_threads
    )
