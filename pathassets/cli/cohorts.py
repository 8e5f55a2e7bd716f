"""`pathassets cohort`: whose slides they are, and what they are called."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from pathassets import report
from pathassets.catalog.records import CohortChange, LabelKind, Subject
from pathassets.cli.home import opened
from pathassets.cli.options import BAD_INPUT, SOURCE, WORDS
from pathassets.engine.platform.cohorts.imports import (
    Members,
    history_of,
    label_by_hand,
    set_kind_by_hand,
    tag_by_hand,
    take_table,
)
from pathassets.engine.platform.cohorts.preview import CohortPreview, Leniency, preview_table
from pathassets.engine.platform.cohorts.sheet import read_sheet
from pathassets.engine.platform.cohorts.typed import read_label, read_name
from pathassets.engine.platform.cohorts.words import check_name
from pathassets.engine.platform.ingestion.cohort_table import UNKNOWN_WORDS
from pathassets.engine.platform.platform import Platform, open_to_read
from pathassets.engine.settings import read_settings

if TYPE_CHECKING:
    import dagster as dg

MAX_REPORTED = 500
"""Slides, or patients, whose pages are told of new words at once: two events each, 30 ms."""


def _login() -> str:
    """Who runs this, as the system has it."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


_BY = click.option("--who", type=WORDS, default=_login, help="Who states it; you, by default.")


@click.group("cohort")
def cohort() -> None:
    """Patients, sites, labels, tags and cohorts: from tables, looked at, corrected."""


@cohort.command("import")
@click.argument("table", type=SOURCE)
@click.option("--name", default="", help="A cohort that all slides of the table come into.")
@_BY
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--move-patients", "may_move", is_flag=True, help="Slides may change their patient.")
@click.option(
    "--skip-unknown", "may_skip", is_flag=True, help="Leave out lines about what nobody knows."
)
@click.option("--sheet", help="Of a workbook, where several could be meant.")
@click.option(
    "--na-values", metavar="WORD,WORD", default=",".join(UNKNOWN_WORDS), show_default=True,
    help="What means unknown, as an empty cell does; '' for nothing else.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def import_table(  # noqa: PLR0913 - the options of a command
    table: Path, name: str, who: str, sheet: str | None, na_values: str,
    *, dry_run: bool, may_move: bool, may_skip: bool, as_json: bool,
) -> None:  # fmt: skip
    """Take TABLE (CSV, TSV, .xlsx, Parquet): one line a slide, or of a clinical table a patient."""
    if name:
        check_name(name, "cohort", "--name")
    lines = read_sheet(table, unknown=na_values.split(","), sheet=sheet)
    lenient = Leniency(may_move=may_move, may_skip=may_skip)
    with open_to_read(read_settings()) as platform:
        preview = preview_table(platform.catalog, lines, cohort=name, leniency=lenient)
    report.cohort_preview(preview, as_json=as_json)
    if preview.conflicts:
        raise SystemExit(BAD_INPUT)
    if not dry_run and preview.changes:
        with opened() as (platform, instance):
            take_table(platform.catalog, preview, who=who)
            _report(platform, instance, preview)
    if preview.changes and not as_json:
        click.echo("dry run: nothing was changed" if dry_run else "taken")


def _report(platform: Platform, instance: dg.DagsterInstance, preview: CohortPreview) -> None:
    """Tell Dagster of new resolutions, and of new words where they are not too many."""
    from pathassets.defs.assets.slide import report_slides  # noqa: PLC0415 - dagster takes seconds

    patients = {one.key for one in preview.changes if one.subject == "patient"}
    slides = set(preview.slides)
    if len(patients) <= MAX_REPORTED:
        slides.update(platform.catalog.slides_of_patients(patients))
    if max(len(patients), len(slides)) > MAX_REPORTED:
        report_slides(instance, platform, preview.restated)
        click.echo(f"more than {MAX_REPORTED} slides: Dagster's page shows their new words once "
                   "something else of them changes", err=True)  # fmt: skip
        return
    report_slides(instance, platform, slides, is_anew=True)


