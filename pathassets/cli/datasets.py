"""`pathassets dataset`: what was built and released, what changed, and whether it is whole."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

from pathassets import report
from pathassets.adapters.objects.remote_file import on_disk
from pathassets.cli.options import SOME_FAILED, TARGET, WORDS
from pathassets.engine.datasets.copy import copy_dataset
from pathassets.engine.datasets.find import is_folder, open_dataset
from pathassets.engine.datasets.verify import verify_folder
from pathassets.engine.platform.datasets.freeze import freeze
from pathassets.engine.platform.datasets.show import describe_version
from pathassets.engine.platform.datasets.verify import verify
from pathassets.engine.platform.datasets.versions import (
    compare_versions,
    find_version,
    list_versions,
)
from pathassets.engine.platform.platform import open_platform, open_to_read
from pathassets.engine.settings import read_settings

NAME = "NAME is a dataset, a release (cohort@3), or a version (cohort@ and its digest)."
_JSON = click.option("--json", "as_json", is_flag=True, help="For machines.")


@click.group("dataset")
def dataset() -> None:
    """Release versions of datasets, compare them, and look whether they are whole."""


def _stated(command: Callable[..., None]) -> Callable[..., None]:
    """Options of a statement."""
    why = click.option("--why", required=True, type=WORDS, help="For what, or on what ground.")
    who = click.option("--who", required=True, type=WORDS, help="Who states it.")
    return who(why(command))


@dataset.command("list")
@_JSON
def list_all(*, as_json: bool) -> None:
    """Print every version that was built, and the number of those that were released."""
    with open_to_read(read_settings()) as platform:
        versions = list_versions(platform)
    if as_json:
        click.echo(report.versions_json(versions))
    else:
        report.version_table(versions)


@dataset.command("show", epilog=NAME)
@click.argument("name")
@_JSON
def show(name: str, *, as_json: bool) -> None:
    """Print what a version holds, what it left out and why, and what blocks the next."""
    with open_to_read(read_settings()) as platform:
        shown = describe_version(platform, name)
    if as_json:
        click.echo(report.version_json(shown))
    else:
        report.version_page(shown)


@dataset.command("diff", epilog=NAME)
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@_JSON
def diff(one: str, other: str, *, as_json: bool) -> None:
    """Print what changed from A to B: members, parts, labels, features, patches, leave-outs."""
    with open_to_read(read_settings()) as platform:
        changes = compare_versions(platform, one, other)
    if as_json:
        click.echo(report.changes_json(changes))
    else:
        report.change_tables(changes)


@dataset.command("verify", epilog=NAME + " A folder that one was copied to may be named, too.")
@click.argument("name")
@click.option("--own", "own_only", is_flag=True, help="Its own files, not those of its features.")
@_JSON
def verify_version(name: str, *, own_only: bool, as_json: bool) -> None:
    """Hash every file that a version names; exit code 1 where one is not what it was."""
    settings = read_settings()
    if is_folder(name):
        folder = on_disk(name, is_read=True)
        verified = verify_folder(folder, features=not own_only, n_threads=settings.n_workers)
    else:
        with open_to_read(settings) as platform:
            verified = verify(platform, find_version(platform, name), features=not own_only)
    if as_json:
        click.echo(report.verified_json(verified))
    else:
        report.verified_lines(verified)
    if verified.faults:
        sys.exit(SOME_FAILED)


@dataset.command("freeze", epilog=NAME)
@click.argument("name")
@_stated
def freeze_version(name: str, who: str, why: str) -> None:
    """Release a version: it gets a number, and what it names is kept from then on."""
    with open_platform(read_settings(), is_beginning=False) as platform:
        known = find_version(platform, name).release
        release = known or freeze(platform, name, who=who, why=why)
    is_new = known is None and (release.who, release.why) == (who, why)  # another may be first
    click.echo(report.release_line(release, is_new=is_new))


@dataset.command("accept")
@click.argument("name")
@click.argument("finding")
@_stated
def accept(name: str, finding: str, who: str, why: str) -> None:
    """Let dataset NAME be built with a FINDING that blocks it; `show` lists them."""
    with open_platform(read_settings(), is_beginning=False) as platform:
        accepted = platform.catalog.accept_finding(name, finding, who=who, why=why)
    click.echo(report.accepted_line(accepted))


@dataset.command("copy", epilog=NAME + " A folder may be named, too.")
@click.argument("name")
@click.argument("to", type=TARGET)
@click.option(
    "--without-forgotten", is_flag=True, help="Copy the rest, where slides were taken out since."
)
def copy(name: str, to: Path, *, without_forgotten: bool) -> None:
    """Copy a version with its features into a new folder, which needs no store to be read."""
    found = open_dataset(name, None)
    n_slides = len(found.manifest) - len(found.withdrawn)
    with report.progress("copying", n_slides) as advance:
        folder = copy_dataset(
            name, to, without_forgotten=without_forgotten, advance=lambda _: advance("")
        )
    click.echo(report.copied_lines(name, folder, n_slides, found.withdrawn))
