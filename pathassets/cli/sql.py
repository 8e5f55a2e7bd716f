"""`pathassets sql`: ask the catalog what its views say, and write the answer as a table."""

from __future__ import annotations

from pathlib import Path

import click

from pathassets import report
from pathassets.cli.options import TARGET, Number
from pathassets.engine.platform.platform import open_to_read
from pathassets.engine.platform.query import Asked, ask, require_distinct, write_answer
from pathassets.engine.settings import read_settings

MAX_ROWS = 200
"""Rows that a terminal shows, unless more are asked for."""
MOST_ROWS = 10_000_000
MOST_S = 604_800.0
"""A week; PostgreSQL counts no further than 24 days."""


@click.command()
@click.argument("query")
@click.option("--to", "target", type=TARGET, help="Write it: FILE.csv, FILE.parquet.")
@click.option("--overwrite", is_flag=True, help="Replace the file that is there.")
@click.option("--json", "as_json", is_flag=True, help="For machines: one object a row.")
@click.option(
    "--limit", type=click.IntRange(1, MOST_ROWS), default=MAX_ROWS, show_default=True,
    help="Rows that are shown; a file and --json have all.",
)  # fmt: skip
@click.option(
    "--timeout", "timeout_s", type=Number(0.1, MOST_S), default=60.0, show_default=True,
    help="Seconds that the query may take.",
)  # fmt: skip
@click.option(
    "--escape-formulas", is_flag=True,
    help="Of a CSV, put an apostrophe before what a spreadsheet would run.",
)  # fmt: skip
def sql(  # noqa: PLR0913 - the options of a command
    query: str, target: Path | None, limit: int, timeout_s: float,
    *, as_json: bool, escape_formulas: bool, overwrite: bool,
) -> None:  # fmt: skip
    """Run a SELECT over the catalog's views, such as v_slides; nothing can be changed by it."""
    settings = read_settings()
    open_to_read(settings, needs_recipe=False).close()  # an older catalog is brought up to date
    asked = Asked(url=settings.catalog_url, query=query, timeout_s=timeout_s)
    if target is not None:
        written = write_answer(asked, target, escape_formulas=escape_formulas, overwrite=overwrite)
        report.written(target, written)
        return
    with ask(asked) as answer:
        if as_json:
            require_distinct(answer.columns)
            report.rows_json(answer)
        else:
            report.rows_table(answer, limit)
