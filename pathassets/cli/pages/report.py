"""`pathassets report`: the slides of a cohort as one page, or as several with an index."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from pathassets import report
from pathassets.cli.options import TARGET
from pathassets.core.text import visible
from pathassets.engine.platform.platform import open_to_read
from pathassets.engine.platform.selection import choose_slides
from pathassets.engine.platform.standing.troubles import Troubles
from pathassets.engine.platform.status import left_out_cells
from pathassets.engine.settings import read_settings
from pathassets.report.cohort_page.files import PAGE, write_pages


@click.command("report")
@click.option("--slides", multiple=True, metavar="SELECTION", help="Of these alone, as run takes.")
@click.option("--to", "target", type=TARGET, help=f"HOME/{PAGE} by default.")
@click.option("--features", default="", metavar="NAME", help="Those shown; the recipe's first.")
def report_command(slides: tuple[str, ...], target: Path | None, features: str) -> None:
    """Write a page that shows all slides: pictures, states, what is odd, a map; it needs nothing.

    Of more than 500 slides there are several pages, and FILE is their index; pages of a former,
    larger cohort are removed.
    """
    with open_to_read(read_settings()) as platform, ExitStack() as shown:
        written = write_pages(
            platform, target, features=features,
            chosen=choose_slides(platform, slides) if slides else None,
            begin=lambda n: shown.enter_context(report.progress("looking at slides", n)),
        )  # fmt: skip
        left_out = left_out_cells(platform, [one.key for one in platform.recipe.entries])
    click.echo(visible(str(written)))
    report.troubles(Troubles(), left_out)
