"""Patch locations -> patch set: an image of every patch."""

import cv2
import numpy as np

from pathassets.adapters.parquet import load_manifest
from pathassets.adapters.tifffile import corrupt_tile
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.slides.open import open_slide
from pathassets.engine.stages.slide_task import run_slide
from tests.engine.annotations import record_boxes
from tests.engine.stages.chains import (
    DRAWN,
    locations_in,
    make_drawn,
    touches,
)


def test_a_patch_set_has_an_image_of_every_patch(reopen, register, make_task, slide):
    made = make_drawn(reopen(DRAWN), register, make_task, slide)
    artifact, folder = made["pngs"]
    rows = load_manifest(folder / "patches.parquet")
    locations = locations_in(made["inside"][1])
    assert [(r["x_px0"], r["y_px0"]) for r in rows] == list(
        zip(locations.x_px0.tolist(), locations.y_px0.tolist(), strict=True)
    )
    with open_slide(slide, backend="openslide") as opened:
        for row in rows:
            pixels = cv2.imread(str(folder / row["file"]))[..., ::-1]
            expected = opened.read_region(
                row["x_px0"], row["y_px0"], level=0, width_px=32, height_px=32
            )
            assert np.array_equal(pixels, expected)
    facts = artifact.facts
    assert (facts["n_patches"], facts["n_images"], facts["n_skipped"]) == (18, 18, 0)
    assert facts["n_by_label"] == {"one": 12, "two": 6}
    only_two = made["zarr"][0].facts
    assert only_two["n_by_label"] == {"two": 6}


def test_a_patch_set_leaves_out_what_touches_a_bad_tile(reopen, register, make_task, make_slide):
    slide = make_slide()
    corrupt_tile(slide, 0, 22)  # tiles of 64 px, ten a row: from (128, 128) to (192, 192)
    recipe = DRAWN[: DRAWN.index("  zarr:")]
    made = make_drawn(reopen(recipe), register, make_task, slide)
    artifact, folder = made["pngs"]
    boxes = locations_in(made["inside"][1]).boxes_px0
    bad = np.flatnonzero(touches(boxes, (128, 128, 192, 192)))
    assert artifact.facts["skipped"] == bad.tolist()
    assert artifact.facts["n_skipped"] == 4
    assert artifact.facts["n_bad_tiles"] == 1
    assert artifact.facts["n_patches"] == 14
    kept = {row["index"] for row in load_manifest(folder / "patches.parquet")}
    assert kept == set(range(18)) - set(bad.tolist())


def test_a_patch_set_of_no_patches_is_one_too(reopen, register, make_task, make_slide):
    platform = reopen(DRAWN)
    [planned] = register(platform, make_slide())
    record_boxes(platform, planned.slide_id)
    outcome = run_slide(make_task(platform, plan_slides(platform)[0]))
    assert outcome.failure is None
    sets = [step for step in outcome.steps if step.step.address.stage == "patch_set"]
    assert [step.artifact.facts["n_images"] for step in sets] == [0, 0]
    assert all(step.preview.startswith(b"\xff\xd8") for step in sets)
