"""`pathassets run` and `status`: make what is missing, and say where all stands."""

from __future__ import annotations

import sys

import click

from pathassets import report
from pathassets.cli.home import keys_meant, make_current, opened
from pathassets.cli.options import SOME_FAILED, listed
from pathassets.core.shards import Shard
from pathassets.engine.platform.forgotten import removals_begun
from pathassets.engine.platform.platform import Platform, open_to_read
from pathassets.engine.platform.selection import choose_slides
from pathassets.engine.platform.selections.entries import choose_entries
from pathassets.engine.platform.standing.look import MAX_LOOKED
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.platform.standing.rows import first_rows, slide_rows
from pathassets.engine.platform.standing.troubles import find_troubles
from pathassets.engine.platform.status import (
    cohort_status,
    dataset_cells,
    foresee,
    left_out_cells,
    require_own_catalog,
    slides_status,
)
from pathassets.engine.settings import read_settings


@click.command()
@click.option(
    "--slides",
    multiple=True,
    metavar="SELECTION",
    help="Slide ids, a,b or repeated, or what they have in common: cohort:luad & state:failed.",
)
@click.option(
    "--select",
    multiple=True,
    help="stage or stage/name, a,b or repeated: these alone, made from what is there.",
)
@click.option("--retry", is_flag=True, help="Try again what fails by the slide's content alone.")
@click.option(
    "--shard",
    metavar="K/N",
    help="Of N shares of the slides the K-th, beside processes with the others; no dataset.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be made, and make nothing.")
def run(
    slides: tuple[str, ...], select: tuple[str, ...], shard: str | None, *, retry: bool,
    dry_run: bool,
) -> None:  # fmt: skip
    """Make what is missing or stale; what is current is left alone."""
    share = None if shard is None else Shard.parse(shard)
    if dry_run:
        _foretell(slides, select, share, retry=retry)
        return
    with opened() as (platform, instance):
        if not slides and not platform.catalog.n_slides():
            _tell_none(platform)
            return
        chosen = _chosen(platform.readable, slides, share)
        if chosen is not None and not chosen:
            click.echo(_none_meant(share))
            return
        done = make_current(
            platform, instance, chosen or (), listed(select),
            retry=retry, is_shard=share is not None,
        )  # fmt: skip
        report.troubles(done.troubles, (*done.left_out, *done.kept_back))
        report.incomplete(done.incomplete)
        report.doubts(done.doubts)
        report.going(removals_begun(platform.catalog))
    if done.has_failed:
        sys.exit(SOME_FAILED)


def _tell_none(platform: Platform) -> None:
    require_own_catalog(platform)
    click.echo(report.NO_SLIDES)
    report.going(removals_begun(platform.catalog))


def _none_meant(shard: Shard | None) -> str:
    which = "selection" if shard is None else "selection and shard"
    return f"nothing to do: no slide is meant by this {which}"


def _foretell(
    slides: tuple[str, ...], select: tuple[str, ...], shard: Shard | None, *, retry: bool
) -> None:
    """Say what a run would do."""
    with open_to_read(read_settings()) as platform:
        if not slides and not platform.catalog.n_slides():
            _tell_none(platform)
            return
        meant = _chosen(platform.readable, slides, shard)
        if meant is not None and not meant:
            click.echo(_none_meant(shard))
            return
        chosen = meant or ()
        entries = choose_entries(platform, listed(select))
        if shard is not None:
            entries = tuple(entry for entry in entries if entry.stage.scope == "slide")
        keys = keys_meant(platform, listed(select))
        left_out = left_out_cells(platform, [entry.key for entry in entries])
        platform = platform.readable  # noqa: PLW2901 - the same, without what is left out
        entries = tuple(entry for entry in entries if entry in platform.recipe.entries)
        found = foresee(platform, chosen, entries, retry=retry)
        plan_id = refresh_wanted(platform)
        asked = {entry.key: entry.parent for entry in entries if entry.stage.scope == "cohort"}
        cells = [c for c in dataset_cells(platform, plan_id) if c.key in asked] if asked else []
        report.troubles(find_troubles(platform, plan_id, frozenset(chosen), keys), left_out)
        report.foreseen(found, {cell: asked[cell.key] for cell in cells})
        report.going(removals_begun(platform.catalog))


def _chosen(
    platform: Platform, slides: tuple[str, ...], shard: Shard | None
) -> tuple[str, ...] | None:
    """Slides that were asked for; None for all."""
    if not slides and shard is None:
        return None
    pages = [choose_slides(platform, slides)] if slides else platform.catalog.slide_pages()
    return tuple(one for page in pages for one in page if shard is None or shard.holds(one))


looks = click.option(
    "--look/--no-look",
    "is_looking",
    default=None,
    help=f"Whether to look at the store's files; of up to {MAX_LOOKED:,} artifacts it does.",
)


@click.command()
@click.option("--slides", multiple=True, metavar="SELECTION", help="Of these alone, as run takes.")
@click.option("--json", "as_json", is_flag=True, help="For machines: every row.")
@click.option("--all", "is_whole", is_flag=True, help="Every row of a cohort of thousands.")
@looks
def status(
    slides: tuple[str, ...], *, as_json: bool, is_whole: bool, is_looking: bool | None
) -> None:
    """Print where the cohort stands: one row a slide, one column an asset."""
    with open_to_read(read_settings()) as platform:
        chosen = choose_slides(platform.readable, slides) if slides else None
        stand = (
            cohort_status(platform, is_looking=is_looking)
            if chosen is None
            else slides_status(platform, chosen, is_looking=is_looking)
        )
        if as_json:
            for piece in report.status_json(stand, slide_rows(platform.readable, chosen)):
                click.echo(piece, nl=False)
        elif chosen is not None and not chosen:
            click.echo("no slide is meant by this selection")
        elif is_whole or stand.n_slides <= report.MAX_ROWS:
            report.status_table(stand, slide_rows(platform.readable, chosen))
        else:
            report.status_table(stand, first_rows(platform.readable, report.PART_ROWS, chosen))
