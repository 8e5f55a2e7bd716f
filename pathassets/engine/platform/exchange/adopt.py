"""Files of another tool -> features of an entry, with where they are from; or why not.

    found ─▶ slide, by content and name ─▶ audit ─▶ features/<entry>/<slide>/<digest>, external
                    │                        │                 └─▶ catalog: `run` computes the rest
                    └────────────────────────┴─▶ refused, with the reason

What is adopted is copied: a run, a dataset and an export take it for the entry's features, and its
digest, spec, facts and attributes say that no code of ours made it. A file of an export of ours
that is not what the export's list says is someone else's work: it is adopted where that is asked
for, and then its source says that it was edited.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pathassets.adapters.exchange.parts.listed import ExportLists
from pathassets.adapters.exchange.parts.values import plain_values
from pathassets.adapters.files import FileStamp, fingerprint_from, fingerprint_of, stamp_of
from pathassets.adapters.store.store import Artifact
from pathassets.adapters.zarr.feature_writer import FeatureWriter
from pathassets.catalog.records import AttemptRecord
from pathassets.core.address import Address
from pathassets.core.exchange.audit import Asked
from pathassets.core.exchange.bags import SlideFacts
from pathassets.core.exchange.footprints import boxes_of
from pathassets.core.exchange.found import FoundFeatures, Unreadable
from pathassets.core.exchange.matching import Match
from pathassets.core.external import CODE_VERSION, EXTERNAL, external_digest, external_spec
from pathassets.engine.platform.batch import artifact_record
from pathassets.engine.platform.exchange.audit import (
    Wanted,
    asked_of,
    audit,
    slide_facts,
    wanted_entry,
)
from pathassets.engine.platform.exchange.sources import Find, Source, match_slides, reader_of
from pathassets.engine.platform.plan import PlannedSlide, plan_slides
from pathassets.engine.platform.platform import Platform
from pathassets.engine.software import software_versions
from pathassets.engine.stages.features import ROWS
from pathassets.errors import PathAssetsError, SpecError, StoreError

State = Literal["adopted", "known", "computed", "refused", "other"]
"""Known: adopted before. Computed: here already. Other: of another encoder than the asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """What is to be imported, and for which entry."""

    tool: Source
    folder: Path
    features: str
    """Name of an entry of the recipe's features."""
    patches: Path | None = None
    """Folder of CLAM's patches, where it is not beside the features."""
    max_off: float = 0.0
    """Share by which the side of a patch may differ from the entry's, beyond a level-0 pixel."""
    accepts_edited: bool = False
    """Whether a file that was changed after pathassets exported it is taken for another's."""
    is_dry: bool = False
    """Whether nothing is to be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became, or would become, of one file."""

    path: Path
    state: State
    slide_id: str = ""
    """Empty where it is of no slide."""
    said: str = ""
    n_patches: int = 0
    slide_bytes: int = 0
    """Of the slide, which need not be read for these features."""


def adopt(platform: Platform, request: ImportRequest) -> Iterator[Imported]:
    """Import what another tool left for an entry, file by file.

    Raises:
        SpecError: the recipe has no such features, or the folder holds none of the tool.
        StoreError: the store cannot be written.
    """
    wanted = wanted_entry(platform, request.features)
    find = reader_of(request.tool, request.folder, request.patches)
    matches = match_slides(platform, find, wanted.encoder, wanted.locations.patch_px)
    if not matches:
        raise SpecError(f"{request.folder}: holds no features", remedy="Name another folder")
    yield from _Import(platform, request, wanted).all_of(find, matches)


