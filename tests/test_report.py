from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from pathassets import report
from pathassets.catalog.records import AnnotationRecord, MppOverride, RejectedFile
from pathassets.core.address import Address
from pathassets.core.slides.slide import MppSource
from pathassets.core.text import quoted
from pathassets.engine.platform.annotation_matching import Match, MatchState
from pathassets.engine.platform.annotations import Recorded
from pathassets.engine.platform.ingestion.ingest import Registration, find_files, ingest
from pathassets.engine.platform.planning.work import Skipped
from pathassets.engine.platform.platform import open_platform
from pathassets.engine.platform.provenance.lineage import Relative
from pathassets.engine.platform.standing.rows import Cell, SlideStatus, slide_rows
from pathassets.engine.platform.standing.troubles import MAX_TOLD, Lacking, Told, Troubles
from pathassets.engine.platform.status import CohortStatus, cohort_status
from pathassets.engine.settings import read_settings
from pathassets.engine.slides.tile_check import Check
from pathassets.errors import SelectionError, SlideUnreadable, SpecError
from pathassets.report import cohort as cohort_report
from pathassets.report.daily.planning import skipped_lines
from tests.defs.small_slides import RECIPE, write_slide


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """Where a cohort stands, and all of its rows."""

    whole: CohortStatus
    slides: tuple[SlideStatus, ...]

    @classmethod
    def of(cls, whole: CohortStatus, slides: Iterable[SlideStatus]) -> Stand:
        """Count rows as the catalog counts them."""
        rows = tuple(slides)
        failed = [row.failure for row in rows if row.failure is not None]
        told = Told(
            cells=tuple(failed[:MAX_TOLD]), rest=Counter(cell.reason for cell in failed[MAX_TOLD:])
        )
        counts = {
            key: Counter(c.state for row in rows for c in row.cells if c.key == key)
            for key in whole.counts
        }
        names = {name for row in rows for name in row.planned.annotations}
        drawn = {name: sum(name in row.planned.annotations for row in rows) for name in names}
        return cls(
            whole=replace(
                whole, n_slides=len(rows), counts=counts, annotations=drawn,
                troubles=Troubles(failures=told),
            ),
            slides=rows,
        )  # fmt: skip


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Where a cohort of one slide stands that was never run."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    with open_platform(read_settings()) as platform:
        list(ingest(platform, find_files([write_slide(tmp_path / "a.svs", 1)])))
        return Stand(whole=cohort_status(platform), slides=tuple(slide_rows(platform)))


def status_table(stand: Stand) -> None:
    """Print what `pathassets status` prints, which takes the rows of those with open work."""
    is_done = [all(c.state == "current" for c in row.cells) for row in stand.slides]
    rows = [row for _, row in sorted(zip(is_done, stand.slides, strict=True), key=itemgetter(0))]
    few = len(rows) <= report.MAX_ROWS
    report.status_table(stand.whole, stand.slides if few else rows[: report.PART_ROWS])


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


def cohort(stand: Stand, n_current: int, n_failed: int) -> Stand:
    (slide,) = stand.slides
    current = [named(slide, f"current-{i:05d}", "current") for i in range(n_current)]
    failed = [named(slide, f"failed-{i:05d}", "failed") for i in range(n_failed)]
    return Stand.of(stand.whole, (*current, *failed))


