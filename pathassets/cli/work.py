"""`pathassets run` and `status`: make what is missing, and say where all stands."""

from __future__ import annotations

import sys

import click

from pathassets import report
from pathassets.cli.home import SOME_FAILED, make_current, opened
from pathassets.engine.platform.platform import open_to_read
from pathassets.engine.platform.selection import choose_slides
from pathassets.engine.platform.status import cohort_status, require_own_catalog
from pathassets.engine.settings import read_settings


@click.command()
@click.option(
    "--slides",
    multiple=True,
    metavar="SELECTION",
    help="Slide ids, a,b or repeated, or what they have in common: cohort:luad & state:failed.",
)
@click.option("--select", multiple=True, help="stage or stage/name, a,b or repeated.")
@click.option("--retry", is_flag=True, help="Try again what fails by the slide's content alone.")
def run(slides: tuple[str, ...], select: tuple[str, ...], *, retry: bool) -> None:
    """Make what is missing or stale; what is current is left alone."""
    with opened() as (platform, instance):
        if not slides and not platform.catalog.slides():
            require_own_catalog(platform)
            click.echo(report.NO_SLIDES)
            return
        chosen = tuple(choose_slides(platform, slides)) if slides else ()
        if slides and not chosen:
            click.echo("nothing to do: no slide is meant by this selection")
            return
        rows = make_current(platform, instance, chosen, _listed(select), retry=retry)
        report.failures(rows)
        report.damages(rows)
    if any(row.failure is not None for row in rows):
        sys.exit(SOME_FAILED)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--all", "is_whole", is_flag=True, help="Every row of a cohort of thousands.")
def status(*, as_json: bool, is_whole: bool) -> None:
    """Print where the cohort stands: one row a slide, one column an asset."""
    with open_to_read(read_settings()) as platform:
        stand = cohort_status(platform)
    if as_json:
        click.echo(report.status_json(stand))
    else:
        report.status_table(stand, is_whole=is_whole)


def _listed(values: tuple[str, ...]) -> tuple[str, ...]:
    """Take `--select a,b` for `--select a --select b`."""
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())
