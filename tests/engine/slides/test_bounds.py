"""What is drawn on a slide whose scan lies within a larger level 0: put where it belongs, or asked.

The scan is 1024 x 768 px at (300, 200) of a level 0 of 1500 x 1200 px; tissue is a rectangle in it.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pathassets import DeepFeatureExtractor, PolygonRegionGridPatches
from pathassets.adapters.annotations.reader import read_annotations
from pathassets.adapters.openslide import reader
from pathassets.adapters.parquet import load_locations
from pathassets.adapters.zarr.arrays import load_mask
from pathassets.core.tissue.tissue_mask import TissueMask
from pathassets.engine.features.extractor import SlidesFailed
from pathassets.engine.platform.annotations import (
    annotations_of,
    find_preview,
    record_file,
    withdraw,
)
from pathassets.engine.platform.plan import annotation_address, plan_slides
from pathassets.engine.slides.open import open_slide
from pathassets.engine.slides.tissue_mask import as_tissue_mask
from pathassets.engine.stages.patch_locations import LOCATIONS
from pathassets.engine.stages.slide_task import run_slide
from pathassets.errors import SlideUnreadable, SpecError
from tests.bounded_slides import write_mrxs, write_scn
from tests.core.formula_slide import FormulaSlide
from tests.engine.annotations import ANN_SAYS, write_boxes
from tests.engine.conftest import RECIPE
from tests.engine.probe_encoder import Probe

CANVAS_PX0, SCAN_PX0, CORNER_PX0 = (1500, 1200), (1024, 768), (300, 200)
BOUNDS_PX0 = (300, 200, 1324, 968)
TISSUE = (320.0, 256.0, 704.0, 512.0)
"""In the frame of the bounds."""
TISSUE_PX0 = (620.0, 456.0, 1004.0, 712.0)
DRAWN = RECIPE.replace("otsu: {mpp: 8.0}", "otsu: {mpp: 8.0, annotations: mended}").replace(
    "patch_px: 64, mpp: 0.5", "patch_px: 64, mpp: 0.5, annotations: tumour, region: annotations"
)
DRAWN += "annotations:\n  tumour:\n  mended:\n"
IN_BOUNDS, ON_LEVEL0 = (replace(ANN_SAYS, frame=frame) for frame in ("bounds", "level0"))


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    scan = np.full((SCAN_PX0[1], SCAN_PX0[0], 3), 240, np.uint8)
    x0, y0, x1, y1 = map(int, TISSUE)
    noise = np.random.default_rng(0).integers(0, 40, (y1 - y0, x1 - x0, 3), np.uint8)
    scan[y0:y1, x0:x1] = np.array([150, 60, 140], np.uint8) + noise
    return write_scn(tmp_path_factory.mktemp("leica") / "a.scn", scan, CANVAS_PX0, CORNER_PX0)


@pytest.fixture
def platform(reopen):
    return reopen(DRAWN)


@pytest.fixture
def slide_id(platform, slide, register):
    return register(platform, slide)[0].slide_id


@pytest.fixture
def file(tmp_path):
    """The tissue as QuPath writes it."""
    return write_boxes(tmp_path / "a.geojson", TISSUE)


def picture(tmp_path, area_px0: tuple[int, int], tissue, px0: int = 8):
    """A mask of an area, one pixel for some."""
    mask = np.zeros((area_px0[1] // px0, area_px0[0] // px0), np.uint8)
    x0, y0, x1, y1 = (round(at / px0) for at in tissue)
    mask[y0:y1, x0:x1] = 255
    cv2.imwrite(str(tmp_path / f"a{area_px0[0]}.png"), mask)
    return tmp_path / f"a{area_px0[0]}.png"


def box_of(polygons) -> list[float]:
    points = np.concatenate([polygon.points for polygon in polygons])
    return [*points.min(0), *points.max(0)]


def facts_of(platform, annotation):
    return platform.store.read(annotation_address(annotation)).facts


# ------------------------------------------------------------------------------- the slide


def test_a_slide_says_its_bounds_and_one_that_is_scanned_whole_has_none(slide, make_slide):
    with open_slide(slide) as opened:
        assert (opened.info.width_px0, opened.info.height_px0) == CANVAS_PX0
        assert opened.info.bounds_px0 == BOUNDS_PX0
        assert opened.info.origin_px0 == CORNER_PX0
    with open_slide(make_slide()) as opened:
        assert opened.info.bounds_px0 is None
        assert opened.info.origin_px0 == (0, 0)


@pytest.mark.parametrize(
    ("said", "bounds_px0"),
    [
        ("0 0 1500 1200", None),
        ("0 0 1500 1000", (0, 0, 1500, 1000)),
        ("-3 -2 1600 1300", None),
        ("20 30 0 0", None),
        ("20 30 2000 2000", (20, 30, 1500, 1200)),
        ("20 30 40", None),
    ],
)
def test_bounds_are_a_part_of_level_0_or_none(said, bounds_px0):
    names = [f"openslide.bounds-{name}" for name in ("x", "y", "width", "height")]
    properties = dict(zip(names, said.split(), strict=False))
    assert reader.bounds_px0_of(properties, 1500, 1200) == bounds_px0


# ------------------------------------------------------------------------------- polygons


def test_polygons_are_refused_until_their_frame_is_said(platform, slide_id, file):
    with pytest.raises(SpecError, match=r"has bounds, 1024 x 768 px of 1500 x 1200 px") as caught:
        record_file(platform, slide_id, file, ANN_SAYS)
    assert "--frame bounds where QuPath wrote them" in caught.value.remedy
    assert platform.catalog.annotation_history(slide_id) == []


def test_polygons_of_the_bounds_are_kept_in_level_0_pixels_and_the_frame_is_recorded(
    platform, slide_id, file
):
    annotation = record_file(platform, slide_id, file, IN_BOUNDS).annotation
    kept = platform.store.path_of(annotation_address(annotation)) / "annotations.geojson"
    assert box_of(read_annotations(kept).polygons) == list(TISSUE_PX0)
    assert (annotation.frame, facts_of(platform, annotation)["frame"]) == ("bounds", "bounds")
    assert annotations_of(platform, slide_id) == [annotation]


def test_another_frame_is_another_drawing(platform, slide_id, file, tmp_path):
    in_bounds = record_file(platform, slide_id, file, IN_BOUNDS)
    on_level0 = record_file(platform, slide_id, file, ON_LEVEL0)
    assert on_level0.is_new
    assert on_level0.annotation.digest != in_bounds.annotation.digest
    moved = write_boxes(tmp_path / "moved.geojson", TISSUE_PX0)
    same_place = record_file(platform, slide_id, moved, ON_LEVEL0)
    assert same_place.annotation.digest not in {
        in_bounds.annotation.digest,
        on_level0.annotation.digest,
    }
    gone = withdraw(platform, slide_id, ANN_SAYS)
    assert gone.frame == ""


def test_the_outline_a_person_looks_at_lies_on_the_tissue(platform, slide_id, file):
    seen = {}
    for stated in (IN_BOUNDS, ON_LEVEL0):
        jpeg = find_preview(platform, record_file(platform, slide_id, file, stated).annotation)
        bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(int)
        is_red = (bgr[..., 2] - np.maximum(bgr[..., 0], bgr[..., 1])) > 60
        rows, columns = np.nonzero(is_red)
        scale = CANVAS_PX0[0] / bgr.shape[1]
        seen[stated.frame] = np.array(
            [columns.min(), rows.min(), columns.max(), rows.max()]
        ) * scale  # fmt: skip
    assert seen["bounds"] == pytest.approx(TISSUE_PX0, abs=15)
    assert seen["level0"] == pytest.approx(TISSUE, abs=15)


def test_a_slide_without_bounds_is_asked_nothing_and_says_nothing(
    platform, register, make_slide, tmp_path
):
    [*_, planned] = register(platform, make_slide("whole.svs"))
    file = write_boxes(tmp_path / "whole.geojson", (100.0, 100.0, 300.0, 200.0))
    digests = {
        record_file(platform, planned.slide_id, file, stated).annotation.digest
        for stated in (ANN_SAYS, IN_BOUNDS, ON_LEVEL0)
    }
    assert len(digests) == 1
    [annotation] = annotations_of(platform, planned.slide_id)
    assert annotation.frame == ""
    assert "frame" not in facts_of(platform, annotation)


def test_patches_in_what_was_drawn_in_the_bounds_lie_on_the_tissue(
    platform, slide_id, file, make_task
):
    record_file(platform, slide_id, file, IN_BOUNDS)
    outcome = run_slide(
        make_task(platform, plan_slides(platform)[0], "tissue_mask", "patch_locations")
    )
    assert outcome.failure is None, outcome.failure
    made = {step.step.address.stage: step for step in outcome.steps}
    place = platform.store.path_of(made["patch_locations"].step.address)
    boxes = load_locations(place / LOCATIONS, side_px0=64, patch_px=64, mpp=0.5).boxes_px0
    assert len(boxes) > 20
    low, high = boxes.min(0), boxes.max(0)
    assert (low[0], low[1]) >= (620 - 32, 456 - 32)
    assert (high[2], high[3]) <= (1004 + 32, 712 + 32)


def test_a_drawing_that_was_recorded_before_anybody_asked_is_refused_by_its_name(
    platform, slide_id, file, make_task, monkeypatch
):
    monkeypatch.setattr("pathassets.engine.platform.annotations.DENSE_VENDORS", {"leica"})
    old = record_file(platform, slide_id, file, ANN_SAYS).annotation
    assert old.frame == ""
    failure = run_slide(make_task(platform, plan_slides(platform)[0])).failure
    assert failure.reason == "annotation_error"
    assert f"annotations/tumour/{slide_id}" in failure.message
    assert f"annotations set {slide_id} FILE --name tumour --frame bounds" in failure.remedy
    monkeypatch.undo()
    new = record_file(platform, slide_id, file, ON_LEVEL0).annotation
    assert new.digest != old.digest


def test_a_mirax_slide_is_asked_too_and_its_annotations_lie_where_they_belong(
    platform, register, tmp_path, file
):
    scan = np.full((512, 768, 3), 240, np.uint8)
    path = write_mrxs(tmp_path / "mirax" / "m.mrxs", scan, (7, 5), (2, 1))
    with open_slide(path) as opened:
        assert (opened.info.width_px0, opened.info.height_px0) == (1792, 1280)
        assert opened.info.bounds_px0 == (512, 256, 1280, 768)
    [*_, planned] = register(platform, path)
    with pytest.raises(SpecError, match=r"768 x 512 px of 1792 x 1280 px from \(512, 256\) on"):
        record_file(platform, planned.slide_id, file, ANN_SAYS)
    annotation = record_file(platform, planned.slide_id, file, IN_BOUNDS).annotation
    kept = platform.store.path_of(annotation_address(annotation)) / "annotations.geojson"
    x0, y0, x1, y1 = TISSUE
    assert box_of(read_annotations(kept).polygons) == [x0 + 512, y0 + 256, x1 + 512, y1 + 256]
    path.unlink()
    with pytest.raises(SlideUnreadable):  # where its bounds are only the slide tells
        record_file(platform, planned.slide_id, file, IN_BOUNDS)


# ------------------------------------------------------------------------------- masks


@pytest.mark.parametrize(
    ("area_px0", "tissue", "frame"),
    [(SCAN_PX0, TISSUE, "bounds"), ((1504, 1200), TISSUE_PX0, "level0")],
)
def test_the_size_of_a_mask_tells_its_frame(  # noqa: PLR0913, PLR0917
    platform, slide_id, make_task, tmp_path, area_px0, tissue, frame
):
    file = picture(tmp_path, area_px0, tissue)
    stated = replace(ANN_SAYS, name="mended")
    annotation = record_file(platform, slide_id, file, stated).annotation
    assert (annotation.frame, facts_of(platform, annotation)["frame"]) == (frame, frame)
    record_boxes_of(platform, slide_id)
    outcome = run_slide(make_task(platform, plan_slides(platform)[0], "tissue_mask"))
    [step] = outcome.steps
    mask = load_mask(platform.store.path_of(step.step.address) / "tissue.zarr")
    rows, columns = np.nonzero(mask.tissue)
    found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert found * mask.downsample == pytest.approx(TISSUE_PX0, abs=8)
    assert mask.tissue.sum() == 48 * 32
    other = "level0" if frame == "bounds" else "bounds"
    with pytest.raises(SpecError, match=r"is said to be of .* and is of the shape of"):
        record_file(platform, slide_id, file, replace(stated, frame=other))


def record_boxes_of(platform, slide_id):
    """State that there is no tumour."""
    file = platform.settings.home / "none.geojson"
    write_boxes(file)
    record_file(platform, slide_id, file, ON_LEVEL0)


def test_a_mask_that_fits_both_must_be_said_and_one_that_fits_neither_is_refused(slide):
    with open_slide(slide) as opened:
        rows = np.ones((4, 5), bool)
        with pytest.raises(SpecError, match="nothing tells whether the pixels"):
            as_tissue_mask(rows.T, opened)
        in_bounds = as_tissue_mask(rows.T, opened, frame="bounds")
        on_level0 = as_tissue_mask(rows.T, opened, frame="level0")
        assert in_bounds.tissue_share < on_level0.tissue_share == 1.0
        with pytest.raises(SpecError, match="1500 x 1200 px or the bounds, 1024 x 768 px"):
            as_tissue_mask(np.ones((100, 100), bool), opened)
        with pytest.raises(SpecError, match="with its axes exchanged"):
            as_tissue_mask(np.ones((96, 128), bool), opened)
        level = opened.info.level_sizes_px[1]
        assert as_tissue_mask(np.ones(level, bool), opened).tissue.shape == level[::-1]


@pytest.mark.parametrize("px0", [1, 3, 7, 16, 100])
def test_a_mask_of_the_bounds_lies_where_it_belongs_to_half_a_pixel(slide, px0):
    with open_slide(slide) as opened:
        size = [max(1, round(side / px0)) for side in SCAN_PX0]
        mask = as_tissue_mask(np.ones(size, bool), opened, frame="bounds")
        assert as_tissue_mask(mask, opened) is mask
        rows, columns = np.nonzero(mask.tissue)
        low = np.array([columns.min(), rows.min()]) * mask.downsample
        high = np.array([columns.max() + 1, rows.max() + 1]) * mask.downsample
        assert np.abs(low - CORNER_PX0).max() <= mask.downsample / 2
        assert np.abs(high - BOUNDS_PX0[2:]).max() <= 1.5 * mask.downsample


def test_a_fine_mask_of_small_bounds_does_not_become_one_of_all_of_a_large_glass():
    glass = FormulaSlide(1000, 1000, (1.0,))
    glass.info = replace(
        glass.info, width_px0=90_000, height_px0=200_000, level_sizes_px=((90_000, 200_000),),
        bounds_px0=(40_000, 90_000, 40_300, 90_100),
    )  # fmt: skip
    with pytest.raises(SpecError, match="90000 x 200000: 18,000,000,000 pixels, over") as caught:
        as_tissue_mask(np.ones((300, 100), bool), glass)
    assert caught.value.remedy == "Give a coarser one"


# ------------------------------------------------------------------------------- the library


def test_a_slide_reads_what_is_drawn_on_it_once_the_frame_is_said(slide, file):
    with open_slide(slide) as opened:
        for given in (file, str(file), file.read_text()):
            with pytest.raises(SpecError, match="nothing tells whether the coordinates"):
                opened.read_annotations(given)
            read = opened.read_annotations(given, frame="bounds")
            assert box_of(read.polygons) == list(TISSUE_PX0)
            assert box_of(opened.read_annotations(given, frame="level0").polygons) == list(TISSUE)


def test_the_pools_refuse_files_of_polygons_and_take_polygons_which_are_of_level_0(slide, file):
    with open_slide(slide) as opened:
        mask = TissueMask(tissue=np.ones((150, 188), bool), downsample=8.0, slide_mpp=0.5)
        polygons = opened.read_annotations(file, frame="bounds").polygons
    how = {"wsi_file": str(slide), "mask_data": mask, "patch_size": 64, "level_or_mpp": 0.5}
    for given in (file, file.read_text()):
        with pytest.raises(SpecError, match="nothing tells whether the coordinates"):
            PolygonRegionGridPatches(polygon_data=given, **how)
    found = PolygonRegionGridPatches(polygon_data=polygons, **how)
    corners = np.array([corner for corner, *_ in found.patch_data])
    assert corners.min(0).tolist() == [620, 456]


def test_the_extractor_lays_a_mask_where_its_size_says(slide):
    how = {
        "patch_mode": False, "patch_input_shape": 64,
        "input_resolutions": [{"units": "level", "resolution": 0}],
    }  # fmt: skip
    extractor = DeepFeatureExtractor(Probe())

    def boxes(mask):
        return extractor.run([slide], masks=[mask], **how)[slide]["coordinates"]

    in_bounds = np.zeros((96, 128), bool)
    in_bounds[32:64, 40:88] = True
    on_level0 = np.zeros((150, 188), bool)
    on_level0[57:89, 78:126] = True  # to half a pixel the same
    found = boxes(in_bounds)
    assert np.array_equal(found, boxes(on_level0))
    low, high = found.min(0), found.max(0)
    assert (low[:2] > np.array(TISSUE_PX0[:2]) - 72).all()
    assert (high[2:] < np.array(TISSUE_PX0[2:]) + 72).all()
    for other in (np.ones((4, 5), bool), np.ones((50, 50), bool)):
        with pytest.raises(SlidesFailed, match="bounds"):
            boxes(other)
