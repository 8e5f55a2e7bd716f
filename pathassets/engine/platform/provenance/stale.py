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
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from pathassets.catalog.external import WITHDRAWN
from pathassets.catalog.part import portions
from pathassets.catalog.records import (
    AnnotationRecord,
    ArtifactRecord,
    MppOverride,
    Superseded,
)
from pathassets.catalog.standing.standing import SlideFacts
from pathassets.core.address import SLIDE_STAGE, Address
from pathassets.core.datasets.withdrawn import Withdrawn
from pathassets.core.external import CODE_VERSION as EXTERNAL_VERSION
from pathassets.core.external import EXTERNAL
from pathassets.core.recipe import Entry, Key
from pathassets.core.slides.slide import slide_version
from pathassets.core.spec import canonical_json
from pathassets.core.stages import ANNOTATIONS, FEATURES, PATCH_QUALITY
from pathassets.engine.platform.datasets.plan import PlannedDataset, plan_dataset
from pathassets.engine.platform.datasets.versions import withdrawn_of
from pathassets.engine.platform.planned_datasets import planned_version
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.provenance.causes import (
    UNKNOWN,
    Cause,
    EntryCauses,
    Made,
    Reached,
    Stale,
    code_cause,
    inherited,
    parent_cause,
    spec_causes,
    versions_of,
)
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.errors import SpecError, StoreError

_OF_WEIGHTS = frozenset({FEATURES, "slide_embedding"})
"""Stages whose entries may have weights."""


def find_stale(platform: Platform, slide_ids: Collection[str] | None = None) -> list[Stale]:
    """What is stale, of some slides or of all and of datasets, in the order of the recipe.

    The catalog is asked which slides have any; only of those is anything read.
    """
    plan_id = refresh_wanted(platform)
    concerned = platform.catalog.superseded_slides(plan_id)
    if slide_ids is not None:
        chosen = set(slide_ids)
        concerned = [one for one in concerned if one in chosen]
    causes = EntryCauses(platform.recipe)
    pages = (_Page(platform, plan_id, some, causes) for some in portions(concerned))
    found = [one for page in pages for one in _of_slides(page)]
    if slide_ids is None:
        of_slides = tuple(found)
        for entry in platform.recipe.datasets:
            found += _of_dataset(platform, plan_id, entry, of_slides)
    order = {entry.key: n for n, entry in enumerate(platform.recipe.entries)}
    return sorted(found, key=lambda one: (order[one.address.key], one.address.partition_key))


def _of_slides(page: _Page) -> Iterator[Stale]:
    """What is stale of some hundreds of slides, parents before children."""
    newest = page.catalog.superseded(page.plan_id, page.slide_ids)
    parents = page.catalog.parents_by_child(one.address for one in newest)
    made: defaultdict[str, dict[Key, Made]] = defaultdict(dict)
    for one in newest:
        address = one.address
        made[address.partition_key][address.key] = Made(record=one, parents=parents[address])
    for slide_id in page.slide_ids:
        yield from _Comparing(page, slide_id).stale(made[slide_id])


