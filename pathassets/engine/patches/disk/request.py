"""What a user asks of the to-disk extractors -> an order for each slide, numbered in input order.

    parameters ─▶ checked ─▶ DiskRequest ─▶ patches objects ─▶ SlideJobs, the folder made

Whatever is wrong with a request is said before anything is read.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pathassets.adapters.images.patch_files import unwritable
from pathassets.adapters.objects.remote_file import on_disk
from pathassets.core.patches.names import NameSpec
from pathassets.core.patches.patch_set import check_quality
from pathassets.core.spec import canonical_json
from pathassets.engine.patches.disk.slides import SlideJob
from pathassets.engine.patches.extraction import (
    ExtractionJob,
    ExtractionSpec,
    Patches,
    job_of,
)
from pathassets.engine.patches.manifest import ManifestFacts, plain
from pathassets.engine.patches.parameters import check_number


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskRequest:
    """What a user asks for, for all slides."""

    extraction: ExtractionSpec
    output_dir: str
    names: NameSpec
    quality: int | None
    global_counter: int | None
    n_threads: int
    n_chunk: int

    def orders(self, all_patches: Iterable[Patches]) -> list[SlideJob]:
        """An order for each slide, in input order; patch sets are numbered by it.

        The folder is made, where all can be ordered.

        Raises:
            SpecError: an object has no patches.
            StoreError: the folder cannot be made.
        """
        found = [(patches, job_of(patches, self.extraction)) for patches in all_patches]
        labels = tuple(sorted({label for _, job in found for label in job.patch_labels}))
        seen: Counter[tuple[str, str]] = Counter()
        orders, number = [], self.global_counter
        for patches, job in found:
            digest = _digest_of(job)
            orders.append(
                SlideJob(
                    job=job, job_digest=digest, ordinal=seen[job.slide_id, digest],
                    root=self.output_dir, spec=self.names, quality=self.quality, labels=labels,
                    first_set=1 if number is None else number, counts_globally=number is not None,
                    facts=self._facts(patches, job), n_threads=self.n_threads, n_chunk=self.n_chunk,
                )
            )  # fmt: skip
            seen[job.slide_id, digest] += 1
            number = None if number is None else number + len(job)
        try:
            Path(self.output_dir).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.output_dir, error) from error
        return orders

    def _facts(self, patches: Patches, job: ExtractionJob) -> ManifestFacts:
        asked, names = self.extraction, self.names
        params: dict[str, Any] = {
            "create_subdirs": names.create_subdirs,
            "excluded_labels": list(asked.excluded_labels),
            "filename_comment": names.comment,
            "filename_separator": names.separator,
            "image_type": names.image_type,
            "included_labels": list(asked.included_labels),
            "quality": self.quality,
            "resampling_mode": asked.resampling_mode,
        }
        if job.is_set:
            params |= {
                "global_counter": self.global_counter,
                "levels_or_mpps": list(job.levels_or_mpps),
            }
        params = getattr(patches, "param_info", None) or {}
        return ManifestFacts(
            slide=Path(job.wsi_file).name,
            patch_class=str(getattr(patches, "class_name", None) or type(patches).__name__),
            patch_params={
                str(name): plain(_without_folder(value)) for name, value in params.items()
            },
            extractor="MultiResDiskPatchExtractor" if job.is_set else "DiskPatchExtractor",
            params=params,
        )


def _without_folder(value: Any) -> Any:
    """A file by its name alone: folders are this machine's."""
    is_path = isinstance(value, str | Path) and Path(value).is_absolute()
    return Path(value).name if is_path else value


def _digest_of(job: ExtractionJob) -> str:
    """SHA-256 of all that a job asks for but the slide itself."""
    hasher = hashlib.sha256()
    said = {
        "slide_mpp": job.slide_mpp,
        "level_or_mpp": job.level_or_mpp,
        "levels_or_mpps": job.levels_or_mpps,
        "is_set": job.is_set,
        "resampling_mode": job.resampling_mode,
        "labels": [job.labels[code] for code in job.label_codes.tolist()],
    }
    hasher.update(canonical_json(said).encode())
    for part in (job.x_px0, job.y_px0, job.width_px, job.height_px, job.index):
        hasher.update(np.ascontiguousarray(part, "<i8").tobytes())
    return hasher.hexdigest()


def disk_request(  # noqa: PLR0913 - what the users' parameters come to
    extraction: ExtractionSpec, *, output_dir: str | Path, image_type: str, filename_comment: str,
    filename_separator: str, create_subdirs: bool, quality: int | None, n_threads: int,
    n_chunk: int, global_counter: int | None = None,
) -> DiskRequest:  # fmt: skip
    """Check what a user gives.

    Raises:
        SpecError: something of it is impossible.
    """
    if global_counter is not None:
        check_number("global_counter", global_counter, least=0)
    names = NameSpec(
        image_type=image_type, comment=filename_comment or "", separator=filename_separator,
        create_subdirs=create_subdirs,
    )  # fmt: skip
    check_quality(quality, image_type)
    return DiskRequest(
        extraction=extraction, output_dir=str(on_disk(output_dir).absolute()), names=names,
        quality=quality, global_counter=global_counter, n_threads=n_threads, n_chunk=n_chunk,
    )  # fmt: skip
