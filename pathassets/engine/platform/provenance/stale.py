"""Plan + catalog -> what was made and is not in force any more, and which change did it.

    artifact as it was made           as the recipe, the slide and people want it now
      spec, code version       ─┐  ┌─  spec, code version, weights
      what it was made from     ├──┤   what it would be made from
      its digest               ─┘  └─  its digest

Nothing is opened but `artifact.json`, for the old weights' hash: the digest says by itself whether
the weights were others, for it is that of all the rest. Nothing is computed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pathassets.catalog.records import AnnotationRecord, ArtifactRecord
from pathassets.core.address import ALL_SLIDES, SLIDE_STAGE, Address
from pathassets.core.recipe import Entry, Key
from pathassets.core.slides.slide import slide_version
from pathassets.core.spec import digests_by
from pathassets.core.stages import ANNOTATIONS
from pathassets.engine.platform.datasets.plan import PlannedDataset, plan_dataset
from pathassets.engine.platform.plan import PlannedSlide, plan_slides
from pathassets.engine.platform.platform import Platform
from pathassets.engine.stages.outcomes import Step
from pathassets.errors import StoreError

Change = Literal["recipe", "weights", "code", "annotation", "mpp", "parent", "members", "unknown"]
"""recipe: the entry. members: of a dataset, its slides and what is known of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One change that makes an artifact stale."""

    change: Change
    what: str
    """Parameter, annotation or parent that changed."""
    old: str = ""
    new: str = ""
    who: str = ""
    """Who stated it, of annotations and resolutions."""

    def __str__(self) -> str:
        said = f"{self.change} {self.what}".strip()
        said += f": {self.old} → {self.new}" if self.old or self.new else ""
        return f"{said}, by {self.who}" if self.who else said


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """An artifact that was made and is not in force any more."""

    address: Address
    """The newest that was made."""
    wanted: str
    """Digest of the one that is in force now."""
    cause: Cause
    """The change that is named first; of an inherited one, what changed further back."""
    inherited_from: Key | None = None
    """Asset whose change it is; None where it is its own."""
    also: tuple[Cause, ...] = ()
    """Further changes of its own."""


def find_stale(platform: Platform, slide_ids: Collection[str] | None = None) -> list[Stale]:
    """What is stale, of some slides or of all and of datasets, in the order of the recipe."""
    planned = plan_slides(platform)
    chosen = planned if slide_ids is None else [p for p in planned if p.slide_id in set(slide_ids)]
    by_slide = [one for p in _Comparing(platform, chosen).slides() for one in p]
    of_datasets = [] if slide_ids is not None else list(_stale_datasets(platform, planned))
    order = {entry.key: n for n, entry in enumerate(platform.recipe.entries)}
    return sorted(
        [*by_slide, *of_datasets],
        key=lambda one: (order[one.address.key], one.address.partition_key),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """An artifact as the catalog has it."""

    record: ArtifactRecord
    parents: tuple[Address, ...]


class _Comparing:
    """What was made of slides, beside what is wanted of them."""

    def __init__(self, platform: Platform, slides: list[PlannedSlide]) -> None:
        self._platform = platform
        self._slides = slides
        self._made = _newest_stale(platform, slides)

    def slides(self) -> Iterator[list[Stale]]:
        """What is stale of each slide, parents before children."""
        for planned in self._slides:
            found: dict[Key, Stale] = {}
            for key, step in planned.steps.items():
                made = self._made.get((*key, planned.slide_id))
                if made is not None:
                    found[key] = self._stale(planned, step, made, found)
            yield list(found.values())

    def _stale(
        self, planned: PlannedSlide, step: Step, made: _Made, before: Mapping[Key, Stale]
    ) -> Stale:
        own = list(self._own_causes(planned, step, made))
        stale = Stale(
            address=made.record.address,
            wanted=step.address.digest,
            cause=Cause(change="unknown", what="its digest"),
        )
        if own:
            return replace(stale, cause=own[0], also=tuple(own[1:]))
        parent = step.entry.parent
        if parent is not None and (behind := before.get(parent)) is not None:
            return replace(
                stale, cause=behind.cause, inherited_from=behind.inherited_from or parent
            )
        return stale

    def _own_causes(self, planned: PlannedSlide, step: Step, made: _Made) -> Iterator[Cause]:
        """Changes of the entry, of its code and weights, and of what it is made from itself."""
        entry, record = step.entry, made.record
        yield from _spec_causes(entry, record)
        yield from _parent_cause(entry, made)
        yield from self._weights_cause(entry, made)
        if record.code_version != entry.code_version:
            yield Cause(
                change="code", what="version", old=record.code_version, new=entry.code_version
            )
        yield from self._annotation_cause(planned, step, made)
        yield from self._mpp_cause(planned, step, made)

    def _weights_cause(self, entry: Entry, made: _Made) -> Iterator[Cause]:
        """Other weights: with those of now the recorded rest gives another digest."""
        record = made.record
        if _digest(entry, made, entry.weights_sha256) != record.address.digest:
            try:
                old = self._platform.store.read(record.address).weights_sha256
            except StoreError:
                old = "not known any more"
            if old != entry.weights_sha256:
                new = entry.weights_sha256
                yield Cause(change="weights", what="sha256", old=old or "none", new=new or "none")

    def _annotation_cause(self, planned: PlannedSlide, step: Step, made: _Made) -> Iterator[Cause]:
        """What is drawn is another, or the entry names other annotations."""
        old = next((a for a in made.parents if a.stage == ANNOTATIONS), None)
        new = next((a for a in step.parents if a.stage == ANNOTATIONS), None)
        named = None if step.entry.annotation is None else step.entry.annotation[1]
        if old is not None and old.name != named:
            yield Cause(change="recipe", what=ANNOTATIONS, old=old.name, new=named or "not set")
        elif old != new and named is not None:
            stated = planned.annotations.get(named)
            yield Cause(
                change="annotation", what=named, old=_drawn(old), new=_drawn(new, stated),
                who="" if stated is None else stated.who,
            )  # fmt: skip

    def _mpp_cause(self, planned: PlannedSlide, step: Step, made: _Made) -> Iterator[Cause]:
        """Another resolution, of what is made from the slide itself."""
        old = next((a for a in made.parents if a.stage == SLIDE_STAGE), None)
        if step.entry.parent is not None or old is None or old.digest == planned.version:
            return
        stated = planned.override
        yield Cause(
            change="mpp", what="", old=self._old_mpp(planned, old), new=_mpp(planned.slide_mpp),
            who="the file" if stated is None else stated.who,
        )  # fmt: skip

    def _old_mpp(self, planned: PlannedSlide, old: Address) -> str:
        """Which of the resolutions that were ever in force gives that version."""
        record = planned.record
        stated = [o.mpp for o in self._platform.catalog.mpp_history(record.slide_id)]
        for mpp in (*stated, record.mpp, None):
            if slide_version(record.fingerprint, mpp) == old.digest:
                return _mpp(mpp)
        return "not known any more"


def _newest_stale(
    platform: Platform, slides: list[PlannedSlide]
) -> dict[tuple[str, str, str], _Made]:
    """The newest artifact of each place whose wanted one was never made."""
    found: dict[tuple[str, str, str], _Made] = {}
    for entry in platform.recipe.per_slide:
        wanted = {p.slide_id: p.steps[entry.key].address.digest for p in slides}
        newest = _newest(platform.catalog.artifacts(*entry.key), wanted)
        parents = platform.catalog.parents_by_child(*entry.key) if newest else {}
        for slide_id, record in newest.items():
            edges = tuple(parents.get(record.address, ()))
            found[*entry.key, slide_id] = _Made(record=record, parents=edges)
    return found


def _newest(
    records: Iterator[ArtifactRecord], wanted: Mapping[str, str]
) -> dict[str, ArtifactRecord]:
    """Of each slide without the wanted artifact the one that was made last."""
    newest: dict[str, ArtifactRecord] = {}
    current: set[str] = set()
    for record in records:
        slide_id, digest = record.address.partition_key, record.address.digest
        if wanted.get(slide_id) == digest:
            current.add(slide_id)
        held = newest.get(slide_id)
        if slide_id in wanted and (held is None or held.made_at <= record.made_at):
            newest[slide_id] = record
    return {slide_id: one for slide_id, one in newest.items() if slide_id not in current}


def _spec_causes(entry: Entry, record: ArtifactRecord) -> Iterator[Cause]:
    """Parameters that are not what they were, in their order."""
    now = entry.parameters
    for name in dict.fromkeys((*now, *record.spec)):
        old, new = record.spec.get(name), now.get(name)
        if old != new:
            yield Cause(change="recipe", what=name, old=_plain(old), new=_plain(new))


def _parent_cause(entry: Entry, made: _Made) -> Iterator[Cause]:
    """The entry is made from another one than it was."""
    if entry.parent is None:
        return
    old = next((a.key for a in made.parents if a.stage == entry.parent[0]), None)
    if old is not None and old != entry.parent:
        yield Cause(change="recipe", what=entry.parent[0], old=old[1], new=entry.parent[1])


def _digest(entry: Entry, made: _Made, weights_sha256: str) -> str:
    """The digest of what was recorded, with these weights."""
    record = made.record
    source = SLIDE_STAGE if entry.parent is None else entry.parent[0]
    versions = [a.digest for a in made.parents if a.stage == source]
    versions += [a.digest for a in made.parents if a.stage == ANNOTATIONS]
    identity = {
        **entry.identity,
        "spec": dict(record.spec),
        "code_version": record.code_version,
        "weights_sha256": weights_sha256,
    }
    return digests_by("parents", identity)(versions)


def _stale_datasets(platform: Platform, planned: list[PlannedSlide]) -> Iterator[Stale]:
    for entry in platform.recipe.datasets:
        wanted = plan_dataset(platform, entry, planned)
        every = _newest(platform.catalog.artifacts(*entry.key), {ALL_SLIDES: wanted.address.digest})
        for record in every.values():
            made = _Made(record=record, parents=tuple(platform.catalog.parents_of(record.address)))
            own = [*_spec_causes(entry, record), *_parent_cause(entry, made)]
            if record.code_version != entry.code_version:
                own.append(
                    Cause(
                        change="code", what="version", old=record.code_version,
                        new=entry.code_version,
                    )
                )  # fmt: skip
            own = own or [_members_cause(made, wanted)]
            yield Stale(
                address=record.address, wanted=wanted.address.digest, cause=own[0],
                also=tuple(own[1:]),
            )  # fmt: skip


def _members_cause(made: _Made, wanted: PlannedDataset) -> Cause:
    """How its slides are others, or other artifacts of the same slides."""
    old = {a.partition_key: a for a in made.parents}
    new = {a.partition_key: a for a in wanted.parents}
    n_other = sum(old[one] != new[one] for one in old.keys() & new.keys())
    said = [(len(new.keys() - old.keys()), "more"), (len(old.keys() - new.keys()), "fewer")]
    said.append((n_other, "made anew"))
    what = (
        ", ".join(f"{n} {word}" for n, word in said if n) or "patients, labels or slides left out"
    )
    return Cause(change="members", what=what, old=f"{len(old)} slides", new=f"{len(new)} slides")


def _plain(value: Any) -> str:
    return "not set" if value is None else str(value)


def _mpp(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def _drawn(address: Address | None, stated: AnnotationRecord | None = None) -> str:
    """A version of an annotation; that it was withdrawn, where it was."""
    if address is not None:
        return address.digest
    return "withdrawn" if stated is not None and stated.is_withdrawn else "none"
