"""The `pathassets` command: the main job from a terminal, over the same assets as the UI.

Exit codes: 0 done, 1 some slides failed or files were refused, 2 the request is impossible,
130 interrupted.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Any

import click

from pathassets import report
from pathassets.cli.annotations import recorded
from pathassets.cli.cohorts import cohort, verdict
from pathassets.cli.datasets import dataset
from pathassets.cli.encoders import encoders
from pathassets.cli.home import BAD_INPUT, INTERRUPTED
from pathassets.cli.provenance import lineage, stale
from pathassets.cli.sample import demo, sample
from pathassets.cli.selections import select
from pathassets.cli.slides import check, ingest_command, mpp
from pathassets.cli.sql import sql
from pathassets.cli.ui import ui
from pathassets.cli.work import run, status
from pathassets.errors import PathAssetsError


class _Command(click.Group):
    """A group whose commands end with a message, not a traceback, when they were asked wrongly."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PathAssetsError as error:
            report.error(str(error))
            ctx.exit(BAD_INPUT)
        except KeyboardInterrupt:
            report.error("interrupted; what was finished is kept, the same command does the rest")
            ctx.exit(INTERRUPTED)


@click.group(cls=_Command)
@click.version_option(package_name="pathassets")
def main() -> None:
    """Whole-slide images to patch features one can train on, tracked by Dagster."""
    report.log_to_stderr()
    if isinstance(sys.stdout, TextIOWrapper):  # a file's name may be no text at all
        sys.stdout.reconfigure(errors="backslashreplace")


for _command in (
    sample, ingest_command, cohort, run, status, select, stale, lineage, dataset, sql, mpp,
    recorded, verdict, encoders, check, ui, demo,
):  # fmt: skip
    main.add_command(_command)
