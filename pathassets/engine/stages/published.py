"""Steps, store -> what is made already; and what was made -> an artifact that others can read."""

from __future__ import annotations

from collections.abc import Iterable

from pathassets.adapters.store.store import Artifact, Store
from pathassets.core.address import Address
from pathassets.engine.software import software_versions
from pathassets.engine.stages.job import PREVIEW, Facts, Made, StageJob
from pathassets.engine.stages.outcomes import Step, StepOutcome
from pathassets.errors import ArtifactCorrupt, ArtifactMissing, StoreError


class Published:
    """What is made already, of a slide or of many."""

    def __init__(self, store: Store, doubted: Iterable[Address] = ()) -> None:
        self.store = store
        self._doubted = set(doubted)

    def doubt(self, address: Address) -> None:
        """Believe an artifact only once its bytes were read."""
        self._doubted.add(address)

    def find(self, step: Step) -> StepOutcome | None:
        """Outcome of a step whose artifact is there and whole; None where that is not known."""
        try:
            return self.look(step)
        except StoreError:
            return None

    def look(self, step: Step) -> StepOutcome | None:
        """Outcome of a step whose artifact is there and whole; None where it is to be made.

        Raises:
            StoreError: the store does not answer, so that nobody knows.
        """
        is_doubted = step.address in self._doubted
        read = self.store.read_proved if is_doubted else self.store.read_whole
        try:
            artifact = read(step.address)
            preview = _preview(artifact, self.store)
        except (ArtifactMissing, ArtifactCorrupt):
            return None
        return StepOutcome(step=step, state="current", artifact=artifact, preview=preview)

    def find_all(self, steps: Iterable[Step]) -> dict[Address, StepOutcome]:
        """Outcomes of those steps that are made already.

        Raises:
            StoreError: the store does not answer, so that nobody knows.
        """
        pairs = ((step.address, self.look(step)) for step in steps)
        return {address: found for address, found in pairs if found is not None}


def publish(store: Store, job: StageJob, made: Made) -> StepOutcome:
    """Give a job's folder its final name, whole, and tell what is there now.

    Raises:
        StoreError: the disk is full or not writable.
    """
    artifact = store.publish(_draft(job.step, made.facts), job.folder)
    job.partial.remove()
    return StepOutcome(
        step=job.step, state="made", artifact=artifact, preview=_preview(artifact, store),
        stats=made.stats, own_s=made.own_s,
    )  # fmt: skip


def _draft(step: Step, facts: Facts) -> Artifact:
    return Artifact(
        address=step.address,
        spec=step.entry.parameters,
        code_version=step.entry.code_version,
        weights_sha256=step.entry.weights_sha256,
        parents=step.parents,
        facts=facts,
        software=software_versions(),
    )


def _preview(artifact: Artifact, store: Store) -> bytes:
    """The artifact's picture, checked; empty where the stage makes none."""
    found = [file for file in artifact.files if file.path == PREVIEW]
    return store.read_file(artifact, found[0]) if found else b""
