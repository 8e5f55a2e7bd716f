"""`pathassets ui`: Dagster's page, daemon and code server, on this machine alone."""

from __future__ import annotations

import os
import socket
import sys

import click

from pathassets.cli.home import opened
from pathassets.engine.settings import dagster_environment, read_settings
from pathassets.errors import SpecError

LOOPBACK = "127.0.0.1"


@click.command()
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535))
def ui(port: int) -> None:
    """Start Dagster's UI, daemon and code server on this machine's loopback."""
    settings = read_settings()
    _require_free(port)
    with opened():
        pass  # whatever was killed is cleaned up before a daemon sees it
    settings.home.mkdir(parents=True, exist_ok=True)
    os.chdir(settings.home)
    click.echo(f"Dagster UI: http://{LOOPBACK}:{port} (state in {settings.dagster_home})")
    sys.stdout.flush()
    # It advises `dg dev`, a tool for those who write definitions.
    quiet = ["-W", "ignore:Function `dev_command` is superseded"]
    command = [sys.executable, *quiet, "-m", "dagster", "dev", "-m", "pathassets.definitions"]
    address = ["-h", LOOPBACK, "-p", str(port)]
    os.execve(sys.executable, [*command, *address], dagster_environment(settings))  # noqa: S606


def _require_free(port: int) -> None:
    """Refuse a port that something listens on: Dagster would say so in a hundred lines."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise SpecError(
                f"port {port}: {error.strerror}",
                remedy="Stop what listens there, or name another one with --port",
            ) from error
