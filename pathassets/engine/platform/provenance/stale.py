"""Plan + catalog -> what was made and is not in force any more, and which change did it.

    artifact as it was made           as the recipe, the slide and people want it now
      spec, code version       ─┐  ┌─  spec, code version, weights
      what it was made from     ├──┤   what it would be made from
      its digest               ─┘  └─  its digest

Nothing is opened but `artifact.json`, for the old weights' hash: the digest says by itself whether
the weights were others, for it is that of all the rest. Nothing is computed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pathassets.catalog.external import WITHDRAWN
from pathassets.catalog.part import portions
from pathassets.catalog.records import AnnotationRecord, Superseded
from pathassets.core.address import SLIDE_STAGE, Address
from pathassets.core.external import CODE_VERSION as EXTERNAL_VERSION
from pathassets.core.external import EXTERNAL
from pathassets.core.recipe import Entry, Key
from pathassets.core.slides.slide import slide_version
from pathassets.core.spec import digests_by
from pathassets.core.stages import ANNOTATIONS
from pathassets.engine.platform.datasets.plan import PlannedDataset, plan_dataset
from pathassets.engine.platform.plan import PlannedSlide, plan_slides
from pathassets.engine.platform.planned_datasets import dataset_address
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.stages.outcomes import Step
from pathassets.errors import SelectionError, StoreError

Change = Literal[
    "recipe", "weights", "code", "annotation", "mpp", "parent", "members", "import", "unknown"
]
"""recipe: the entry. members: of a dataset, its slides and what is known of them. import: of
features that another tool made."""


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
class Reached:
    """A change that reaches an artifact."""

    cause: Cause
    inherited_from: Key | None = None
    """Asset whose change it is, further back; None where it is the artifact's own."""

    def __str__(self) -> str:
        behind = (
            "" if self.inherited_from is None else f"since {'/'.join(self.inherited_from)} is: "
        )
        return f"{behind}{self.cause}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """An artifact that was made and is not in force any more."""

    address: Address
    """The newest that was made."""
    wanted: str
    """Digest of the one that is in force now."""
    changes: tuple[Reached, ...]
    """All that reach it, each once: its own first, then those of what it was made from."""


def find_stale(platform: Platform, slide_ids: Collection[str] | None = None) -> list[Stale]:
    """What is stale, of some slides or of all and of datasets, in the order of the recipe.

    The catalog is asked which slides have any; only those are planned.
    """
    plan_id = refresh_wanted(platform)
    concerned = platform.catalog.superseded_slides(plan_id)
    if slide_ids is not None:
        chosen = set(slide_ids)
        concerned = [one for one in concerned if one in chosen]
    found = [one for some in portions(concerned) for one in _of_slides(platform, plan_id, some)]
    if slide_ids is None:
        of_slides = tuple(found)
        for entry in platform.recipe.datasets:
            found += _of_dataset(platform, plan_id, entry, of_slides)
    order = {entry.key: n for n, entry in enumerate(platform.recipe.entries)}
    return sorted(found, key=lambda one: (order[one.address.key], one.address.partition_key))


def _of_slides(platform: Platform, plan_id: int, slide_ids: list[str]) -> Iterator[Stale]:
    """What is stale of some hundreds of slides, parents before children."""
    newest = platform.catalog.superseded(plan_id, slide_ids)
    parents = platform.catalog.parents_by_child(one.address for one in newest)
    made = {
        (*one.address.key, one.address.partition_key): _Made(
            record=one, parents=tuple(parents[one.address])
        )
        for one in newest
    }
    for planned in plan_slides(platform, slide_ids):
        yield from _Comparing(platform, planned, made).stale()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """An artifact as the catalog has it."""

    record: Superseded
    parents: tuple[Address, ...]


class _Comparing:
    """What was made of a slide, beside what is wanted of it."""

    def __init__(
        self, platform: Platform, planned: PlannedSlide, made: Mapping[tuple[str, str, str], _Made]
    ) -> None:
        self._platform = platform
        self._planned = planned
        self._made = made

    def stale(self) -> list[Stale]:
        """What is stale of it, parents before children."""
        found: dict[Key, Stale] = {}
        for key, step in self._planned.steps.items():
            made = self._made.get((*key, self._planned.slide_id))
            if made is not None:
                found[key] = self._stale(step, made, found)
        return list(found.values())

    def _stale(self, step: Step, made: _Made, before: Mapping[Key, Stale]) -> Stale:
        changes = [Reached(cause=cause) for cause in self._own_causes(step, made)]
        parent = step.entry.parent
        if parent is not None and (behind := self._behind(parent, made, before)) is not None:
            changes += _inherited(behind)
        return Stale(
            address=made.record.address,
            wanted=step.address.digest,
            changes=tuple(dict.fromkeys(changes)) or (UNKNOWN,),
        )

    def _behind(self, parent: Key, made: _Made, before: Mapping[Key, Stale]) -> Stale | None:
        """What it was made from, where that is not in force, be it the newest that was made or not.

        What is in force may have been made since, or something between.
        """
        old = next((a for a in made.parents if a.key == parent), None)
        step = self._planned.steps[parent]
        if old is None or old == step.address:
            return None
        newest = before.get(parent)
        if newest is not None and newest.address == old:
            return newest
        record = self._platform.catalog.find_artifact(old)
        if record is None:
            new = step.address.digest
            cause = Cause(change="parent", what="/".join(parent), old=old.digest, new=new)
            return Stale(address=old, wanted=new, changes=(Reached(cause=cause),))
        as_made = Superseded(address=old, spec=record.spec, code_version=record.code_version)
        parents = tuple(self._platform.catalog.parents_of(old))
        return self._stale(step, _Made(record=as_made, parents=parents), before)

    def _own_causes(self, step: Step, made: _Made) -> Iterator[Cause]:
        """Changes of the entry, of its code and weights, and of what it is made from itself."""
        entry, record = step.entry, made.record
        if record.code_version == EXTERNAL_VERSION:
            yield from self._import_causes(step, made)
            return
        yield from _spec_causes(entry, record)
        yield from _parent_cause(entry, made)
        yield from self._weights_cause(entry, made)
        yield from _code_cause(entry, record)
        yield from self._annotation_cause(step, made)
        yield from self._mpp_cause(step, made)

    def _import_causes(self, step: Step, made: _Made) -> Iterator[Cause]:
        """Why what was imported counts no more: withdrawn, or of another entry or slide."""
        found = self._platform.catalog.find_artifact(made.record.address)
        facts = {} if found is None else found.facts
        if (withdrawn := facts.get(WITHDRAWN)) is not None:
            yield Cause(change="import", what="withdrawn", who=withdrawn["who"])
        own = {name: said for name, said in made.record.spec.items() if name != EXTERNAL}
        yield from _spec_causes(step.entry, replace(made.record, spec=own))
        yield from self._mpp_cause(step, made, is_external=True)
        for name, old in (("patch_px", facts.get("patch_px")), ("mpp", facts.get("patch_mpp"))):
            if step.entry.parent is None or old is None:
                continue
            new = self._planned.steps[step.entry.parent].entry.parameters.get(name)
            if new != old:
                yield Cause(change="recipe", what=f"of patches, {name}", old=str(old), new=str(new))

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

    def _annotation_cause(self, step: Step, made: _Made) -> Iterator[Cause]:
        """What is drawn is another, or the entry names other annotations."""
        old = next((a for a in made.parents if a.stage == ANNOTATIONS), None)
        new = next((a for a in step.parents if a.stage == ANNOTATIONS), None)
        named = None if step.entry.annotation is None else step.entry.annotation[1]
        if old is not None and old.name != named:
            yield Cause(change="recipe", what=ANNOTATIONS, old=old.name, new=named or "not set")
        elif old != new and named is not None:
            stated = self._planned.annotations.get(named)
            yield Cause(
                change="annotation", what=named, old=_drawn(old), new=_drawn(new, stated),
                who="" if stated is None else stated.who,
            )  # fmt: skip

    def _mpp_cause(self, step: Step, made: _Made, *, is_external: bool = False) -> Iterator[Cause]:
        """Another resolution, of what is made from the slide itself, as what was imported is."""
        planned = self._planned
        old = next((a for a in made.parents if a.stage == SLIDE_STAGE), None)
        is_of_slide = is_external or step.entry.parent is None
        if not is_of_slide or old is None or old.digest == planned.version:
            return
        stated = planned.override
        yield Cause(
            change="mpp", what="", old=self._old_mpp(old), new=_mpp(planned.slide_mpp),
            who="the file" if stated is None else stated.who,
        )  # fmt: skip

    def _old_mpp(self, old: Address) -> str:
        """Which of the resolutions that were ever in force gives that version."""
        record = self._planned.record
        stated = [o.mpp for o in self._platform.catalog.mpp_history(record.slide_id)]
        for mpp in (*stated, record.mpp, None):
            if slide_version(record.fingerprint, mpp) == old.digest:
                return _mpp(mpp)
        return "not known any more"


UNKNOWN = Reached(cause=Cause(change="unknown", what="its digest"))


def _inherited(behind: Stale) -> Iterator[Reached]:
    """What reaches an artifact by one that it was made from."""
    for one in behind.changes:
        yield replace(one, inherited_from=one.inherited_from or behind.address.key)


def _spec_causes(entry: Entry, record: Superseded) -> Iterator[Cause]:
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


def _of_dataset(
    platform: Platform, plan_id: int, entry: Entry, of_slides: Iterable[Stale]
) -> Iterator[Stale]:
    """The newest version of a dataset, where it is not the one that its slides would give now."""
    versions = list(platform.catalog.artifacts(*entry.key))
    try:
        wanted = dataset_address(platform, plan_id, entry) if versions else None
    except SelectionError:
        return  # status says why it cannot be built
    if wanted is None or any(one.address == wanted for one in versions):
        return
    last = max(versions, key=lambda one: (one.made_at, one.address))
    record = Superseded(address=last.address, spec=last.spec, code_version=last.code_version)
    made = _Made(record=record, parents=tuple(platform.catalog.parents_of(last.address)))
    own = [*_spec_causes(entry, record), *_parent_cause(entry, made), *_code_cause(entry, record)]
    members = {one.partition_key for one in made.parents}
    of_features = (one for one in of_slides if one.address.key == entry.parent)
    behind = {o.address.partition_key: o for o in of_features if o.address.partition_key in members}
    own += _members_causes(made, plan_dataset(platform, entry), behind, is_alone=not own)
    inherited = (change for one in behind.values() for change in _inherited(one))
    changes = dict.fromkeys((*(Reached(cause=cause) for cause in own), *inherited))
    yield Stale(address=last.address, wanted=wanted.digest, changes=tuple(changes))


def _code_cause(entry: Entry, record: Superseded) -> Iterator[Cause]:
    old, new = record.code_version, entry.code_version
    if old != new:
        yield Cause(change="code", what="version", old=old, new=new)


def _members_causes(
    made: _Made, wanted: PlannedDataset, behind: Collection[str], *, is_alone: bool
) -> Iterator[Cause]:
    """How its slides are others, or other artifacts of the same slides.

    `behind` are slides whose features are stale: they are its slides still, and come back once
    those are made.
    """
    old = {a.partition_key: a for a in made.parents}
    new = {a.partition_key: a for a in wanted.parents}
    n_stale = sum(one in behind for one in old if one not in new)
    n_other = sum(old[one] != new[one] for one in old.keys() & new.keys())
    n_fewer = len(old.keys() - new.keys()) - n_stale
    said = [(len(new.keys() - old.keys()), "more"), (n_fewer, "fewer"), (n_other, "made anew")]
    what = ", ".join(f"{n} {word}" for n, word in said if n)
    if n_stale:
        slides = "slide" if n_stale == 1 else "slides"
        anew = f"its features are to be made anew: {n_stale} {slides}"
        yield Cause(change="members", what=anew)
    if what or (is_alone and not n_stale):
        what = what or "patients, labels or slides left out"
        n_new = len(new) + n_stale
        yield Cause(change="members", what=what, old=f"{len(old)} slides", new=f"{n_new} slides")


def _plain(value: Any) -> str:
    return "not set" if value is None else str(value)


def _mpp(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def _drawn(address: Address | None, stated: AnnotationRecord | None = None) -> str:
    """A version of an annotation; that it was withdrawn, where it was."""
    if address is not None:
        return address.digest
    return "withdrawn" if stated is not None and stated.is_withdrawn else "none"
