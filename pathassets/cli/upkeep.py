"""`pathassets doctor`, `scrub`, `gc`, `forget`, `backup`, `restore`: keep a home right."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import click

from pathassets import report
from pathassets.cli.home import SOME_FAILED
from pathassets.engine.platform.platform import open_to_read
from pathassets.engine.platform.upkeep.backup import write_backup
from pathassets.engine.platform.upkeep.doctor import examine, treat
from pathassets.engine.platform.upkeep.finding import Finding
from pathassets.engine.platform.upkeep.home import look_at_home
from pathassets.engine.platform.upkeep.restore import restore_backup
from pathassets.engine.settings import Settings, read_settings
from pathassets.errors import SpecError, StoreError


@click.command()
@click.option("--fix", "is_fixing", is_flag=True, help="Mend what can be; remove nothing of worth.")
@click.option("--bytes", "reads_bytes", is_flag=True, help="Read every byte of every artifact.")
@click.option(
    "--search",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder in which slides that are gone are looked for; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def doctor(*, is_fixing: bool, reads_bytes: bool, search: tuple[Path, ...], as_json: bool) -> None:
    """Hold catalog, store, slides and Dagster against each other, and say what differs."""
    settings = read_settings()
    n_found = n_mended = 0
    lead = "["
    for treated in treat(
        _findings(settings, reads_bytes=reads_bytes, search=search), is_fixing=is_fixing
    ):
        n_found += 1
        n_mended += treated.is_mended
        if as_json:
            click.echo(f"{lead}{report.finding_json(treated)}", nl=False)
            lead = ",\n"
        else:
            report.finding(treated)
    click.echo(
        ("[]" if lead == "[" else "]") if as_json else report.findings_end(n_found, n_mended)
    )
    if n_found > n_mended:
        sys.exit(SOME_FAILED)


def _findings(
    settings: Settings, *, reads_bytes: bool, search: tuple[Path, ...]
) -> Iterator[Finding]:
    """All that is found, as it is found; what cannot be opened is a finding, too."""
    is_sound = True
    for finding in look_at_home(settings):
        is_sound = is_sound and finding.kind != "catalog_damaged"
        yield finding
    if not is_sound:
        return  # nothing can be held against it
    with ExitStack() as stack:
        platform = stack.enter_context(open_to_read(settings))
        yield from examine(platform, reads_bytes=reads_bytes, search=search)
        from pathassets.defs.instance import open_instance  # noqa: PLC0415 - dagster takes seconds
        from pathassets.defs.upkeep import check_dagster  # noqa: PLC0415

        try:
            instance = stack.enter_context(open_instance(settings))
        except (SpecError, StoreError) as error:
            yield Finding(
                kind="dagster_unreadable",
                subject=str(settings.dagster_home),
                evidence=error.message,
                remedy=error.remedy,
            )
            return
        yield from check_dagster(instance, platform)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def backup(file: Path) -> None:
    """Write catalog, annotations, recipe and settings into FILE."""
    with open_to_read(read_settings()) as platform:
        done = write_backup(platform, file)
    click.echo(report.backup_line(file, done))
    if done.lacking:
        sys.exit(SOME_FAILED)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", "is_forced", is_flag=True, help="Move aside what is in the way.")
def restore(file: Path, *, is_forced: bool) -> None:
    """Make the home again that FILE is a backup of, beside what is left of its store."""
    done = restore_backup(read_settings(), file, is_forced=is_forced)
    click.echo(report.restore_line(done))
    if done.lacking:
        sys.exit(SOME_FAILED)
