"""The inbox in Dagster: a sensor that looks, a run that registers, a run over what is new.

    inbox ─▶ still for a while ─▶ job ingest_files ─▶ partitions ─▶ job process_new_slides
                                                  └─▶ asset quarantine

The sensor only looks; hashing gigabytes is the job's. It is off until switched on in the UI. What
it saw is in the catalog, so that its cursor is empty, and a look by `pathassets ingest --watch`
counts as one of its own. One run registers all that is whole, and one works on all that is new.

https://docs.dagster.io/guides/automate/sensors
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from pathassets.core.spec import digest_of
from pathassets.defs.assets.batch import POOL, run_slides
from pathassets.defs.assets.quarantine import quarantine_events
from pathassets.defs.assets.slide import report_slides
from pathassets.defs.partitions import range_of, slide_order
from pathassets.defs.recovery import NEVER_AGAIN, UNFINISHED, tried_again
from pathassets.defs.text import line, table_value
from pathassets.engine.platform.batch import MAX_SLIDES
from pathassets.engine.platform.inbox.look import (
    Look,
    advanced,
    ask_together,
    look_into,
    note_look,
)
from pathassets.engine.platform.inbox.tables import TableOutcome
from pathassets.engine.platform.inbox.taking import take
from pathassets.engine.platform.ingestion.ingest import Registration
from pathassets.engine.platform.merged_slides import ids_of_today
from pathassets.engine.platform.platform import Platform

INTERVAL_S = 10
INGEST_FILES = "ingest_files"
PROCESS_NEW = "process_new_slides"
ASKED_TAG = "pathassets/asked"
"""What a run was requested for. Dagster starts one run for a run key, ever, so what a run did not
do is asked for under another."""
MAX_TRIES = 3
MAX_FILES = 500
"""Files that one run registers: a run costs as much as fifty small slides."""
MAX_WAIT = timedelta(minutes=15)
"""How long new slides wait for others that are being registered, to be worked on in one run."""
MAX_RETOLD = 500
"""Slides whose pages are told of new words at once: two events each, 30 ms."""
GIVEN_UP = f"given up after {MAX_TRIES} runs that did not take it: see the last one's log"
CANCELLED = "a person cancelled the run that was to take it"


# ------------------------------------------------------------------------------------- what is done


class FilesConfig(dg.Config):
    """Which files to register."""

    files: list[str]
    """Absolute paths, of slides and of cohort tables."""


@dg.op
def register_files(
    context: dg.OpExecutionContext, config: FilesConfig, platform: dg.ResourceParam[Platform]
) -> None:
    """Register files as slides, take the tables among them, and make partitions of the slides."""
    with tried_again(context, platform):
        _register(context, platform, config.files)


def _register(context: dg.OpExecutionContext, platform: Platform, files: list[str]) -> None:
    slides: list[Registration] = []
    tables: list[TableOutcome] = []
    for one in take(platform, files):
        if isinstance(one, Registration):
            slides.append(one)
            context.log.info(
                line(f"{one.state} {one.slide_id} {one.error or one.note or one.path}")
            )
        else:
            tables.append(one)
            context.log.info(line(str(one)))
    tell_dagster(context.instance, platform, slides, tables)
    for event in quarantine_events(platform):
        context.log_event(event)  # type: ignore[arg-type]  # it takes checks, too
    context.add_output_metadata(_metadata(slides, tables))


def tell_dagster(
    instance: dg.DagsterInstance,
    platform: Platform,
    slides: list[Registration],
    tables: list[TableOutcome],
) -> None:
    """Make partitions of slides; of those that were known tell new words, if they are not many."""
    new = set(report_slides(instance, platform, [one.slide_id for one in slides if one.slide_id]))
    taken = [one.preview for one in tables if one.preview is not None]
    patients = {one.key for preview in taken for one in preview.changes if one.subject == "patient"}
    touched = {slide_id for preview in taken for slide_id in preview.slides}
    if len(patients) <= MAX_RETOLD:
        touched.update(platform.catalog.slides_of_patients(patients))
    if max(len(patients), len(touched - new)) <= MAX_RETOLD:
        report_slides(instance, platform, touched - new, is_anew=True)
    else:
        report_slides(instance, platform, {one for each in taken for one in each.restated})


def _metadata(slides: list[Registration], tables: list[TableOutcome]) -> dict[str, Any]:
    counts = {f"n_{state}": sum(one.state == state for one in slides) for state in _STATES}
    notes = [
        {"file": str(one.path), "slide": one.slide_id, "note": one.note or str(one.error or "")}
        for one in slides
        if one.note or one.error
    ]
    notes += [{"file": one.path, "slide": "", "note": str(one)} for one in tables]
    return counts | {"n_tables": len(tables), "notes": table_value(notes)}


_STATES = ("new", "known", "refused")


@dg.job(name=INGEST_FILES, description="Register files as slides; the inbox sensor asks for it.")
def ingest_files() -> None:
    """Register files as slides."""
    register_files()


class NewSlidesConfig(dg.Config):
    """Which slides to work on."""

    slide_ids: list[str]
    """Partition keys; they need not be neighbours."""


@dg.op(pool=POOL)
def work_on_new_slides(
    context: dg.OpExecutionContext, config: NewSlidesConfig, platform: dg.ResourceParam[Platform]
) -> None:
    """Run every per-slide asset of the recipe on slides that are no neighbours."""
    slide_ids = ids_of_today(platform.catalog, config.slide_ids)
    run_slides(context, platform, slide_ids, [*platform.recipe.per_slide])


@dg.job(name=PROCESS_NEW, description="Run the recipe on new slides; the inbox sensor asks for it.")
def process_new_slides() -> None:
    """Run the recipe on new slides."""
    work_on_new_slides()


# ------------------------------------------------------------------------------------ what is asked


def _ingestions(instance: dg.DagsterInstance, platform: Platform) -> list[dg.RunRequest]:
    """Ingest runs for files whose content is neither registered nor refused, many in each.

    What they are asked for by is kept before they are: if this process ends in between, the next
    tick asks by the same name.
    """
    catalog, settings = platform.catalog, platform.settings
    clock = advanced(catalog.inbox_clock(), wall_s=time.time(), monotonic_s=time.monotonic())
    look = look_into(catalog, settings.inboxes, clock)
    look = _freed(instance, look)
    look = ask_together(look, look.whole(settings.inbox_stable_s), MAX_FILES)
    requests: list[dg.RunRequest] = []
    seen = dict(look.seen)
    for name, files in _by_name(look).items():
        runs = _runs_of(instance, name)
        why = _why_not(runs)
        if why:
            seen |= {path: replace(seen[path], lacks=why) for path in files}
        elif not _under_way(runs):
            config = dg.RunConfig({"register_files": FilesConfig(files=sorted(files))})
            requests.append(_request(INGEST_FILES, name, len(runs), config))
    note_look(catalog, replace(look, seen=seen), clock)
    return requests


def _freed(instance: dg.DagsterInstance, look: Look) -> Look:
    """Let files be asked for anew, with whatever is whole now, whose run ended and left them."""
    seen = dict(look.seen)
    for name, files in _by_name(look).items():
        runs = _runs_of(instance, name)
        if runs and not _under_way(runs) and not _why_not(runs):
            seen |= {path: replace(seen[path], asked="") for path in files}
    return replace(look, seen=seen)


def _by_name(look: Look) -> Mapping[str, list[str]]:
    together: defaultdict[str, list[str]] = defaultdict(list)
    for path, one in look.seen.items():
        if one.asked:
            together[one.asked].append(path)
    return together


def _batches(
    instance: dg.DagsterInstance, platform: Platform, *, is_ingesting: bool
) -> Iterator[dg.RunRequest]:
    """Runs over slides of the inbox that were never tried and that no other run holds.

    They need not be neighbours. While files are being registered they wait for the others.
    """
    folders = [str(one) for one in platform.settings.inboxes]
    waiting = platform.catalog.untried_below(folders)
    if not waiting or not platform.recipe.per_slide:
        return
    if is_ingesting and datetime.now(UTC) - min(waiting.values()) < MAX_WAIT:
        return
    order = slide_order(instance)
    unsaid = waiting.keys() - {*order}
    if unsaid:  # an ingestion was killed before it said so
        report_slides(instance, platform, unsaid)
    held = _held(instance, order)
    free = [slide_id for slide_id in waiting if slide_id not in held]
    for start in range(0, len(free), MAX_SLIDES):
        part = free[start : start + MAX_SLIDES]
        name = f"new:{len(part)}:{digest_of(part)}"
        runs = _runs_of(instance, name)
        if not _why_not(runs):
            config = dg.RunConfig({"work_on_new_slides": NewSlidesConfig(slide_ids=part)})
            yield _request(PROCESS_NEW, name, len(runs), config)


def _held(instance: dg.DagsterInstance, order: list[str]) -> set[str]:
    """Slides of unfinished runs, and those of which a person cancelled the run."""
    unfinished = instance.get_runs(filters=dg.RunsFilter(statuses=UNFINISHED))
    stopped = dg.RunsFilter(job_name=PROCESS_NEW, statuses=[dg.DagsterRunStatus.CANCELED])
    found = {slide_id for run in unfinished for slide_id in range_of(run.tags, order)}
    for run in (*unfinished, *instance.get_runs(filters=stopped)):
        ops: Any = run.run_config.get("ops", {})
        for op in ops.values():
            found.update(op.get("config", {}).get("slide_ids", ()))
    return found


def _runs_of(instance: dg.DagsterInstance, name: str) -> list[dg.DagsterRun]:
    return [*instance.get_runs(filters=dg.RunsFilter(tags={ASKED_TAG: name}))]


def _under_way(runs: list[dg.DagsterRun]) -> bool:
    return any(run.status in UNFINISHED for run in runs)


def _why_not(runs: list[dg.DagsterRun]) -> str:
    """Why what some runs were for is not asked for again; empty where it may be."""
    if any(run.status == dg.DagsterRunStatus.CANCELED for run in runs):
        return CANCELLED
    return GIVEN_UP if len(runs) >= MAX_TRIES and not _under_way(runs) else ""


def _request(job_name: str, name: str, n_tries: int, config: dg.RunConfig) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"{name}:{n_tries}",
        job_name=job_name,
        tags={ASKED_TAG: name, **NEVER_AGAIN},
        run_config=config,
    )


@dg.sensor(
    name="inbox",
    jobs=[ingest_files, process_new_slides],
    minimum_interval_seconds=INTERVAL_S,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Registers files of the inbox once they are whole and runs the recipe on them.",
)
def inbox(
    context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
) -> dg.SensorResult:
    """Ask for the ingestion of files that are whole, and for a run over slides that are new."""
    instance = context.instance
    ingestions = _ingestions(instance, platform)
    unfinished = dg.RunsFilter(job_name=INGEST_FILES, statuses=UNFINISHED)
    is_ingesting = bool(ingestions) or instance.get_runs_count(unfinished) > 0
    batches = _batches(instance, platform, is_ingesting=is_ingesting)
    return dg.SensorResult(run_requests=[*ingestions, *batches])
