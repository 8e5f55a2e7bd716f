"""Dagster's webserver behind the guard: `python -m pathassets.defs.page.webserver`.

Dagster gives no way to put something before its webserver, so this does what its command does, with
the context of a workspace and the ASGI application over one. `dagster_webserver` documents neither
its application nor its defaults; a test holds them.
"""

import logging
from pathlib import Path

import click
import dagster as dg
import uvicorn
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.cli import (
    DEFAULT_DB_STATEMENT_TIMEOUT,
    DEFAULT_POOL_MAX_OVERFLOW,
    DEFAULT_POOL_RECYCLE,
)
from dagster_webserver.version import __version__

from pathassets.defs.dagster_internals import open_workspace
from pathassets.defs.page.guard import LOOPBACK, Guard, origin_of, own_origins
from pathassets.defs.page.metrics import WithMetrics
from pathassets.engine.logs import log_as_told

POLL_MS = 2000
"""How often the page asks for news of assets, as `dagster dev` has it."""
END_S = 3
"""How long requests may take to end when the page is closed."""


@click.command()
@click.option("--port", required=True, type=int)
@click.option("--workspace", required=True, type=click.Path(path_type=Path))
@click.option("--listen", default=LOOPBACK, help="Address of this machine to listen on.")
@click.option("--public-url", "public", multiple=True, help="Where a proxy shows the page.")
@click.option("--read-only", "is_read_only", is_flag=True, help="Let nobody change anything.")
def main(
    port: int, workspace: Path, listen: str, public: tuple[str, ...], *, is_read_only: bool
) -> None:
    """Serve the page of the instance that DAGSTER_HOME names."""
    is_json = log_as_told()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    with dg.DagsterInstance.get() as instance:
        instance.optimize_for_webserver(
            DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_RECYCLE, DEFAULT_POOL_MAX_OVERFLOW
        )
        with open_workspace(instance, workspace, __version__, is_read_only=is_read_only) as context:
            app = create_app_from_workspace_process_context(context, live_data_poll_rate=POLL_MS)
            origins = own_origins(port, map(origin_of, public))
            uvicorn.run(
                Guard(app=WithMetrics(app, instance), origins=origins),
                host=listen,
                port=port,
                log_level="warning",
                log_config=None if is_json else uvicorn.config.LOGGING_CONFIG,
                timeout_graceful_shutdown=END_S,
            )


if __name__ == "__main__":
    main()
