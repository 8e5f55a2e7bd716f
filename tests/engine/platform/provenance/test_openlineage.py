from __future__ import annotations

import json
import uuid
from dataclasses import replace

import pytest
from openlineage.client import event_v2, facet_v2

from pathassets.adapters.telemetry import openlineage as adapter
from pathassets.catalog.records import CohortFacts
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.provenance.openlineage import tell_batch, tell_dataset
from tests.defs.small_slides import write_corrupt_slide

pytestmark = pytest.mark.usefixtures("here")

RUN_ID = "2f9b4a3e-54c6-4d3b-9f0a-6c1f2f1a9b11"
PATIENT = "Mustermann"


def run(platform, run_id=RUN_ID):
    done = run_batch(platform, plan_slides(platform), platform.recipe.per_slide, run_id=run_id)
    return list(tell_batch(platform.settings, done, run_id))


@pytest.fixture
def told(platform, tmp_path):
    """The platform, telling a file; and what it was told."""
    file = tmp_path / "log" / "events.ndjson"
    settings = replace(platform.settings, openlineage=f"file:{file}")

    def events():
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    return replace(platform, settings=settings), events


@pytest.fixture
def cohort(platform, make_slide, register, tmp_path):
    """A good slide and a corrupt one, called after their patient."""
    good = make_slide(f"{PATIENT}-1.svs")
    bad = write_corrupt_slide(tmp_path / "scans" / f"{PATIENT}-2.svs", 4)
    planned = register(platform, good, bad)
    platform.catalog.set_cohort_facts(
        [CohortFacts(slide_id=p.slide_id, patient=PATIENT, label="secret label") for p in planned]
    )
    return planned


def read_by_the_client(event):
    """The event as the classes of OpenLineage's own library have it, checked by them."""

    def facets(found, of):
        return {
            name: of[name](**{k: v for k, v in one.items() if not k.startswith("_")})
            for name, one in found.items()
        }

    run_facets = {
        "parent": lambda run, job: facet_v2.parent_run.ParentRunFacet(
            run=facet_v2.parent_run.Run(**run), job=facet_v2.parent_run.Job(**job)
        ),
        "errorMessage": facet_v2.error_message_run.ErrorMessageRunFacet,
    }
    of_dataset = {"version": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet}
    statistics = facet_v2.output_statistics_output_dataset
    of_output = {"outputStatistics": statistics.OutputStatisticsOutputDatasetFacet}
    return event_v2.RunEvent(
        eventType=event_v2.RunState[event["eventType"]],
        eventTime=event["eventTime"],
        run=event_v2.Run(
            runId=event["run"]["runId"], facets=facets(event["run"]["facets"], run_facets)
        ),
        job=event_v2.Job(**event["job"]),
        inputs=[
            event_v2.InputDataset(
                namespace=one["namespace"], name=one["name"],
                facets=facets(one["facets"], of_dataset),
            )
            for one in event["inputs"]
        ],
        outputs=[
            event_v2.OutputDataset(
                namespace=one["namespace"], name=one["name"],
                facets=facets(one["facets"], of_dataset),
                outputFacets=facets(one["outputFacets"], of_output),
            )
            for one in event["outputs"]
        ],
        producer=event["producer"],
    )  # fmt: skip


def test_a_run_and_each_of_its_slides_are_told_as_the_client_library_takes_them(told, cohort):
    platform, events = told
    run(platform)
    found = events()
    assert [(e["job"]["name"], e["eventType"]) for e in found] == [
        ("slide_batch", "START"),
        ("slide_batch.slide", "START"), ("slide_batch.slide", "COMPLETE"),
        ("slide_batch.slide", "START"), ("slide_batch.slide", "FAIL"),
        ("slide_batch", "FAIL"),
    ]  # fmt: skip
    for event in found:
        assert read_by_the_client(event).run.runId == event["run"]["runId"]
        assert event["schemaURL"].startswith("https://openlineage.io/spec/2-0-2/OpenLineage.json")
    first, _, made, _, failed, last = found
    assert first["run"]["runId"] == last["run"]["runId"] == RUN_ID
    assert made["run"]["facets"]["parent"]["run"] == {"runId": RUN_ID}
    assert made["inputs"][0]["facets"]["version"]["datasetVersion"] == cohort[0].version
    outputs = {one["name"]: one["facets"]["version"]["datasetVersion"] for one in made["outputs"]}
    assert outputs == {"/".join(key): step.address.digest for key, step in cohort[0].steps.items()}
    reason = "features/stats: tile_unreadable"
    assert failed["run"]["facets"]["errorMessage"]["message"] == reason
    said = "slides failed: 1 tile_unreadable"
    assert last["run"]["facets"]["errorMessage"]["message"] == said


@pytest.mark.usefixtures("cohort")
def test_no_event_holds_a_patient_a_label_a_path_or_what_an_error_says(told):
    platform, events = told
    run(platform)
    text = json.dumps(events())
    assert len(events()) == 6
    for hidden in (PATIENT, "secret label", str(platform.settings.home.parent)):
        assert hidden not in text
    assert "JPEG" not in text


def test_a_run_with_nothing_to_do_tells_no_slide(told, get_ready):
    platform, events = told
    get_ready(platform, 2, is_run=True)
    run(platform)
    assert [e["eventType"] for e in events()] == ["START", "COMPLETE"]


def test_a_run_that_is_stopped_is_aborted_and_one_that_breaks_has_failed(told, get_ready):
    platform, events = told
    planned = get_ready(platform, 2)
    entries = platform.recipe.per_slide
    done = run_batch(platform, planned, entries, run_id="no-uuid")
    outcomes = tell_batch(platform.settings, done, "no-uuid")
    next(outcomes)
    outcomes.close()
    assert [e["eventType"] for e in events()] == ["START", "ABORT"]
    assert uuid.UUID(events()[0]["run"]["runId"]).version == 5

    def breaking():
        yield from ()
        raise OSError("the disk of Mustermann")

    with pytest.raises(OSError, match="disk"):
        list(tell_batch(platform.settings, breaking(), RUN_ID))
    last = events()[-1]
    assert (last["eventType"], last["run"]["facets"]["errorMessage"]["message"]) == (
        "FAIL", "OSError"
    )  # fmt: skip


def test_a_dataset_is_told_with_what_it_was_made_from(told, get_ready):
    from pathassets.engine.platform.datasets.build import build_dataset  # noqa: PLC0415

    platform, events = told
    get_ready(platform, 2, is_run=True)
    with tell_dataset(platform.settings, "dataset/cohort", RUN_ID) as built:
        built.append(build_dataset(platform, platform.recipe.datasets[0], run_id=RUN_ID).artifact)
    start, end = events()
    assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
    assert [one["name"] for one in end["inputs"]] == ["features/stats"]
    [made] = end["outputs"]
    assert read_by_the_client(end)
    assert made["facets"]["version"]["datasetVersion"] == built[0].address.digest


def test_nothing_is_told_unless_it_is_asked_for(platform, get_ready, monkeypatch):
    get_ready(platform, 1)
    monkeypatch.setattr(adapter.Events, "send", None)
    assert len(run(platform)) == 1
    with tell_dataset(platform.settings, "dataset/cohort", RUN_ID) as built:
        assert built == []


def test_a_place_that_takes_nothing_never_fails_a_run(platform, get_ready, caplog):
    get_ready(platform, 2)
    settings = replace(platform.settings, openlineage="http://127.0.0.1:1")
    outcomes = run(replace(platform, settings=settings))
    assert [one.failure for one in outcomes] == [None, None]
    assert len([r for r in caplog.records if "OpenLineage" in r.getMessage()]) == 1
