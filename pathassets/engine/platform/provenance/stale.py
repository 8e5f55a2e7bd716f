"""Plan + catalog -> what was made and is not in force any more, and which change did it.

    artifact as it was made           as the recipe, the slide and people want it now
      spec, code version       ─┐  ┌─  spec, code version, weights
      what it was made from     ├──┤   what it would be made from
      its digest               ─┘  └─  its digest

Nothing is opened but `artifact.json`, for the old weights' hash: the digest says by itself whether
the weights were others, for it is that of all the rest. Nothing is computed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal

from pathassets.catalog.part import portions
from pathassets.catalog.records import (
    AnnotationRecord,
    ArtifactRecord,
    MppOverride,
    Superseded,
)
from pathassets.catalog.standing.standing import SlideFacts
from pathassets.core.address import SLIDE_STAGE, Address
from pathassets.core.recipe import Entry, Key, Recipe
from pathassets.core.slides.slide import slide_version
from pathassets.core.spec import canonical_json, digests_by
from pathassets.core.stages import ANNOTATIONS, FEATURES
from pathassets.engine.platform.datasets.plan import PlannedDataset, plan_dataset
from pathassets.engine.platform.planned_datasets import planned_version
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.refresh import refresh_wanted
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


_UNKNOWN = Cause(change="unknown", what="its digest")
_OF_WEIGHTS = frozenset({FEATURES, "slide_embedding"})
"""Stages whose entries may have weights."""


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
    """What is stale, of some slides or of all and of datasets, in the order of the recipe.

    The catalog is asked which slides have any; only of those is anything read.
    """
    plan_id = refresh_wanted(platform)
    concerned = platform.catalog.superseded_slides(plan_id)
    if slide_ids is not None:
        chosen = set(slide_ids)
        concerned = [one for one in concerned if one in chosen]
    causes = _EntryCauses(platform.recipe)
    pages = (_Page(platform, plan_id, some, causes) for some in portions(concerned))
    found = [one for page in pages for one in _of_slides(page)]
    if slide_ids is None:
        found += [
            one for e in platform.recipe.datasets for one in _of_dataset(platform, plan_id, e)
        ]
    order = {entry.key: n for n, entry in enumerate(platform.recipe.entries)}
    return sorted(found, key=lambda one: (order[one.address.key], one.address.partition_key))


def _of_slides(page: _Page) -> Iterator[Stale]:
    """What is stale of some hundreds of slides, parents before children."""
    newest = page.catalog.superseded(page.plan_id, page.slide_ids)
    parents = page.catalog.parents_by_child(one.address for one in newest)
    made: defaultdict[str, dict[Key, _Made]] = defaultdict(dict)
    for one in newest:
        address = one.address
        made[address.partition_key][address.key] = _Made(record=one, parents=parents[address])
    for slide_id in page.slide_ids:
        yield from _Comparing(page, slide_id).stale(made[slide_id])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """An artifact as the catalog has it."""

    record: Superseded
    parents: Sequence[Address]


class _EntryCauses:
    """Causes that follow from an entry and what was recorded: of a whole cohort few, kept."""

    def __init__(self, recipe: Recipe) -> None:
        self._entries = {entry.key: entry for entry in recipe.per_slide}
        self.of_spec = cache(self._of_spec)
        self.of_code = cache(self._of_code)
        self.digester = cache(self._digester)

    def _of_spec(self, key: Key, spec: str) -> tuple[Cause, ...]:
        return tuple(_spec_causes(self._entries[key], spec))

    def _of_code(self, key: Key, code_version: str) -> tuple[Cause, ...]:
        return tuple(_code_cause(self._entries[key], code_version))

    def _digester(self, key: Key, spec: str, code_version: str) -> Callable[[list[str]], str]:
        """Gives the digest of what was recorded, with the weights of now, by its parents' ones."""
        said = {"spec": json.loads(spec), "code_version": code_version}
        return digests_by("parents", {**self._entries[key].identity, **said})


