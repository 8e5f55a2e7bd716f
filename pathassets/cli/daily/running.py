"""`pathassets metrics`: numbers for what watches this machine among others."""

from __future__ import annotations

import uuid
from pathlib import Path

import click

from pathassets.adapters.named_files import refuse_taken
from pathassets.adapters.telemetry.prometheus import exposition
from pathassets.cli.options import TARGET
from pathassets.engine.platform.monitoring.measures import measure_platform
from pathassets.engine.platform.platform import open_to_read
from pathassets.engine.settings import read_settings
from pathassets.errors import SpecError

_HEAD = b"# HELP pathassets_"
"""What a file of ours begins with."""


@click.command()
@click.option("--to", "target", type=TARGET, help="Write them into this file.")
def metrics(target: Path | None) -> None:
    """Print metrics as Prometheus reads them, such as of what failed and of free disk."""
    if target is not None:
        refuse_taken(
            target,
            remedy="Name another file, or move it away",
            is_own=lambda h: h.startswith(_HEAD),
        )
    with open_to_read(read_settings()) as platform:
        text = exposition(measure_platform(platform))
    if target is None:
        click.echo(text.decode(), nl=False)
    else:
        _write(target, text)


def _write(target: Path, text: bytes) -> None:
    """Write a file that is there whole at any moment: it is read when the clock says so."""
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        aside.write_bytes(text)
        aside.replace(target)
    except OSError as error:
        raise SpecError(
            f"{target}: cannot be written: {error.strerror}", remedy="Name another file"
        ) from error
