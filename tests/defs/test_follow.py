from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from pathassets.defs import follow
from pathassets.defs.assets.dataset import due_datasets
from pathassets.defs.current.choose import Wanted
from pathassets.defs.follow import FOLLOW
from pathassets.defs.launch import build_datasets_here, run_slides_here
from pathassets.engine.platform.platform import open_platform
from pathassets.engine.platform.selections.entries import choose_entries
from pathassets.engine.settings import read_settings
from tests.defs.small_slides import RECIPE, write_slide
from tests.defs.test_jobs import repair
from tests.defs.workbench import Workbench

COHORT = dg.AssetKey(["dataset", "cohort"])


@dataclass
class Follower:
    """The sensor, ticking, and a daemon that starts its runs."""

    bench: Workbench
    cursor: str | None = None
    said: str | None = None

    def tick(self) -> list[dg.RunRequest]:
        (sensor,) = (s for s in self.bench.definitions.sensors or () if s.name == FOLLOW)
        context = dg.build_sensor_context(
            self.bench.instance,
            cursor=self.cursor,
            resources={"platform": self.bench.platform},
            definitions=self.bench.definitions,
        )
        data = sensor.evaluate_tick(context)
        self.cursor, self.said = data.cursor, data.skip_message
        return list(data.run_requests or ())

    def rest(self) -> list[dg.RunRequest]:
        """Tick until nothing changes any more; returns all that was asked for."""
        return [request for _ in range(3) for request in self.tick()]

    def start(self, request: dg.RunRequest) -> None:
        assert self.bench.run("build_datasets", asset_selection=request.asset_selection).success


@pytest.fixture
def follower(bench: Workbench) -> Follower:
    return Follower(bench)


def n_slides(bench: Workbench) -> int | None:
    """Rows of the dataset that the page shows; None where it was never built."""
    event = bench.instance.get_latest_materialization_event(COHORT)
    made = event.asset_materialization if event else None
    return None if made is None else int(str(made.metadata["n_slides"].value))


def test_a_dataset_follows_a_run_in_which_slides_failed(follower: Follower, home: Path) -> None:
    bench = follower.bench
    _, bad, _ = bench.ingest(
        write_slide(home / "a.svs", 1),
        write_slide(home / "b.svs", 2, mpp=None),
        write_slide(home / "c.svs", 3),
    )
    assert follower.rest() == []
    assert not bench.run().success
    assert follower.tick() == []  # whoever ran them may be about to go on

    (request,) = follower.tick()
    assert list(request.asset_selection or ()) == [COHORT]
    assert follower.rest() == []  # asked for once
    follower.start(request)
    assert n_slides(bench) == 2
    assert follower.rest() == []

    bench.restate(bad, 0.5)
    assert bench.run("repair_slides", run_config=repair([bad])).success
    (again,) = follower.rest()
    follower.start(again)
    assert n_slides(bench) == 3


@pytest.mark.slow
def test_a_dataset_that_would_be_the_same_is_left_alone(
    follower: Follower, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = follower.bench
    a, _ = bench.ingest(write_slide(home / "a.svs", 1), write_slide(home / "b.svs", 2, mpp=None))
    entries = choose_entries(bench.platform, ())
    wanted = Wanted(slide_ids=frozenset(), entries=entries)
    run_slides_here(bench.definitions, bench.instance, bench.platform, wanted)
    assert follower.tick() == []
    build_datasets_here(bench.definitions, bench.instance, bench.platform, wanted)
    assert follower.rest() == []

    assert not bench.run().success  # all current, and one that fails as before
    assert follower.tick() == []
    assert follower.tick() == []
    assert follower.said == "every dataset would be the same"
    assert follower.tick() == []
    assert follower.said == "nothing was run since"

    monkeypatch.setattr(follow, "MAX_LOOKED", 1)  # too many to look at: the run finds out
    assert bench.run("repair_slides", run_config=repair([a])).success
    (request,) = follower.rest()
    follower.start(request)


@pytest.mark.slow
def test_a_dataset_that_is_gone_is_built_again_though_it_would_be_the_same(
    follower: Follower, home: Path
) -> None:
    bench = follower.bench
    bench.ingest(write_slide(home / "a.svs", 1))
    assert bench.run().success
    (request,) = follower.rest()
    follower.start(request)
    shutil.rmtree(home / "store" / "dataset")
    assert follower.rest() == []  # nothing was run since
    assert bench.run().success
    (again,) = follower.rest()
    follower.start(again)
    assert (home / "store" / "dataset").is_dir()
    assert follower.rest() == []


def test_no_dataset_is_built_of_no_slides(follower: Follower, home: Path) -> None:
    follower.bench.ingest(write_slide(home / "a.svs", 1))
    follower.bench.run(asset_selection=[dg.AssetKey(["tissue_mask", "otsu"])])
    assert follower.rest() == []


def test_a_dataset_that_cannot_be_planned_is_said_so_and_the_others_are_due(
    bench: Workbench, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench.ingest(write_slide(home / "a.svs", 1))
    bench.run()
    other = ", other: {features: colour, external: [nobody]}}"
    (home / "recipe.yaml").write_text(f"{RECIPE.rstrip()[:-1]}{other}")
    with open_platform(read_settings()) as platform:
        assert due_datasets(bench.instance, platform) == [("dataset", "cohort")]
    assert "dataset/other: external names the cohort 'nobody'" in caplog.text


def test_while_a_run_or_a_backfill_is_under_way_nothing_is_asked_for(
    follower: Follower, home: Path
) -> None:
    bench = follower.bench
    (a,) = bench.ingest(write_slide(home / "a.svs", 1))
    bench.run()
    job = bench.definitions.resolve_job_def("process_slides")
    run = bench.instance.create_run_for_job(job, tags={"dagster/partition": a})
    assert follower.rest() == []
    assert follower.said == "runs are under way"
    bench.instance.report_run_failed(run, "killed")

    backfill = PartitionBackfill(
        backfill_id="one",
        status=BulkActionStatus.REQUESTED,
        from_failure=False,
        tags={},
        backfill_timestamp=0.0,
        asset_selection=[COHORT],
    )
    bench.instance.add_backfill(backfill)
    assert follower.rest() == []
    bench.instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_FAILED))
    assert len(follower.rest()) == 1
