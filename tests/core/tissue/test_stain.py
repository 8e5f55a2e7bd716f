import cv2
import numpy as np
import pytest

from pathassets.core.tissue.stain import OD_OF_LEVEL, StainLimits, find_stained, otsu_of
from pathassets.core.tissue.tissue_mask import TissueSpec, find_tissue

METHODS = ["otsu", "hsv", "lab", "luminance"]
GLASS = (243, 242, 244)
STAINS = {
    "eosin": (214, 110, 160),
    "haematoxylin": (110, 80, 160),
    "blue haematoxylin": (120, 130, 190),
    "dab": (150, 100, 60),
    "fast red": (200, 70, 110),
    "pale": (226, 190, 208),
}
LIMITS = StainLimits(
    min_saturation=15, max_glass_saturation=30, min_value=25, max_value=255, smooth_px=5
)


def scene(is_tissue: np.ndarray, tissue, glass=GLASS, noise: int = 4) -> np.ndarray:
    rng = np.random.Generator(np.random.PCG64(is_tissue.size))
    rgb = np.where(is_tissue[..., None], tissue, glass)
    return (rgb + rng.integers(-noise, noise + 1, rgb.shape)).clip(0, 255).astype(np.uint8)


def disc(side_px: int = 200, radius_px: int = 60) -> np.ndarray:
    at = np.arange(side_px) + 0.5 - side_px / 2
    return np.hypot(at[:, None], at[None]) <= radius_px


def as_jpeg(rgb: np.ndarray, quality: int) -> np.ndarray:
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def find(rgb: np.ndarray, method: str, **spec) -> np.ndarray:
    spec = TissueSpec(method=method, **spec)
    return find_tissue(rgb, downsample=32.0, slide_mpp=0.25, spec=spec).tissue


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stain", STAINS)
def test_every_method_finds_every_stain_where_it_is(method, stain) -> None:
    assert iou(find(scene(disc(), STAINS[stain]), method), disc()) > 0.95


@pytest.mark.parametrize(
    ("method", "noise"),
    # Otsu's floor is absolute: with more noise than 4, tinted glass is above it.
    [(m, n) for m in METHODS for n in (0, 1, 4, 8) if (m, n) != ("otsu", 8)],
)
@pytest.mark.parametrize(
    "glass", [GLASS, (255, 255, 255), (240, 238, 229), (235, 225, 236), (228, 240, 235),
              (200, 200, 200), (160, 160, 160)],
)  # fmt: skip
def test_bare_glass_has_no_tissue_however_noisy_tinted_or_dim(method, glass, noise) -> None:
    assert not find(scene(np.zeros((150, 200), bool), GLASS, glass, noise), method).any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("quality", [20, 50, 80])
def test_bare_glass_has_no_tissue_after_jpeg(method, quality) -> None:
    blank = scene(np.zeros((160, 240), bool), GLASS, noise=6)
    assert not find(as_jpeg(blank, quality), method).any()


@pytest.mark.parametrize("method", METHODS)
def test_a_field_lit_unevenly_has_no_tissue(method) -> None:
    at = np.linspace(-1, 1, 200)
    light = 1 - 0.05 * np.minimum(at[:, None] ** 2 + at[None] ** 2, 1)
    rgb = (np.array([243, 242, 240]) * light[..., None]).round().astype(np.uint8)
    assert not find(rgb, method).any()


@pytest.mark.parametrize("method", METHODS)
def test_two_shades_of_glass_are_both_glass(method) -> None:
    # White where nothing was scanned, beside what was.
    is_scanned = np.arange(200)[None] < np.full((150, 1), 80)
    assert not find(scene(is_scanned, (238, 234, 237), (255, 255, 255), 2), method).any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stain", STAINS)
@pytest.mark.parametrize("noise", [0, 4])
def test_an_overview_that_is_all_tissue_is_all_tissue(method, stain, noise) -> None:
    assert find(scene(np.ones((60, 80), bool), STAINS[stain], noise=noise), method).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("other", ["eosin", "haematoxylin", "dab"])
