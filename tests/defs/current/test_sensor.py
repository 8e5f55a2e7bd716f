"""`keep_current` asks once for what was not tried, and leaves what fails again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from pathassets.defs.current.sensor import KEEP_CURRENT
from tests.defs.small_slides import write_slide
from tests.defs.workbench import Workbench


@dataclass
class Keeper:
    """The sensor, ticking, and a daemon that starts its runs."""

    bench: Workbench
    cursor: str | None = None

    def tick(self) -> str:
        """What one tick gives: a run key, or why there is none."""
        (sensor,) = (s for s in self.bench.definitions.sensors or () if s.name == KEEP_CURRENT)
        context = dg.build_sensor_context(
            self.bench.instance,
            cursor=self.cursor,
            resources={"platform": self.bench.platform},
            definitions=self.bench.definitions,
        )
        data = sensor.evaluate_tick(context)
        self.cursor = data.cursor
        asked = [str(request.run_key) for request in data.run_requests or ()]
        return asked[0] if asked else str(data.skip_message)

    def tick_and_run(self) -> bool:
        """One tick, and the run that it asks for; whether there was one."""
        is_asked = self.tick().startswith(KEEP_CURRENT)
        if is_asked:
            self.bench.run("make_current")
        return is_asked


NOTHING = "nothing is missing, stale or newly failed"


@pytest.mark.slow
def test_it_asks_for_what_was_not_tried_and_leaves_what_fails_again(
    bench: Workbench, home: Path
) -> None:
    keeper = Keeper(bench)
    assert keeper.tick() == NOTHING
    path = write_slide(home / "b.svs", 2)
    a, b, _ = bench.ingest(
        write_slide(home / "a.svs", 1), path, write_slide(home / "c.svs", 3, mpp=None)
    )
    path.unlink()
    assert keeper.tick_and_run()
    assert keeper.tick() == NOTHING  # b could be mended, and was tried just now
    assert keeper.tick() == NOTHING

    bench.restate(a, 0.4)
    assert keeper.tick_and_run()
    assert keeper.tick() == NOTHING
    assert bench.stale([a]) == {}

    bench.run("repair_slides")  # somebody tries: what failed then is tried once more
    assert keeper.tick_and_run()
    assert keeper.tick() == NOTHING
    assert bench.health("features/colour")["red"] != [b]


def test_it_asks_for_one_run_at_a_time_and_not_again_where_a_run_tried_nothing(
    bench: Workbench, home: Path
) -> None:
    keeper = Keeper(bench)
    bench.ingest(write_slide(home / "a.svs", 1))
    run = bench.instance.create_run_for_job(
        bench.definitions.resolve_job_def("process_slides"), status=dg.DagsterRunStatus.STARTED
    )
    assert keeper.tick() == "runs are under way"
    bench.instance.report_run_failed(run)
    assert keeper.tick() == "keep_current:0:1"
    assert "tried nothing" in keeper.tick()  # it broke off before it began
    bench.ingest(write_slide(home / "b.svs", 2))
    assert keeper.tick() == "keep_current:0:2"
