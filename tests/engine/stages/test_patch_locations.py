"""Tissue mask -> patch locations: over the tissue, and in what was drawn."""

import cv2
import numpy as np
import pytest

from pathassets.adapters.parquet import load_locations
from pathassets.engine.platform.annotations import AnnotationSource, record_file
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.stages.slide_task import run_slide
from tests.engine.stages.chains import (
    DRAWN,
    ONE,
    TWO,
    locations_in,
    make_drawn,
    touches,
)


def test_the_grid_lies_on_the_tissue_and_tells_its_sizes(made):
    artifact, folder = made["patch_locations"]
    facts = artifact.facts
    locations = load_locations(folder / "locations.parquet", side_px0=64, patch_px=64, mpp=0.5)
    assert len(locations) == facts["n_patches"] >= 30
    assert (facts["side_px0"], facts["patch_px"], facts["mpp"], facts["level"]) == (64, 64, 0.5, 0)
    assert facts["is_upsampled"] is False
    assert (locations.tissue_share >= 0.5).all()


def test_patches_lie_in_what_was_drawn_and_bear_its_label(reopen, register, make_task, slide):
    made = make_drawn(reopen(DRAWN), register, make_task, slide)
    artifact, folder = made["inside"]
    locations = locations_in(folder)
    assert artifact.facts["n_by_label"] == {"one": 12, "two": 6, "glass": 0}
    assert artifact.facts["n_patches"] == len(locations) == 18
    labels = np.array(locations.labels)[locations.label_codes]
    boxes = locations.boxes_px0
    assert (touches(boxes, ONE) == (labels == "one")).all()
    assert (touches(boxes, TWO) == (labels == "two")).all()


def test_patches_lie_outside_of_what_was_drawn(reopen, register, make_task, slide):
    made = make_drawn(reopen(DRAWN), register, make_task, slide)
    boxes = locations_in(made["outside"][1]).boxes_px0
    assert len(boxes) > 60
    assert not touches(boxes, ONE).any()
    assert not touches(boxes, TWO).any()


def test_a_mask_picture_is_a_mask_and_an_area(reopen, register, make_task, slide, tmp_path):
    platform = reopen(DRAWN)
    [planned] = register(platform, slide)
    picture = np.zeros((125, 150), np.uint8)
    picture[25:75, 25:100] = 255  # of 4 px: from (100, 100) to (400, 300)
    cv2.imwrite(str(tmp_path / "mask.png"), picture)
    for name in ("tumour", "mended"):
        stated = AnnotationSource(name=name, who="Ann", why="mended")
        record_file(platform, planned.slide_id, tmp_path / "mask.png", stated)
    outcome = run_slide(make_task(platform, plan_slides(platform)[0]))
    assert outcome.failure is None, outcome.failure
    made = {step.step.address.name: step.artifact for step in outcome.steps}
    assert made["otsu"].facts["downsample"] == 4
    assert made["otsu"].facts["tissue_mm2"] == pytest.approx(0.15 * 0.1)
    # Whole patches of 32 px between 100 and 400, and between 100 and 300.
    assert made["inside"].facts["n_by_label"] == {"": 8 * 5}
