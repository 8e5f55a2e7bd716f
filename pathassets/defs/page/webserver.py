"""Dagster's webserver behind the guard, and beside it what else is to be shown on its port.

    browser ─▶ guard ─▶ path below one of `beside` ─▶ that application
                      └▶ any other ─────────────────▶ Dagster's webserver

Dagster gives no way to put something before its webserver, so this does what its command does, with
the context of a workspace and the ASGI application over one. `dagster_webserver` documents neither
its application nor its defaults; a test holds them.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from threading import Event, Thread

import dagster as dg
import uvicorn
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.cli import (
    DEFAULT_DB_STATEMENT_TIMEOUT,
    DEFAULT_POOL_MAX_OVERFLOW,
    DEFAULT_POOL_RECYCLE,
)
from dagster_webserver.version import __version__
from starlette.types import ASGIApp, Receive, Scope, Send

from pathassets.defs.dagster_internals import (
    Workspace,
    failed_locations,
    open_workspace,
)
from pathassets.defs.page.guard import LOOPBACK, Guard, origin_of, own_origins
from pathassets.defs.page.metrics import WithMetrics
from pathassets.engine.logs import log_to_stderr

logger = logging.getLogger(__name__)

RELOAD_S = (15, 30, 60, 120, 300)
"""Pauses before definitions that could not be loaded are loaded again; the last one recurs."""
POLL_MS = 2000
"""How often the page asks for news of assets, as `dagster dev` has it."""
END_S = 3
"""How long requests may take to end when the page is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """ASGI application that leaves some paths to others."""

    app: ASGIApp
    others: Mapping[str, ASGIApp]
    """By the path that each answers, and all below it, such as `/cohort`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        app = self.app
        if scope["type"] == "http":
            below = (p for p in self.others if f"{scope['path']}/".startswith(f"{p}/"))
            app = next((self.others[path] for path in below), app)
        await app(scope, receive, send)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """How the page is served."""

    port: int
    workspace: Path
    """File that names the code locations."""
    listen: str = LOOPBACK
    """Address of this machine."""
    public: tuple[str, ...] = ()
    """Where proxies show it."""
    is_read_only: bool = False
    """Whether nobody can change anything there."""


def serve_page(page: Page, beside: Mapping[str, ASGIApp]) -> None:
    """Serve the page of the instance that DAGSTER_HOME names, until a signal asks for the end."""
    is_json = log_to_stderr()
    with dg.DagsterInstance.get() as instance:
        instance.optimize_for_webserver(
            DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_RECYCLE, DEFAULT_POOL_MAX_OVERFLOW
        )
        with (
            open_workspace(
                instance, page.workspace, __version__, is_read_only=page.is_read_only
            ) as context,
            loading_again(context),
        ):
            app = create_app_from_workspace_process_context(context, live_data_poll_rate=POLL_MS)
            origins = own_origins(page.port, map(origin_of, page.public))
            uvicorn.run(
                Guard(app=WithMetrics(Beside(app=app, others=beside), instance), origins=origins),
                host=page.listen,
                port=page.port,
                log_level="warning",
                log_config=None if is_json else uvicorn.config.LOGGING_CONFIG,
                timeout_graceful_shutdown=END_S,
            )


@contextmanager
def loading_again(context: Workspace, pauses_s: Sequence[float] = RELOAD_S) -> Iterator[None]:
    """Have definitions that could not be loaded loaded again, while the block runs.

    A database may have been away when they were. Dagster's daemon looks by itself, and its
    webserver would show for ever that there are none.
    """
    is_over = Event()

    def load_again() -> None:
        for pause_s in chain(pauses_s, repeat(pauses_s[-1])):
            if is_over.wait(pause_s):
                return
            for name in failed_locations(context):
                logger.warning("%s could not be loaded, and is loaded again", name)
                context.reload_code_location(name)

    thread = Thread(target=load_again, name="load again", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
