from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pathassets.defs import inbox as defs_inbox
from pathassets.defs.assets.quarantine import IS_EMPTY, QUARANTINE, is_empty
from pathassets.defs.inbox import (
    CANCELLED,
    GIVEN_UP,
    INGEST_FILES,
    MAX_TRIES,
    PROCESS_NEW,
)
from pathassets.defs.partitions import range_tags
from pathassets.defs.recovery import NEVER_AGAIN
from pathassets.engine.platform.inbox.overview import overview, retry
from pathassets.engine.platform.ingestion.ingest import ingest
from tests.defs.small_slides import write_slide
from tests.defs.workbench import Workbench

STABLE_S = 60.0


@dataclass
class Inbox:
    """The inbox sensor under a clock that a test sets, and a daemon that starts its runs."""

    bench: Workbench
    now_s: float = 1_000_000.0
    run_keys: set[str] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        (folder,) = self.bench.platform.settings.inboxes
        return folder

    def time(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.now_s

    def tick(self, after_s: float = 10.0) -> list[dg.RunRequest]:
        """Evaluate the sensor some time later; returns the requests whose run key is new."""
        self.now_s += after_s
        (sensor,) = (s for s in self.bench.definitions.sensors or () if s.name == "inbox")
        context = dg.build_sensor_context(
            self.bench.instance,
            resources={"platform": self.bench.platform},
            definitions=self.bench.definitions,
        )
        data = sensor.evaluate_tick(context)
        assert data.cursor is None
        return [r for r in data.run_requests or () if r.run_key not in self.run_keys]

    def start(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Do what the daemon does with a request."""
        self.run_keys.add(str(request.run_key))
        config = dict(request.run_config) if request.run_config else {}
        return self.bench.run(str(request.job_name), tags=dict(request.tags), run_config=config)

    def leave(self, request: dg.RunRequest) -> dg.DagsterRun:
        """Make a run of a request that has not begun."""
        self.run_keys.add(str(request.run_key))
        return self.bench.instance.create_run_for_job(
            self.bench.definitions.resolve_job_def(str(request.job_name)),
            tags=dict(request.tags),
            run_config=dict(request.run_config or {}),
        )

    def start_and_kill(self, request: dg.RunRequest) -> None:
        """Leave a run that ended before it did anything."""
        self.bench.instance.report_run_failed(self.leave(request), "killed")

    def wait_and_ingest(self) -> dg.ExecuteInProcessResult:
        """Let what lies there become whole, and do what is asked for then."""
        self.tick()
        (request,) = (r for r in self.tick(STABLE_S) if r.job_name == INGEST_FILES)
        return self.start(request)

    def why(self) -> dict[str, str]:
        """Why each file waits."""
        return {Path(one.path).name: one.why for one in overview(self.bench.platform).waiting}


def config_of(request: dg.RunRequest) -> Any:
    """What the only op of a request's job is told."""
    (op,) = dict(request.run_config or {})["ops"].values()
    (said,) = op["config"].values()
    return said


@pytest.fixture
def inbox(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    inbox = Inbox(bench)
    inbox.folder.mkdir()
    monkeypatch.setattr(defs_inbox, "time", inbox)
    return inbox


def test_a_file_is_asked_for_once_it_is_still_and_its_slide_once_it_is_registered(
    inbox: Inbox, home: Path
) -> None:
    whole = write_slide(home / "scan.svs", 1).read_bytes()
    path = inbox.folder / "scan.svs"
    path.write_bytes(whole[:1000])
    assert inbox.tick() == []
    path.write_bytes(whole)  # it grows
    assert inbox.tick(STABLE_S) == []
    assert inbox.tick(STABLE_S - 1) == []
    assert inbox.why() == {"scan.svs": "unchanged for 59 of 60 s"}

    (request,) = inbox.tick(1)
    assert inbox.why() == {"scan.svs": "its registration is asked for"}
    # Until there is a run it is asked for by the same name: a daemon may have ended in between.
    (registration,) = inbox.tick()
    assert registration.run_key == request.run_key
    assert registration.job_name == INGEST_FILES
    assert inbox.bench.instance.get_dynamic_partitions("slides") == []
    assert inbox.start(registration).success
    (slide_id,) = inbox.bench.instance.get_dynamic_partitions("slides")

    (batch,) = inbox.tick()
    assert batch.job_name == PROCESS_NEW
    assert config_of(batch) == [slide_id]
    assert inbox.start(batch).success
    assert inbox.bench.states() == {slide_id: "current current current"}
    assert inbox.tick(1000) == []
    assert inbox.bench.platform.catalog.sightings() == {}


def test_slides_that_a_run_holds_are_not_asked_for_again(inbox: Inbox) -> None:
    bench = inbox.bench
    a, b, c, d = bench.ingest(
        *(write_slide(inbox.folder / f"{n}.svs", i) for i, n in enumerate("abcd"))
    )
    (all_,) = inbox.tick()
    assert config_of(all_) == [a, b, c, d]
    job = bench.definitions.resolve_job_def("process_slides")
    run = bench.instance.create_run_for_job(job, tags=range_tags([b, c]))
    (rest,) = inbox.tick()
    assert config_of(rest) == [a, d]  # they are no neighbours
    held = inbox.leave(rest)
    assert inbox.tick() == []
    bench.instance.report_run_failed(run, "killed")
    (freed,) = inbox.tick()
    assert config_of(freed) == [b, c]
    bench.instance.report_run_canceled(held)
    assert [config_of(one) for one in inbox.tick()] == [[b, c]]  # what was cancelled stays so


def test_new_slides_wait_for_those_that_are_being_registered_but_not_for_ever(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox.bench.ingest(write_slide(inbox.folder / "a.svs", 1))
    write_slide(inbox.folder / "b.svs", 2)
    inbox.tick()
    (registration,) = (r for r in inbox.tick(STABLE_S) if r.job_name == INGEST_FILES)
    run = inbox.leave(registration)
    assert inbox.tick() == []
    monkeypatch.setattr(defs_inbox, "MAX_WAIT", timedelta(0))
    assert [one.job_name for one in inbox.tick()] == [PROCESS_NEW]
    inbox.bench.instance.report_run_failed(run, "killed")


def test_what_a_killed_run_should_have_done_is_asked_for_again_but_not_for_ever(
    inbox: Inbox,
) -> None:
    path = write_slide(inbox.folder / "scan.svs", 1)
    inbox.tick()
    for _ in range(MAX_TRIES):
        (request,) = inbox.tick(STABLE_S)
        assert request.tags.items() >= NEVER_AGAIN.items()  # else the daemon would start it, too
        inbox.start_and_kill(request)
    assert inbox.tick() == inbox.tick() == []
    assert inbox.why() == {"scan.svs": GIVEN_UP}
    retry(inbox.bench.platform, path)
    assert inbox.wait_and_ingest().success


def test_what_a_run_did_before_it_was_killed_is_not_done_again_and_nothing_is_lost(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(defs_inbox, "MAX_FILES", 3)
    paths = [write_slide(inbox.folder / f"{name}.svs", i) for i, name in enumerate("abcd")]
    inbox.tick()
    three, one = inbox.tick(STABLE_S)
    assert config_of(three) == [str(path) for path in paths[:3]]
    run = inbox.leave(three)
    list(ingest(inbox.bench.platform, paths[:1]))  # so far it came
    inbox.bench.instance.report_run_failed(run, "killed")
    late = write_slide(inbox.folder / "late.svs", 9)
    again, same = (r for r in inbox.tick() if r.job_name == INGEST_FILES)
    assert {*config_of(again), *config_of(same)} == {str(path) for path in paths[1:]}
    assert one.run_key in {again.run_key, same.run_key}
    assert inbox.start(again).success
    assert inbox.start(same).success
    requests = inbox.tick(STABLE_S)
    (last,) = (r for r in requests if r.job_name == INGEST_FILES)
    assert config_of(last) == [str(late)]
    assert inbox.start(last).success
    (batch,) = inbox.tick()
    assert [one[0] for one in sorted(config_of(batch))] == [*"abcdl"]
    assert len(inbox.bench.instance.get_dynamic_partitions("slides")) == 5


def test_what_a_person_cancelled_stays_so(inbox: Inbox) -> None:
    write_slide(inbox.folder / "scan.svs", 1)
    inbox.tick()
    (request,) = inbox.tick(STABLE_S)
    inbox.bench.instance.report_run_canceled(inbox.leave(request))
    write_slide(inbox.folder / "other.svs", 2)
    inbox.tick()
    (other,) = inbox.tick(STABLE_S)
    assert config_of(other) == [str(inbox.folder / "other.svs")]
    assert inbox.why()["scan.svs"] == CANCELLED


def table_rows(metadata: Any) -> list[dict[str, Any]]:
    return [dict(record.data) for record in metadata.value.records]


def test_a_run_takes_what_is_good_and_quarantines_what_is_not(inbox: Inbox, home: Path) -> None:
    bench, folder = inbox.bench, inbox.folder
    (folder / "again").mkdir()
    a = write_slide(folder / "a.svs", 1)
    shutil.copy(a, folder / "copy.svs")
    write_slide(folder / "again" / "a.svs", 2)
    bad = folder / "bad.svs"
    bad.write_bytes(a.read_bytes()[:9000])
    os.mkfifo(folder / "pipe.svs")
    Path(os.fsdecode(bytes(folder) + b"/\xff.svs")).write_bytes(b"x")
    (folder / "cohort.csv").write_text("file,patient,label\na.svs,P1,x\nlater.svs,P2,y\n")
    (folder / "log.csv").write_text("time,message\n1,started\n")

    done = inbox.wait_and_ingest()

    assert done.success
    first, second = bench.instance.get_dynamic_partitions("slides")
    assert bench.latest("slide", second).asset_materialization is not None
    (said,) = (
        e.step_output_data.metadata
        for e in done.all_events
        if e.is_successful_output and e.step_output_data
    )
    assert [said[f"n_{state}"].value for state in ("new", "known", "refused")] == [2, 1, 3]
    notes = {Path(row["file"]).name: row["note"] for row in table_rows(said["notes"])}
    assert notes["copy.svs"] == f"known, another file of {first}"
    assert notes["a.svs"] == f"same name as {first}, other content"
    assert "cut short" in notes["bad.svs"]
    assert "1 of 2 lines about what nobody knows yet" in notes["cohort.csv"]
    assert quarantined(bench) == {
        "bad.svs": "truncated",
        "pipe.svs": "not_a_file",
        "\\xff.svs": "bad_name",
        "log.csv": "table_refused",
    }
    check = bench.instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [dg.AssetCheckKey(QUARANTINE, IS_EMPTY)]
    )
    assert [one.status.value for one in check.values()] == ["FAILED"]
    # A name in a table means the slide beside it, though another one has it, too.
    patients = {s.slide_id: s.patient for s in bench.platform.catalog.slides()}
    assert patients == {first: "P1", second: None}

    (batch,) = inbox.tick()
    assert config_of(batch) == [first, second]
    assert inbox.tick(1000)[1:] == []
    bad.write_bytes(write_slide(home / "c.svs", 3).read_bytes())
    write_slide(folder / "later.svs", 4)
    (folder / "log.csv").unlink()
    assert inbox.wait_and_ingest().success
    assert quarantined(bench).keys() == {"pipe.svs", "\\xff.svs"}
    patients = {s.slide_id[:5]: s.patient for s in bench.platform.catalog.slides()}
    assert patients["later"] == "P2"
    assert not is_empty(bench.platform).passed  # what is executed from the page


def quarantined(bench: Workbench) -> dict[str, str]:
    """File -> reason, as the page shows it."""
    event = bench.instance.get_latest_materialization_event(QUARANTINE)
    assert event is not None
    assert event.asset_materialization is not None
    rows = table_rows(event.asset_materialization.metadata["files"])
    return {Path(row["file"]).name: row["reason"] for row in rows}


def test_a_slide_that_fails_is_red_and_the_others_of_the_run_are_green(inbox: Inbox) -> None:
    a, b, c = inbox.bench.ingest(
        write_slide(inbox.folder / "a.svs", 1),
        write_slide(inbox.folder / "b.svs", 2, mpp=None),
        write_slide(inbox.folder / "c.svs", 3),
    )
    (batch,) = inbox.tick()
    assert not inbox.start(batch).success
    for entry in ("tissue_mask/otsu", "patch_locations/grid", "features/colour"):
        assert inbox.bench.health(entry) == {"green": [a, c], "red": [b]}
    assert inbox.tick() == []  # it was tried


def test_a_slide_whose_ingestion_was_killed_becomes_a_partition_all_the_same(
    inbox: Inbox,
) -> None:
    path = write_slide(inbox.folder / "scan.svs", 1)
    (registered,) = ingest(inbox.bench.platform, [path])  # and then its process ended
    (batch,) = inbox.tick()
    assert inbox.bench.instance.get_dynamic_partitions("slides") == [registered.slide_id]
    assert config_of(batch) == [registered.slide_id]


def test_slides_from_elsewhere_are_left_to_their_owner(inbox: Inbox, home: Path) -> None:
    inbox.bench.ingest(write_slide(home / "a.svs", 1))
    assert inbox.tick() == []
    inbox.folder.rmdir()
    assert inbox.tick() == []
