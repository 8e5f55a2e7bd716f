"""The `pathassets` command: the main job from a terminal, over the same assets as the UI.

Exit codes: 0 done, 1 some slides failed or files were refused, 2 the request is impossible.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pathassets import report
from pathassets.core.encoder import CARDS
from pathassets.core.slide import check_mpp
from pathassets.engine.cohort import Cohort, read_cohort
from pathassets.engine.ingest import IdScheme, Registration, find_files, ingest
from pathassets.engine.lineage import lineage_of
from pathassets.engine.platform import Platform, open_platform
from pathassets.engine.sample import write_sample_cohort
from pathassets.engine.settings import Settings, dagster_environment, read_settings
from pathassets.engine.status import cohort_status
from pathassets.errors import PathAssetsError

if TYPE_CHECKING:
    import dagster as dg

OK, SOME_FAILED, BAD_INPUT = 0, 1, 2


class _Command(click.Group):
    """A group whose commands end with a message, not a traceback, when they were asked wrongly."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PathAssetsError as error:
            report.error(str(error))
            ctx.exit(BAD_INPUT)


@click.group(cls=_Command)
@click.version_option(package_name="pathassets")
def main() -> None:
    """Whole-slide images to patch features one can train on, tracked by Dagster."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--seed", default=0, show_default=True)
def sample(folder: Path, seed: int) -> None:
    """Write six small slides with known ground truth into FOLDER."""
    slides = write_sample_cohort(folder, seed=seed)
    click.echo(f"{len(slides)} sample slides in {folder}")


@main.command("ingest")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--cohort", type=click.Path(path_type=Path), help="CSV: file, patient, label, mpp.")
@click.option(
    "--id-scheme",
    "scheme",
    type=click.Choice(["stem", "hash", "manifest"]),
    default="stem",
    show_default=True,
    help="Slide ids from file name and hash, hash alone, or the table's slide_id.",
)
def ingest_command(paths: tuple[Path, ...], cohort: Path | None, scheme: IdScheme) -> None:
    """Register slides: files, or folders that are searched."""
    with _opened() as (platform, instance):
        files = find_files(paths)
        table = read_cohort(cohort) if cohort else Cohort()
        sys.exit(_ingest(platform, instance, files, table, scheme))


@main.command()
@click.option("--slides", multiple=True, help="Slide ids; all where none is named. Repeatable.")
@click.option("--select", multiple=True, help="section or section/name. Repeatable.")
@click.option("--retry", is_flag=True, help="Try again what fails by the slide's content alone.")
def run(slides: tuple[str, ...], select: tuple[str, ...], *, retry: bool) -> None:
    """Make what is missing or stale; what is current is left alone."""
    with _opened() as (platform, instance):
        sys.exit(_run(platform, instance, slides=slides, select=select, retry=retry))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def status(*, as_json: bool) -> None:
    """Print where the cohort stands: one row a slide, one column an asset."""
    with open_platform(read_settings()) as platform:
        stand = cohort_status(platform)
        click.echo(report.status_json(stand)) if as_json else report.status_table(stand)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def lineage(file: Path, *, as_json: bool) -> None:
    """Print what FILE of the store was made from."""
    with open_platform(read_settings()) as platform:
        traced = lineage_of(platform, file)
        click.echo(report.lineage_json(traced)) if as_json else report.lineage_tree(traced)


@main.group()
def mpp() -> None:
    """State a slide's resolution, or look at what was stated."""


@mpp.command("set")
@click.argument("slide_id")
@click.argument("value", type=float)
@click.option("--who", required=True, help="Who states it.")
@click.option("--why", required=True, help="Where the value is from.")
def mpp_set(slide_id: str, value: float, who: str, why: str) -> None:
    """State micrometres per pixel of a slide's finest level."""
    check_mpp(value, subject=slide_id)
    with _opened() as (platform, instance):
        from pathassets.defs.slides import report_slides  # noqa: PLC0415 - dagster takes seconds

        platform.catalog.override_mpp(slide_id, value, who=who, why=why)
        report_slides(instance, platform, [slide_id])
        click.echo(f"{slide_id}: {value:g} um per pixel; what was made with another is stale now")


