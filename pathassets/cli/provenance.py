"""`pathassets lineage` and `stale`: where things come from, and what counts no more."""

from __future__ import annotations

import click

from pathassets import report
from pathassets.engine.platform.platform import open_to_read
from pathassets.engine.platform.provenance.drawing import graph_of, to_dot, to_svg
from pathassets.engine.platform.provenance.lineage import lineage_of
from pathassets.engine.platform.provenance.stale import find_stale
from pathassets.engine.platform.selection import choose_slides
from pathassets.engine.settings import read_settings


@click.command()
@click.argument("what")
@click.option("--row", type=int, help="Of features: where on the slide this row is from.")
@click.option("--json", "form", flag_value="json", help="For machines.")
@click.option("--dot", "form", flag_value="dot", help="For Graphviz.")
@click.option("--svg", "form", flag_value="svg", help="A picture.")
@click.option("--all", "is_whole", is_flag=True, help="Every thing, with all that is known of it.")
def lineage(what: str, row: int | None, form: str | None, *, is_whole: bool) -> None:
    """Print what WHAT was made from, and what was made from it.

    WHAT is a file of the store, a copy of one, a file of an export, an artifact
    (stage/name/slide/digest), a slide, a patient, or a release such as cohort@3: by any name that
    this prints.
    """
    with open_to_read(read_settings()) as platform:
        traced = lineage_of(platform, what, is_whole=is_whole, row=row)
    if form == "json":
        click.echo(report.lineage_json(traced))
    elif form == "dot":
        click.echo(to_dot(graph_of(traced)), nl=False)
    elif form == "svg":
        click.echo(to_svg(graph_of(traced)), nl=False)
    else:
        report.lineage_tree(traced, is_whole=is_whole)


@click.command()
@click.option("--slides", multiple=True, metavar="SELECTION", help="As run takes them.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def stale(slides: tuple[str, ...], *, as_json: bool) -> None:
    """Print what was made and counts no more, and which change did it; nothing is computed."""
    with open_to_read(read_settings()) as platform:
        chosen = choose_slides(platform, slides) if slides else None
        found = find_stale(platform, chosen)
    if as_json:
        click.echo(report.stale_json(found))
    else:
        report.stale_list(found)
