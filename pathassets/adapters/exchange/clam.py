"""Bags <-> CLAM's folders, and the tables that it trains from.

    h5_files/<name>.h5   features float32, coords int32      pt_files/<name>.pt   the features alone
    patches/<name>.h5    coords, patch_level, patch_size     dataset.csv, splits/splits_<n>.csv

CLAM reads patches as whole pixels of a stored level. Where a resolution lies between the levels
there is no such number: `patches` is left out then, and what trains needs none. Source:
https://github.com/mahmoodlab/CLAM, dataset_modules/dataset_h5.py, dataset_generic.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from pathassets.adapters.exchange.parts.bag_tensors import write_pt
from pathassets.adapters.exchange.parts.claims import PREFIX, claims_of
from pathassets.adapters.exchange.parts.h5_bags import (
    h5_rows,
    number,
    read_h5_bag,
)
from pathassets.adapters.exchange.parts.hdf5 import (
    attributes_of,
    new_h5,
    open_h5,
    own_dataset,
    put_array,
    put_rows,
)
from pathassets.adapters.exchange.parts.output import OutputFile, as_read, csv_file, read_as_pandas
from pathassets.adapters.exchange.parts.strangers import own_file
from pathassets.core.exchange.bags import Bag, unsayable
from pathassets.core.exchange.footprints import LevelPatch, level_patch_of
from pathassets.core.exchange.found import Found, FoundFeatures, Unreadable
from pathassets.core.exchange.training import TrainingRow, columns_of, splits_of
from pathassets.errors import SpecError, StoreError

TOOL = "CLAM"
PARTS = ("train", "val", "test")
"""Columns of its splits."""
MAX_INT32 = 2**31 - 1


def clam_files(bag: Bag) -> Iterator[OutputFile]:
    """Files of one slide; without features, its patches.

    Raises:
        SpecError: patches without features whose pixels are no level's.
    """
    name = bag.slide.name
    if bag.n_columns:
        yield OutputFile(
            path=f"h5_files/{name}.h5", write=partial(_write_h5, bag=bag), source=bag.identity
        )
        yield OutputFile(
            path=f"pt_files/{name}.pt", write=partial(write_pt, bag=bag), source=bag.identity
        )
    found = find_level_patch(bag)
    if found is not None:
        yield OutputFile(
            path=f"patches/{name}.h5", source=bag.identity,
            write=partial(_write_patches, bag=bag, found=found),
        )  # fmt: skip
    elif not bag.n_columns:
        raise unsayable(bag, TOOL, between_levels(bag), remedy="Export the features: those it can")


def find_level_patch(bag: Bag) -> LevelPatch | None:
    """The level and side by which CLAM would read the same patches; None where there are none."""
    return level_patch_of(bag.footprint, bag.slide.mpp, bag.slide.level_downsamples)


def between_levels(bag: Bag) -> str:
    """What is not said of patches between the levels."""
    levels = ", ".join(f"{bag.slide.mpp * d:.4g}" for d in bag.slide.level_downsamples)
    return f"patches at {bag.footprint.mpp:g} um per pixel of a slide with levels at {levels}"


def _write_h5(where: Path, *, bag: Bag) -> None:
    corners_px0 = bag.boxes_px0[:, :2]
    if np.abs(corners_px0).max(initial=0) > MAX_INT32:
        raise unsayable(bag, TOOL, "coordinates beyond int32", remedy="Export it for TRIDENT")
    with new_h5(where) as file:
        put_rows(file, "features", bag.chunks(), (len(bag), bag.n_columns), "float32")
        put_array(file, "coords", corners_px0.astype(np.int32))
        for key, value in claims_of(bag).items():
            file.attrs[key] = value


def _write_patches(where: Path, *, bag: Bag, found: LevelPatch) -> None:
    slide = bag.slide
    downsample = slide.level_downsamples[found.level]
    attributes = {
        "patch_size": found.patch_px,
        "patch_level": found.level,
        "downsample": (downsample, downsample),
        "name": slide.name,
        "save_path": "patches",
        **claims_of(bag),
    }
    if slide.level_sizes_px:
        size_px = slide.level_sizes_px[found.level]
        attributes |= {"downsampled_level_dim": size_px, "level_dim": size_px}
    with new_h5(where) as file:
        put_array(file, "coords", np.ascontiguousarray(bag.boxes_px0[:, :2]), attributes)


def clam_tables(rows: list[TrainingRow]) -> Iterator[OutputFile]:
    """What CLAM trains from: which slide is of whom, its label, and its part.

    Raises:
        SpecError: a label is missing, or a part is none of CLAM's.
    """
    unlabelled = next((row for row in rows if not row.label), None)
    if unlabelled is not None:
        raise SpecError(
            f"{unlabelled.slide_id}: has no label, and CLAM trains on labelled slides alone",
            remedy="State it in a cohort table, or leave the slide out of the dataset",
        )
    table = as_read(csv_file(
        "dataset.csv", ("case_id", "slide_id", "label"),
        ((row.patient, row.name, row.label) for row in rows),
    ), TOOL)  # fmt: skip
    yield table
    name_type = read_as_pandas(table)["slide_id"].dtype
    for place, split in enumerate(splits_of(rows, PARTS, TOOL)):
        lines = ((n, *cells) for n, cells in enumerate(columns_of(split, PARTS)))
        file = csv_file(f"splits/splits_{place}.csv", ("", *PARTS), lines)
        yield as_read(file, TOOL, dict.fromkeys(PARTS, name_type))


# What CLAM left


def find_clam(folder: Path, patches: Path | None = None) -> Iterator[Found]:
    """Features of a folder with `h5_files`; the size of patches is in another, `patches`.

    Raises:
        SpecError: there are none.
    """
    place = folder if folder.name == "h5_files" else folder / "h5_files"
    if not place.is_dir():
        raise SpecError(f"{folder}: has no folder h5_files", remedy="Name CLAM's --feat_dir")
    nearby = (place.parent / "patches", place.parent.parent / "patches")
    found = patches or next(
        (path for path in nearby if path.is_dir() and not path.is_symlink()), None
    )
    for path in sorted(place.glob("*.h5")):
        yield _read(path, folder, None if found is None else found / path.name)


def _read(path: Path, folder: Path, patches: Path | None) -> Found:
    try:
        bag = read_h5_bag(path, folder)
        level, patch_px = _level_and_size(patches)
    except StoreError as error:
        return Unreadable(name=path.stem, path=path, said=error.message)
    used = () if patches is None or patch_px is None else (patches,)
    return FoundFeatures(
        tool="clam", name=path.stem, files=(path, *used), read_corners=bag.read_corners, unit="px0",
        side=patch_px if used else number(bag.of_file, f"{PREFIX}side_px0"), level=level,
        n_rows=bag.n_rows, n_columns=bag.n_columns, dtype=bag.dtype, chunks=h5_rows(path),
        encoder=bag.claimed("encoder"), slide_sha256=bag.claimed("slide_sha256"),
        weights_sha256=bag.claimed("weights_sha256"), exported_from=bag.claimed("source"),
        is_export=bag.has_claims,
        parameters={"patch_level": level, "patch_size": patch_px} if used else {},
    )  # fmt: skip


def _level_and_size(patches: Path | None) -> tuple[int | None, int | None]:
    """Level and side in its pixels, which CLAM keeps with the patches and not with features."""
    if patches is None or not patches.exists():
        return None, None
    with open_h5(own_file(patches, patches.parent)) as file:
        said = attributes_of(own_dataset(patches, file, "coords"))
    level, side_px = number(said, "patch_level"), number(said, "patch_size")
    if level is None or side_px is None:
        raise StoreError(patches, "its coords have no patch_level and patch_size")
    return int(level), int(side_px)
