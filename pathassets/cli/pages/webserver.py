"""The webserver of `pathassets ui`: `python -m pathassets.cli.pages.webserver`.

Dagster's page is a matter of `defs`, the cohort page one of `report`: here they meet on one port.
"""

from __future__ import annotations

from pathlib import Path

import click

from pathassets.cli.pages.routes import CohortSite
from pathassets.defs.page.guard import LOOPBACK
from pathassets.defs.page.webserver import Page, serve_page
from pathassets.engine.platform.cohort_page.address import COHORT
from pathassets.engine.settings import read_settings


@click.command()
@click.option("--port", required=True, type=int)
@click.option("--workspace", required=True, type=click.Path(path_type=Path))
@click.option("--listen", default=LOOPBACK, help="Address of this machine to listen on.")
@click.option("--public-url", "public", multiple=True, help="Where a proxy shows the page.")
@click.option("--read-only", "is_read_only", is_flag=True, help="Let nobody change anything.")
def main(
    port: int, workspace: Path, listen: str, public: tuple[str, ...], *, is_read_only: bool
) -> None:
    """Serve Dagster's page, and the cohort page below /cohort."""
    page = Page(
        port=port, workspace=workspace, listen=listen, public=public, is_read_only=is_read_only
    )
    with CohortSite(settings=read_settings(), is_read_only=is_read_only) as site:
        serve_page(page, {COHORT: site.app()})


if __name__ == "__main__":
    main()
