"""ExtractionJob, PatchSetSpec -> a patch set in a folder: images, a table of them, and a text.

images/…, patches.zarr/ or shard-000000.tar …    the images
patches.parquet                                  of each: where it is, what it shows, its hash
patches.txt                                      the same, for a person
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from pathassets.adapters.images.patch_files import PatchFiles, unwritable
from pathassets.adapters.images.webdataset import WebDataset
from pathassets.adapters.parquet import save_manifest
from pathassets.adapters.zarr.packed_images import PackedZarr
from pathassets.core.patches.names import PatchNames, manifest_id_of, plan_names
from pathassets.core.patches.patch_set import PatchSetSpec, PatchWriter, Row, facts_of
from pathassets.core.slides.slide import slide_id_of
from pathassets.engine.patches.extraction import ExtractionJob
from pathassets.engine.patches.images import ImageWork, write_images
from pathassets.engine.patches.manifest import ManifestFacts, manifest_text
from pathassets.engine.patches.multi_resolution import read_job
from pathassets.engine.workers.parts.job import ReadSet

TABLE = "patches.parquet"
TEXT = "patches.txt"
IMAGES = "images"
ZARR = "patches.zarr"


def write_patch_set(  # noqa: PLR0913 - what, how, where to, and under which name
    job: ExtractionJob,
    spec: PatchSetSpec,
    folder: Path,
    *,
    slide_id: str,
    digest: str,
    n_threads: int = 1,
    batches: Iterable[ReadSet] | None = None,
) -> dict[str, Any]:
    """Write a slide's patch set into an empty folder, and count what is in it.

    `digest` names what the set is: names of images hold a part of it. `batches` are the job's
    pixels, where someone else reads them. Equal calls write equal bytes.

    Raises:
        SlideError: the slide cannot be opened or read.
        StoreError: the folder cannot be written.
    """
    identity = {"digest": digest, "slide": slide_id}
    names = plan_names(slide_id, manifest_id_of(identity), job.patch_labels, spec.names)
    work = ImageWork(job=job, names=names, quality=spec.quality, n_threads=n_threads)
    if batches is None:
        batches = read_job(job, slice(None), n_batch=work.n_batch, n_threads=n_threads, spec=spec)
    facts = ManifestFacts(slide=slide_id, extractor="patch_set", params=_params(spec))
    rows: list[Row] = []
    try:
        writer = _writer_for(spec, names, folder)
        with closing(write_images(work, batches, writer)) as written:
            for new in written:
                rows += new
        writer.close()
        save_manifest(folder / TABLE, rows, writer.where)
        (folder / TEXT).write_text(manifest_text(TEXT, names.manifest_id, facts, rows), "utf-8")
    except OSError as error:
        raise unwritable(folder, error) from error
    return facts_of(rows) | {"manifest_id": names.manifest_id}


def _params(spec: PatchSetSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in spec.__dataclass_fields__}


def _writer_for(spec: PatchSetSpec, names: PatchNames, folder: Path) -> PatchWriter:
    if spec.store == "zarr":
        return PackedZarr(
            folder / ZARR, attributes={"slide_id": names.slide, "image_type": spec.image_type}
        )
    if spec.store == "webdataset":
        key = slide_id_of(names.slide, names.manifest_id)
        return WebDataset(
            folder, key=key, image_type=spec.image_type, shard_bytes=spec.shard_mb * 10**6
        )
    return PatchFiles(folder / IMAGES, output_id=names.manifest_id, below=f"{IMAGES}/")
