"""The webserver of `pathassets ui`: `python -m pathassets.cli.pages.webserver`.

Dagster's page is a matter of `defs`, the cohort page one of `report`: here they meet on one port.
"""

from __future__ import annotations

from pathlib import Path

import click

from pathassets.cli.pages.routes import CohortSite
from pathassets.defs.page.webserver import serve_page
from pathassets.engine.platform.cohort_page.address import COHORT
from pathassets.engine.settings import read_settings


@click.command()
@click.option("--port", required=True, type=int)
@click.option("--workspace", required=True, type=click.Path(path_type=Path))
def main(port: int, workspace: Path) -> None:
    """Serve Dagster's page, and the cohort page below /cohort."""
    with CohortSite(settings=read_settings()) as site:
        serve_page(port, workspace, {COHORT: site.app()})


if __name__ == "__main__":
    main()
