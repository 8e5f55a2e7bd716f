"""How long runs take, told from runs whose work is known: 4 s of a line a slide, 2 s of workers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pathassets.catalog.planning.records import BatchRecord, MeasuredStep, SlideSize
from pathassets.core.rates import Estimate, Pace
from pathassets.engine.platform.planning.paces import Paces, SideBySide, ToDo, fit_paces

MASK, ENCODED = ("tissue_mask", "otsu"), ("features", "resnet18")
NOTHING = ToDo(seconds=Estimate(), slides_s=[])
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def step(
    run_id: str, number: int, key: tuple[str, str], seconds: float, at_s: float
) -> MeasuredStep:
    size = SlideSize(f"s{number}", "jpeg", 10**6, 0.5, 10**6)
    return MeasuredStep(
        run_id=run_id, slide=size, key=key, seconds=seconds, at=BEGAN + timedelta(seconds=at_s),
        spec={}, facts={}, size_bytes=1,
    )  # fmt: skip


def seen(
    run_id: str, *, n_slides: int, start_s: float, line_s: float, n_together: int = 1
) -> tuple[BatchRecord, list[MeasuredStep]]:
    """A run: masks of all slides while it starts, then a slide each `line_s`; or masks alone.

    Of more than one together it is known when they began, and they are done with the last.
    """
    pace_s = line_s or 1.0  # two workers
    steps = []
    for number in range(n_slides):
        at_s = start_s + pace_s * n_together * (number // n_together + 1)
        steps.append(step(run_id, number, MASK, 2.0, at_s))
        if line_s:
            steps.append(step(run_id, number, ENCODED, line_s, at_s))
    record = BatchRecord(
        run_id=run_id, began_at=BEGAN, ended_at=BEGAN + timedelta(seconds=at_s),
        machine="m", device="cpu", n_workers=2,
        encoding_at=BEGAN + timedelta(seconds=start_s) if n_together > 1 else None,
    )  # fmt: skip
    return record, steps


def paces_of(*runs: tuple[BatchRecord, list[MeasuredStep]]) -> Paces:
    return fit_paces(
        {record.run_id: record for record, _ in runs}, [one for _, some in runs for one in some],
        lambda one: one.seconds, [ENCODED], SideBySide(n_workers=2, n_lines=1),
    )  # fmt: skip


def wall_s(paces: Paces, line_s: float, worker_s: float, n_runs: int = 1) -> float:
    lines, workers = (
        ToDo(seconds=Estimate(value=seconds), slides_s=[seconds / 100] * 100)
        for seconds in (line_s, worker_s)
    )
    wall = paces.wall(lines, workers, n_runs)
    assert wall is not None
    return wall.seconds.value


def test_what_workers_do_while_encoders_are_loaded_makes_no_run_shorter_or_longer() -> None:
    paces = paces_of(
        seen("a", n_slides=6, start_s=10, line_s=4), seen("b", n_slides=9, start_s=10, line_s=4)
    )
    assert paces.lines is not None
    assert (paces.lines.start_s, paces.lines.a_second) == pytest.approx((10, 1))
    assert wall_s(paces, 40, 20) == pytest.approx(50)
    assert wall_s(paces, 40, 0, 2) == pytest.approx(60)
    # With next to nothing to encode the workers decide, and without anything they alone do.
    assert wall_s(paces, 4, 1000) == wall_s(paces, 0, 1000) == pytest.approx(510)


def test_slides_whose_patches_share_a_batch_are_no_part_of_the_start() -> None:
    paces = paces_of(
        seen("a", n_slides=8, start_s=10, line_s=4, n_together=4),
        seen("b", n_slides=4, start_s=10, line_s=4, n_together=4),
    )
    assert paces.lines is not None
    assert (paces.lines.start_s, paces.lines.a_second) == pytest.approx((10, 1))


def test_runs_of_workers_alone_start_as_they_did() -> None:
    masks = seen("masks", n_slides=9, start_s=1, line_s=0)
    paces = paces_of(seen("a", n_slides=6, start_s=10, line_s=4), masks)
    assert wall_s(paces, 0, 100) == pytest.approx(51)
    assert wall_s(paces, 40, 100) == pytest.approx(51)
    assert wall_s(paces, 80, 100) == pytest.approx(90)
    without = paces_of(masks)
    assert without.lines is None
    assert wall_s(without, 0, 100) == pytest.approx(51)


def test_where_no_run_was_seen_nothing_is_said() -> None:
    something = ToDo(seconds=Estimate(value=1), slides_s=[1])
    assert paces_of().wall(something, something, 1) is None


def test_a_line_that_has_the_last_slide_alone_makes_the_run_longer() -> None:
    paces = fit_paces(
        {}, [], lambda one: one.seconds, [ENCODED], SideBySide(n_workers=2, n_lines=2)
    )
    paces = replace(paces, lines=Pace(n_runs=2, start_s=5, a_second=0.5, relative_variance=0))
    whole = {
        n: paces.wall(ToDo(seconds=Estimate(value=90), slides_s=[90 / n] * n), NOTHING, 1)
        for n in (1, 2, 3, 90)
    }
    assert {n: wall and wall.seconds.value for n, wall in whole.items()} == pytest.approx(
        {1: 95, 2: 50, 3: 65, 90: 50}
    )
