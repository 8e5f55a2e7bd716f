"""`pathassets ui`: Dagster's page, the cohort page, daemon, code server, on this machine alone."""

from __future__ import annotations

import os
import socket
import sys
import time

import click

from pathassets import report
from pathassets.adapters.telemetry.apprise import require_known
from pathassets.cli.home import opened
from pathassets.cli.options import SOME_FAILED
from pathassets.core.text import visible
from pathassets.engine.platform.cohort_page.address import COHORT
from pathassets.engine.platform.platform import open_platform
from pathassets.engine.settings import Settings, dagster_environment, read_settings
from pathassets.errors import ServiceEnded, SpecError

LOOPBACK = "127.0.0.1"
WEBSERVER = "pathassets.cli.pages.webserver"
PATIENCE_S = 5.0
"""How long the page of a `pathassets ui` that was just ended may hold its port."""


@click.command()
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--public-url", "public", multiple=True, metavar="URL",
    help="Where a proxy of this machine shows the page (https://slides.example), behind a login.",
)  # fmt: skip
@click.option(
    "--read-only", "is_read_only", is_flag=True,
    help="Let nobody change anything there, and start no daemon.",
)  # fmt: skip
@click.pass_context
def ui(ctx: click.Context, port: int, public: tuple[str, ...], *, is_read_only: bool) -> None:
    """Start Dagster's UI, daemon and code server on this machine's loopback."""
    from pathassets.defs.page.guard import origin_of  # noqa: PLC0415
    from pathassets.defs.page.services import serve  # noqa: PLC0415 - dagster takes seconds

    settings = read_settings()
    require_known(settings.alerts)
    options = [
        *(f"--public-url={origin_of(url)}" for url in public),
        *["--read-only"] * is_read_only,
    ]
    _require_free(port)
    _make_ready(settings, is_read_only=is_read_only)
    settings.home.mkdir(parents=True, exist_ok=True)
    os.chdir(settings.home)
    state = visible(str(settings.dagster_home))
    click.echo(f"Dagster UI: http://{LOOPBACK}:{port} (state in {state})")
    click.echo(f"all slides: http://{LOOPBACK}:{port}{COHORT}")
    sys.stdout.flush()
    try:
        environment = dagster_environment(settings)
        serve(port, environment, [WEBSERVER, *options], has_daemon=not is_read_only)
    except ServiceEnded as error:
        report.error(error)
        ctx.exit(SOME_FAILED)


def _make_ready(settings: Settings, *, is_read_only: bool) -> None:
    """Open what is served once, so that what is wrong with it is told here and in a line."""
    if not is_read_only:
        with opened(is_beginning=True):
            pass  # whatever was killed is cleaned up before a daemon sees it
        return
    from pathassets.defs.instance import open_instance  # noqa: PLC0415 - dagster takes seconds

    with open_platform(settings, is_beginning=False), open_instance(settings):
        pass


def _require_free(port: int) -> None:
    """Refuse a port that something listens on: Dagster would say so in a hundred lines."""
    until = time.monotonic() + PATIENCE_S
    while (error := _why_taken(port)) and time.monotonic() < until:
        time.sleep(0.1)
    if error:
        raise SpecError(
            f"port {port}: {error.strerror}",
            remedy="Stop what listens there, or name another one with --port",
        ) from error


def _why_taken(port: int) -> OSError | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            return error
    return None
