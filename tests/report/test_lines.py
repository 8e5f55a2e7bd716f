"""A path, a cell or an error of others makes no line of what is printed, wherever it is told."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pathassets import report
from pathassets.catalog.releases.records import FindingRecord
from pathassets.core.address import Address
from pathassets.core.datasets.leaks import Leak, find_leaks
from pathassets.core.selection.faults import fault
from pathassets.engine.platform.datasets.show import ShownVersion
from pathassets.engine.platform.provenance.causes import Cause, Reached, Stale
from pathassets.engine.platform.upkeep.backup import BackedUp
from pathassets.engine.platform.upkeep.forget import Gone
from pathassets.errors import PathAssetsError, SelectionError, SlideForgotten, SpecError
from pathassets.report import cohort as cohort_report

HOSTILE = "/new\nrefused b\x1b[2J"
SHOWN = r"/new\nrefused b\x1b[2J"


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """All that was printed, none of it a line of somebody else's."""
    lines = "".join(capsys.readouterr()).splitlines()
    assert not [line for line in lines if line.lstrip().startswith("refused")]
    return lines


@pytest.mark.parametrize(
    "error",
    [
        SpecError(f"{HOSTILE}: no such file", remedy=f"Look at {HOSTILE}"),
        f"{HOSTILE}: no such file. Look at {HOSTILE}",
    ],
)
def test_an_error_of_what_was_asked_is_a_line(
    error: PathAssetsError | str, capsys: pytest.CaptureFixture[str]
) -> None:
    report.error(error)
    assert lines_of(capsys) == [f"error: {SHOWN}: no such file. Look at {SHOWN}"]


def test_an_error_that_points_at_a_place_keeps_its_lines_and_no_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pointing = fault("x:1 & y:2", (0, 1), f"no field {HOSTILE}", remedy="Did you mean id?")
    report.error(pointing)
    report.error(SpecError(pointing.message).named(HOSTILE))  # as the catalog keeps it
    cohort_report.doubts([SelectionError(pointing.message, remedy=pointing.remedy)])
    said = f"selection: no field {SHOWN}"
    place = ["      x:1 & y:2", "      ^"]
    first, second, third = (
        [f"error: {said}", *place, "    Did you mean id?"],
        [f"error: {SHOWN}: {said}", *place],
        [f"mind {said}", *place, "    Did you mean id?"],
    )
    assert lines_of(capsys) == [*third, *first, *second]  # standard output is first


def test_what_is_stale_and_what_is_going_are_a_line_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cause = Reached(cause=Cause(change="annotation", what=HOSTILE, who=HOSTILE))
    one = Stale(address=Address("features", "f", "a", "0" * 16), wanted="1" * 16, changes=(cause,))
    report.stale_list([one])
    cohort_report.going([SlideForgotten(f"slide a: was taken out by {HOSTILE}", remedy="Wait")])
    lines = lines_of(capsys)
    assert lines[0] == f"stale features/f annotation {SHOWN}, by {SHOWN}"
    assert lines[-1] == f"mind slide a: was taken out by {SHOWN}. Wait"


def test_what_parts_share_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("a", "p1", HOSTILE), ("b", "p1", "test")]
    leaks = find_leaks(pd.DataFrame(rows, columns=["slide_id", "patient", "split"]))
    report.version_page(shown_version(leaks))
    [line] = lines_of(capsys)
    assert SHOWN in line


def shown_version(leaks: list[Leak]) -> ShownVersion:
    findings = tuple(
        FindingRecord(
            finding=one.finding, kind=one.kind, one=one.one, other=one.other, message=one.message,
            remedy=one.remedy, evidence={},
        )
        for one in leaks
    )  # fmt: skip
    none = pd.DataFrame()
    return ShownVersion(
        dataset="d", version=None, counts=none, left_out=none, findings=findings, accepted=(),
        withdrawn=(), placed={},
    )  # fmt: skip


def test_a_line_of_several_about_files_is_one() -> None:
    gone = Gone(
        slide_id="a", n_artifacts=1, are_artifacts_kept=False, files=(HOSTILE,), releases=(),
        others=(), stays="",
    )  # fmt: skip
    _, left, _ = report.gone_lines(gone).splitlines()
    assert left == f"left where it is: {SHOWN}"
    done = BackedUp(n_slides=1, n_annotations=0, n_bytes=1, lacking=(HOSTILE,))
    _, lacking = report.backup_line(Path("b.tar"), done).splitlines()
    assert lacking == f"not in the backup: {SHOWN}"
