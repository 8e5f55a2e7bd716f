"""Recipe + catalog -> what each slide should have, and what is to be done about it.

The identity of every artifact follows from the slide's version, what was drawn on it and the recipe
alone, so a cohort is planned without opening a file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pathassets.adapters.files import FileStamp
from pathassets.adapters.store.store import Store
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.records import AnnotationRecord, MppOverride, PathRecord, SlideRecord
from pathassets.core.address import Address
from pathassets.core.external import UNKNOWN_TOOL, Adopted, counts_for
from pathassets.core.recipe import ANNOTATIONS, Entry, Key, Recipe
from pathassets.core.slides.slide import slide_version
from pathassets.core.spec import digest_of
from pathassets.core.stages import FEATURES
from pathassets.engine.platform.platform import Platform
from pathassets.engine.stages.outcomes import SlideTask, Step

if TYPE_CHECKING:  # they bring along what opens slides
    from pathassets.adapters.objects.remote_file import FilePlace
    from pathassets.engine.slides.scratch import Scratch
    from pathassets.engine.slides.source import SlidePath


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSlide:
    """A registered slide, and the artifact each entry of the recipe would make of it now."""

    record: SlideRecord
    override: MppOverride | None
    paths: tuple[PathRecord, ...]
    version: str
    """Data version of the slide: content and resolution in force."""
    steps: Mapping[Key, Step]
    """One for every per-slide entry, parents before children."""
    annotations: Mapping[str, AnnotationRecord] = field(default_factory=dict)
    """What is drawn on it, by name: the newest of each, be it a withdrawal."""

    @property
    def slide_id(self) -> str:
        """Partition key."""
        return self.record.slide_id

    @property
    def slide_mpp(self) -> float | None:
        """Micrometres per level-0 pixel in force; None where nothing states it."""
        return self.override.mpp if self.override else self.record.mpp

    def annotation(self, name: str) -> AnnotationRecord | None:
        """What is drawn under a name; None where nothing is, or no more."""
        found = self.annotations.get(name)
        return None if found is None or found.is_withdrawn else found


NO_ANNOTATIONS: Mapping[str, AnnotationRecord] = {}
CODE_VERSION = "1"
"""Of how digests follow from slide and recipe: plans that are kept are made anew by another one."""


class Planner:
    """Plans slides by one recipe; what the slides share is worked out once."""

    def __init__(self, recipe: Recipe) -> None:
        self.entries = recipe.per_slide
        self._digesters = {entry.key: entry.digester() for entry in self.entries}
        self._locations = {
            entry.key: recipe.entry(entry.parent).spec
            for entry in self.entries
            if entry.stage.name == FEATURES and entry.parent is not None
        }

    @cached_property
    def recipe_digest(self) -> str:
        """Identity of all that the recipe says of slides: equal ones give equal plans."""
        said = [
            [entry.key, entry.parent, entry.annotation, entry.needs_annotation, entry.identity]
            for entry in self.entries
        ]
        return digest_of([CODE_VERSION, said])

    def digests(
        self, version: str, drawn: Mapping[str, str], adopted: Collection[Adopted] = ()
    ) -> dict[Key, str]:
        """Digest of each entry's artifact of a slide, from its data version and its annotations.

        `drawn` has the digest of what is drawn on it, by name; features of another tool that were
        `adopted`, the last first, stand in for those of an entry that they count for.
        """
        found: dict[Key, str] = {}
        for entry in self.entries:
            parents = [version if entry.parent is None else found[entry.parent]]
            if (annotation := drawn_for(entry, drawn)) is not None:
                parents.append(annotation)
            own = self._digesters[entry.key](parents)
            found[entry.key] = self._of_others(entry, version, adopted) or own
        return found

    def _of_others(self, entry: Entry, version: str, adopted: Collection[Adopted]) -> str:
        """Digest of features that were adopted for an entry; empty where none count."""
        locations = self._locations.get(entry.key)
        if locations is None:
            return ""
        counting = (one for one in adopted if counts_for(entry, locations, version, one))
        return next((one.digest for one in counting), "")


def drawn_for(entry: Entry, drawn: Mapping[str, str]) -> str | None:
    """Digest of what was drawn for an entry; None where nothing was, or it wants nothing."""
    return None if entry.annotation is None else drawn.get(entry.annotation[1])


def lacks(entry: Entry, drawn: Mapping[str, str]) -> Key | None:
    """Annotations that an entry cannot do without, and that nobody recorded."""
    is_lacking = entry.needs_annotation and drawn_for(entry, drawn) is None
    return entry.annotation if is_lacking else None


def plan_slides(platform: Platform, slide_ids: Collection[str] | None = None) -> list[PlannedSlide]:
    """Plan slides, every registered one where none are named, in order of registration.

    Ids that are no slide's are left out. A few queries for some hundreds; all of a large cohort at
    once fill a memory.
    """
    catalog, planner = platform.catalog, Planner(platform.recipe)
    overrides = catalog.overrides(slide_ids)
    paths = catalog.all_paths(slide_ids)
    annotations = catalog.annotations(slide_ids)
    adopted = catalog.adopted(slide_ids)
    return [
        plan_slide(
            planner,
            record,
            overrides.get(record.slide_id),
            paths.get(record.slide_id, ()),
            annotations.get(record.slide_id, {}),
            adopted.get(record.slide_id, ()),
        )
        for record in catalog.slides(slide_ids)
    ]


def plan_slide(  # noqa: PLR0913, PLR0917 - what is known of a slide
    planner: Planner,
    record: SlideRecord,
    override: MppOverride | None,
    paths: Iterable[PathRecord],
    annotations: Mapping[str, AnnotationRecord] = NO_ANNOTATIONS,
    adopted: Collection[Adopted] = (),
) -> PlannedSlide:
    """Work out the address of each artifact of one slide."""
    version = slide_version(record.fingerprint, override.mpp if override else record.mpp)
    drawn = {name: one.digest for name, one in annotations.items() if not one.is_withdrawn}
    steps: dict[Key, Step] = {}
    planned = PlannedSlide(
        record=record, override=override, paths=tuple(paths), version=version, steps=steps,
        annotations=annotations,
    )  # fmt: skip
    root = Address.of_slide(record.slide_id, version)
    digests = planner.digests(version, drawn, adopted)
    tools = {one.digest: str(one.source.get("tool", UNKNOWN_TOOL)) for one in adopted}
    for entry in planner.entries:
        digest = digests[entry.key]
        step = _step(entry, root, steps, drawn, digest)
        steps[entry.key] = replace(step, tool=tools.get(digest, ""))
    return planned


def _step(
    entry: Entry, root: Address, steps: Mapping[Key, Step], drawn: Mapping[str, str], digest: str
) -> Step:
    """What is made of a slide for one entry, once its parent's step is there."""
    above = None if entry.parent is None else steps[entry.parent]
    found = drawn_for(entry, drawn)
    annotation = (
        ()
        if found is None or entry.annotation is None
        else (Address(*entry.annotation, root.partition_key, found),)
    )
    return Step(
        entry=entry,
        address=Address(*entry.key, root.partition_key, digest),
        parents=tuple(dict.fromkeys((root if above is None else above.address, *annotation, root))),
        annotations=tuple(
            dict.fromkeys((*(() if above is None else above.annotations), *annotation))
        ),
        lacks=lacks(entry, drawn),
    )


