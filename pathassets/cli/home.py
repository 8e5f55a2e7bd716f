"""A home opened for a command, platform and Dagster instance, and two acts that commands share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from pathassets import report
from pathassets.core.recipe import Key
from pathassets.core.text import counted
from pathassets.engine.platform.merged_slides import ids_of_today
from pathassets.engine.platform.platform import Platform, open_platform
from pathassets.engine.platform.selection import doubts_of
from pathassets.engine.platform.selections.entries import choose_entries
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.platform.standing.rows import Cell
from pathassets.engine.platform.standing.troubles import Troubles, find_troubles
from pathassets.engine.platform.status import left_out_cells
from pathassets.engine.settings import read_settings
from pathassets.errors import SelectionError, SpecError

if TYPE_CHECKING:
    import dagster as dg

    from pathassets.adapters.objects.remote_file import FilePlace
    from pathassets.engine.platform.ingestion.cohort_table import Cohort
    from pathassets.engine.platform.ingestion.ingest import IdScheme, Registration


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a run leaves to be seen to."""

    troubles: Troubles
    """What of its slides failed or is damaged."""
    kept_back: tuple[Cell, ...]
    """Datasets of which no version was made."""
    incomplete: tuple[Cell, ...]
    """Datasets in force without slides of which features are still to be computed."""
    doubts: tuple[SelectionError, ...]
    """What datasets select by, and no slide has."""
    left_out: tuple[Cell, ...] = ()
    """Entries of which nothing could be made: files with weights that they name are gone."""

    @property
    def has_failed(self) -> bool:
        """Whether anything that was asked for could not be made."""
        return bool(self.troubles.failures.n_cells or self.kept_back or self.left_out)


@contextmanager
def opened(*, is_beginning: bool = False) -> Iterator[tuple[Platform, dg.DagsterInstance]]:
    """The platform and its Dagster instance, cleaned of what killed runs left.

    `is_beginning`: be it that the store is not there yet.
    """
    settings = read_settings()
    with open_platform(settings, is_beginning=is_beginning) as platform:
        from pathassets.defs.dagster_internals import (  # noqa: PLC0415 - dagster takes seconds
            fast_events,
        )
        from pathassets.defs.instance import (  # noqa: PLC0415
            databases_told,
            open_instance,
        )
        from pathassets.defs.launch import recover  # noqa: PLC0415
        from pathassets.defs.partitions import forget_merged  # noqa: PLC0415

        with (
            databases_told(settings),
            open_instance(settings) as instance,
            fast_events(instance),
        ):
            for run_id in recover(instance, platform):
                click.echo(f"run {run_id[:8]} had been killed; what it finished is kept")
            forget_merged(instance, platform)
            yield platform, instance


def register(
    platform: Platform,
    instance: dg.DagsterInstance,
    files: list[FilePlace],
    cohort: Cohort,
    scheme: IdScheme,
) -> int:
    """Register files and tell Dagster; returns how many were refused.

    Raises:
        SpecError: of what the cohort table says; all that was registered stays, and is told.
    """
    from pathassets.defs.assets.slide import report_slides  # noqa: PLC0415 - dagster takes seconds
    from pathassets.engine.platform.inbox.taking import (  # noqa: PLC0415 - opens slides
        forget_gone,
    )
    from pathassets.engine.platform.ingestion.ingest import ingest  # noqa: PLC0415 - opens slides

    found: list[Registration] = []
    wrong: SpecError | None = None
    with report.progress("registering", len(files)) as advance:
        try:
            for one in ingest(platform, files, cohort=cohort, scheme=scheme):
                found.append(one)
                advance(report.registration_line(one))
        except SpecError as error:
            wrong = error
    if wrong is not None and not found:
        raise wrong
    forget_gone(platform, is_everywhere=True)
    registered = [one.slide_id for one in found if one.slide_id]
    with report.progress("telling Dagster", len(registered)) as advance:
        report_slides(instance, platform, registered, advance=lambda _: advance(""))
    refused = sum(one.state == "refused" for one in found)
    new = sum(one.state == "new" for one in found)
    counts = f"{len(found) - new - refused} known, {refused} refused"
    click.echo(f"{counted(new, 'new slide')}, {counts}")
    if wrong is not None:
        raise wrong
    return refused


def make_current(  # noqa: PLR0913 - what a person asks
    platform: Platform,
    instance: dg.DagsterInstance,
    slides: tuple[str, ...],
    select: tuple[str, ...],
    *,
    retry: bool,
    is_shard: bool = False,
) -> Done:
    """Run what is wanted, and say what was done.

    A shard builds no dataset: it would be of slides of which others are being made.
    """
    from pathassets.defs.build import build_definitions  # noqa: PLC0415 - dagster takes seconds
    from pathassets.defs.current.choose import Wanted  # noqa: PLC0415
    from pathassets.defs.launch import (  # noqa: PLC0415
        build_datasets_here,
        run_slides_here,
    )

    chosen = frozenset(ids_of_today(platform.catalog, slides))
    entries = choose_entries(platform, select)
    if is_shard:
        entries = tuple(entry for entry in entries if entry.stage.scope == "slide")
    keys = keys_meant(platform, select)
    left_out = left_out_cells(platform, [entry.key for entry in entries])
    platform = platform.readable
    entries = tuple(entry for entry in entries if entry in platform.recipe.entries)
    wanted = Wanted(slide_ids=chosen, entries=entries, retry=retry, is_shard=is_shard)
    definitions = build_definitions(platform.recipe)
    with report.slide_progress():
        ran = run_slides_here(definitions, instance, platform, wanted)
        built = build_datasets_here(definitions, instance, platform, wanted)
    plan_id = refresh_wanted(platform)
    found = find_troubles(platform, plan_id, chosen, keys)
    n_rows = len(chosen) or platform.catalog.n_slides()
    n_kept_back = len(built.kept_back)
    failed = platform.catalog.slides_in(plan_id, keys or wanted.slide_keys, ("failed",))
    untouched = failed.intersection(chosen or failed) - ran
    report.run_end(
        n_rows, found.failures.n_cells, len(ran), built.n_built, n_kept_back,
        n_failed_before=len(untouched),
    )  # fmt: skip
    doubts = tuple(doubts_of(platform))
    return Done(
        troubles=found,
        kept_back=built.kept_back,
        incomplete=built.incomplete,
        doubts=doubts,
        left_out=left_out,
    )


def keys_meant(platform: Platform, select: tuple[str, ...]) -> frozenset[Key]:
    """Assets that names stand for, and those that they are made from; none stands for all."""
    chosen = choose_entries(platform, select) if select else ()
    return frozenset(kin.key for entry in chosen for kin in platform.recipe.lineage(entry))
