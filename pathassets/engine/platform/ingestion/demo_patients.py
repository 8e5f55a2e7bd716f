"""Folder -> a cohort to train on: a small slide for each of many patients, in two classes.

patient-001.svs, patient-002.svs, …    what a scanner would have left, 0.35 s of CPU each
cohort.csv                             file, patient, label

Slides of both classes have glands, in `lymphoid` ones a tenth to four tenths of the tissue is
lymphoid aggregates, too. Stains differ from slide to slide, so that colour alone tells them apart
often, and not always.
"""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import numpy as np

from pathassets.adapters.tifffile import write_pyramid
from pathassets.core.demo_painting import Appearance, Piece, paint
from pathassets.core.spec import seed_of
from pathassets.engine.platform.ingestion.demo import COHORT, PYRAMID
from pathassets.errors import OutputExists, SpecError, StoreError

CLASSES = ("glandular", "lymphoid")
MOST_PATIENTS = 999
_WIDTH_PX0, _HEIGHT_PX0 = 1600, 1200


def write_patients(folder: Path, n_patients: int, *, seed: int = 0) -> tuple[Path, ...]:
    """Write so many patients' slides, and whose they are; the same seed gives the same bytes.

    The folder has its name once all is in it.

    Raises:
        SpecError: there cannot be so many.
        OutputExists: something is in the folder.
        StoreError: it cannot be written.
    """
    if not 1 <= n_patients <= MOST_PATIENTS:
        raise SpecError(f"patients: {n_patients} is not between 1 and {MOST_PATIENTS}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputExists(folder, "is there already", remedy="Name an empty folder")
    part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.part")
    try:
        part.mkdir(parents=True)
        names = [_write_patient(part, number, seed) for number in range(1, n_patients + 1)]
        part.replace(folder)
    except OSError as error:
        raise StoreError(
            folder, f"cannot be written: {error.strerror or error}",
            remedy=f"Name a folder you own, on a disk with {n_patients} MB free",
        ) from error  # fmt: skip
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return tuple(folder / name for name in names)


def _write_patient(folder: Path, number: int, seed: int) -> str:
    """Write one slide and its row of the table; returns its name."""
    patient, label = f"patient-{number:03}", CLASSES[number % len(CLASSES)]
    own_seed = seed_of("pathassets sample patient 1", seed, number)
    painting = paint(_look(label, np.random.default_rng(own_seed)), seed=own_seed)
    write_pyramid(folder / f"{patient}.svs", painting.rgb, PYRAMID)
    with (folder / COHORT).open("a") as table:
        if number == 1:
            table.write("file,patient,label\n")
        table.write(f"{patient}.svs,{patient},{label}\n")
    return f"{patient}.svs"


def _look(label: str, rng: np.random.Generator) -> Appearance:
    turn, glands, lymphoid, haematoxylin, eosin, warmth = rng.uniform(size=6).tolist()
    return Appearance(
        width_px0=_WIDTH_PX0,
        height_px0=_HEIGHT_PX0,
        pieces=(Piece(x=0.5, y=0.5, length=0.48, width=0.34, turn=turn),),
        gland_share=0.2 + 0.4 * glands,
        lymphoid_share=0.1 + 0.3 * lymphoid if label == "lymphoid" else 0.0,
        haematoxylin=0.8 + 0.4 * haematoxylin,
        eosin=0.7 + 0.5 * eosin,
        warmth=warmth,
    )