class _Page:
    """What is known of some hundreds of slides, each asked for once, when a cause needs it."""

    def __init__(
        self, platform: Platform, plan_id: int, slide_ids: list[str], causes: _EntryCauses
    ) -> None:
        self.recipe, self.store, self.catalog = platform.recipe, platform.store, platform.catalog
        self.entries = platform.recipe.per_slide
        self.plan_id = plan_id
        self.slide_ids = slide_ids
        self.causes = causes

    @cached_property
    def facts(self) -> Mapping[str, SlideFacts]:
        """Content and resolution in force."""
        facts = self.catalog.slide_facts(self.slide_ids)
        return {one.slide_id: one for one in facts}

    @cached_property
    def wanted(self) -> Mapping[str, Mapping[Key, str]]:
        """Digest of all that is wanted of each slide."""
        return self.catalog.wanted_by_slide(self.plan_id, self.slide_ids)

    @cached_property
    def drawn(self) -> Mapping[str, Mapping[str, AnnotationRecord]]:
        """What is drawn on each slide, withdrawals included."""
        return self.catalog.annotations(self.slide_ids)

    @cached_property
    def overrides(self) -> Mapping[str, MppOverride]:
        """Resolutions that people stated."""
        return self.catalog.overrides(self.slide_ids)


class _Comparing:
    """What was made of a slide, beside what is wanted of it."""

    def __init__(self, page: _Page, slide_id: str) -> None:
        self._page = page
        self._slide_id = slide_id

    def stale(self, made: Mapping[Key, _Made]) -> list[Stale]:
        """What is stale of it, parents before children."""
        found: dict[Key, Stale] = {}
        for entry in self._page.entries:
            key = entry.key
            if key in made:
                found[key] = self._stale(entry, made[key], found)
        return list(found.values())

    def _stale(self, entry: Entry, made: _Made, before: Mapping[Key, Stale]) -> Stale:
        address, wanted = made.record.address, made.record.wanted
        own = self._own_causes(entry, made)
        if own:
            return Stale(address=address, wanted=wanted, cause=own[0], also=tuple(own[1:]))
        parent = entry.parent
        behind = None if parent is None else before.get(parent) or self._behind(parent, made)
        if behind is None:
            return Stale(address=address, wanted=wanted, cause=_UNKNOWN)
        by = behind.inherited_from or parent
        return Stale(address=address, wanted=wanted, cause=behind.cause, inherited_from=by)

    def _behind(self, parent: Key, made: _Made) -> Stale | None:
        """What it was made from, where that is not in force, though what is has been made since."""
        old = next((a for a in made.parents if a.key == parent), None)
        new = self._page.wanted.get(self._slide_id, {}).get(parent, "")
        if old is None or old.digest == new:
            return None
        record = self._page.catalog.find_artifact(old)
        if record is None:
            cause = Cause(change="parent", what="/".join(parent), old=old.digest, new=new)
            return Stale(address=old, wanted=new, cause=cause)
        entry = self._page.recipe.entry(parent)
        parents = self._page.catalog.parents_of(old)
        return self._stale(entry, _Made(record=_superseded(record, new), parents=parents), {})

    def _own_causes(self, entry: Entry, made: _Made) -> list[Cause]:
        """Changes of the entry, of its code and weights, and of what it is made from itself."""
        record, causes = made.record, self._page.causes
        return [
            *causes.of_spec(entry.key, record.spec),
            *_parent_cause(entry, made),
            *self._weights_cause(entry, made),
            *causes.of_code(entry.key, record.code_version),
            *self._annotation_cause(entry, made),
            *self._mpp_cause(entry, made),
        ]

    def _weights_cause(self, entry: Entry, made: _Made) -> Iterator[Cause]:
        """Other weights: with those of now the recorded rest gives another digest."""
        if entry.stage.name not in _OF_WEIGHTS:
            return
        record, address = made.record, made.record.address
        digest_of = self._page.causes.digester(entry.key, record.spec, record.code_version)
        if digest_of(_versions(entry, made)) != address.digest:
            try:
                old = self._page.store.read(address).weights_sha256
            except StoreError:
                old = "not known any more"
            if old != entry.weights_sha256:
                new = entry.weights_sha256
                yield Cause(change="weights", what="sha256", old=old or "none", new=new or "none")

    def _annotation_cause(self, entry: Entry, made: _Made) -> Iterator[Cause]:
        """What is drawn is another, or the entry names other annotations."""
        old = next((a for a in made.parents if a.stage == ANNOTATIONS), None)
        named = None if entry.annotation is None else entry.annotation[1]
        if old is not None and old.name != named:
            yield Cause(change="recipe", what=ANNOTATIONS, old=old.name, new=named or "not set")
        elif named is not None:
            stated = self._page.drawn.get(self._slide_id, {}).get(named)
            was, now = "" if old is None else old.digest, "" if stated is None else stated.digest
            if was != now:
                gone = "none" if stated is None else "withdrawn"
                who = "" if stated is None else stated.who
                yield Cause(
                    change="annotation", what=named, old=was or "none", new=now or gone, who=who
                )

    def _mpp_cause(self, entry: Entry, made: _Made) -> Iterator[Cause]:
        """Another resolution, of what is made from the slide itself."""
        if entry.parent is not None:
            return
        old = next((a for a in made.parents if a.stage == SLIDE_STAGE), None)
        facts = self._page.facts.get(self._slide_id)
        if old is None or facts is None:
            return
        if old.digest == slide_version(facts.fingerprint, facts.mpp):
            return
        stated = self._page.overrides.get(self._slide_id)
        yield Cause(
            change="mpp", what="", old=self._old_mpp(old), new=_mpp(facts.mpp),
            who="the file" if stated is None else stated.who,
        )  # fmt: skip

    def _old_mpp(self, old: Address) -> str:
        """Which of the resolutions that were ever in force gives that version."""
        record = self._page.catalog.slide(self._slide_id)
        stated = [o.mpp for o in self._page.catalog.mpp_history(record.slide_id)]
        for mpp in (*stated, record.mpp, None):
            if slide_version(record.fingerprint, mpp) == old.digest:
                return _mpp(mpp)
        return "not known any more"


