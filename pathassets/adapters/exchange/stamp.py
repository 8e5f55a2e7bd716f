"""Bags <-> STAMP's feature files, and the tables that it trains from.

    <extractor>-<hash>/<name>.h5    feats float16 (n, d), coords float32 (n, 2) in micrometres
    <method>-slide-<hash>/<name>.h5 feats float32 (d,), where slide embeddings are exported
    slide_table.csv                 PATIENT, FILENAME
    clini_table.csv, clini_table_<part>.csv   PATIENT, label
    splits.json                     where the parts are train and test, or folds

Attributes are on the file. A slide without patches has no file. `encoder` is never written with
tiles: a file that has it is no tile file to STAMP. Rows are rounded to float16, as STAMP's own are.
Source: https://github.com/KatherLab/STAMP, modeling/data.py, modeling/crossval.py,
encoding/encoder/__init__.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pathassets.adapters.exchange.parts.claims import PREFIX, claims_of
from pathassets.adapters.exchange.parts.h5_bags import as_text, h5_rows, number, read_h5_bag
from pathassets.adapters.exchange.parts.hdf5 import new_h5, put_array, put_rows
from pathassets.adapters.exchange.parts.output import OutputFile, as_read, csv_file, text_file
from pathassets.core.exchange.bags import Bag, SlideVector, unsayable
from pathassets.core.exchange.encoder_names import STAMP, folder_name
from pathassets.core.exchange.footprints import um_of
from pathassets.core.exchange.found import Found, FoundFeatures, Unreadable
from pathassets.core.exchange.training import FOLD, TrainingRow, splits_of
from pathassets.core.spec import digest_of
from pathassets.errors import SpecError, StoreError

TOOL = "STAMP"
STAMP_VERSION = "2.0.0"
"""A reader refuses files of a version newer than itself; this is the oldest with these names."""
HASH_CHARS = 8
PARTS = ("train", "test")
"""Of its splits; what is to validate it draws from train by itself."""


def stamp_files(bag: Bag) -> Iterator[OutputFile]:
    """The file of one slide; none where it has no patch.

    Raises:
        SpecError: there are no features, or micrometres in float32 lead to other pixels.
    """
    if not bag.n_columns:
        raise unsayable(bag, TOOL, "patches without features", remedy="Export features")
    try:
        um_of(bag.boxes_px0, bag.slide.mpp)
    except ValueError as error:
        raise unsayable(
            bag, TOOL, f"where its patches lie: {error}", remedy="Export it for TRIDENT"
        ) from error
    if len(bag):
        yield OutputFile(path=stamp_path(bag), write=partial(_write, bag=bag), source=bag.identity)


def stamp_slide_files(one: SlideVector) -> Iterator[OutputFile]:
    """The file of one slide's vector; none where it has no patch."""
    if not len(one.vector):
        return
    said = {**_what(one.bag), "method": one.method}
    folder = f"{folder_name(f'{one.method}-{extractor_of(one.bag)}')}-slide"
    yield OutputFile(
        path=f"{folder}-{digest_of(said)[:HASH_CHARS]}/{one.bag.slide.name}.h5",
        source=one.identity, write=partial(_write_vector, one=one, code_hash=digest_of(said)),
    )  # fmt: skip


def extractor_of(bag: Bag) -> str:
    """The encoder, as STAMP calls it."""
    return STAMP.get(bag.encoder, bag.encoder)


def stamp_path(bag: Bag) -> str:
    """Where a slide's file is: one folder for each encoder and footprint."""
    hashed = digest_of(_what(bag))[:HASH_CHARS]
    return f"{folder_name(extractor_of(bag))}-{hashed}/{bag.slide.name}.h5"


def _what(bag: Bag) -> dict[str, Any]:
    """What features of one folder share."""
    said = bag.attributes
    return {
        "encoder": bag.encoder,
        "version": said.get("encoder_version", ""),
        "weights_sha256": said.get("weights_sha256", ""),
        "patch_px": bag.footprint.patch_px,
        "mpp": bag.footprint.mpp,
    }


def _write(where: Path, *, bag: Bag) -> None:
    attributes = {
        "stamp_version": STAMP_VERSION,
        "extractor": extractor_of(bag),
        "unit": "um",
        "tile_size_um": bag.footprint.patch_px * bag.footprint.mpp,
        "tile_size_px": bag.footprint.patch_px,
        "code_hash": digest_of(_what(bag)),
        "feat_type": "tile",
        **claims_of(bag),
        "pathassets_slide_mpp": bag.slide.mpp,
    }
    with new_h5(where) as file:
        put_rows(file, "feats", bag.chunks(), (len(bag), bag.n_columns), "float16")
        put_array(file, "coords", um_of(bag.boxes_px0, bag.slide.mpp))
        for key, value in attributes.items():
            file.attrs[key] = value


