"""`pathassets doctor`, `scrub`, `gc`, `forget`, `backup`, `restore`: keep a home right."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click

from pathassets import report
from pathassets.cli.home import opened
from pathassets.cli.options import SOME_FAILED, SOURCE, SOURCE_FOLDER, TARGET, WORDS, Number
from pathassets.engine.platform.other_catalogs import require_no_other
from pathassets.engine.platform.platform import open_to_read
from pathassets.engine.platform.upkeep.backup import write_backup
from pathassets.engine.platform.upkeep.clearing.garbage import (
    MOST_DAYS,
    OLDER_THAN_DAYS,
    find_garbage,
    remove_garbage,
)
from pathassets.engine.platform.upkeep.doctor import examine, treat
from pathassets.engine.platform.upkeep.finding import Finding, Tally
from pathassets.engine.platform.upkeep.forget import Request
from pathassets.engine.platform.upkeep.forget import forget as forget_slide
from pathassets.engine.platform.upkeep.home import look_at_home
from pathassets.engine.platform.upkeep.restore import restore_backup
from pathassets.engine.platform.upkeep.scrub import MOST_MINUTES, SHARE, n_to_scrub
from pathassets.engine.platform.upkeep.scrub import scrub as scrub_share
from pathassets.engine.settings import Settings, read_settings
from pathassets.errors import DagsterUnavailable, SpecError, StoreError


@click.command()
@click.option("--fix", "is_fixing", is_flag=True, help="Mend what can be; remove nothing of worth.")
@click.option("--bytes", "reads_bytes", is_flag=True, help="Read every byte; note what is damaged.")
@click.option(
    "--search",
    multiple=True,
    type=SOURCE_FOLDER,
    help="Folder in which slides that are gone are looked for; may be repeated.",
)
@click.option("--all", "is_whole", is_flag=True, help="Print every finding of a kind.")
@click.option("--json", "as_json", is_flag=True, help="For machines: every finding.")
def doctor(
    *, is_fixing: bool, reads_bytes: bool, search: tuple[Path, ...], is_whole: bool, as_json: bool
) -> None:
    """Hold catalog, store, slides and Dagster against each other, and say what differs."""
    tally = Tally()
    lead = "["
    found = _findings(read_settings(), reads_bytes=reads_bytes, search=search)
    for treated in treat(found, is_fixing=is_fixing):
        n_before = tally.add(treated)
        if as_json:
            click.echo(f"{lead}{report.finding_json(treated)}", nl=False)
            lead = ",\n"
        elif is_whole or treated.failed or n_before < report.N_ALIKE:
            report.finding(treated)
    if as_json:
        click.echo("[]" if lead == "[" else "]")
    else:
        click.echo(report.findings_end(tally, is_whole=is_whole))
    if tally.n_left:
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
    try:
        platform = open_to_read(settings)
    except SpecError as error:  # of the recipe
        yield Finding(
            kind="recipe_unreadable",
            subject=str(settings.recipe),
            evidence=f"{error.message}; nothing else was looked at",
            remedy=error.remedy,
        )
        return
    with platform:
        yield from examine(platform, reads_bytes=reads_bytes, search=search)
        from pathassets.defs.instance import (  # noqa: PLC0415 - dagster takes seconds
            databases_told,
            open_instance,
        )
        from pathassets.defs.upkeep import check_dagster  # noqa: PLC0415

        try:
            with databases_told(settings), open_instance(settings) as instance:
                yield from check_dagster(instance, platform)
        except (SpecError, StoreError, DagsterUnavailable) as error:
            yield Finding(
                kind="dagster_unreadable",
                subject=str(settings.dagster_home),
                evidence=error.message,
                remedy=error.remedy,
            )


@click.command()
@click.argument("file", type=TARGET)
def backup(file: Path) -> None:
    """Write catalog, annotations, recipe and settings into FILE."""
    with open_to_read(read_settings(), needs_recipe=False) as platform:
        done = write_backup(platform, file)
    click.echo(report.backup_line(file, done))
    if done.lacking:
        sys.exit(SOME_FAILED)


@click.command()
@click.argument("file", type=SOURCE)
@click.option("--force", "is_forced", is_flag=True, help="Move aside what is in the way.")
@click.option(
    "--instead-of", default="", metavar="URL",
    help="The catalog that it takes the place of, where it is not PATHASSETS_CATALOG: what was "
    "forgotten in it stays out, what was released in it stays.",
)  # fmt: skip
def restore(file: Path, *, is_forced: bool, instead_of: str) -> None:
    """Make the home again that FILE is a backup of, beside what is left of its store.

    Slides that were forgotten since the backup was written stay out; releases made since stay.
    """
    done = restore_backup(read_settings(), file, is_forced=is_forced, instead_of=instead_of)
    click.echo(report.restore_line(done))
    if done.lacking:
        sys.exit(SOME_FAILED)


@click.command()
@click.option(
    "--share",
    default=SHARE,
    show_default=True,
    type=Number(0, 1, min_open=True),
    help="Part of all artifacts.",
)
@click.option("--minutes", type=Number(0, MOST_MINUTES, min_open=True), help="End after so long.")
@click.option("--dry-run", is_flag=True, help="Say how many would be read, and read none.")
def scrub(share: float, minutes: float | None, *, dry_run: bool) -> None:
    """Read again the bytes of those artifacts that nobody read for longest."""
    if dry_run:
        with open_to_read(read_settings()) as platform:
            click.echo(report.to_scrub(n_to_scrub(platform, share), platform.catalog.hash_age()))
        return
    with opened() as (platform, _):
        done = scrub_share(platform, share=share, minutes=minutes or math.inf)
    report.scrubbed(done)
    if done.damaged:
        sys.exit(SOME_FAILED)


@click.command()
@click.option("--yes", "is_meant", is_flag=True, help="Remove it; without, it is only counted.")
@click.option("--dry-run", is_flag=True, help="Only count it, as without --yes.")
@click.option(
    "--older-than",
    "older_than_days",
    default=OLDER_THAN_DAYS,
    show_default=True,
    type=Number(0, MOST_DAYS),
    metavar="DAYS",
    help="Leave alone what was made since.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def gc(*, is_meant: bool, dry_run: bool, older_than_days: float, as_json: bool) -> None:
    """Remove artifacts that no recipe, dataset or person needs."""
    if is_meant and dry_run:
        raise SpecError("gc: --yes removes, --dry-run only counts", remedy="Give one of them")
    if is_meant:
        with opened() as (platform, _):
            found = remove_garbage(platform, older_than_days=older_than_days)
    else:
        with open_to_read(read_settings()) as platform:
            require_no_other(platform.store, platform.catalog)
            found = find_garbage(platform, older_than_days=older_than_days)
    if as_json:
        click.echo(report.garbage_json(found, is_removed=is_meant))
    else:
        click.echo(report.garbage_lines(found, is_removed=is_meant))


@click.command()
@click.argument("slide")
@click.option("--who", required=True, type=WORDS, help="Who decides it.")
@click.option("--why", required=True, type=WORDS, help="Why; name no patient.")
@click.option("--keep-artifacts", is_flag=True, help="Leave what was made of it, with its rows.")
@click.option("--from-releases", is_flag=True, help="Though datasets or releases name it.")
def forget(slide: str, who: str, why: str, *, keep_artifacts: bool, from_releases: bool) -> None:
    """Take SLIDE out for good: its rows, artifacts, statements and events."""
    asked = Request(
        slide_id=slide, who=who, why=why, keep_artifacts=keep_artifacts,
        from_releases=from_releases,
    )  # fmt: skip
    with opened() as (platform, instance):
        from pathassets.defs.upkeep import (  # noqa: PLC0415 - dagster takes seconds
            report_withdrawal,
            wipe_slides,
        )

        gone = forget_slide(platform, asked, partial(wipe_slides, instance))
        report_withdrawal(instance, gone.releases)
    click.echo(report.gone_lines(gone))
