"""`pathassets select`: which slides a selection means, and selections that have a name."""

from __future__ import annotations

import click

from pathassets import report
from pathassets.cli.options import WORDS
from pathassets.core.text import counted
from pathassets.engine.platform.platform import open_platform, open_to_read
from pathassets.engine.platform.selection import (
    choose_slides,
    read_selection,
    save_selection,
    slides_of,
)
from pathassets.engine.platform.selections.unknown import count_values
from pathassets.engine.settings import read_settings


@click.group("select")
def select() -> None:
    """Say which slides are meant, such as "cohort:luad & !reason:tile_unreadable"."""


@select.command("show")
@click.argument("expression")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def select_show(expression: str, *, as_json: bool) -> None:
    """Print the slides that EXPRESSION means now."""
    with open_to_read(read_settings()) as platform:
        meant = read_selection(platform, [expression])
        slide_ids = slides_of(platform, meant)
    if as_json:
        click.echo(report.selected_json(meant, slide_ids))
    else:
        report.selected(slide_ids)


@select.command("values")
@click.argument("field")
@click.option("--all", "is_whole", is_flag=True, help="Every one, be they thousands.")
@click.option("--json", "as_json", is_flag=True, help="For machines: every one.")
def select_values(field: str, *, is_whole: bool, as_json: bool) -> None:
    """Print the values that FIELD has, and of how many slides; `labels` lists names of labels."""
    limit = None if is_whole or as_json else report.MAX_VALUES + 1
    with open_to_read(read_settings()) as platform:
        found = count_values(platform, field, limit)
    if as_json:
        click.echo(report.values_json(found))
    else:
        report.values(field, found, is_whole=is_whole)


@select.command("save")
@click.argument("name")
@click.argument("expression")
@click.option("--who", required=True, type=WORDS, help="Who states it.")
def select_save(name: str, expression: str, who: str) -> None:
    """Give EXPRESSION a name: @NAME stands for it, and what it means may change."""
    with open_platform(read_settings(), is_beginning=False) as platform:
        save_selection(platform, name, expression, who=who)
        n_slides = len(choose_slides(platform, [expression]))
    click.echo(f"@{name}: {counted(n_slides, 'slide')} now")


@select.command("list")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def select_list(*, as_json: bool) -> None:
    """Print what was saved, by whom and when."""
    with open_to_read(read_settings()) as platform:
        saved = list(platform.catalog.saved_selections().values())
    if as_json:
        click.echo(report.saved_selections_json(saved))
    else:
        report.saved_selections(saved)