def annotation_address(drawn: AnnotationRecord) -> Address:
    """Where an annotation is in the store."""
    return Address(ANNOTATIONS, drawn.name, drawn.slide_id, drawn.digest)


def task_for(
    platform: Platform,
    planned: PlannedSlide,
    wanted: Iterable[Entry],
    staging: Path,
    scratch: Scratch | None = None,
) -> SlideTask:
    """Put together what a worker needs to make the wanted entries of one slide."""
    keys = {entry.key for entry in wanted}
    return SlideTask(
        slide_id=planned.slide_id,
        fingerprint=planned.record.fingerprint,
        paths=slide_paths(planned.paths, platform.settings.verify),
        slide_mpp=planned.slide_mpp,
        resolution_reason=planned.record.resolution_reason,
        resolution_fact=planned.record.resolution_message,
        steps=tuple(step for key, step in planned.steps.items() if key in keys),
        store_root=platform.store.where,
        store_work=str(platform.store.work),
        staging=str(staging),
        scratch=scratch,
        behind=tuple(_behind(platform, planned, keys)),
    )


def _behind(platform: Platform, planned: PlannedSlide, keys: set[Key]) -> Iterator[Step]:
    """What wanted steps go back to, is not wanted itself and was made once."""
    if len(keys) == len(planned.steps):
        return
    kin = {e.key for key in keys for e in platform.recipe.lineage(platform.recipe.entry(key))}
    for key, step in planned.steps.items():
        if key in kin - keys and _was_made(platform.store, platform.catalog, step.address):
            yield step


def _was_made(store: Store, catalog: Catalog, address: Address) -> bool:
    return store.has(address) or catalog.find_artifact(address) is not None


def slide_paths(paths: Iterable[PathRecord], verify: str) -> tuple[SlidePath, ...]:
    """Where to look for a slide, and how it looked there."""
    return tuple(_place(path, verify) for path in paths)


def _place(path: PathRecord, verify: str) -> SlidePath:
    """A place to look for the slide; a stamp that no file can have makes its reader hash it."""
    from pathassets.engine.slides.source import SlidePath  # noqa: PLC0415 - as above

    stamp = recorded_stamp(path)
    return SlidePath(
        path=path.path, stamp=stamp if verify == "stamp" else replace(stamp, ctime_ns=-1)
    )


def recorded_stamp(path: PathRecord) -> FileStamp:
    """How a file looked when the catalog was told of it."""
    return FileStamp(
        size_bytes=path.size_bytes, mtime_ns=path.mtime_ns, ctime_ns=path.ctime_ns, etag=path.etag
    )


def path_record(path: FilePlace | str, slide_id: str, stamp: FileStamp) -> PathRecord:
    """What the catalog is told of a file: inverse of `recorded_stamp`."""
    return PathRecord(
        path=str(path),
        slide_id=slide_id,
        size_bytes=stamp.size_bytes,
        mtime_ns=stamp.mtime_ns,
        ctime_ns=stamp.ctime_ns,
        etag=stamp.etag,
    )
