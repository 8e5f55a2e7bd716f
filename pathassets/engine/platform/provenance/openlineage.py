"""What a run does -> events of OpenLineage, for a data catalog; off unless it is asked for.

    run of many slides    START … COMPLETE, FAIL or ABORT       job `slide_batch`
      a slide of it       START, COMPLETE or FAIL, its parent   job `slide_batch.slide`
    run of a dataset      START … COMPLETE or FAIL              job `dataset/cohort`
      features made again   as a run of many slides, its parent

Jobs and datasets of a catalog are the entries of the recipe, not the artifacts: 100,000 slides of
four stages are five boxes there, with 100,000 runs each, where they would be 500,000 boxes. The
slides are told one by one because each fails by itself; a slide of which nothing was made or tried
is not told, so that a run with nothing to do sends two events.

What is left out: slide ids and paths, which may hold a patient's name, as may the text of an error
(its reason is told); patients and labels; parameters of the recipe, which may hold what somebody
gave an encoder of theirs. A slide is named by its data version, an artifact by its digest: who has
the catalog finds both there.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pathassets.adapters.store.store import Artifact
from pathassets.adapters.telemetry.openlineage import Events
from pathassets.core.address import SLIDE_STAGE, Address
from pathassets.engine.settings import Settings
from pathassets.engine.software import software_versions
from pathassets.engine.stages.outcomes import SlideOutcome, StepOutcome

EventType = Literal["START", "COMPLETE", "FAIL", "ABORT"]
Json = dict[str, Any]

SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = "https://openlineage.io/spec/facets"
_VERSION = f"{_FACETS}/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet"
_STATISTICS = (
    f"{_FACETS}/1-0-2/OutputStatisticsOutputDatasetFacet.json"
    "#/$defs/OutputStatisticsOutputDatasetFacet"
)
_ERROR = f"{_FACETS}/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet"
_PARENT = f"{_FACETS}/1-1-0/ParentRunFacet.json#/$defs/ParentRunFacet"
BATCH = "slide_batch"
ONE_SLIDE = "slide_batch.slide"


def tell_batch(
    settings: Settings,
    outcomes: Generator[SlideOutcome, None, None],
    run_id: str,
    *,
    within: str = "",
) -> Generator[SlideOutcome, None, None]:
    """Pass on the outcomes of a run, and tell of each what it was once it was taken.

    `within` is the job of the run, where the batch is but a part of it, with a run of its own.
    """
    if not settings.openlineage:
        yield from outcomes
        return
    teller = _Teller(settings, run_id, within)
    with closing(outcomes), teller.run(BATCH) as end:
        for outcome in outcomes:
            yield outcome
            teller.slide(outcome)
        end.update(teller.summary())


@contextmanager
def tell_dataset(settings: Settings, name: str, run_id: str) -> Iterator[list[Artifact]]:
    """Tell of the run of a dataset; put into the list what it built."""
    built: list[Artifact] = []
    if not settings.openlineage:
        yield built
        return
    with _Teller(settings, run_id).run(name) as end:
        yield built
        parents = {parent.key for one in built for parent in one.parents}
        end["inputs"] = [_dataset(settings, "/".join(key)) for key in sorted(parents)]
        end["outputs"] = [_made(settings, one) for one in built]


class _Teller:
    """Builds and sends the events of one run."""

    def __init__(self, settings: Settings, run_id: str, within: str = "") -> None:
        self._settings = settings
        self._events = Events(settings.openlineage)
        whole = _uuid_of(run_id)
        self._run_id = uuid.uuid5(whole, BATCH) if within else whole
        self._parents = {ONE_SLIDE: (BATCH, self._run_id)}
        if within:
            self._parents[BATCH] = (within, whole)
        self._n_rows: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()

    @contextmanager
    def run(self, job: str) -> Iterator[Json]:
        """Tell begin and end of a run; what is put into the mapping is told with its end."""
        self._send("START", job, self._run_id, {})
        told: Json = {}
        try:
            yield told
        except GeneratorExit:
            self._send("ABORT", job, self._run_id, told)
            raise
        except BaseException as error:
            self._send("FAIL", job, self._run_id, {**told, **_failure(type(error).__name__)})
            raise
        self._send("FAIL" if self._reasons else "COMPLETE", job, self._run_id, told)

    def slide(self, outcome: SlideOutcome) -> None:
        """Tell what became of a slide, unless nothing was made of it or tried."""
        steps = [s for s in outcome.all_steps if s.state in {"made", "failed"}]
        if not steps:
            return
        version = next(a.digest for s in steps for a in s.step.parents if a.stage == SLIDE_STAGE)
        own_id = uuid.uuid5(self._run_id, version)
        began = datetime.now(UTC) - timedelta(seconds=sum(s.seconds or 0.0 for s in steps))
        inputs = [_dataset(self._settings, SLIDE_STAGE, version)]
        self._send("START", ONE_SLIDE, own_id, {"inputs": inputs}, at=began)
        made = [s.artifact for s in steps if s.state == "made" and s.artifact is not None]
        told: Json = {"inputs": inputs, "outputs": [_made(self._settings, one) for one in made]}
        failure = outcome.failure
        if failure is not None:
            told |= _failure(f"{'/'.join(failure.step.address.key)}: {failure.reason}")
        self._send("COMPLETE" if failure is None else "FAIL", ONE_SLIDE, own_id, told)
        self._count(made, failure)

    def _count(self, made: Iterable[Artifact], failure: StepOutcome | None) -> None:
        for artifact in made:
            self._n_rows["/".join(artifact.address.key)] += _rows_of(artifact)
        if failure is not None:
            self._reasons[failure.reason] += 1

    def summary(self) -> Json:
        """What the run made as a whole, and of which reasons slides failed."""
        told: Json = {
            "inputs": [_dataset(self._settings, SLIDE_STAGE)] if self._n_rows else [],
            "outputs": [
                _dataset(self._settings, name) | _rows(n_rows)
                for name, n_rows in sorted(self._n_rows.items())
            ],
        }
        if self._reasons:
            said = ", ".join(f"{n} {reason}" for reason, n in self._reasons.most_common())
            told |= _failure(f"slides failed: {said}")
        return told

    def _send(
        self, kind: EventType, job: str, run_id: uuid.UUID, told: Json, at: datetime | None = None
    ) -> None:
        facets = dict(told.get("facets", {}))
        if job in self._parents:
            parent, parent_id = self._parents[job]
            facets["parent"] = _facet(_PARENT) | {
                "run": {"runId": str(parent_id)},
                "job": {"namespace": self._settings.openlineage_namespace, "name": parent},
            }
        self._events.send(
            {
                "eventType": kind,
                "eventTime": (at or datetime.now(UTC)).isoformat(),
                "run": {"runId": str(run_id), "facets": facets},
                "job": {"namespace": self._settings.openlineage_namespace, "name": job},
                "inputs": told.get("inputs", []),
                "outputs": told.get("outputs", []),
                "producer": producer(),
                "schemaURL": SCHEMA,
            }
        )


def producer() -> str:
    """Which program tells it, as a URI."""
    return f"https://pypi.org/project/pathassets/{software_versions()['pathassets']}"


def _uuid_of(run_id: str) -> uuid.UUID:
    """Dagster's run id, which is one; of any other the same for the same."""
    try:
        return uuid.UUID(run_id)
    except ValueError:
        return uuid.uuid5(uuid.NAMESPACE_OID, run_id)