def test_where_there_is_no_glass_the_paler_part_is_not_taken_for_it(method, other) -> None:
    is_pale = np.arange(80)[None] < np.full((60, 1), 40)
    assert find(scene(is_pale, STAINS["pale"], STAINS[other]), method).all()


@pytest.mark.parametrize("method", ["hsv", "lab"])
def test_pale_tissue_is_found_beside_strong_tissue_where_otsu_loses_it(method) -> None:
    left, right = disc(), disc()
    rgb = np.hstack([scene(left, STAINS["pale"]), scene(right, (190, 30, 120))])
    assert iou(find(rgb, method), np.hstack([left, right])) > 0.95
    assert find(rgb, "otsu")[:, :200].mean() < 0.01


@pytest.mark.parametrize("method", ["hsv", "lab", "luminance"])
@pytest.mark.parametrize("glass", [(243, 238, 222), (235, 225, 236), (215, 218, 220)])
def test_tissue_is_told_from_tinted_glass(method, glass) -> None:
    assert iou(find(scene(disc(), STAINS["eosin"], glass), method), disc()) > 0.95


def test_grey_tissue_is_seen_by_darkness_alone() -> None:
    rgb = scene(disc(), (120, 119, 121), noise=2)
    assert iou(find(rgb, "luminance"), disc()) > 0.95
    assert iou(find(rgb, "lab"), disc()) > 0.95
    assert not find(rgb, "hsv").any()


def test_a_veil_of_grey_is_no_tissue_by_colour() -> None:
    assert not find(scene(disc(), (200, 199, 201), noise=2), "lab").any()


def test_the_window_of_value_cuts_what_is_too_dark_or_too_bright() -> None:
    rgb = scene(disc(), (120, 60, 110), noise=0)
    assert find(rgb, "hsv", min_value=120, max_value=120).any()
    assert not find(rgb, "hsv", min_value=121).any()
    assert not find(rgb, "hsv", max_value=119).any()


def test_the_floor_of_saturation_is_above_that_of_the_glass() -> None:
    # Saturations 10 and 30 of 255, in OpenCV's whole numbers.
    rgb = scene(disc(), (255, 225, 225), (255, 245, 245), noise=0)
    assert iou(find(rgb, "hsv", min_saturation=19), disc()) > 0.95
    assert not find(rgb, "hsv", min_saturation=20).any()


@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_seen_neither_is_tissue_nor_changes_what_is(method) -> None:
    rgb = scene(disc(), STAINS["eosin"])
    is_seen = np.ones(rgb.shape[:2], bool)
    is_seen[:, :30] = False
    alone = find_stained(rgb[:, 30:], is_seen[:, 30:], method, LIMITS)
    for ink in ((0, 0, 0), (255, 0, 255), (0, 60, 255)):
        rgb[:, :20] = ink  # further off than the median filter reaches
        found = find_stained(rgb, is_seen, method, LIMITS)
        assert not found[:, :30].any()
        assert np.array_equal(found[:, 34:], alone[:, 4:])


@pytest.mark.parametrize("method", METHODS)
def test_where_nothing_is_seen_there_is_no_tissue(method) -> None:
    rgb = scene(disc(), STAINS["eosin"])
    assert not find_stained(rgb, np.zeros(rgb.shape[:2], bool), method, LIMITS).any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2)])
def test_the_smallest_overviews_are_judged(method, shape) -> None:
    for is_tissue in (False, True):
        rgb = scene(np.full(shape, is_tissue), STAINS["eosin"])
        assert (find(rgb, method, min_object_um2=0.0) == is_tissue).all()


def test_otsu_lies_between_two_peaks() -> None:
    levels = np.repeat(np.array([10, 12, 200, 202], np.uint8), 50)
    assert 12 <= otsu_of(levels) < 200
    assert otsu_of(levels) == otsu_of(levels.reshape(10, 20))


def test_optical_density_falls_with_brightness() -> None:
    assert (OD_OF_LEVEL[255], OD_OF_LEVEL[0], OD_OF_LEVEL[1]) == (0, 2407, 2407)
    assert (np.diff(OD_OF_LEVEL[1:].astype(int)) < 0).all()
