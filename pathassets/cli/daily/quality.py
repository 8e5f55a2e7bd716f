"""`pathassets qc`: verdicts on slides, by hand and from tables, and what waits for one."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import get_args

import click

from pathassets import report
from pathassets.catalog.records import VerdictWord
from pathassets.cli.options import BAD_INPUT, SOURCE, WORDS
from pathassets.core.stages import PATCH_QUALITY
from pathassets.engine.platform.cohorts.verdicts import give_verdict
from pathassets.engine.platform.platform import open_platform, open_to_read
from pathassets.engine.platform.quality.queue import review_queue
from pathassets.engine.platform.quality.verdict_table import preview_verdicts, take_verdicts
from pathassets.engine.platform.selection import choose_slides
from pathassets.engine.platform.selections.names import slide_named
from pathassets.engine.settings import read_settings


@click.group()
def qc() -> None:
    """Quality control: whether slides are fit for use, as people see it."""


@qc.command("set")
@click.argument("slide_id")
@click.argument("word", metavar="VERDICT", type=click.Choice(get_args(VerdictWord)))
@click.option("--who", required=True, type=WORDS, help="Who states it.")
@click.option("--why", required=True, type=WORDS, help="What speaks for or against it.")
def set_verdict(slide_id: str, word: VerdictWord, who: str, why: str) -> None:
    """State that a slide is to be used (accept), left out (reject), or looked at again (review)."""
    with open_platform(read_settings(), is_beginning=False) as platform:
        given = give_verdict(platform.catalog, slide_id, word, who=who, why=why)
    click.echo(f"{given.slide_id}: {word}")


@qc.command("show")
@click.argument("slide_id", required=False)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def show_verdicts(slide_id: str | None, *, as_json: bool) -> None:
    """Print the verdict in force of every slide that has one, or all that were stated of one."""
    with open_to_read(read_settings()) as platform:
        catalog = platform.catalog
        found = (
            catalog.verdicts()
            if slide_id is None
            else catalog.verdict_history(slide_named(catalog, slide_id))
        )
    report.verdicts(found, as_json=as_json)


@qc.command("import")
@click.argument("table", type=SOURCE)
@click.option("--who", required=True, type=WORDS, help="Who states it, where no line names one.")
@click.option("--dry-run", is_flag=True, help="Show what would be stated, and state nothing.")
@click.option("--sheet", help="Of a workbook, where several could be meant.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def import_verdicts(
    table: Path, who: str, sheet: str | None, *, dry_run: bool, as_json: bool
) -> None:
    """Take verdicts from TABLE (CSV, TSV, .xlsx, Parquet): slide, verdict, why, and maybe who."""
    opening = open_to_read if dry_run else partial(open_platform, is_beginning=False)
    with opening(read_settings()) as platform:
        preview = preview_verdicts(platform.catalog, table, who=who, sheet=sheet)
        report.verdict_preview(preview, as_json=as_json)
        if preview.conflicts:
            raise SystemExit(BAD_INPUT)
        if preview.verdicts and not dry_run:
            take_verdicts(platform.catalog, preview)
    if preview.verdicts and not as_json:
        click.echo("dry run: nothing was stated" if dry_run else "taken")


@qc.command("queue")
@click.option("--slides", multiple=True, metavar="SELECTION", help="Of these alone, as run takes.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def show_queue(slides: tuple[str, ...], *, as_json: bool) -> None:
    """List slides that break a rule and have no verdict since, or that are to be reviewed."""
    with open_to_read(read_settings()) as platform:
        chosen = choose_slides(platform, slides) if slides else None
        is_measured = any(e.stage.name == PATCH_QUALITY for e in platform.recipe.per_slide)
        found = review_queue(platform, chosen)
        report.review_queue(found, is_measured=is_measured, as_json=as_json)
