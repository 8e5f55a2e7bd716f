from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest

from pathassets.defs import sensors
from pathassets.defs.partitions import RANGE_END, RANGE_START, range_tags
from pathassets.defs.recovery import NEVER_AGAIN
from pathassets.defs.sensors import ASKED_TAG, MAX_TRIES
from pathassets.engine.platform.ingestion.ingest import ingest
from tests.defs.small_slides import write_slide
from tests.defs.workbench import Workbench

STABLE_S = 60.0


@dataclass
class Inbox:
    """The inbox sensor under a clock that a test sets, and a daemon that starts its runs."""

    bench: Workbench
    now_s: float = 1_000_000.0
    cursor: str | None = None
    run_keys: set[str] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        return self.bench.platform.settings.inbox

    def time(self) -> float:
        return self.now_s

    def tick(self, after_s: float = 10.0) -> list[dg.RunRequest]:
        """Evaluate the sensor some time later; returns the requests whose run key is new."""
        self.now_s += after_s
        (sensor,) = (s for s in self.bench.definitions.sensors or () if s.name == "inbox")
        context = dg.build_sensor_context(
            self.bench.instance,
            cursor=self.cursor,
            resources={"platform": self.bench.platform},
            definitions=self.bench.definitions,
        )
        data = sensor.evaluate_tick(context)
        self.cursor = data.cursor
        new = [r for r in data.run_requests or () if r.run_key not in self.run_keys]
        self.run_keys |= {str(request.run_key) for request in new}
        return new

    def start(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Do what the daemon does with a request."""
        config = dict(request.run_config) if request.run_config else {}
        return self.bench.run(str(request.job_name), tags=dict(request.tags), run_config=config)

    def start_and_kill(self, request: dg.RunRequest) -> None:
        """Leave a run that ended before it did anything."""
        job = self.bench.definitions.resolve_job_def(str(request.job_name))
        run = self.bench.instance.create_run_for_job(
            job, tags=dict(request.tags), run_config=dict(request.run_config or {})
        )
        self.bench.instance.report_run_failed(run, "killed")


@pytest.fixture
def inbox(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    inbox = Inbox(bench)
    inbox.folder.mkdir()
    monkeypatch.setattr(sensors, "time", inbox)
    return inbox


def test_a_file_is_asked_for_once_it_is_still_and_its_slide_once_it_is_registered(
    inbox: Inbox, home: Path
) -> None:
    whole = write_slide(home / "scan.svs", 1).read_bytes()
    path = inbox.folder / "scan.svs"
    path.write_bytes(whole[:1000])
    assert inbox.tick() == []
    path.write_bytes(whole[:90_000])  # it grows
    assert inbox.tick(STABLE_S) == []
    path.write_bytes(whole)
    assert inbox.tick(STABLE_S) == []
    assert inbox.tick(STABLE_S - 1) == []

    (registration,) = inbox.tick(1)
    assert registration.job_name == "ingest_files"
    assert inbox.tick() == []  # asked for already
    assert inbox.bench.instance.get_dynamic_partitions("slides") == []
    assert inbox.start(registration).success
    (slide_id,) = inbox.bench.instance.get_dynamic_partitions("slides")

    (batch,) = inbox.tick()
    assert batch.job_name == "process_slides"
    assert (batch.tags[RANGE_START], batch.tags[RANGE_END]) == (slide_id, slide_id)
    assert inbox.tick() == []
    assert inbox.start(batch).success
    assert inbox.bench.states() == {slide_id: "current current current"}
    assert inbox.tick(1000) == []


def test_slides_that_a_run_holds_are_not_asked_for_again(inbox: Inbox) -> None:
    bench = inbox.bench
    a, b, c = bench.ingest(
        *(write_slide(inbox.folder / f"{n}.svs", i) for i, n in enumerate("abc"))
    )
    (both,) = inbox.tick()
    assert (both.tags[RANGE_START], both.tags[RANGE_END]) == (a, c)
    job = bench.definitions.resolve_job_def("process_slides")
    run = bench.instance.create_run_for_job(job, tags=range_tags([a, b]))
    (rest,) = inbox.tick()
    assert (rest.tags[RANGE_START], rest.tags[RANGE_END]) == (c, c)
    bench.instance.report_run_failed(run, "killed")
    assert inbox.tick() == []  # the first request covers them, and may still be at work


def test_what_a_killed_run_should_have_done_is_asked_for_again_but_not_for_ever(
    inbox: Inbox,
) -> None:
    path = write_slide(inbox.folder / "scan.svs", 1)
    inbox.tick()
    for _ in range(MAX_TRIES):
        (request,) = inbox.tick(STABLE_S)
        assert request.tags[ASKED_TAG].startswith(str(path))
        assert request.tags.items() >= NEVER_AGAIN.items()  # else the daemon would start it, too
        inbox.start_and_kill(request)
    assert inbox.tick() == []


def test_many_files_are_registered_by_one_run_and_late_ones_by_another(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "MAX_FILES", 2)
    for number, name in enumerate("abc"):
        write_slide(inbox.folder / f"{name}.svs", number)
    inbox.tick()
    both, one = inbox.tick(STABLE_S)
    inbox.start_and_kill(both)
    late = write_slide(inbox.folder / "late.svs", 9)
    (again,) = inbox.tick()
    assert again.run_config == both.run_config
    assert inbox.start(again).success
    assert inbox.start(one).success
    requests = inbox.tick(STABLE_S)
    (last,) = (r for r in requests if r.job_name == "ingest_files")
    assert inbox.start(last).success
    assert str(late) in str(last.run_config)
    assert len(inbox.bench.instance.get_dynamic_partitions("slides")) == 4
    assert inbox.cursor is not None
    inbox.tick()
    assert inbox.cursor == "{}"  # all are known


def test_what_a_person_cancelled_stays_so(inbox: Inbox) -> None:
    write_slide(inbox.folder / "scan.svs", 1)
    inbox.tick()
    (request,) = inbox.tick(STABLE_S)
    job = inbox.bench.definitions.resolve_job_def("ingest_files")
    run = inbox.bench.instance.create_run_for_job(
        job, tags=dict(request.tags), run_config=dict(request.run_config or {})
    )
    inbox.bench.instance.report_run_canceled(run)
    assert inbox.tick() == []


def test_a_refused_file_is_asked_for_once_and_again_when_it_is_another(inbox: Inbox) -> None:
    path = inbox.folder / "scan.svs"
    path.write_bytes(b"not a slide")
    inbox.tick()
    (request,) = inbox.tick(STABLE_S)
    assert not inbox.start(request).success
    assert inbox.tick() == []
    write_slide(path, 1)
    inbox.tick()
    (again,) = inbox.tick(STABLE_S)
    assert inbox.start(again).success


def test_a_slide_whose_ingestion_was_killed_becomes_a_partition_all_the_same(
    inbox: Inbox,
) -> None:
    path = write_slide(inbox.folder / "scan.svs", 1)
    (registered,) = ingest(inbox.bench.platform, [path])  # and then its process ended
    (batch,) = inbox.tick()
    assert inbox.bench.instance.get_dynamic_partitions("slides") == [registered.slide_id]
    assert inbox.start(batch).success
    assert inbox.bench.states() == {registered.slide_id: "current current current"}


def test_slides_from_elsewhere_are_left_to_their_owner(inbox: Inbox, home: Path) -> None:
    inbox.bench.ingest(write_slide(home / "a.svs", 1))
    assert inbox.tick() == []


def test_no_inbox_is_an_empty_one(inbox: Inbox) -> None:
    inbox.folder.rmdir()
    assert inbox.tick() == []
