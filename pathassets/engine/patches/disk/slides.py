"""One slide's job -> its images under a folder: whole, resumable, the same for every re-run.

    SHA-256 of the slide, what is asked for ─▶ manifest id ─▶ names

    manifests complete, files there with their sizes? ─yes─▶ nothing to do
        │no
        ▼
    journal (held): parts removed ─▶ images it or the old manifests tell, compared by SHA-256 ─▶
    the others read, encoded, renamed, noted ─▶ manifests renamed ─▶ journal removed

The id is derived, not drawn: the same call finds its own files, another never meets them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pathassets.adapters.files import FileStamp, fingerprint_of, stamp_of
from pathassets.adapters.images.patch_files import (
    Journal,
    PatchFiles,
    foreign_image,
    has_journal,
    has_size,
    highest_set,
    hold_journal,
    is_whole,
    remove_parts,
)
from pathassets.adapters.openslide.diagnosis import require_file
from pathassets.adapters.openslide.members import find_slides, members_of
from pathassets.adapters.parquet import load_manifest, save_manifest
from pathassets.core.patches import patch_set, read_plan
from pathassets.core.patches.names import (
    MANIFESTS,
    NameSpec,
    PatchNames,
    manifest_id_of,
    plan_names,
)
from pathassets.core.patches.patch_set import Row
from pathassets.engine.patches.extraction import ExtractionJob
from pathassets.engine.patches.images import ImageWork, write_images
from pathassets.engine.patches.manifest import ManifestFacts, manifest_text
from pathassets.engine.patches.multi_resolution import read_job
from pathassets.engine.workers.progress import CounterPlace
from pathassets.errors import ArtifactCorrupt, OutputExists, PathAssetsError, SlideChanged


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideJob:
    """A job: one slide's part of what an extractor writes. Picklable."""

    job: ExtractionJob
    job_digest: str
    """Of all that the job asks for but the slide itself."""
    ordinal: int
    """How many slides before it have its name and ask for the same."""
    root: str
    spec: NameSpec
    quality: int | None
    labels: tuple[str, ...]
    """Of all slides that are written to the folder."""
    first_set: int
    counts_globally: bool
    facts: ManifestFacts
    n_threads: int
    n_chunk: int
    counter: CounterPlace | None = None
    """Where to say how many of its patches are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideDone:
    """What became of an order."""

    manifest_id: str
    n_images: int
    pid: int
    is_new: bool
    """Whether anything was written."""


def write_slide(order: SlideJob) -> SlideDone:
    """Write what is not there yet of one slide's images, and then their manifests.

    Raises:
        SlideError: the slide cannot be read, or changes meanwhile. Images that are finished stay,
            without a manifest: a note of the error says so.
        StoreError: the folder cannot be written; OutputExists, a set of it is another slide's.
    """
    members = _members_of(Path(order.job.wsi_file))
    stamp = stamp_of(members)
    output = _Output(order, fingerprint_of(members))
    rows = output.complete_rows()
    is_new = rows is None
    if rows is None or has_journal(output.root / MANIFESTS, output.names.manifest_id):
        with hold_journal(output.root / MANIFESTS, output.names.manifest_id) as journal:
            rows = output.complete_rows()  # another process may have finished it meanwhile
            if rows is None:
                rows = _write(output, journal, members, stamp)
            journal.remove()
    if order.counter is not None:
        order.counter.note(len(order.job))
    return SlideDone(
        manifest_id=output.names.manifest_id, n_images=len(rows), pid=os.getpid(), is_new=is_new
    )


def _write(output: _Output, journal: Journal, members: list[Path], stamp: FileStamp) -> list[Row]:
    """Write what is not there of an output; the rows of all its images."""
    try:
        output.require_own_sets()
        rows = output.write(journal)
        if stamp_of(members) != stamp:
            raise SlideChanged(
                members[0], "changed while it was read", remedy="Once it is whole, run it again"
            )
        output.require_own_sets()  # of two that began at once with one number, too
        output.save_manifests(rows)
    except PathAssetsError as error:
        output.note_failure(error, journal)
        raise
    return rows


def _members_of(path: Path) -> list[Path]:
    """All files of a slide; of a folder with one slide in it, that slide's."""
    if path.is_dir() and len(found := find_slides(path)) == 1:
        path = found[0]
    require_file(path)
    return members_of(path)


