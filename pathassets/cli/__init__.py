"""The `pathassets` command: the main job from a terminal, over the same assets as the UI.

Exit codes: 0 done, 1 some slides failed or files were refused, 2 the request is impossible,
130 interrupted.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pathassets import report
from pathassets.cli.encoders import encoders
from pathassets.core.slide import check_mpp
from pathassets.engine.annotations import Statement, drawings_of, record_file, withdraw
from pathassets.engine.check import CheckTask, check_slides
from pathassets.engine.cohort import Cohort, read_cohort
from pathassets.engine.ingest import IdScheme, Registration, find_files, ingest
from pathassets.engine.lineage import lineage_of
from pathassets.engine.matches import match_files
from pathassets.engine.platform import Platform, open_platform
from pathassets.engine.pool import LocalWorkers
from pathassets.engine.sample import write_sample_cohort
from pathassets.engine.settings import dagster_environment, read_settings, usable_cores
from pathassets.engine.status import SlideStatus, cohort_status
from pathassets.errors import PathAssetsError, SpecError

if TYPE_CHECKING:
    import dagster as dg

SOME_FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
LOOPBACK = "127.0.0.1"


class _Command(click.Group):
    """A group whose commands end with a message, not a traceback, when they were asked wrongly."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PathAssetsError as error:
            report.error(str(error))
            ctx.exit(BAD_INPUT)
        except KeyboardInterrupt:
            report.error("interrupted; what was finished is kept, the same command does the rest")
            ctx.exit(INTERRUPTED)


