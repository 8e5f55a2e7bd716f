"""What a stranger wrote reaches Dagster's page as text, and never as Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._serdes import serialize_value
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from pathassets.core.text import shortened, visible
from pathassets.defs.assets.annotations import report_annotations
from pathassets.defs.assets.slide import report_slides
from pathassets.defs.text import QUOTED_CHARS, TEXT_CHARS, bullets, quoted, text_value
from pathassets.engine.platform.annotations import AnnotationSource, record_file
from pathassets.engine.platform.ingestion.cohort_table import read_cohort
from pathassets.engine.platform.ingestion.ingest import find_files, ingest
from tests.defs.dagster_state import copy_state
from tests.defs.hostile import BAIT, bait, write_hostile, write_recipe
from tests.defs.workbench import Workbench, open_bench

MARKDOWN = MarkdownIt("commonmark").enable("table")
ACTIVE = {"image", "link_open", "html_inline", "html_block"}


def leaves(markdown: str) -> Iterator[Token]:
    """What a renderer of Markdown makes of a text."""
    for token in MARKDOWN.parse(markdown):
        yield from token.children or ([] if token.type == "inline" else [token])


def active(markdown: str) -> list[str]:
    """What a page would load, link to or run; a picture within the text itself is none of that."""
    return [
        token.type
        for token in leaves(markdown)
        if token.type in ACTIVE and not str(token.attrGet("src")).startswith("data:image/")
    ]


@given(st.text(alphabet=st.characters(codec="utf-8")) | st.text(alphabet="`![]()<>\\ \n*_&a#|-"))
def test_a_quoted_text_is_one_span_of_code(text: str) -> None:
    said = visible(shortened(text, QUOTED_CHARS)).strip()
    found = [token for token in leaves(quoted(text)) if not token.type.startswith("paragraph")]
    assert [(one.type, one.content) for one in found] == ([("code_inline", said)] if said else [])


@given(st.lists(st.text(alphabet="`![]()<>\\ \n*_&a#|-", min_size=1).filter(str.strip)))
def test_a_list_of_quoted_texts_is_a_list_of_code(texts: list[str]) -> None:
    kinds = [token.type for token in leaves(bullets(texts)) if token.nesting == 0]
    assert kinds == ["code_inline"] * len(texts)


def test_what_is_told_has_an_end() -> None:
    assert len(quoted("x" * 10**6)) < QUOTED_CHARS + 10
    assert len(str(text_value("x" * 10**6).value)) < TEXT_CHARS + 10
    assert bullets(["x"] * 10_000).endswith("\n- 9900 more")


@pytest.fixture
def bench(home: Path, dagster_state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workbench]:
    write_recipe(home)
    monkeypatch.setenv("PATHASSETS_DEVICE", "cpu")  # to look for another takes seconds
    monkeypatch.syspath_prepend(home)
    copy_state(dagster_state, home)
    with open_bench() as bench:
        yield bench


def markdown_in(value: Any) -> Iterator[str]:
    """Every text of an event that the page renders: descriptions and Markdown metadata."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in {"description", "md_str"} and isinstance(inner, str):
                yield inner
            else:
                yield from markdown_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from markdown_in(inner)


def events(instance: dg.DagsterInstance) -> Iterator[dg.EventLogEntry]:
    """Everything that was reported, be it by runs or without."""
    kinds = (
        dg.DagsterEventType.ASSET_MATERIALIZATION,
        dg.DagsterEventType.ASSET_OBSERVATION,
    )
    for kind in kinds:
        for record in instance.event_log_storage.get_event_records(dg.EventRecordsFilter(kind)):
            yield record.event_log_entry
    for run in instance.get_runs():
        yield from instance.all_logs(run.run_id)


def test_no_event_or_asset_tells_a_strangers_text_as_markdown(bench: Workbench, home: Path) -> None:
    written = write_hostile(home / "slides")
    cohort = read_cohort(written.cohort)
    files = find_files([written.named, written.stated, written.lost])
    found = {one.path: one.slide_id for one in ingest(bench.platform, files, cohort=cohort)}
    bench.platform.catalog.override_mpp(found[written.named], 0.5, who=bait("who"), why=bait("why"))
    report_slides(bench.instance, bench.platform, found.values())
    said = AnnotationSource(name="tumour", who=bait("drawer"), why=bait("drawn"))
    record_file(bench.platform, found[written.named], written.annotation, said)
    report_annotations(bench.instance, bench.platform, found.values())
    written.lost.unlink()
    assert not bench.run(may_break=True).success
    register = {"ops": {"register_files": {"config": {"files": [str(written.no_slide)]}}}}
    assert bench.run("ingest_files", run_config=register).success  # quarantine tells of it

    entries = [json.loads(serialize_value(entry)) for entry in events(bench.instance)]
    graph = bench.definitions.resolve_asset_graph()
    told = [text for entry in entries for text in markdown_in(entry)]
    told += [str(node.description) for node in graph.asset_nodes]
    assert [(text, kinds) for text in told if (kinds := active(text))] == []

    # Each was there to be told, and none tells the terminal or the reader's eye what to do.
    everything = json.dumps([*entries, told])
    fields = ("name", "lost", "refused", "annotation", "patient", "label", "header", "class")
    people = ("who", "why", "drawer", "drawn", "about", "parameter", "error")
    assert [field for field in (*fields, *people) if f"{BAIT}{field}" not in everything] == []
    assert "xxxxxxxxxx" * 10 not in everything
    shown = "".join(told)
    assert not {"\x1b", "\x07", "\u202e"} & {*shown}