def test_a_cohort_has_a_row_for_every_slide(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    status_table(cohort(stand, 150, 3))
    shown = capsys.readouterr().out
    assert all(f" current-{i:05d} " in shown for i in range(150))
    assert "are shown" not in shown
    assert shown.count("no micrometres per pixel. State it") == 3


@pytest.mark.slow
def test_of_thousands_of_slides_those_with_open_work_are_shown_at_once(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    large = cohort(stand, 10_000 - 150, 150)
    status_table(large)
    shown = capsys.readouterr().out
    assert all(f" failed-{i:05d} " in shown for i in range(50))
    assert "50 of 10000 slides are shown" in shown
    assert "9850 current" in shown
    assert "150 failed" in shown
    assert shown.count("no micrometres per pixel. State it") == report.MAX_FAILURES
    assert "130 more, 130 resolution_missing: pathassets status --json has all" in shown
    assert len(shown.splitlines()) < 250  # all 10,000 rows would take 9 s

    last = Stand.of(stand.whole, large.slides[-300:])
    report.status_table(last.whole, last.slides)  # as `--all` does
    assert capsys.readouterr().out.count("│ failed-") == 150


def test_a_narrow_terminal_loses_nothing(
    stand: Stand, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes it for a terminal then
    monkeypatch.setenv("COLUMNS", "60")
    status_table(cohort(stand, 1, 1))
    shown = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out)
    assert "…" not in shown
    table, _, below = shown.rpartition("┘")
    columns = zip(*(line.split("│") for line in table.splitlines() if "│" in line), strict=True)
    cells = ["".join(part.strip() for part in column) for column in columns]
    assert any("resolution_missing" in cell for cell in cells)
    # The reason is one line, however long, so that the command in it can be copied.
    assert any("no micrometres per pixel. State it" in line for line in below.splitlines())


def test_what_looks_like_markup_is_printed_as_it_is(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    (slide,) = stand.slides
    odd = named(slide, "[red]:smile:[/]", "failed")
    status_table(Stand.of(stand.whole, (odd,)))
    report.error("[bold]no[/] slide")
    out, err = capsys.readouterr()
    assert out.count("[red]:smile:[/]") == 2
    assert err == "error: [bold]no[/] slide\n"


def test_lineage_names_an_ancestor_once(capsys: pytest.CaptureFixture[str]) -> None:
    def at(stage: str) -> Address:
        return Address(stage, "x", "a", "0" * 16)

    slide = Relative(address=Address.of_slide("a", "v"), facts={"sha256": "beef"}, parents=())
    mask = Relative(address=at("tissue_mask"), facts={"tissue_mm2": 1.5}, parents=(slide,))
    grid = Relative(
        address=at("patch_locations"),
        facts={"spec": {"patch_px": 256}, "notes": ["[a]", "b"], "nothing": None},
        parents=(mask, slide),
    )
    report.lineage_tree(grid)
    assert capsys.readouterr().out.splitlines() == [
        "patch_locations/x/a/00000000",
        "├── spec patch_px 256",
        "├── notes [a], b",
        "└── tissue_mask/x/a/00000000  1.50 mm²",
        "    └── slide:a  SHA-256 beef",
    ]
    report.lineage_tree(grid, is_whole=True)
    shown = capsys.readouterr().out
    assert shown.count("beef") == 1
    assert shown.count("tissue_mask/x/a") == 1
    assert "patch_px 256" in shown
    assert "notes [a], b" in shown
    assert "nothing" not in shown


def test_a_lineage_tells_many_of_one_entry_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def at(stage: str, slide_id: str) -> Address:
        return Address(stage, "x", slide_id, "0" * 16)

    def features(slide_id: str) -> Relative:
        slide = Relative(address=Address.of_slide(slide_id, "v"), facts={})
        mask = Relative(address=at("tissue_mask", slide_id), facts={}, parents=(slide,))
        return Relative(address=at("features", slide_id), facts={}, parents=(mask, slide))

    built = Relative(
        address=at("dataset", "all"), facts={}, parents=tuple(map(features, "abcde")),
        more_parents={"features": 7},
    )  # fmt: skip
    report.lineage_tree(built)
    title, first, second, third = capsys.readouterr().out.splitlines()
    assert title == "dataset/x/all/00000000"
    assert first.startswith("└── 12 of features/x  a, b, c and 9 more")
    assert first.endswith("of which 5 were traced")
    assert second.strip().startswith("└── 5 of tissue_mask/x  a, b, c and 2 more")
    assert third.strip().startswith("└── 5 slides  a, b, c and 2 more")


def test_what_slides_that_are_told_together_lead_to_is_told_with_what_was_made_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    release = Relative(address=Address("release", "x", "1", "0" * 16), facts={"who": "Ann"})
    place = Address("dataset", "x", "all", "0" * 16)
    built = Relative(address=place, facts={"n_slides": 4}, children=(release,))
    again = Relative(address=place, facts={}, is_again=True)
    slides = tuple(
        Relative(
            address=Address.of_slide(name, "v"), facts={}, children=(built if n == 0 else again,)
        )
        for n, name in enumerate("abcd")
    )
    report.lineage_tree(
        Relative(address=Address("patient", "", "p", ""), facts={}, children=slides)
    )
    *_, dataset, frozen = capsys.readouterr().out.splitlines()
    assert dataset.strip() == "└── dataset/x/all/00000000  4 slides"
    assert frozen.strip() == "└── x@1  Ann"


def test_slides_that_lack_the_same_are_told_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lacking = Lacking(
        key=("patch_locations", "grid"), annotation="tumour", n_slides=12, first=("a", "b", "c")
    )
    found = Told(lacking=(lacking,), rest={"tile_unreadable": 2})
    assert found.n_cells == 14
    report.troubles(Troubles(failures=found))
    first, _ = capsys.readouterr().out.splitlines()
    assert first.startswith(
        "failed patch_locations/grid: 12 slides lack annotations/tumour: a, b, c and 9 more. "
    )
    assert "--slides reason.patch_locations/grid:annotations_missing lists all" in first


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


ANNOTATION = AnnotationRecord(
    slide_id="a",
    name="tumour",
    digest="0123",
    file="[red]a[/].geojson",
    sha256="f" * 64,
    n_polygons=1,
    labels={"": 1, "[b]Tumor[/]": 2},
    who="Ann",
    why="review",
)


def with_drawing(stand: Stand, n_drawn: int, n_bare: int) -> Stand:
    large = cohort(stand, n_drawn + n_bare, 0)
    slides = tuple(
        replace(one, planned=replace(one.planned, annotations={"tumour": ANNOTATION}))
        for one in large.slides[:n_drawn]
    )
    return Stand.of(large.whole, (*slides, *large.slides[n_drawn:]))


def test_a_status_has_a_column_for_annotations(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    status_table(with_drawing(stand, 1, 1))
    shown = capsys.readouterr().out
    assert "annotations" in shown
    assert "tumour" in shown
    assert shown.count("1 polygon ") == 1
    assert shown.count(" none ") == 1
    status_table(with_drawing(stand, 150, 150))
    assert "150 recorded" in capsys.readouterr().out


def as_json(stand: Stand) -> dict[str, Any]:
    found: dict[str, Any] = json.loads("".join(report.status_json(stand.whole, stand.slides)))
    return found


def test_a_status_for_machines_has_the_drawings_that_the_recipe_names(stand: Stand) -> None:
    found = as_json(with_drawing(stand, 1, 1))
    drawn, bare = (slide["annotations"] for slide in found["slides"])
    assert drawn["tumour"]["digest"] == "0123"
    assert drawn["tumour"]["labels"] == {"": 1, "[b]Tumor[/]": 2}
    assert bare == {}
    assert "annotations" in as_json(stand)["slides"][0]


@pytest.mark.parametrize("n_slides", [0, 1, 3])
def test_what_is_streamed_for_machines_is_what_the_whole_would_be(
    stand: Stand, n_slides: int
) -> None:
    large = cohort(stand, n_slides, 0)
    text = "".join(report.status_json(large.whole, large.slides))
    assert text == json.dumps(json.loads(text), indent=1) + "\n"
    assert len(json.loads(text)["slides"]) == n_slides


def test_drawings_are_told_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    gone = replace(ANNOTATION, digest="", file="", sha256="", n_polygons=0, labels={}, who="Bob")
    report.annotation_table([ANNOTATION, gone])
    shown = capsys.readouterr().out
    assert "[red]a[/].geojson" in shown
    assert "none 1, [b]Tumor[/] 2" in shown
    assert "1 polygon " in shown
    assert " withdrawn " in shown
    report.annotation_table([])
    assert capsys.readouterr().out.startswith("no annotations are recorded: pathassets ")


def test_files_of_a_folder_are_counted_by_what_became_of_them() -> None:
    def matches(*states: MatchState) -> list[Match]:
        return [Match(path=Path("/x/a.xml"), state=s, slide_id="a", said="") for s in states]

    said = report.matches_end(matches("recorded", "refused", "recorded", "unmatched"))
    assert said == "4 files: 1 unmatched, 2 recorded, 1 refused"
    assert report.matches_end(matches("fits")) == "1 file: 1 fits"
    unmatched = replace(matches("unmatched")[0], slide_id="", said="no slide is called so")
    assert report.match_line(unmatched) == "unmatched /x/a.xml: no slide is called so"
    assert report.match_line(matches("fits")[0]) == "fits /x/a.xml: a"


def test_what_was_left_out_of_a_drawing_is_said_with_it() -> None:
    recorded = Recorded(annotation=ANNOTATION, is_new=True, notes=("left out: 2 points",))
    assert report.annotation_line(recorded) == (
        "new a: tumour, 1 polygon from [red]a[/].geojson; left out: 2 points"
    )


def test_a_cell_for_machines_leaves_out_what_is_empty(stand: Stand) -> None:
    (slide,) = stand.slides
    cell = slide.cells[0]
    assert isinstance(cell, Cell)
    assert cohort_report._cell_plain(cell) == {"state": "missing", "digest": cell.digest}


def test_no_text_gives_the_terminal_an_order(
    stand: Stand, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    order = "\x1b]8;;http://evil.example\x07[link=http://evil.example]x[/link]\x9b2J\u202e\n1/1 a"
    (slide,) = stand.slides
    record = replace(slide.planned.record, patient=order, resolution_message=order, mpp=None)
    first, *rest = slide.cells
    cell = replace(first, state="failed", reason="x", message=order, remedy=order)
    planned = replace(slide.planned, record=record)
    odd = replace(slide, planned=planned, cells=(cell, *rest))
    shown_odd = Stand.of(stand.whole, (odd,))
    status_table(shown_odd)
    report.troubles(shown_odd.whole.troubles)
    report.annotation_table(
        [replace(ANNOTATION, file=order, who=order, why=order, labels={order: 1})]
    )
    facts = {"labels": {order: order}, "patient": order}
    report.lineage_tree(Relative(address=Address.of_slide("a", "v"), facts=facts, parents=()))
    override = MppOverride(slide_id="a", mpp=0.5, who=order, why=order)
    report.resolution(
        replace(record, mpp_sources=(MppSource(source="x", value=order),)), [override]
    )
    report.values(order, [(order, 1)], is_whole=True)
    report.doubts([SelectionError(f"selection: no slide has tag {quoted(order)}", remedy=order)])
    report.error(order)
    with report.progress("registering", 1) as advance:
        advance(order)
    with report.slide_progress():
        extra = {"n_done": 1, "n_slides": 1, "is_failed": True}
        logging.getLogger("pathassets.engine.platform.batch").info(order, extra=extra)
    shown = "".join(capsys.readouterr())
    styles = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # colours and the bar: rich's own
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & {*styles.sub("", shown)}
    assert "2J" in shown
    assert not [line for line in styles.sub("", shown).splitlines() if line.startswith("1/1 a")]


def test_a_line_about_a_file_is_one_line_whatever_it_is_called() -> None:
    name = "a\nnew b\x1b[2J.svs"
    refused = Registration(path=Path(name), state="refused", error=SpecError(f"{name}: no"))
    assert len(report.registration_line(refused).splitlines()) == 1
    match = Match(path=Path(name), state="unmatched", slide_id="", said=name)
    recorded = Recorded(annotation=replace(ANNOTATION, file=name), is_new=True, notes=())
    for line in (report.match_line(match), report.annotation_line(recorded)):
        assert len(line.splitlines()) == 1
        assert line.isprintable()


def test_a_file_that_is_named_in_a_message_makes_no_line_of_its_own(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    error = SlideUnreadable("/new\nline.tif", "is cut short", remedy="Copy /new\nline.tif again")
    whole = {"reason": error.reason, "message": error.message, "remedy": error.remedy}
    refused = RejectedFile(path=error.path, size_bytes=1, mtime_ns=1, **whole)
    (slide,) = stand.slides
    failed = tuple(replace(cell, state="failed", **whole) for cell in slide.cells)
    shown = Stand.of(stand.whole, (replace(slide, cells=failed),))
    status_table(replace(shown, whole=replace(shown.whole, rejected_files=(refused,))))
    report.check(Check(path=Path(error.path), error=error))
    report.error(error)
    with report.slide_progress():
        extra = {"n_done": 1, "n_slides": 1, "is_failed": True, "reason": error.reason}
        logging.getLogger("pathassets.engine.platform.batch").warning("%s", error, extra=extra)
    skipped = Skipped(reason=error.reason, n_slides=1, first=("a",), remedy=error.remedy)
    assert r"Copy /new\nline.tif again" in next(skipped_lines([skipped]))
    lines = "".join(capsys.readouterr()).splitlines()
    said = r"/new\nline.tif: is cut short. Copy /new\nline.tif again"
    assert f"refused {said}" in lines
    assert f"failed {'/'.join(failed[0].key)}: {said}" in lines
    assert f"  {said}" in lines
    assert f"error: {said}" in lines
    assert said in lines  # of the slide, as a run tells it
    assert not [line for line in lines if line.lstrip().startswith("line.tif")]


def test_a_message_of_lines_keeps_them_and_has_its_remedy_on_one_of_its_own(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    (slide,) = stand.slides
    trace = {"reason": "unexpected", "message": "a: KeyError: 1\n  File x", "remedy": "Report it"}
    cell = replace(slide.cells[0], state="failed", **trace)
    status_table(Stand.of(stand.whole, (replace(slide, cells=(cell,)),)))
    asset = "/".join(cell.key)
    lines = [f"failed {asset}: a: KeyError: 1", "      File x", "    Report it"]
    assert "\n".join(lines) in capsys.readouterr().out