def _write_vector(where: Path, *, one: SlideVector, code_hash: str) -> None:
    attributes = {
        "version": STAMP_VERSION,
        "stamp_version": STAMP_VERSION,
        "encoder": one.method,
        "precision": "torch.float32",
        "code_hash": code_hash[:HASH_CHARS],
        "feat_type": "slide",
        **claims_of(one.bag),
        f"{PREFIX}source": one.source,
    }
    with new_h5(where) as file:
        put_array(file, "feats", one.vector)
        for key, value in attributes.items():
            file.attrs[key] = value


def stamp_tables(rows: Sequence[TrainingRow]) -> Iterator[OutputFile]:
    """What STAMP trains from; of a split into train and test, its own file of splits, too.

    Raises:
        SpecError: two slides of a patient have different labels or parts.
    """
    yield as_read(csv_file(
        "slide_table.csv", ("PATIENT", "FILENAME"),
        # STAMP takes the slides of a patient that follow each other, and forgets those before.
        sorted((row.patient, f"{row.name}.h5") for row in rows),
    ), TOOL, str)  # fmt: skip
    patients = _patients(rows)
    yield _clini("clini_table.csv", patients)
    parts = sorted({row.part for row in patients})
    for part in parts:
        yield _clini(f"clini_table_{part}.csv", [row for row in patients if row.part == part])
    if {*parts} == {*PARTS} or (parts and all(FOLD.fullmatch(part) for part in parts)):
        splits = [_split(split) for split in splits_of(patients, PARTS, TOOL)]
        yield text_file("splits.json", json.dumps({"splits": splits}, indent=1) + "\n")


def _split(patients: Sequence[TrainingRow]) -> dict[str, list[str]]:
    """One training of a cross-validation."""
    return {
        f"{part}_patients": [row.patient for row in patients if row.part == part] for part in PARTS
    }


def _clini(path: str, patients: Sequence[TrainingRow]) -> OutputFile:
    lines = ((row.patient, row.label) for row in patients)
    return as_read(csv_file(path, ("PATIENT", "label"), lines), TOOL, str)


def _patients(rows: Sequence[TrainingRow]) -> list[TrainingRow]:
    """One row of each patient."""
    found: dict[str, TrainingRow] = {}
    for row in rows:
        first = found.setdefault(row.patient, row)
        if (first.label, first.part) != (row.label, row.part):
            raise SpecError(
                f"patient {row.patient!r}: slide {first.slide_id} is {first.label!r} in "
                f"{first.part}, slide {row.slide_id} is {row.label!r} in {row.part}; STAMP has one "
                "label a patient",
                remedy="State one label for the patient's slides, or export it for CLAM",
            )
    return [found[patient] for patient in sorted(found)]


# What STAMP left


def find_stamp(folder: Path) -> Iterator[Found]:
    """Tile features below a folder.

    Raises:
        SpecError: there are none.
    """
    paths = sorted(folder.rglob("*.h5"))
    if not paths:
        raise SpecError(f"{folder}: has no .h5 file", remedy="Name STAMP's output_dir")
    for path in paths:
        yield _read(path, folder)


def _read(path: Path, folder: Path) -> Found:
    try:
        bag = read_h5_bag(path, folder, "feats")
    except StoreError as error:
        return Unreadable(name=path.stem, path=path, said=error.message)
    said = bag.of_file
    if said.get("feat_type", "tile") != "tile" or said.get("unit", "um") != "um":
        return Unreadable(
            name=path.stem, path=path,
            said=f"holds {said.get('feat_type')!r} in {said.get('unit')!r}, not tiles in um",
        )  # fmt: skip
    kept = ("tile_size_um", "tile_size_px", "code_hash")
    return FoundFeatures(
        tool="stamp", tool_version=as_text(said.get("stamp_version")), name=path.stem,
        files=(path,), read_corners=bag.read_corners, unit="um", side=number(said, "tile_size_um"),
        n_rows=bag.n_rows, n_columns=bag.n_columns, dtype=bag.dtype,
        chunks=h5_rows(path, "feats"), encoder=as_text(said.get("extractor")),
        slide_sha256=bag.claimed("slide_sha256"),
        weights_sha256=bag.claimed("weights_sha256"), exported_from=bag.claimed("source"),
        is_export=bag.has_claims,
        slide_mpp=number(said, f"{PREFIX}slide_mpp"),
        parameters={name: said[name] for name in kept if name in said},
    )  # fmt: skip
