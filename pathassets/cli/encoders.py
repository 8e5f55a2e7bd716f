"""`pathassets encoders`: which there are, and whether one is the same on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from pathassets import report
from pathassets.cli.options import SOURCE
from pathassets.core.features.encoder import EncoderRequest
from pathassets.engine.features.encoder_check import check_encoder
from pathassets.engine.settings import read_settings


@click.group(invoke_without_command=True)
@click.pass_context
def encoders(context: click.Context) -> None:
    """List the encoders that a recipe can name, or check one on this machine."""
    if context.invoked_subcommand is None:
        report.encoder_table()


@encoders.command("list")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_encoders(*, as_json: bool) -> None:
    """List the encoders that have a name of their own, and where their weights are from."""
    if as_json:
        click.echo(report.encoders_json())
    else:
        report.encoder_table()


@encoders.command()
@click.argument("name")
@click.option("--weights", type=SOURCE, help="File with the weights.")
@click.option("--device", default="cpu", show_default=True, help="cpu, or cuda:N.")
@click.option("--update", is_flag=True, help="Keep these features in place of those kept.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def check(name: str, weights: Path | None, device: str, *, update: bool, as_json: bool) -> None:
    """Encode 16 drawn tiles by NAME: are its features sound, and those that were kept?"""
    settings = read_settings()
    request = EncoderRequest(name=name, weights=None if weights is None else str(weights))
    found = check_encoder(request, device=device, home=settings.home, update=update)
    if as_json:
        click.echo(report.encoder_check_json(found))
    else:
        report.encoder_check(found)