@mpp.command("show")
@click.argument("slide_id")
def mpp_show(slide_id: str) -> None:
    """Print what a slide's file and people state."""
    with open_platform(read_settings()) as platform:
        report.resolution(platform.catalog.slide(slide_id), platform.catalog.mpp_history(slide_id))


@main.command()
def encoders() -> None:
    """List the encoders a recipe can name."""
    report.encoder_table(CARDS.values())


@main.command()
@click.option("--port", default=3000, show_default=True)
def ui(port: int) -> None:
    """Start Dagster's UI, daemon and code server on this machine's loopback."""
    settings = read_settings()
    with _opened():
        pass  # whatever was killed is cleaned up before a daemon sees it
    os.chdir(settings.home)
    click.echo(f"Dagster UI: http://127.0.0.1:{port} (state in {settings.dagster_home})")
    sys.stdout.flush()
    command = [sys.executable, "-m", "dagster", "dev", "-m", "pathassets.definitions"]
    address = ["-h", "127.0.0.1", "-p", str(port)]
    os.execve(sys.executable, [*command, *address], dagster_environment(settings))  # noqa: S606


@main.command()
def demo() -> None:
    """Write the sample cohort, register it, run the recipe on it, and print where it stands."""
    settings = read_settings()
    folder = settings.home / "demo"
    write_sample_cohort(folder)
    with _opened() as (platform, instance):
        files = find_files([folder])
        _ingest(platform, instance, files, read_cohort(folder / "cohort.csv"), "stem")
        _run(platform, instance, slides=(), select=(), retry=False)
        report.demo_end(platform)


@contextmanager
def _opened() -> Iterator[tuple[Platform, dg.DagsterInstance]]:
    """The platform and its Dagster instance, cleaned of what killed runs left."""
    settings: Settings = read_settings()
    with open_platform(settings) as platform:
        from pathassets.defs.instance import open_instance  # noqa: PLC0415 - dagster takes seconds
        from pathassets.defs.launch import recover  # noqa: PLC0415

        with open_instance(settings) as instance:
            for run_id in recover(instance, platform):
                click.echo(f"run {run_id[:8]} had been killed; what it finished is kept")
            yield platform, instance


def _ingest(
    platform: Platform,
    instance: dg.DagsterInstance,
    files: list[Path],
    cohort: Cohort,
    scheme: IdScheme,
) -> int:
    from pathassets.defs.slides import report_slides  # noqa: PLC0415 - dagster takes seconds

    found: list[Registration] = []
    with report.progress("registering", len(files)) as advance:
        for one in ingest(platform, files, cohort=cohort, scheme=scheme):
            found.append(one)
            advance(report.registration_line(one))
    report_slides(instance, platform, [one.slide_id for one in found if one.slide_id])
    refused = sum(one.state == "refused" for one in found)
    new = sum(one.state == "new" for one in found)
    click.echo(f"{new} new slides, {len(found) - new - refused} known, {refused} refused")
    return SOME_FAILED if refused else OK


def _run(
    platform: Platform,
    instance: dg.DagsterInstance,
    *,
    slides: tuple[str, ...],
    select: tuple[str, ...],
    retry: bool,
) -> int:
    from pathassets.defs.build import build_definitions  # noqa: PLC0415 - dagster takes seconds
    from pathassets.defs.launch import (  # noqa: PLC0415
        Wanted,
        build_datasets_here,
        choose_entries,
        run_slides_here,
    )

    entries = choose_entries(platform, select)
    wanted = Wanted(slide_ids=frozenset(slides), entries=entries, retry=retry)
    definitions = build_definitions(platform.recipe)
    with report.slide_progress():
        n_slides = run_slides_here(definitions, instance, platform, wanted)
        n_datasets = build_datasets_here(definitions, instance, platform, wanted)
    stand = cohort_status(platform)
    return SOME_FAILED if report.run_end(stand, wanted.slide_ids, n_slides, n_datasets) else OK