class _Import:
    """One import, of many files."""

    def __init__(self, platform: Platform, request: ImportRequest, wanted: Wanted) -> None:
        self._platform = platform
        self._request = request
        self._wanted = wanted
        self._run_id = f"import-{uuid.uuid4().hex}"
        self._lists = ExportLists()

    def all_of(self, find: Find, matches: Iterable[Match]) -> Iterator[Imported]:
        """What becomes of each file."""
        for found, match in zip(find(), matches, strict=True):
            path = Path(found.path if isinstance(found, Unreadable) else found.files[0])
            plain = Imported(path=path, state="refused", slide_id=match.slide_id)
            if match.is_other:
                yield replace(plain, state="other")
            elif isinstance(found, Unreadable) or match.fault:
                said = found.said if isinstance(found, Unreadable) else match.fault
                yield replace(plain, said=said)
            else:
                (planned,) = plan_slides(self._platform, [match.slide_id])
                yield self._one(plain, found, planned)

    def _one(self, plain: Imported, found: FoundFeatures, planned: PlannedSlide) -> Imported:
        step = planned.steps[self._wanted.entry.key]
        plain = replace(plain, n_patches=found.n_rows)
        is_there = self._is_whole(step.address)
        if is_there and not step.is_external:
            return replace(plain, state="computed")
        try:
            slide = slide_facts(planned)
            asked = asked_of(self._platform, self._wanted, slide, max_off=self._request.max_off)
            stamp = stamp_of([Path(file) for file in found.files])
            changes = self._changes_of(found)
            refused = changes if changes and not self._request.accepts_edited else ""
            refused = refused or "; ".join(audit(found, slide, asked))
            if refused:
                return replace(plain, said=refused)
            draft = self._draft(planned, slide, found, asked, is_edited=bool(changes))
            if is_there and draft.address == step.address:
                return replace(plain, state="known")
            if not self._request.is_dry:
                self._publish(draft, slide, found, stamp)
        except (PathAssetsError, OSError) as error:
            said = str(error) if isinstance(error, PathAssetsError) else f"cannot be read: {error}"
            return replace(plain, said=said)
        said = changes if self._request.accepts_edited else ""
        return replace(plain, state="adopted", slide_bytes=planned.record.size_bytes, said=said)

    def _changes_of(self, found: FoundFeatures) -> str:
        """Which of its files are not what was exported, and the way out; empty where all are."""
        changes = [self._lists.change_of(Path(file)) for file in found.files]
        told = "; ".join(change for change in changes if change)
        if not told or self._request.accepts_edited:
            return told
        return f"{told}: export it again, or take it for another's features, --accept-edited"

    def _is_whole(self, address: Address) -> bool:
        """Whether an artifact's files are there with their sizes."""
        try:
            self._platform.store.read_whole(address)
        except StoreError:
            return False
        return True

    def _draft(
        self,
        planned: PlannedSlide,
        slide: SlideFacts,
        found: FoundFeatures,
        asked: Asked,
        *,
        is_edited: bool,
    ) -> Artifact:
        entry, source = self._wanted.entry, source_of(found, is_edited=is_edited)
        digest = external_digest(entry, self._wanted.locations, planned.version, source)
        return Artifact(
            address=Address(*entry.key, planned.slide_id, digest),
            spec=external_spec(entry, source),
            code_version=CODE_VERSION,
            weights_sha256="",
            parents=(Address.of_slide(planned.slide_id, planned.version),),
            facts=_facts(found, slide, asked, source),
            software=software_versions(),
        )

    def _publish(
        self, draft: Artifact, slide: SlideFacts, found: FoundFeatures, stamp: FileStamp
    ) -> None:
        """Copy what looked so when it was hashed and audited, and enter it."""
        platform = self._platform
        files = [Path(file) for file in found.files]
        with (
            platform.store.staging(f"{self._run_id}-{slide.slide_id}") as staging,
            platform.store.writing(draft.address),
        ):
            folder = staging / "features"
            _write(folder / ROWS, draft, slide, found)
            if stamp_of(files) != stamp:
                raise SpecError(f"{files[0]}: changed while it was read", remedy="Import it again")
            artifact = platform.store.publish(draft, folder)
        platform.catalog.record_artifact(artifact_record(artifact, self._run_id), artifact.parents)
        platform.catalog.record_attempts(
            [AttemptRecord(run_id=self._run_id, address=draft.address, state="made")]
        )


def source_of(found: FoundFeatures, *, is_edited: bool = False) -> dict[str, Any]:
    """Where features are from, as their spec says it: no path, no name of a file."""
    return {
        "tool": found.tool,
        **({"is_edited": True} if is_edited else {}),
        **plain_values({"tool_version": found.tool_version, "encoder": found.encoder}),
        "dtype": found.dtype,
        "parameters": plain_values(found.parameters),
        "sha256": fingerprint_from(fingerprint_of([Path(file)]) for file in found.files),
    }


def _facts(
    found: FoundFeatures, slide: SlideFacts, asked: Asked, source: dict[str, Any]
) -> dict[str, Any]:
    return {
        "provenance": EXTERNAL,
        "tool": source["tool"],
        "tool_version": source["tool_version"],
        "source_sha256": source["sha256"],
        "source_files": [file.name for file in found.files[:10]],
        "n_patches": found.n_rows,
        "n_skipped": 0,
        "skipped": [],
        "n_bad_tiles": 0,
        "bad_tiles": [],
        "dim": found.n_columns,
        "encoder": asked.encoder,
        "weights": "not known",
        "precision": found.dtype,
        "patch_mpp": asked.mpp,
        "patch_px": asked.patch_px,
        "side_px0": _side_px0(found, slide),
    }


def _side_px0(found: FoundFeatures, slide: SlideFacts) -> int:
    return round(found.side_on(slide) or 0)


def _write(path: Path, draft: Artifact, slide: SlideFacts, found: FoundFeatures) -> None:
    """Copy rows and boxes, chunk by chunk; numbers of 16 bits become float32, exactly."""
    side_px0 = _side_px0(found, slide)
    boxes_px0 = boxes_of(np.rint(found.corners_on(slide.mpp)), side_px0)
    writer = FeatureWriter(
        path, shape=(found.n_columns,), boxes={"coordinates": boxes_px0},
        attributes=_attributes(draft, slide),
    )  # fmt: skip
    for rows in found.chunks():
        writer.write(np.ascontiguousarray(rows, np.float32))
    writer.finish(n_patches=found.n_rows, n_skipped=0)


def _attributes(draft: Artifact, slide: SlideFacts) -> dict[str, Any]:
    """What a person who has only the Zarr group needs to know."""
    facts, source = draft.facts, draft.spec[EXTERNAL]
    overlap_px = source["parameters"].get("overlap")
    return {
        "provenance": EXTERNAL,
        EXTERNAL: source,
        "slide_id": slide.slide_id,
        "slide_sha256": slide.sha256,
        "slide_mpp": slide.mpp,
        "patch_px": facts["patch_px"],
        "patch_mpp": facts["patch_mpp"],
        "side_px0": facts["side_px0"],
        "overlap_px": overlap_px if isinstance(overlap_px, int | float) else None,
        "patch_locations": "",
        "tissue_mask": "",
        "encoder": facts["encoder"],
        "encoder_version": "",
        "weights": facts["weights"],
        "weights_sha256": "",
        "preprocessing": {},
        "pooling": "",
        "precision": facts["precision"],
        "device": "",
        "feature_names": [],
        "software": {},
    }