class _Page:
    """What is known of some hundreds of slides, each asked for once, when a cause needs it."""

    def __init__(
        self, platform: Platform, plan_id: int, slide_ids: list[str], causes: EntryCauses
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

    def stale(self, made: Mapping[Key, Made]) -> list[Stale]:
        """What is stale of it, parents before children."""
        found: dict[Key, Stale] = {}
        for entry in self._page.entries:
            if entry.key in made:
                found[entry.key] = self._stale(entry, made[entry.key], found)
        return list(found.values())

    def _stale(self, entry: Entry, made: Made, before: Mapping[Key, Stale]) -> Stale:
        changes = [Reached(cause=cause) for cause in self._own_causes(entry, made)]
        parent = entry.parent
        if parent is not None and (behind := self._behind(parent, made, before)) is not None:
            changes += inherited(behind)
        return Stale(
            address=made.record.address,
            wanted=made.record.wanted,
            changes=tuple(dict.fromkeys(changes)) or (UNKNOWN,),
        )

    def _behind(self, parent: Key, made: Made, before: Mapping[Key, Stale]) -> Stale | None:
        """What it was made from, where that is not in force, be it the newest that was made or not.

        What is in force may have been made since, or something between.
        """
        old = next((a for a in made.parents if a.key == parent), None)
        newest = before.get(parent)
        if old is not None and newest is not None and newest.address == old:
            return newest
        new = self._page.wanted.get(self._slide_id, {}).get(parent, "")
        if old is None or old.digest == new:
            return None
        record = self._page.catalog.find_artifact(old)
        if record is None:
            cause = Cause(change="parent", what="/".join(parent), old=old.digest, new=new)
            return Stale(address=old, wanted=new, changes=(Reached(cause=cause),))
        as_made = Made(record=_superseded(record, new), parents=self._page.catalog.parents_of(old))
        return self._stale(self._page.recipe.entry(parent), as_made, before)

    def _own_causes(self, entry: Entry, made: Made) -> Iterator[Cause]:
        """Changes of the entry, of its code and weights, and of what it is made from itself."""
        record, causes = made.record, self._page.causes
        if record.code_version == EXTERNAL_VERSION:
            yield from self._import_causes(entry, made)
            return
        yield from causes.of_spec(entry.key, record.spec)
        yield from parent_cause(entry, made)
        yield from self._weights_cause(entry, made)
        yield from causes.of_code(entry.key, record.code_version)
        yield from self._annotation_cause(entry, made)
        if entry.parent is None:
            yield from self._mpp_cause(made)

    def _import_causes(self, entry: Entry, made: Made) -> Iterator[Cause]:
        """Why what was imported counts no more: withdrawn, or of another entry or slide."""
        found = self._page.catalog.find_artifact(made.record.address)
        facts = {} if found is None else found.facts
        if (withdrawn := facts.get(WITHDRAWN)) is not None:
            yield Cause(change="import", what="withdrawn", who=withdrawn["who"])
        said = json.loads(made.record.spec)
        own = {name: value for name, value in said.items() if name != EXTERNAL}
        yield from self._page.causes.of_spec(entry.key, canonical_json(own))
        yield from self._mpp_cause(made)
        for name, old in (("patch_px", facts.get("patch_px")), ("mpp", facts.get("patch_mpp"))):
            if entry.parent is None or old is None:
                continue
            new = self._page.recipe.entry(entry.parent).parameters.get(name)
            if new != old:
                yield Cause(change="recipe", what=f"of patches, {name}", old=str(old), new=str(new))

    def _weights_cause(self, entry: Entry, made: Made) -> Iterator[Cause]:
        """Other weights: with those of now the recorded rest gives another digest."""
        if entry.stage.name not in _OF_WEIGHTS:
            return
        record, address = made.record, made.record.address
        digest_of = self._page.causes.digester(entry.key, record.spec, record.code_version)
        if digest_of(versions_of(entry, made)) != address.digest:
            try:
                old = self._page.store.read(address).weights_sha256
            except StoreError:
                old = "not known any more"
            if old != entry.weights_sha256:
                new = entry.weights_sha256
                yield Cause(change="weights", what="sha256", old=old or "none", new=new or "none")

    def _annotation_cause(self, entry: Entry, made: Made) -> Iterator[Cause]:
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

    def _mpp_cause(self, made: Made) -> Iterator[Cause]:
        """Another resolution, of what is made from the slide itself, as what was imported is."""
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


def _of_dataset(
    platform: Platform, plan_id: int, entry: Entry, of_slides: Iterable[Stale]
) -> Iterator[Stale]:
    """The newest version of a dataset, where it is not the one that its slides would give now."""
    versions = list(platform.catalog.artifacts(*entry.key))
    if not versions:
        return
    try:
        wanted, planned = planned_version(platform, plan_id, entry)
    except SpecError:
        return  # status says why it cannot be built
    if any(one.address == wanted for one in versions):
        return
    last = max(versions, key=lambda one: (one.made_at, one.address))
    record = _superseded(last, wanted.digest)
    made = Made(record=record, parents=tuple(platform.catalog.parents_of(last.address)))
    own = [
        *spec_causes(entry, record.spec), *parent_cause(entry, made),
        *code_cause(entry, record.code_version),
    ]  # fmt: skip
    members = {one.partition_key for one in made.parents}
    used = {key: rank for rank, key in enumerate(reversed(entry.parents))}  # features count last
    own_kin = sorted(
        (o for o in of_slides if o.address.key in used), key=lambda o: used[o.address.key]
    )
    behind = {o.address.partition_key: o for o in own_kin if o.address.partition_key in members}
    planned = planned or plan_dataset(platform, entry, is_looking=False)
    gone = withdrawn_of(platform, f"{entry.name}@{last.address.digest}")
    own += _members_causes(made, planned, behind, gone, is_alone=not own)
    by_members = (change for one in behind.values() for change in inherited(one))
    changes = dict.fromkeys((*(Reached(cause=cause) for cause in own), *by_members))
    yield Stale(address=last.address, wanted=wanted.digest, changes=tuple(changes))


def _members_causes(
    made: Made,
    wanted: PlannedDataset,
    behind: Mapping[str, Stale],
    gone: Sequence[Withdrawn],
    *,
    is_alone: bool,
) -> Iterator[Cause]:
    """How its slides are others, or other artifacts of the same slides.

    `behind` are slides whose features or quality are stale: they are its slides still, and come
    back once those are made. `gone` were taken out: the catalog may not know any more that it was
    made from them.
    """
    new = {a.partition_key: a for a in wanted.parents}
    gone = [one for one in gone if one.slide_id not in new]  # else its removal did not end
    gone_ids = {one.slide_id for one in gone}
    of_features = (a for a in made.parents if a.stage == FEATURES)
    old = {a.partition_key: a for a in of_features if a.partition_key not in gone_ids}
    n_stale = sum(one in behind for one in old if one not in new)
    n_other = sum(old[one] != new[one] for one in old.keys() & new.keys())
    n_fewer = len(old.keys() - new.keys()) - n_stale
    judged = {a.partition_key: a for a in made.parents if a.stage == PATCH_QUALITY}
    n_judged = sum(judged.get(a.partition_key, a) != a for a in wanted.judged_by)
    said = [
        (len(new.keys() - old.keys()), "more"), (n_fewer, "fewer"), (n_other, "made anew"),
        (n_judged, "measured anew"),
    ]  # fmt: skip
    what = ", ".join(f"{n} {word}" for n, word in said if n)
    if n_stale:
        slides = "slide" if n_stale == 1 else "slides"
        stages = {behind[one].address.stage for one in old if one in behind and one not in new}
        whose = "features are" if FEATURES in stages else "patch quality is"
        anew = f"its {whose} to be made anew: {n_stale} {slides}"
        yield Cause(change="members", what=anew)
    counts = {"old": f"{len(old) + len(gone)} slides", "new": f"{len(new) + n_stale} slides"}
    for (on, who), n in Counter((one.on, one.who) for one in gone).items():
        yield Cause(change="members", what=f"{n} taken out on {on}", who=who, **counts)
    if what or (is_alone and not n_stale and not gone):
        what = what or "patients, labels or slides left out"
        yield Cause(change="members", what=what, **counts)


def _mpp(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"
