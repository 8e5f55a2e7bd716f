import cv2
import numpy as np
import pytest
from PIL import Image

from pathassets.core.annotations.annotations import AnnotationPolygon, to_geojson
from pathassets.core.tissue.tissue_mask import TissueMask
from pathassets.engine.slides.open import open_slide
from pathassets.engine.slides.tissue_mask import as_tissue_mask, tissue_mask_of
from pathassets.errors import AnnotationError, SpecError
from tests.core.formula_slide import FormulaSlide

SLIDE = FormulaSlide(1000, 600, (1.0, 4.0))
ROWS = np.zeros((150, 250), bool)
ROWS[10:100, 30:200] = True


def test_an_array_has_the_width_first():
    mask = as_tissue_mask(ROWS.T, SLIDE)
    assert (mask.tissue == ROWS).all()
    assert (mask.downsample, mask.slide_mpp) == (4.0, 0.5)


def test_a_picture_has_rows(tmp_path):
    cv2.imwrite(str(tmp_path / "mask.png"), ROWS * np.uint8(255))
    assert (as_tissue_mask(tmp_path / "mask.png", SLIDE).tissue == ROWS).all()


@pytest.mark.parametrize("name", ["mask.npy", "mask.npz"])
def test_a_stored_array_has_the_width_first(tmp_path, name):
    save = np.save if name == "mask.npy" else lambda path, data: np.savez(path, data=data)
    save(tmp_path / name, ROWS.T)
    assert (as_tissue_mask(str(tmp_path / name), SLIDE).tissue == ROWS).all()


@pytest.mark.parametrize(
    ("width_px", "height_px", "downsample"),
    [(1000, 600, 1.0), (250, 150, 4.0), (100, 60, 10.0), (33, 20, 1000 / 33), (333, 200, 3.003)],
)
def test_any_size_in_the_slides_proportions_fits(width_px, height_px, downsample):
    mask = as_tissue_mask(np.ones((width_px, height_px), bool), SLIDE)
    assert mask.downsample == pytest.approx(downsample, rel=1e-4)


@pytest.mark.parametrize("size", [(150, 250), (250, 152), (0, 0), (251, 140), (600, 1000)])
def test_another_shape_is_refused_with_both_sizes(size):
    with pytest.raises(SpecError, match=rf"{size[0]} x {size[1]} px .* 1000 x 600 px") as caught:
        as_tissue_mask(np.ones(size, bool), SLIDE)
    is_turned = size in {(150, 250), (600, 1000)}
    assert ("exchanged" in caught.value.remedy) == is_turned


def test_the_error_of_exchanged_axes_says_the_order_of_both_doors():
    with pytest.raises(SpecError, match=r"array \[x, y\]") as caught:
        as_tissue_mask(ROWS, SLIDE)
    assert "the pools and annotations take arrays as [x, y], DeepFeatureExtractor as [y, x]" in (
        caught.value.remedy
    )


def test_polygons_are_drawn_at_8_um(tmp_path):
    import json  # noqa: PLC0415

    area = AnnotationPolygon(points=[(160, 160), (480, 160), (480, 320), (160, 320)])
    (tmp_path / "area.geojson").write_text(json.dumps(to_geojson([area])))
    for given in ([area], tmp_path / "area.geojson"):
        mask = as_tissue_mask(given, SLIDE)
        assert mask.downsample == 16.0
        expected = np.zeros((37, 62), bool)
        expected[10:20, 10:30] = True
        assert (mask.tissue == expected).all()


def test_no_polygons_are_bare_glass():
    assert not as_tissue_mask([], SLIDE).tissue.any()


def test_a_slide_without_micrometres_can_be_masked():
    slide = FormulaSlide(1000, 600, (1.0, 4.0), mpp=None)
    area = AnnotationPolygon(points=[(0, 0), (320, 0), (320, 320), (0, 320)])
    for given in (ROWS.T, [area]):
        mask = as_tissue_mask(given, slide)
        assert (mask.slide_mpp, mask.tissue.any()) == (None, True)
        with pytest.raises(SpecError, match="micrometres"):
            _ = mask.tissue_mm2


def test_a_mask_of_another_slide_is_refused():
    mask = TissueMask(tissue=ROWS, downsample=4.0, slide_mpp=0.5)
    assert as_tissue_mask(mask, SLIDE) is mask
    with pytest.raises(SpecError, match="250 x 150 px"):
        as_tissue_mask(TissueMask(tissue=ROWS, downsample=8.0, slide_mpp=0.5), SLIDE)


def test_a_picture_of_pillows_has_rows():
    picture = Image.fromarray(ROWS)
    assert (as_tissue_mask(picture, SLIDE).tissue == ROWS).all()


@pytest.mark.parametrize("given", [None, 7, [1, 2], np.ones((3, 3, 3)), "mask.svs"])
def test_what_is_no_mask_is_refused(given):
    with pytest.raises((SpecError, AnnotationError)):
        as_tissue_mask(given, SLIDE)


def test_the_tissue_of_a_real_slide_is_found(shared):
    with open_slide(shared / "slides" / "CMU-1-Small-Region.svs") as slide:
        mask = tissue_mask_of(slide)
    assert 0.3 < mask.tissue_share < 1.0
    assert mask.slide_mpp == pytest.approx(0.499)