def _facet(schema: str) -> Json:
    return {"_producer": producer(), "_schemaURL": schema}


def _failure(message: str) -> Json:
    said = _facet(_ERROR) | {"message": message, "programmingLanguage": "Python"}
    return {"facets": {"errorMessage": said}}


def _dataset(settings: Settings, name: str, version: str = "") -> Json:
    facets = {"version": _facet(_VERSION) | {"datasetVersion": version}} if version else {}
    return {"namespace": settings.openlineage_namespace, "name": name, "facets": facets}


def _made(settings: Settings, artifact: Artifact) -> Json:
    address: Address = artifact.address
    dataset = _dataset(settings, "/".join(address.key), address.digest)
    return dataset | _rows(_rows_of(artifact), artifact.size_bytes)


def _rows(n_rows: int, size_bytes: int | None = None) -> Json:
    size = {} if size_bytes is None else {"size": size_bytes}
    return {"outputFacets": {"outputStatistics": _facet(_STATISTICS) | {"rowCount": n_rows} | size}}


def _rows_of(artifact: Artifact) -> int:
    """Patches, of a dataset those that it uses; of what has none, one row a slide."""
    facts: Mapping[str, Any] = artifact.facts
    named = (name for name in ("n_used", "n_patches", "n_slides") if name in facts)
    return int(facts.get(next(named, ""), 1))
