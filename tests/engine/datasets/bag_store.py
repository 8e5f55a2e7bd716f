"""A store with the features of some slides, and a dataset over them, published as a run does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import zarr

from pathassets.adapters.parquet import save_table
from pathassets.adapters.store.folder_store import FolderStore
from pathassets.adapters.store.store import Artifact, Store
from pathassets.adapters.zarr.feature_writer import FeatureWriter
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.datasets.manifest import MANIFEST_COLUMNS
from pathassets.core.spec import digest_of

DIM = 3


@dataclass(frozen=True, kw_only=True)
class Slide:
    """What is to be in the store."""

    slide_id: str
    n: int = 5
    label: str | None = "a"
    patient: str | None = "p"
    split: str = "train"
    features: np.ndarray | None = None
    """float32 (n, DIM), where it matters what they are."""

    @property
    def address(self) -> Address:
        return Address("features", "stats", self.slide_id, digest_of(self.slide_id))

    @property
    def rows(self) -> np.ndarray:
        """Features, float32 (n, DIM): numbers that tell slide and row, where none are given."""
        if self.features is not None:
            return self.features
        start = 1000 * int(digest_of(self.slide_id)[:2], 16)
        return (start + np.arange(self.n * DIM, dtype=np.float32)).reshape(self.n, DIM)

    @property
    def boxes(self) -> np.ndarray:
        return np.arange(4 * self.n, dtype=np.int64).reshape(self.n, 4) + 1


COHORT = (
    Slide(slide_id="s1", n=1500, label="tumour", patient="p1"),
    Slide(slide_id="s2", n=7, label="normal", patient="p1"),
    Slide(slide_id="s3", n=0, label="normal", patient=None),
    Slide(slide_id="s4", n=3, label="tumour", patient="p4", split="test"),
    Slide(slide_id="s5", n=2050, label="stroma", patient="p5", split="val"),
)


def write_dataset(
    root: Path, slides: Sequence[Slide] = COHORT, *, name: str = "cohort", dtype: str = "float32"
) -> Path:
    """Publish features and the dataset; returns its folder in the store."""
    store = FolderStore(root)
    store.open()
    rows = [_row(slide, _publish_features(store, slide, dtype)) for slide in slides]
    manifest = pd.DataFrame(rows, columns=list(MANIFEST_COLUMNS))
    address = Address("dataset", name, ALL_SLIDES, digest_of([slide.slide_id for slide in slides]))
    folder = root / ".staging" / "dataset"
    folder.mkdir(parents=True)
    save_table(folder / "manifest.parquet", manifest.astype({"n_patches": "int64"}))
    store.publish(draft_of(address), folder)
    return store.path_of(address)


def draft_of(address: Address) -> Artifact:
    return Artifact(
        address=address, spec={}, code_version="1", weights_sha256="", parents=(), facts={},
        software={},
    )  # fmt: skip


def _publish_features(store: Store, slide: Slide, dtype: str) -> Artifact:
    folder = store.root / ".staging" / slide.slide_id
    group = folder / "features.zarr"
    if dtype == "float32":
        write_rows(group, slide)
    else:
        write_by_zarr(group, slide, dtype)
    return store.publish(draft_of(slide.address), folder)


def write_rows(group: Path, slide: Slide) -> None:
    boxes = {"coordinates": slide.boxes}
    with FeatureWriter(group, shape=(DIM,), boxes=boxes, attributes={}) as writer:
        writer.write(slide.rows)
        writer.finish()


def write_by_zarr(group: Path, slide: Slide, dtype: str, **given: object) -> None:
    """Write features of another type, or compressed, as other programs do."""
    opened = zarr.create_group(store=str(group))
    for name, rows in (("features", slide.rows.astype(dtype)), ("coordinates", slide.boxes)):
        array = opened.create_array(
            name, shape=rows.shape, dtype=rows.dtype, chunks=(1024, rows.shape[1]),
            **({"compressors": None} | given),
        )  # fmt: skip
        if len(rows):
            array[:] = rows


def _row(slide: Slide, features: Artifact) -> tuple[object, ...]:
    return (
        slide.slide_id, slide.patient, slide.label, slide.split, slide.n,
        f"{slide.address}/features.zarr", features.content_sha256, "", 0.5, "", "", "",
        slide.address.digest,
    )  # fmt: skip