@cohort.command("list")
def list_cohorts() -> None:
    """List cohorts, and how many slides are in each."""
    with open_to_read(read_settings()) as platform:
        report.cohort_list(platform.catalog.cohort_sizes())


@cohort.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def show_cohort(name: str, *, as_json: bool) -> None:
    """List the slides of a cohort, with what is said of them."""
    with open_to_read(read_settings()) as platform:
        slides = platform.catalog.cohort_slides(name)
        report.cohort_slides(slides, platform.catalog.cohort_state(slides), as_json=as_json)


@cohort.command()
@click.argument("key", metavar="SLIDE_OR_PATIENT")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def history(key: str, *, as_json: bool) -> None:
    """Print who changed what of a slide, a patient or a label's kind, when, and from which file."""
    with open_to_read(read_settings()) as platform:
        report.cohort_history(history_of(platform.catalog, read_name(key)), as_json=as_json)


@cohort.command()
@click.argument("key", metavar="SLIDE_OR_PATIENT")
@click.argument("labels", metavar="NAME=VALUE…", nargs=-1, required=True)
@click.option("--patient", "is_patient", is_flag=True, help="It is a patient that is labelled.")
@_BY
def label(key: str, labels: tuple[str, ...], who: str, *, is_patient: bool) -> None:
    """State labels of a slide or a patient; NAME= takes one away.

    A NAME in quotation marks ends with them: '"T = 1"=yes'.
    """
    subject: Subject = "patient" if is_patient else "slide"

    def change(platform: Platform) -> list[CohortChange]:
        known = platform.catalog.label_kinds()
        said = dict(read_label(one, known, subject, key) for one in labels)
        return label_by_hand(platform.catalog, subject, key, said, who=who)

    _by_hand(change)


@cohort.command()
@click.argument("name")
@click.argument("word", metavar="KIND", type=click.Choice(get_args(LabelKind)))
@_BY
def kind(name: str, word: LabelKind, who: str) -> None:
    """Let all labels called NAME be of a KIND: category, number, boolean or text."""
    called = read_name(name)
    _by_hand(lambda one: set_kind_by_hand(one.catalog, called, word, who=who))


@cohort.command()
@click.argument("slide_id")
@click.argument("tags", nargs=-1, required=True)
@click.option("--remove", "is_removed", is_flag=True, help="Take them away.")
@_BY
def tag(slide_id: str, tags: tuple[str, ...], who: str, *, is_removed: bool) -> None:
    """Put a slide under TAGS, or take them away."""
    members = Members(what="tag", names=tags)
    _by_hand(
        lambda one: tag_by_hand(one.catalog, members, [slide_id], who=who, is_removed=is_removed)
    )


@cohort.command()
@click.argument("name")
@click.argument("slide_ids", metavar="SLIDE…", nargs=-1, required=True)
@click.option("--remove", "is_removed", is_flag=True, help="Take them out.")
@_BY
def slides(name: str, slide_ids: tuple[str, ...], who: str, *, is_removed: bool) -> None:
    """Put slides into the cohort NAME, or take them out."""
    members = Members(what="cohort", names=(name,))
    _by_hand(
        lambda one: tag_by_hand(one.catalog, members, slide_ids, who=who, is_removed=is_removed)
    )


def _by_hand(change: Callable[[Platform], list[CohortChange]]) -> None:
    """Change something, say what, and show it on the page."""
    with opened() as (platform, instance):
        from pathassets.defs.assets.slide import report_slides  # noqa: PLC0415 - takes seconds

        changes = change(platform)
        if not changes:
            click.echo(f"nothing to change: {report.SAID_ALREADY}")
        report.cohort_changes(changes)
        patients = {one.key for one in changes if one.subject == "patient"}
        touched = {one.key for one in changes if one.subject == "slide"}
        touched.update(platform.catalog.slides_of_patients(patients))
        if 0 < len(touched) <= MAX_REPORTED:
            report_slides(instance, platform, touched, is_anew=True)
