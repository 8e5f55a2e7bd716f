"""`pathassets plan`: what `pathassets run` would do, and how long it would take."""

from __future__ import annotations

import click

from pathassets import report
from pathassets.cli.options import listed
from pathassets.cli.work import looks
from pathassets.core.shards import Shard
from pathassets.engine.platform.batch import MAX_SLIDES
from pathassets.engine.platform.planning.forecast import Forecast, forecast
from pathassets.engine.platform.planning.rates import Place, measure, place_here
from pathassets.engine.platform.planning.work import Work, find_work
from pathassets.engine.platform.platform import Platform, open_to_read
from pathassets.engine.platform.selection import choose_slides
from pathassets.engine.platform.selections.entries import choose_entries
from pathassets.engine.platform.standing.look import look_where_quick
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.platform.standing.troubles import Troubles
from pathassets.engine.platform.status import left_out_cells
from pathassets.engine.settings import read_settings


@click.command()
@click.option("--slides", multiple=True, metavar="SELECTION", help="Of these alone, as run takes.")
@click.option("--select", multiple=True, help="stage or stage/name, a,b or repeated.")
@click.option("--shard", metavar="K/N", help="Of the slides that this shard of run has.")
@click.option("--retry", is_flag=True, help="With what fails by the slide's content alone.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@looks
def plan(  # noqa: PLR0913 - what a person asks
    slides: tuple[str, ...], select: tuple[str, ...], shard: str | None, *,
    retry: bool, as_json: bool, is_looking: bool | None,
) -> None:  # fmt: skip
    """Say what run would do, and how long it takes by what the catalog has measured."""
    share = None if shard is None else Shard.parse(shard)
    with open_to_read(read_settings()) as platform:
        place = place_here(platform)
        entries = choose_entries(platform, listed(select))
        if share is not None:
            entries = tuple(entry for entry in entries if entry.stage.scope == "slide")
        left_out = left_out_cells(platform, [entry.key for entry in entries])
        entries = tuple(e for e in entries if e in platform.readable.recipe.entries)
        chosen = choose_slides(platform.readable, slides) if slides else None
        plan_id = refresh_wanted(platform.readable)
        age = look_where_quick(platform.readable, plan_id, chosen, is_looking=is_looking)
        per_slide = [entry for entry in entries if entry.stage.scope == "slide"]
        work = find_work(
            platform.readable, plan_id, per_slide, chosen,
            (lambda _: True) if share is None else share.holds, retry=retry,
        )  # fmt: skip
        found = _forecast(platform.readable, plan_id, work, place)
    if as_json:
        click.echo(report.plan_json(found, place, age, left_out))
    else:
        report.plan_page(found, place, age)
        report.troubles(Troubles(), left_out)


def _forecast(platform: Platform, plan_id: int, work: Work, place: Place) -> Forecast:
    measured = measure(platform, platform.recipe.per_slide, place)
    return forecast(platform, plan_id, work, measured, most_slides=MAX_SLIDES)
