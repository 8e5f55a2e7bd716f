"""Files of another tool -> features of an entry, with where they are from; or why not.

    found ─▶ slide, by content and name ─▶ audit ─▶ features/<entry>/<slide>/<digest>, external
                    │                        │                 └─▶ catalog: `run` computes the rest
                    └────────────────────────┴─▶ refused, with the reason

What is adopted is copied: a run, a dataset and an export take it for the entry's features, and its
digest, spec, facts and attributes say that no code of ours made it. A file of an export of ours
that is not what was exported is someone else's work, whatever is here already: it is adopted where
that is asked for, and then its source says that it was edited.
"""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pathassets.adapters.exchange.parts.values import plain_values
from pathassets.adapters.files import FileStamp, fingerprint_from, fingerprint_of, stamp_of
from pathassets.adapters.store.store import Artifact
from pathassets.adapters.zarr.feature_writer import FeatureWriter
from pathassets.catalog.records import AttemptRecord
from pathassets.core.address import Address
from pathassets.core.exchange.audit import Asked
from pathassets.core.exchange.bags import SlideFacts
from pathassets.core.exchange.footprints import boxes_of
from pathassets.core.exchange.found import Found, FoundFeatures, Unreadable
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
from pathassets.engine.platform.exchange.exported import ExportedFiles
from pathassets.engine.platform.exchange.sources import Source, match_slides, reader_of
from pathassets.engine.platform.plan import PlannedSlide, plan_slides
from pathassets.engine.platform.platform import Platform
from pathassets.engine.software import software_versions
from pathassets.engine.stages.features import ROWS
from pathassets.errors import (
    PathAssetsError,
    SlideError,
    SpecError,
    StoreError,
)
from pathassets.errors.wording import without_subject

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

    @property
    def command_that_accepts(self) -> str:
        """The command that takes what was edited, too."""
        words = ["pathassets", "import", self.tool, str(self.folder), "--features", self.features]
        if self.patches is not None:
            words += ["--patches", str(self.patches)]
        if self.max_off:
            words += ["--max-off", f"{self.max_off:g}"]
        return shlex.join([*words, "--accept-edited"])


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
    seen = [_seen(found) for found in find()]
    if not seen:
        raise SpecError(f"{request.folder}: holds no features", remedy="Name another folder")
    matches = match_slides(platform, (one.found for one in seen), wanted)
    yield from _Import(platform, request, wanted).all_of(seen, matches)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the header of a file says, and how the file looked when that was read."""

    found: Found
    stamp: FileStamp | None
    """None of what cannot be read."""


def _seen(found: Found) -> _Seen:
    if isinstance(found, Unreadable):
        return _Seen(found=found, stamp=None)
    try:
        return _Seen(found=found, stamp=stamp_of([Path(file) for file in found.files]))
    except SlideError as error:  # as files are told, whatever they hold
        gone = Unreadable(name=found.name, path=found.files[0], said=error.message)
        return _Seen(found=gone, stamp=None)


class _Import:
    """One import, of many files."""

    def __init__(self, platform: Platform, request: ImportRequest, wanted: Wanted) -> None:
        self._platform = platform
        self._request = request
        self._wanted = wanted
        self._run_id = f"import-{uuid.uuid4().hex}"
        self._exports = ExportedFiles(platform)

    def all_of(self, seen: Iterable[_Seen], matches: Iterable[Match]) -> Iterator[Imported]:
        """What becomes of each file; a line names its file, and what is said of it does not."""
        for one, match in zip(seen, matches, strict=True):
            found = one.found
            path = Path(found.path if isinstance(found, Unreadable) else found.files[0])
            plain = Imported(path=path, state="refused", slide_id=match.slide_id)
            done = self._become(plain, one, match)
            yield replace(done, said=without_subject(path, done.said))

    def _become(self, plain: Imported, seen: _Seen, match: Match) -> Imported:
        found = seen.found
        if match.is_other:
            return replace(plain, state="other")
        if isinstance(found, Unreadable):
            return replace(plain, said=found.said)
        try:
            if match.fault:
                told = (match.fault, self._exports.change_of(found))
                return replace(plain, said="; ".join(filter(None, told)))
            (planned,) = plan_slides(self._platform, [match.slide_id])
            # Of a copy, which goes when this slide is done: a header keeps coordinates once read.
            return self._one(plain, replace(found), seen.stamp, planned)
        except (PathAssetsError, OSError) as error:
            said = str(error) if isinstance(error, PathAssetsError) else f"cannot be read: {error}"
            return replace(plain, said=said)

    def _one(
        self, plain: Imported, found: FoundFeatures, stamp: FileStamp | None, planned: PlannedSlide
    ) -> Imported:
        """What becomes of the features of a slide: what was edited is told whatever is here."""
        step, request = planned.steps[self._wanted.entry.key], self._request
        plain = replace(plain, n_patches=found.n_rows)
        checked = self._exports.check(found, planned.slide_id)
        if checked.change and not request.accepts_edited:
            way_out = f"take it for another's features: {request.command_that_accepts}"
            return replace(plain, said=f"{checked.change}: export it again, or {way_out}")
        is_there = self._is_whole(step.address)
        if is_there and not step.is_external:
            return replace(plain, state="computed", said=checked.change)
        slide = slide_facts(planned)
        asked = asked_of(self._platform, self._wanted, slide, max_off=request.max_off)
        if refused := "; ".join(audit(found, slide, asked)):
            return replace(plain, said=refused)
        draft = self._draft(planned, slide, found, asked, is_edited=bool(checked.change))
        if is_there and draft.address == step.address:
            return replace(plain, state="known", said=checked.change)
        if not request.is_dry:
            self._publish(draft, slide, found, stamp)
        return replace(
            plain, state="adopted", slide_bytes=planned.record.size_bytes,
            said=checked.change or checked.note,
        )  # fmt: skip

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
        self, draft: Artifact, slide: SlideFacts, found: FoundFeatures, stamp: FileStamp | None
    ) -> None:
        """Copy what looked so when its header was read, and enter it."""
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
