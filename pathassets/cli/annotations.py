"""`pathassets annotations`: record what people draw on slides, or look at what was recorded."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from pathassets import report
from pathassets.cli.home import opened
from pathassets.cli.options import SOME_FAILED, SOURCE, WORDS
from pathassets.core.frames import Frame
from pathassets.engine.platform.annotation_matching import match_files
from pathassets.engine.platform.annotations import (
    AnnotationSource,
    annotations_of,
    record_file,
    withdraw,
)
from pathassets.engine.platform.platform import Platform, open_to_read
from pathassets.engine.settings import read_settings

if TYPE_CHECKING:
    import dagster as dg


@click.group("annotations")
def recorded() -> None:
    """Record what was drawn on slides, such as in QuPath, or look at what was recorded."""


def _stated(command: Callable[..., None]) -> Callable[..., None]:
    """Options of a statement."""
    for option in (
        click.option("--why", required=True, type=WORDS, help="Where it is from."),
        click.option("--who", required=True, type=WORDS, help="Who states it."),
        click.option("--name", required=True, help="An entry of the recipe's annotations."),
    ):
        command = option(command)
    return command


def _framed(command: Callable[..., None]) -> Callable[..., None]:
    """Option that says from where coordinates count."""
    return click.option(
        "--frame", type=click.Choice(get_args(Frame)),
        help="Of slides that have bounds (MIRAX, Leica, Ventana): coordinates count from the "
        "corner of level 0, or of the bounds, as QuPath's do.",
    )(command)  # fmt: skip


@recorded.command("set")
@click.argument("slide_id")
@click.argument("file", type=SOURCE)
@_framed
@_stated
def set_file(  # noqa: PLR0913 - the options of a statement
    slide_id: str, file: Path, name: str, who: str, why: str, *, frame: Frame | None
) -> None:
    """Record what FILE draws on a slide: polygons, or a mask picture."""
    stated = AnnotationSource(name=name, who=who, why=why, frame=frame)
    with opened() as (platform, instance):
        recorded = record_file(platform, slide_id, file, stated)
        _report_annotations(platform, instance, [recorded.annotation.slide_id])
        click.echo(report.annotation_line(recorded))


@recorded.command("add")
@click.argument("folder", type=SOURCE)
@_framed
@_stated
@click.option("--dry-run", is_flag=True, help="Say which file is of which slide, record nothing.")
def add_folder(  # noqa: PLR0913 - the options of a statement
    folder: Path, name: str, who: str, why: str, *, frame: Frame | None, dry_run: bool
) -> None:
    """Record the files of FOLDER, and of those below, that are called like a slide."""
    stated = AnnotationSource(name=name, who=who, why=why, frame=frame)
    with opened() as (platform, instance):
        done = []
        for match in match_files(platform, folder, stated, is_dry=dry_run):
            click.echo(report.match_line(match))
            done.append(match)
        _report_annotations(platform, instance, [match.slide_id for match in done])
    click.echo(report.matches_end(done))
    if any(match.said for match in done):
        sys.exit(SOME_FAILED)


@recorded.command("show")
@click.argument("slide_id", required=False)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def show(slide_id: str | None, *, as_json: bool) -> None:
    """Print what is drawn on all slides now, or all that was ever stated of one."""
    with open_to_read(read_settings()) as platform:
        found = annotations_of(platform, slide_id)
    if as_json:
        click.echo(report.annotations_json(found))
    else:
        report.annotation_table(found)


@recorded.command("withdraw")
@click.argument("slide_id")
@_stated
def withdraw_name(slide_id: str, name: str, who: str, why: str) -> None:
    """State that what was drawn on a slide counts no more."""
    with opened() as (platform, instance):
        drawn = withdraw(platform, slide_id, AnnotationSource(name=name, who=who, why=why))
        _report_annotations(platform, instance, [drawn.slide_id])
        click.echo(f"{drawn.slide_id}: {name} is withdrawn; what was made with it is stale now")


def _report_annotations(
    platform: Platform, instance: dg.DagsterInstance, slides: list[str]
) -> None:
    from pathassets.defs.assets.annotations import report_annotations  # noqa: PLC0415 - takes seconds

    report_annotations(instance, platform, slides)