class _Output:
    """The files of one order."""

    def __init__(self, order: SlideJob, fingerprint: str) -> None:
        self._order = order
        self._facts = replace(order.facts, slide_sha256=fingerprint)
        self.root = Path(order.root)
        self.names = _names_of(order, fingerprint)
        self._files = PatchFiles(self.root, output_id=self.names.manifest_id)
        self._table = self.root / f"{self.names.manifest}.parquet"
        self._text = self.root / f"{self.names.manifest}.txt"
        self._n_kept = 0

    def complete_rows(self) -> list[Row] | None:
        """The rows of the manifests, where they and all their files are there."""
        rows = self._rows_noted() if self._text.is_file() else None
        is_complete = rows is not None and all(has_size(self.root, row) for row in rows)
        return rows if is_complete else None

    def _rows_noted(self) -> list[Row] | None:
        """The rows of the table; None where there is none to be read, so that it is made anew."""
        try:
            return load_manifest(self._table)
        except ArtifactCorrupt:
            return None

    def write(self, journal: Journal) -> list[Row]:
        """Write the images that are not there; the rows of all."""
        kept = self._kept(journal)
        self._note_kept(len(kept))
        work = ImageWork(
            job=self._order.job, names=self.names, quality=self._order.quality,
            first_set=self._order.first_set, n_threads=self._order.n_threads,
            n_chunk=self._order.n_chunk,
        )  # fmt: skip
        for part in _parts_without(kept, work):
            batches = read_job(work.job, part, n_batch=work.n_batch, n_threads=work.n_threads)
            with closing(write_images(work, batches, self._files)) as written:
                for rows in written:
                    journal.note({"rows": rows})
                    kept |= _by_index(rows)
                    self._note_kept(len(kept))
        return [row for index in work.job.index.tolist() for row in kept.get(index, ())]

    def _note_kept(self, n_kept: int) -> None:
        self._n_kept = n_kept
        if self._order.counter is not None:
            self._order.counter.note(n_kept)

    def _kept(self, journal: Journal) -> dict[int, list[Row]]:
        """Rows of the patches that an earlier process finished, by index; its parts are removed."""
        noted = self._rows_noted() or []
        if noted or not journal.is_new:
            remove_parts(self._folders(), self.names.manifest_id)
        # From here on the journal tells, however soon this process ends: that parts may lie about,
        # and what an output that looked complete still has.
        journal.note({"rows": noted})
        for path in (self._text, self._table):
            path.unlink(missing_ok=True)
        rows = [row for entry in journal.entries for row in entry["rows"]] + noted
        n_views = len(self._order.job.levels_or_mpps)
        return {
            index: patch
            for index, patch in _by_index(rows).items()
            if len(patch) == n_views and all(is_whole(self.root, row) for row in patch)
        }

    def _folders(self) -> Iterator[Path]:
        """All folders that unfinished files may lie in."""
        yield self.root / MANIFESTS
        if self._order.job.is_set:
            yield from self._set_folders()
        else:
            labels = self._order.job.patch_labels
            yield from {self.root / self.names.folder_of(label, None) for label in labels}

    def _set_folders(self) -> Iterator[Path]:
        """The folder of each set."""
        order, job = self._order, self._order.job
        for place, code in enumerate(job.label_codes.tolist()):
            yield self.root / self.names.folder_of(job.labels[code], order.first_set + place)

    def require_own_sets(self) -> None:
        """Refuse a set that has images of another output: patches of two slides are no set.

        Raises:
            OutputExists: there is one.
        """
        if not self._order.job.is_set:
            return
        for folder in self._set_folders():
            foreign = foreign_image(folder, self.names.manifest_id)
            if foreign:
                raise OutputExists(
                    folder, f"is a patch set already, with {foreign}",
                    remedy=f"Number the sets of this slide from global_counter="
                    f"{highest_set(self.root) + 1} on, or name another folder",
                )  # fmt: skip

    def save_manifests(self, rows: Sequence[Row]) -> None:
        """Write the table, then the text: where that is, all is."""
        with self._files.whole(self._table) as part:
            save_manifest(part, rows, self._files.where)
        path = f"{self.names.manifest}.txt"
        with self._files.whole(self._text) as part:
            text = manifest_text(path, self.names.manifest_id, self._facts, rows)
            part.write_text(text, "utf-8")

    def note_failure(self, error: PathAssetsError, journal: Journal) -> None:
        """Say with an error what is left on the disk."""
        if self._n_kept:
            error.add_note(
                f"{self._n_kept} of {len(self._order.job)} patches are in {self.root} under "
                f"{self.names.manifest_id}, without a manifest; the same call goes on from there"
            )
        else:
            journal.remove()


def _names_of(order: SlideJob, fingerprint: str) -> PatchNames:
    """Names of an order's images: the id tells all that decides on any byte."""
    job = order.job
    draft = plan_names(
        job.slide_id, "", order.labels, order.spec, counts_globally=order.counts_globally
    )
    used = [label for label in job.patch_labels if label]
    identity: dict[str, Any] = {
        "code": [patch_set.CODE_VERSION, read_plan.CODE_VERSION],
        "slide": fingerprint,
        "slide_id": job.slide_id,
        "job": order.job_digest,
        "ordinal": order.ordinal,
        "names": asdict(order.spec),
        "parts": [draft.slide, draft.comment],
        "labels": {
            label: [draft.labels.parts[label], draft.labels.folders[label]] for label in used
        },
        "sets": [order.first_set, order.counts_globally] if job.is_set else None,
        "quality": order.quality,
    }
    return replace(draft, manifest_id=manifest_id_of(identity))


def _by_index(rows: Sequence[Row]) -> dict[int, list[Row]]:
    """Rows by their patch; of rows for one file the last counts."""
    last = {row["file"]: row for row in rows}
    found: dict[int, list[Row]] = {}
    for row in last.values():
        found.setdefault(int(row["index"]), []).append(row)
    return found


def _parts_without(kept: dict[int, list[Row]], work: ImageWork) -> list[slice]:
    """Whole batches with a patch that is not there; neighbours are one part, read at once."""
    index = work.job.index
    is_missing = ~np.isin(index, np.fromiter(kept, np.int64, len(kept)))
    batches = np.unique(np.flatnonzero(is_missing) // work.n_batch)
    if not len(batches):
        return []
    runs = np.split(batches, np.flatnonzero(np.diff(batches) > 1) + 1)
    return [
        slice(int(run[0]) * work.n_batch, min((int(run[-1]) + 1) * work.n_batch, len(index)))
        for run in runs
    ]
