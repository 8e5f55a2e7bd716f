"""Recipe + catalog -> what each slide should have, and what is to be done about it.

The identity of every artifact follows from the slide's version and the recipe alone, so a cohort is
planned without opening a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pathassets.adapters.files import FileStamp
from pathassets.catalog.records import MppOverride, PathRecord, SlideRecord
from pathassets.core.address import Address
from pathassets.core.recipe import Entry, Key, Recipe
from pathassets.core.slide import slide_version
from pathassets.engine.platform import Platform
from pathassets.engine.scratch import Scratch
from pathassets.engine.slide_task import SlideTask, Step
from pathassets.engine.source import SlidePath


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

    @property
    def slide_id(self) -> str:
        """Partition key."""
        return self.record.slide_id

    @property
    def slide_mpp(self) -> float | None:
        """Micrometres per level-0 pixel in force; None where nothing states it."""
        return self.override.mpp if self.override else self.record.mpp


def plan_slides(platform: Platform) -> list[PlannedSlide]:
    """Plan every registered slide, in order of registration. A few queries for any cohort."""
    overrides = platform.catalog.overrides()
    paths = platform.catalog.all_paths()
    return [
        plan_slide(
            platform.recipe, record, overrides.get(record.slide_id), paths.get(record.slide_id, ())
        )
        for record in platform.catalog.slides()
    ]


def plan_slide(
    recipe: Recipe, record: SlideRecord, override: MppOverride | None, paths: Iterable[PathRecord]
) -> PlannedSlide:
    """Work out the address of each artifact of one slide."""
    version = slide_version(record.fingerprint, override.mpp if override else record.mpp)
    root = Address.of_slide(record.slide_id, version)
    steps: dict[Key, Step] = {}
    for entry in recipe.per_slide:
        parent = root if entry.parent is None else steps[entry.parent].address
        digest = entry.digest([parent.digest])
        address = Address(*entry.key, record.slide_id, digest)
        parents = (root,) if entry.parent is None else (parent, root)
        steps[entry.key] = Step(entry=entry, address=address, parents=parents)
    return PlannedSlide(
        record=record, override=override, paths=tuple(paths), version=version, steps=steps
    )


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
        paths=tuple(_place(p, verify=platform.settings.verify) for p in planned.paths),
        slide_mpp=planned.slide_mpp,
        resolution_reason=planned.record.resolution_reason,
        resolution_fact=planned.record.resolution_message,
        steps=tuple(step for key, step in planned.steps.items() if key in keys),
        store_root=str(platform.store.root),
        staging=str(staging),
        device=platform.settings.device,
        read_threads=platform.settings.read_threads,
        scratch=scratch,
    )


def _place(path: PathRecord, *, verify: str) -> SlidePath:
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
