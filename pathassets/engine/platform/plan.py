"""Recipe + catalog -> what each slide should have, and what is to be done about it.

The identity of every artifact follows from the slide's version, what was drawn on it and the recipe
alone, so a cohort is planned without opening a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pathassets.adapters.files import FileStamp
from pathassets.adapters.store.store import Store
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.records import AnnotationRecord, MppOverride, PathRecord, SlideRecord
from pathassets.core.address import Address
from pathassets.core.external import Adopted, counts_for
from pathassets.core.recipe import ANNOTATIONS, Entry, Key, Recipe
from pathassets.core.slides.slide import slide_version
from pathassets.core.stages import FEATURES
from pathassets.engine.platform.platform import Platform
from pathassets.engine.slides.scratch import Scratch
from pathassets.engine.slides.source import SlidePath
from pathassets.engine.stages.outcomes import SlideTask, Step


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


def plan_slides(platform: Platform) -> list[PlannedSlide]:
    """Plan every registered slide, in order of registration. A few queries for any cohort."""
    overrides = platform.catalog.overrides()
    paths = platform.catalog.all_paths()
    annotations = platform.catalog.annotations()
    adopted = platform.catalog.adopted()
    return [
        plan_slide(
            platform.recipe,
            record,
            overrides.get(record.slide_id),
            paths.get(record.slide_id, ()),
            annotations.get(record.slide_id, {}),
            adopted.get(record.slide_id, ()),
        )
        for record in platform.catalog.slides()
    ]


NO_ANNOTATIONS: Mapping[str, AnnotationRecord] = {}


def plan_slide(  # noqa: PLR0913, PLR0917 - what is known of a slide
    recipe: Recipe,
    record: SlideRecord,
    override: MppOverride | None,
    paths: Iterable[PathRecord],
    annotations: Mapping[str, AnnotationRecord] = NO_ANNOTATIONS,
    adopted: Iterable[Adopted] = (),
) -> PlannedSlide:
    """Work out the address of each artifact of one slide."""
    version = slide_version(record.fingerprint, override.mpp if override else record.mpp)
    root = Address.of_slide(record.slide_id, version)
    steps: dict[Key, Step] = {}
    planned = PlannedSlide(
        record=record, override=override, paths=tuple(paths), version=version, steps=steps,
        annotations=annotations,
    )  # fmt: skip
    for entry in recipe.per_slide:
        steps[entry.key] = _external(_step(entry, root, planned), root, adopted)
    return planned


def _external(step: Step, root: Address, adopted: Iterable[Adopted]) -> Step:
    """The step, or features of another tool that were adopted in its place."""
    if step.entry.stage.name != FEATURES:
        return step
    counting = (one for one in adopted if counts_for(step.entry, root.digest, one))
    found = next(counting, None)
    if found is None:
        return step
    return replace(step, address=replace(step.address, digest=found.digest), is_external=True)


def _step(entry: Entry, root: Address, planned: PlannedSlide) -> Step:
    """Work out what is made of a slide for one entry, once its parent's step is there."""
    parent = root if entry.parent is None else planned.steps[entry.parent].address
    drawn = _drawn(entry, planned)
    made_from = (parent,) if drawn is None else (parent, drawn)
    behind = () if entry.parent is None else planned.steps[entry.parent].annotations
    return Step(
        entry=entry,
        address=Address(
            *entry.key, root.partition_key, entry.digest([a.digest for a in made_from])
        ),
        parents=tuple(dict.fromkeys((*made_from, root))),
        annotations=tuple(dict.fromkeys((*behind, *made_from[1:]))),
        lacks=entry.annotation if drawn is None and entry.needs_annotation else None,
    )


def _drawn(entry: Entry, planned: PlannedSlide) -> Address | None:
    """What was drawn on a slide for an entry; None where nothing was, or it wants nothing."""
    found = None if entry.annotation is None else planned.annotation(entry.annotation[1])
    return None if found is None else annotation_address(found)


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
        store_root=str(platform.store.root),
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
    stamp = recorded_stamp(path)
    return SlidePath(
        path=path.path, stamp=stamp if verify == "stamp" else replace(stamp, ctime_ns=-1)
    )


def recorded_stamp(path: PathRecord) -> FileStamp:
    """How a file looked when the catalog was told of it."""
    return FileStamp(size_bytes=path.size_bytes, mtime_ns=path.mtime_ns, ctime_ns=path.ctime_ns)


def path_record(path: Path | str, slide_id: str, stamp: FileStamp) -> PathRecord:
    """What the catalog is told of a file: inverse of `recorded_stamp`."""
    return PathRecord(
        path=str(path),
        slide_id=slide_id,
        size_bytes=stamp.size_bytes,
        mtime_ns=stamp.mtime_ns,
        ctime_ns=stamp.ctime_ns,
    )