@click.group(cls=_Command)
@click.version_option(package_name="pathassets")
def main() -> None:
    """Whole-slide images to patch features one can train on, tracked by Dagster."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    if isinstance(sys.stdout, TextIOWrapper):  # a file's name may be no text at all
        sys.stdout.reconfigure(errors="backslashreplace")


main.add_command(encoders)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--seed", default=0, show_default=True)
def sample(folder: Path, seed: int) -> None:
    """Write six small slides with known ground truth into FOLDER."""
    slides = write_sample_cohort(folder, seed=seed)
    click.echo(f"{report.counted(len(slides), 'sample slide')} in {folder}")


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
        table = read_cohort(cohort) if cohort else Cohort()
        n_refused = _ingest(platform, instance, find_files(paths), table, scheme)
    if n_refused:
        sys.exit(SOME_FAILED)


@main.command()
@click.option("--slides", multiple=True, help="Slide ids, a,b or repeated; all if none is named.")
@click.option("--select", multiple=True, help="section or section/name, a,b or repeated.")
@click.option("--retry", is_flag=True, help="Try again what fails by the slide's content alone.")
def run(slides: tuple[str, ...], select: tuple[str, ...], *, retry: bool) -> None:
    """Make what is missing or stale; what is current is left alone."""
    with _opened() as (platform, instance):
        if not slides and not platform.catalog.slides():
            click.echo(report.NO_SLIDES)
            return
        rows = _run(platform, instance, _listed(slides), _listed(select), retry=retry)
        report.failures(rows)
    if any(row.failure is not None for row in rows):
        sys.exit(SOME_FAILED)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--all", "is_whole", is_flag=True, help="Every row of a cohort of thousands.")
def status(*, as_json: bool, is_whole: bool) -> None:
    """Print where the cohort stands: one row a slide, one column an asset."""
    with open_platform(read_settings()) as platform:
        stand = cohort_status(platform)
    if as_json:
        click.echo(report.status_json(stand))
    else:
        report.status_table(stand, is_whole=is_whole)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def lineage(file: Path, *, as_json: bool) -> None:
    """Print what FILE of the store was made from."""
    with open_platform(read_settings()) as platform:
        traced = lineage_of(platform, file)
    if as_json:
        click.echo(report.lineage_json(traced))
    else:
        report.lineage_tree(traced)


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


@main.group("annotations")
def drawings() -> None:
    """Record what was drawn on slides, such as in QuPath, or look at what was recorded."""


def _stated(command: Callable[..., None]) -> Callable[..., None]:
    """Options of a statement."""
    for option in (
        click.option("--why", required=True, help="Where it is from."),
        click.option("--who", required=True, help="Who states it."),
        click.option("--name", required=True, help="An entry of the recipe's annotations."),
    ):
        command = option(command)
    return command


@drawings.command("set")
@click.argument("slide_id")
@click.argument("file", type=click.Path(path_type=Path))
@_stated
def annotations_set(slide_id: str, file: Path, name: str, who: str, why: str) -> None:
    """Record what FILE draws on a slide: polygons, or a mask picture."""
    with _opened() as (platform, instance):
        recorded = record_file(platform, slide_id, file, Statement(name=name, who=who, why=why))
        _report_drawings(platform, instance, [slide_id])
        click.echo(report.drawing_line(recorded))


@drawings.command("add")
@click.argument("folder", type=click.Path(path_type=Path))
@_stated
@click.option("--dry-run", is_flag=True, help="Say which file is of which slide, record nothing.")
def annotations_add(folder: Path, name: str, who: str, why: str, *, dry_run: bool) -> None:
    """Record the files of FOLDER, and of those below, that are called like a slide."""
    stated = Statement(name=name, who=who, why=why)
    with _opened() as (platform, instance):
        done = []
        for match in match_files(platform, folder, stated, is_dry=dry_run):
            click.echo(report.match_line(match))
            done.append(match)
        _report_drawings(platform, instance, [match.slide_id for match in done])
    click.echo(report.matches_end(done))
    if any(match.said for match in done):
        sys.exit(SOME_FAILED)


@drawings.command("show")
@click.argument("slide_id", required=False)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def annotations_show(slide_id: str | None, *, as_json: bool) -> None:
    """Print what is drawn on all slides now, or all that was ever stated of one."""
    with open_platform(read_settings()) as platform:
        found = drawings_of(platform, slide_id)
    if as_json:
        click.echo(report.drawings_json(found))
    else:
        report.drawing_table(found)


@drawings.command("withdraw")
@click.argument("slide_id")
@_stated
def annotations_withdraw(slide_id: str, name: str, who: str, why: str) -> None:
    """State that what was drawn on a slide counts no more."""
    with _opened() as (platform, instance):
        withdraw(platform, slide_id, Statement(name=name, who=who, why=why))
        _report_drawings(platform, instance, [slide_id])
        click.echo(f"{slide_id}: {name} is withdrawn; what was made with it is stale now")


def _report_drawings(platform: Platform, instance: dg.DagsterInstance, slides: list[str]) -> None:
    from pathassets.defs.annotations import report_annotations  # noqa: PLC0415 - takes seconds

    report_annotations(instance, platform, slides)


@main.command()
@click.argument("slides", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def check(slides: tuple[str, ...], *, as_json: bool) -> None:
    """Read every tile of SLIDES, files, folders or slide ids, and say which are bad."""
    settings = read_settings()
    workers = LocalWorkers(n_workers=1, timeout_s=settings.slide_timeout_s)
    tasks = [task for slide in slides for task in _check_tasks(slide, usable_cores())]
    checks = []
    for done in check_slides(workers, tasks):
        checks.append(done)
        if not as_json:
            report.check(done)
    if as_json:
        click.echo(report.checks_json(checks))
    if not all(done.is_sound for done in checks):
        sys.exit(SOME_FAILED)


def _check_tasks(slide: str, n_threads: int) -> list[CheckTask]:
    """What a word of the command line means: a file or folder, else the id of a known slide."""
    path = Path(slide)
    if os.sep in slide or path.exists() or path.is_symlink():  # in this order: exists() may raise
        files = find_files([path])
        return [CheckTask(path=p, fingerprint="", n_threads=n_threads) for p in files]
    with open_platform(read_settings()) as platform:
        record = platform.catalog.slide(slide)
        seen = platform.catalog.paths(slide)
    if not seen:
        raise SpecError(f"{slide}: no file of it is known", remedy="Ingest its file again")
    known = Path(seen[0].path)
    return [CheckTask(path=known, fingerprint=record.fingerprint, n_threads=n_threads)]


@main.command()
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535))
def ui(port: int) -> None:
    """Start Dagster's UI, daemon and code server on this machine's loopback."""
    settings = read_settings()
    _require_free(port)
    with _opened():
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


@main.command()
def demo() -> None:
    """Write the sample cohort, register it, run the recipe on it, and print where it stands."""
    folder = read_settings().home / "demo"
    write_sample_cohort(folder)
    with _opened() as (platform, instance):
        table = read_cohort(folder / "cohort.csv")
        _ingest(platform, instance, find_files([folder]), table, "stem")
        _run(platform, instance, (), (), retry=False)
        report.demo_end(platform)


@contextmanager
def _opened() -> Iterator[tuple[Platform, dg.DagsterInstance]]:
    """The platform and its Dagster instance, cleaned of what killed runs left."""
    settings = read_settings()
    with open_platform(settings) as platform:
        from pathassets.defs.instance import open_instance  # noqa: PLC0415 - dagster takes seconds
        from pathassets.defs.launch import recover  # noqa: PLC0415

        with open_instance(settings) as instance:
            for run_id in recover(instance, platform):
                click.echo(f"run {run_id[:8]} had been killed; what it finished is kept")
            yield platform, instance


def _listed(values: tuple[str, ...]) -> tuple[str, ...]:
    """Take `--slides a,b` for `--slides a --slides b`."""
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())


def _ingest(
    platform: Platform,
    instance: dg.DagsterInstance,
    files: list[Path],
    cohort: Cohort,
    scheme: IdScheme,
) -> int:
    """Register files and tell Dagster; returns how many were refused."""
    from pathassets.defs.slides import report_slides  # noqa: PLC0415 - dagster takes seconds

    found: list[Registration] = []
    with report.progress("registering", len(files)) as advance:
        for one in ingest(platform, files, cohort=cohort, scheme=scheme):
            found.append(one)
            advance(report.registration_line(one))
    registered = [one.slide_id for one in found if one.slide_id]
    with report.progress("telling Dagster", len(registered)) as advance:
        report_slides(instance, platform, registered, advance=lambda _: advance(""))
    refused = sum(one.state == "refused" for one in found)
    new = sum(one.state == "new" for one in found)
    counts = f"{len(found) - new - refused} known, {refused} refused"
    click.echo(f"{report.counted(new, 'new slide')}, {counts}")
    return refused


def _run(
    platform: Platform,
    instance: dg.DagsterInstance,
    slides: tuple[str, ...],
    select: tuple[str, ...],
    *,
    retry: bool,
) -> list[SlideStatus]:
    """Run what is wanted, say what was done; returns where its slides stand now."""
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
    stand = cohort_status(platform).slides
    rows = [row for row in stand if not slides or row.planned.slide_id in slides]
    report.run_end(rows, n_slides, n_datasets)
    return rows