def _superseded(record: ArtifactRecord, wanted: str) -> Superseded:
    return Superseded(
        address=record.address, spec=canonical_json(record.spec),
        code_version=record.code_version, wanted=wanted,
    )  # fmt: skip


def _spec_causes(entry: Entry, spec: str) -> Iterator[Cause]:
    """Parameters that are not what they were, in their order."""
    before, now = json.loads(spec), entry.parameters
    for name in dict.fromkeys((*now, *before)):
        old, new = before.get(name), now.get(name)
        if old != new:
            yield Cause(change="recipe", what=name, old=_plain(old), new=_plain(new))


def _parent_cause(entry: Entry, made: _Made) -> Iterator[Cause]:
    """The entry is made from another one than it was."""
    if entry.parent is None:
        return
    old = next((a.key for a in made.parents if a.stage == entry.parent[0]), None)
    if old is not None and old != entry.parent:
        yield Cause(change="recipe", what=entry.parent[0], old=old[1], new=entry.parent[1])


def _versions(entry: Entry, made: _Made) -> list[str]:
    """Digests of what an artifact was made from, as its own digest names them."""
    source = SLIDE_STAGE if entry.parent is None else entry.parent[0]
    versions = [a.digest for a in made.parents if a.stage == source]
    return versions + [a.digest for a in made.parents if a.stage == ANNOTATIONS]


def _of_dataset(platform: Platform, plan_id: int, entry: Entry) -> Iterator[Stale]:
    """The newest version of a dataset, where it is not the one that its slides would give now."""
    versions = list(platform.catalog.artifacts(*entry.key))
    if not versions:
        return
    wanted, planned = planned_version(platform, plan_id, entry)
    if any(one.address == wanted for one in versions):
        return
    last = max(versions, key=lambda one: (one.made_at, one.address))
    record = _superseded(last, wanted.digest)
    made = _Made(record=record, parents=tuple(platform.catalog.parents_of(last.address)))
    own = [
        *_spec_causes(entry, record.spec), *_parent_cause(entry, made),
        *_code_cause(entry, record.code_version),
    ]  # fmt: skip
    if not own:
        planned = planned or plan_dataset(platform, entry, is_looking=False)
        own.append(_members_cause(made, planned))
    yield Stale(address=last.address, wanted=wanted.digest, cause=own[0], also=tuple(own[1:]))


def _code_cause(entry: Entry, old: str) -> Iterator[Cause]:
    new = entry.code_version
    if old != new:
        yield Cause(change="code", what="version", old=old, new=new)


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
