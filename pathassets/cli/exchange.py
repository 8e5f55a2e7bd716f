"""`pathassets export` and `import`: features as files of other tools, and the other way round."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import click

from pathassets import report
from pathassets.cli.home import SOME_FAILED
from pathassets.core.exchange.names import NameBy
from pathassets.engine.platform.exchange.export import ExportRequest, Tool, export
from pathassets.engine.platform.platform import open_to_read
from pathassets.engine.settings import read_settings


@click.command("export")
@click.argument("tool", type=click.Choice(get_args(Tool)))
@click.argument("what")
@click.argument("to", type=click.Path(path_type=Path))
@click.option("--slides", multiple=True, help="Slide ids, a,b or repeated; all if none is named.")
@click.option(
    "--names", type=click.Choice(get_args(NameBy)), default="file", show_default=True,
    help="What a slide's files are called: as its own file, or by its id.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace files that have other content.")
def export_command(  # noqa: PLR0913 - the options of a command
    tool: Tool, what: str, to: Path, slides: tuple[str, ...], names: NameBy, *, overwrite: bool
) -> None:
    """Write WHAT into the folder TO as files that a TOOL reads.

    WHAT is an entry of the recipe (features/NAME), a dataset with its split (dataset/NAME), or one
    slide's artifact (features/NAME/SLIDE).
    """
    chosen = tuple(part.strip() for each in slides for part in each.split(",") if part.strip())
    request = ExportRequest(
        tool=tool, what=what, to=to, slides=chosen, names=names, overwrite=overwrite
    )
    done = []
    with open_to_read(read_settings()) as platform:
        for one in export(platform, request):
            click.echo(report.exported_line(one))
            done.append(one)
    click.echo(report.exported_end(done))
    if any(one.state == "refused" for one in done):
        sys.exit(SOME_FAILED)
