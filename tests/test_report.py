from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pathassets import report
from pathassets.core.address import Address
from pathassets.engine.ingest import find_files, ingest
from pathassets.engine.lineage import Ancestor
from pathassets.engine.platform import open_platform
from pathassets.engine.settings import read_settings
from pathassets.engine.status import Cell, CohortStatus, SlideStatus, cohort_status
from tests.defs.small_slides import RECIPE, write_slide


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CohortStatus:
    """Where a cohort of one slide stands that was never run."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    with open_platform(read_settings()) as platform:
        list(ingest(platform, find_files([write_slide(tmp_path / "a.svs", 1)])))
        return cohort_status(platform)


def named(slide: SlideStatus, slide_id: str, state: str) -> SlideStatus:
    planned = replace(slide.planned, record=replace(slide.planned.record, slide_id=slide_id))
    first, *rest = slide.cells
    if state == "failed":
        cell = replace(
            first,
            state="failed",
            reason="resolution_missing",
            message=f"{slide_id}: no micrometres per pixel",
            remedy="State it",
        )
        return replace(slide, planned=planned, cells=(cell, *rest))
    cells = tuple(replace(cell, state=state) for cell in slide.cells)
    return replace(slide, planned=planned, cells=cells)


def cohort(stand: CohortStatus, n_current: int, n_failed: int) -> CohortStatus:
    (slide,) = stand.slides
    current = [named(slide, f"current-{i:05d}", "current") for i in range(n_current)]
    failed = [named(slide, f"failed-{i:05d}", "failed") for i in range(n_failed)]
    return replace(stand, slides=(*current, *failed))


def test_a_cohort_has_a_row_for_every_slide(
    stand: CohortStatus, capsys: pytest.CaptureFixture[str]
) -> None:
    report.status_table(cohort(stand, 150, 3))
    shown = capsys.readouterr().out
    assert all(f" current-{i:05d} " in shown for i in range(150))
    assert "are shown" not in shown
    assert shown.count("no micrometres per pixel. State it") == 3


def test_of_thousands_of_slides_those_with_open_work_are_shown_at_once(
    stand: CohortStatus, capsys: pytest.CaptureFixture[str]
) -> None:
    large = cohort(stand, 10_000 - 150, 150)
    started = time.perf_counter()
    report.status_table(large)
    taken_s = time.perf_counter() - started
    shown = capsys.readouterr().out
    assert all(f" failed-{i:05d} " in shown for i in range(150))
    assert "200 of 10000 slides are shown" in shown
    assert "9850 current" in shown
    assert "150 failed" in shown
    assert shown.count("no micrometres per pixel. State it") == report.MAX_FAILURES
    assert "130 more, 130 resolution_missing: pathassets status --json has all" in shown
    assert len(shown.splitlines()) < 250
    assert taken_s < 5  # all 10,000 rows took 9 s

    report.status_table(replace(large, slides=large.slides[-300:]), is_whole=True)
    assert capsys.readouterr().out.count("│ failed-") == 150


def test_a_narrow_terminal_loses_nothing(
    stand: CohortStatus, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes it for a terminal then
    monkeypatch.setenv("COLUMNS", "60")
    report.status_table(cohort(stand, 1, 1))
    shown = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out)
    assert "…" not in shown
    table, _, below = shown.rpartition("┘")
    columns = zip(*(line.split("│") for line in table.splitlines() if "│" in line), strict=True)
    cells = ["".join(part.strip() for part in column) for column in columns]
    assert any("resolution_missing" in cell for cell in cells)
    # The reason is one line, however long, so that the command in it can be copied.
    assert any("no micrometres per pixel. State it" in line for line in below.splitlines())


def test_what_looks_like_markup_is_printed_as_it_is(
    stand: CohortStatus, capsys: pytest.CaptureFixture[str]
) -> None:
    (slide,) = stand.slides
    odd = named(slide, "[red]:smile:[/]", "failed")
    report.status_table(replace(stand, slides=(odd,)))
    report.error("[bold]no[/] slide")
    out, err = capsys.readouterr()
    assert out.count("[red]:smile:[/]") == 2
    assert err == "error: [bold]no[/] slide\n"


def test_lineage_names_an_ancestor_once(capsys: pytest.CaptureFixture[str]) -> None:
    def at(section: str) -> Address:
        return Address(section, "x", "a", "0" * 16)

    slide = Ancestor(address=Address.of_slide("a", "v"), facts={"sha256": "beef"}, parents=())
    mask = Ancestor(address=at("tissue_mask"), facts={"tissue_mm2": 1.5}, parents=(slide,))
    grid = Ancestor(
        address=at("patch_locations"),
        facts={"spec": {"patch_px": 256}, "notes": ["[a]", "b"], "nothing": None},
        parents=(mask, slide),
    )
    report.lineage_tree(grid)
    shown = capsys.readouterr().out
    assert shown.count("beef") == 1
    assert shown.count("tissue_mask/x/a") == 1
    assert "patch_px 256" in shown
    assert "notes [a], b" in shown
    assert "nothing" not in shown


def test_a_log_gets_lines_and_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with report.progress("registering", 2) as advance:
        advance("new [a]")
        advance("")
    assert capsys.readouterr().out == "new [a]\n"


def test_a_terminal_gets_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with report.progress("registering", 2) as advance:
        advance("new a")
    shown = capsys.readouterr().out
    assert "registering" in shown
    assert "new a" in shown


def test_a_cell_for_machines_leaves_out_what_is_empty(stand: CohortStatus) -> None:
    (slide,) = stand.slides
    cell = slide.cells[0]
    assert isinstance(cell, Cell)
    assert report._cell_plain(cell) == {"state": "missing", "digest": cell.digest}
