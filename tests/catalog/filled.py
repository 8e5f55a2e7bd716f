"""A catalog in which every view has rows."""

from __future__ import annotations

from dataclasses import replace

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.records import (
    AnnotationRecord,
    ArtifactRecord,
    AttemptRecord,
    BadTileRecord,
    ChangedBy,
    CohortChange,
    EncoderRecord,
    FileRecord,
    Verdict,
)
from pathassets.core.address import ALL_SLIDES, Address
from tests.catalog.hostile_words import HOSTILE, path_of, slide_of

TABLE = ChangedBy(who="Ann", file="cohort.csv", sha256="c" * 64)
SAID = (
    ("slide", "a", "patient", "P1", None),
    ("slide", "b", "patient", "P1", None),
    ("slide", "a", "label", "tumour", "category"),
    ("slide", "a", "label.grade", "2.5", "number"),
    ("slide", "a", "label.remark", HOSTILE["newline"], "text"),
    ("slide", "a", "cohort", "luad", None),
    ("slide", "a", "cohort", "pilot", None),
    ("slide", "a", "tag", "biopsy", None),
    ("patient", "P1", "site", "Lyon", None),
    ("patient", "P1", "label.os_months", "12", "number"),
)
FEATURES = Address("features", "r18", "a", "f1")
MASK = Address("tissue_mask", "otsu", "a", "m1")
QUALITY = Address("patch_quality", "numbers", "a", "q0")
DATASET = Address("dataset", "cohort", ALL_SLIDES, "d1")
TILE = BadTileRecord(
    slide_id="a", level=0, x_px=0, y_px=256, width_px=256, height_px=256, tile=None,
    reason="no_pixels", message="nothing is stored", found_by="features",
)  # fmt: skip
CARD = EncoderRecord(
    name="r18", version="1", weights_sha256="", dim=512, input_px=None, mpp=None, pooling="",
    precision="float32", weights="none", licence="none needed", is_gated=False, source="",
    description="x",
)  # fmt: skip


def artifact(address: Address, facts: dict[str, object]) -> ArtifactRecord:
    files = tuple(FileRecord(path=f"{n}", size_bytes=2**31, sha256="0" * 64) for n in range(2))
    return ArtifactRecord(
        address=address, uri=str(address), spec={}, code_version="1", facts=facts, files=files,
        made_by="run",
    )  # fmt: skip


def fill(catalog: Catalog) -> None:
    """Enter two slides of one patient, and all that can be said and made of the first."""
    for slide_id in ("a", "b"):
        catalog.register_slide(slide_of(slide_id), path_of(slide_id))
    catalog.register_slide(slide_of("a"), path_of("a", HOSTILE["quotes"] + ".svs"))
    changes = [
        CohortChange(subject=subject, key=key, field=field, old=None, new=new, kind=kind)
        for subject, key, field, new, kind in SAID
    ]
    catalog.record_changes(changes, TABLE)
    catalog.override_mpp("a", 0.25, who="Bob", why="caliper")
    facts = {"n_patches": 8, "n_skipped": 1, "n_bad_tiles": 1, "encoder": "r18", "dim": 512}
    facts |= {"weights": "none", "precision": "float32", "patch_mpp": 0.5, "reader": "tiles"}
    catalog.record_artifact(artifact(MASK, {"tissue_mm2": 1.5, "tissue_share": 0.25}), [])
    catalog.record_artifact(artifact(FEATURES, facts), [MASK])
    quality = {"focus_median": 120.5, "ink_share": 0.0, "n_patches": 8, "fold_share": None}
    for digest in ("q1", "q0"):  # the newer one has the lesser digest
        catalog.record_artifact(artifact(replace(QUALITY, digest=digest), quality), [MASK])
        quality = {**quality, "focus_median": 130.5}
    counts = {"n_slides": 1, "n_patients": 1, "n_without_patient": 0, "n_left_out": 1}
    catalog.record_artifact(artifact(DATASET, counts | {"n_patches": 8}), [FEATURES])
    failed = AttemptRecord(
        run_id="run", address=FEATURES, state="failed", reason="tile_unreadable",
        message=HOSTILE["terminal"], remedy="Copy it again", is_final=True, seconds=1.5,
    )  # fmt: skip
    made = AttemptRecord(run_id="run", address=MASK, state="made")
    catalog.record_attempts([failed, made])
    catalog.record_annotation(
        AnnotationRecord(
            slide_id="a", name="tumour", digest="x", file="a.geojson", sha256="1" * 64,
            n_polygons=3, labels={"": 3}, who="Ann", why="review",
        )
    )  # fmt: skip
    catalog.enter_bad_tiles([TILE])
    catalog.note_encoders([CARD])
    catalog.set_verdict(Verdict(slide_id="a", verdict="review", who="Ann", why="blur"))
