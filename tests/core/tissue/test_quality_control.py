import cv2
import numpy as np
import pytest

from pathassets.core.tissue.quality_control import (
    MIN_BLACK_UM2,
    find_black,
    find_blur,
    find_ink,
)
from pathassets.core.tissue.tissue_mask import TissueSpec, find_tissue

METHODS = ["otsu", "hsv", "lab", "luminance"]
MPP = 8.0
GLASS = np.array([243, 242, 244])
EOSIN = np.array([214, 110, 160])
STAIN_OD = {
    "haematoxylin": (0.650, 0.704, 0.286),
    "haematoxylin of other makers": (0.490, 0.769, 0.410),
    "blued haematoxylin": (0.70, 0.62, 0.28),
    "eosin": (0.072, 0.990, 0.105),
    "eosin of other makers": (0.093, 0.954, 0.283),
    "dab": (0.268, 0.570, 0.776),
    "fast red": (0.214, 0.851, 0.478),
    "aec": (0.274, 0.680, 0.680),
    "blood": (0.12, 0.80, 0.60),
}
INK_OD = {"green": (2.2, 0.6, 1.3), "blue": (2.0, 1.3, 0.35), "black": (2.2, 2.2, 2.2)}


def through(od: np.ndarray, noise: int = 4) -> np.ndarray:
    """What is seen through some density, (y, x, 3), on glass, with seeded noise."""
    rng = np.random.Generator(np.random.PCG64(od.size))
    rgb = GLASS * 10.0**-od
    return (rgb + rng.integers(-noise, noise + 1, rgb.shape)).clip(0, 255).round().astype(np.uint8)


def grain(shape: tuple[int, int]) -> np.ndarray:
    """Amount of stain around 1, (y, x, 1), half as uneven as in real tissue at 8 um per pixel."""
    rng = np.random.Generator(np.random.PCG64(11))
    amount = np.ones(shape)
    for size_px in (0.5, 1.5):
        detail = cv2.GaussianBlur(rng.uniform(-1, 1, shape), (0, 0), size_px)
        amount += 0.1 * detail / detail.std()
    return amount.clip(0.5, 1.5)[..., None]


def stroke(width_px: int, shape=(160, 160)) -> np.ndarray:
    canvas = np.zeros(shape, np.uint8)
    cv2.line(canvas, (20, 30), (140, 120), 1, width_px)
    return canvas > 0


def disc(radius_px: float, side_px: int = 200) -> np.ndarray:
    at = np.arange(side_px) + 0.5 - side_px / 2
    return np.hypot(at[:, None], at[None]) <= radius_px


def find(rgb: np.ndarray, mpp: float = MPP, **spec) -> np.ndarray:
    spec = TissueSpec(mpp=mpp, **spec)
    return find_tissue(rgb, downsample=mpp / 0.25, slide_mpp=0.25, spec=spec).tissue


def texture(side_px: int = 200, seed: int = 3) -> np.ndarray:
    """Tissue with detail of every size, down to a pixel."""
    rng = np.random.Generator(np.random.PCG64(seed))
    amount = np.ones((side_px, side_px))
    for size_px in (0.5, 1.5, 4.0):
        detail = cv2.GaussianBlur(rng.uniform(-1, 1, amount.shape), (0, 0), size_px)
        amount += 0.25 * detail / detail.std()
    amount = amount.clip(0.2, 2)[..., None]
    return (250 * 10.0 ** -(amount * (0.1, 0.4, 0.2))).round().astype(np.uint8)


@pytest.mark.parametrize("name", STAIN_OD)
@pytest.mark.parametrize("amount", [0.1, 0.3, 0.6, 0.9, 1.3])
def test_no_stain_of_tissue_is_ink(name, amount) -> None:
    od = np.array(STAIN_OD[name]) * amount * grain((120, 120))
    assert not find_ink(through(od), MPP).any()


@pytest.mark.parametrize("first", STAIN_OD)
@pytest.mark.parametrize("second", STAIN_OD)
def test_no_mixture_of_two_stains_is_ink(first, second) -> None:
    share = np.linspace(0, 1, 100)[:, None, None]
    amount = np.linspace(0, 1.4, 100)[None, :, None]
    mixed = share * np.array(STAIN_OD[first]) + (1 - share) * np.array(STAIN_OD[second])
    assert not find_ink(through(amount * mixed * grain((100, 100))), MPP).any()


@pytest.mark.parametrize("colour", INK_OD)
@pytest.mark.parametrize("amount", [0.5, 0.8, 1.0])
@pytest.mark.parametrize("width_px", [5, 12, 40])
def test_a_stroke_on_glass_is_ink_and_no_tissue(colour, amount, width_px) -> None:
    if colour == "black" and amount < 0.8:
        pytest.skip("thin black ink is grey, which is no tissue by its colour anyway")
    is_inked = stroke(width_px)
    rgb = through(is_inked[..., None] * np.array(INK_OD[colour]) * amount)
    found = find_ink(rgb, MPP)
    assert found[is_inked].mean() > 0.98
    near = cv2.dilate(is_inked.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
    assert not found[~near].any()
    for method in METHODS:
        assert not find(rgb, method=method).any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "colour",
    [
        (40, 60, 170), (120, 150, 215), (25, 30, 90), (60, 50, 160), (70, 60, 175), (90, 110, 200),
        (60, 60, 62), (75, 75, 80), (95, 96, 98),
    ],
)  # fmt: skip
def test_a_stroke_of_this_colour_on_glass_is_no_tissue(colour, method) -> None:
    is_inked = stroke(20)
    tissue = find(through(is_inked[..., None] * -np.log10(np.array(colour) / GLASS)), method=method)
    assert not tissue.any()


@pytest.mark.parametrize("stain", ["haematoxylin", "blued haematoxylin"])
def test_tissue_beside_a_stroke_of_its_own_colour_stays(stain) -> None:
    is_tissue = np.zeros((160, 160), bool)
    is_tissue[100:150, 10:70] = True
    od = is_tissue[..., None] * np.array(STAIN_OD[stain]) * grain((160, 160))
    od = od + (stroke(14) & ~is_tissue)[..., None] * -np.log10(np.array((60, 50, 160)) / GLASS)
    tissue = find(through(od))
    assert tissue[is_tissue].mean() > 0.97
    assert not tissue[~is_tissue].sum() > 40  # the edge of the tissue


def test_navy_is_told_from_tissue_of_its_colour_by_being_even() -> None:
    navy = -np.log10(np.array((25, 30, 90)) / GLASS)
    is_inked = stroke(20)
    assert find_ink(through(is_inked[..., None] * navy), MPP)[is_inked].mean() > 0.99
    assert not find_ink(through(navy * grain((160, 160))), MPP).any()


@pytest.mark.parametrize("colour", INK_OD)
@pytest.mark.parametrize("method", METHODS)
def test_a_soft_stroke_across_tissue_goes_and_the_tissue_stays(colour, method) -> None:
    is_tissue = np.zeros((160, 160), bool)
    is_tissue[40:110, 40:120] = True
    is_inked = stroke(9)
    soft = cv2.GaussianBlur(is_inked.astype(np.float64), (0, 0), 0.8)[..., None]
    od = is_tissue[..., None] * np.array([0.1, 0.3, 0.15]) + soft * np.array(INK_OD[colour]) * 0.9
    tissue = find(through(od), method=method)
    assert not tissue[is_inked].any()
    assert not tissue[~is_tissue].sum() > 40  # some rims of ink
    near = cv2.dilate(is_inked.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    assert tissue[is_tissue & ~near].mean() > 0.99
    kept = find(through(od), method=method, exclude_pen=False, exclude_black=False)
    assert kept[is_inked & is_tissue].mean() > 0.9 or colour == "black"


def test_what_is_within_a_ring_of_ink_stays_and_the_ring_is_never_filled() -> None:
    is_ring = disc(60) & ~disc(54)
    od = disc(90)[..., None] * np.array([0.1, 0.4, 0.2]) + is_ring[..., None] * np.array(
        [2, 1, 0.3]
    )
    tissue = find(through(od), min_hole_um2=1e12)
    assert tissue[disc(48)].all()
    assert not tissue[is_ring].any()


def test_red_ink_is_not_told_from_red_stains() -> None:
    od = stroke(12)[..., None] * np.array([0.3, 1.9, 1.7])
    assert not find_ink(through(od), MPP).any()


@pytest.mark.parametrize("mpp", [2.0, 4.0, 8.0, 16.0])
def test_specks_smaller_than_a_stroke_are_no_ink_at_any_resolution(mpp) -> None:
    od = np.zeros((round(2000 / mpp), round(2000 / mpp), 3))
    side_px = round(64 / mpp)
    od[10 : 10 + side_px, 10 : 10 + side_px] = INK_OD["green"]
    assert not find_ink(through(od), mpp).any()
    side_px = round(128 / mpp)
    od[10 : 10 + side_px, 10 : 10 + side_px] = INK_OD["green"]
    assert find_ink(through(od), mpp)[10 : 10 + side_px, 10 : 10 + side_px].all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("noise", [0, 6])
def test_black_borders_with_soft_edges_are_no_tissue_and_change_none(method, noise) -> None:
    od = disc(50)[..., None] * np.array([0.1, 0.4, 0.2])
    plain = through(od, noise=3)
    share = np.zeros((200, 200))
    share[:, :30], share[185:] = 1, 1
    share = cv2.GaussianBlur(share, (0, 0), 1.0)[..., None]
    rng = np.random.Generator(np.random.PCG64(1))
    framed = plain * (1 - share) + rng.integers(0, noise + 1, plain.shape) * share
    found = find(framed.round().astype(np.uint8), method=method)
    assert not found[:, :30].any()
    assert not found[185:].any()
    assert not (found & ~disc(54)).any()
    assert found[disc(47)].all()


@pytest.mark.parametrize("method", METHODS)
def test_an_overview_that_is_all_black_has_no_tissue(method) -> None:
    rng = np.random.Generator(np.random.PCG64(2))
    assert not find(rng.integers(0, 9, (80, 90, 3)).astype(np.uint8), method=method).any()


def test_black_that_is_asked_to_stay_is_judged_by_the_method() -> None:
    rgb = through(np.zeros((100, 100, 3)))
    rgb[:, :40] = 0
    assert find(rgb, method="luminance", exclude_black=False, exclude_pen=False)[:, :38].all()
    assert not find(rgb, method="luminance", exclude_pen=False).any()


@pytest.mark.parametrize("fold", [(40, 15, 60), (57, 20, 45), (60, 30, 90), (70, 40, 20)])
def test_folds_are_neither_ink_nor_black(fold) -> None:
    rgb = np.broadcast_to(np.array(fold, np.uint8), (100, 100, 3)).copy()
    assert not find_ink(rgb, MPP).any()
    assert not find_black(rgb, MPP).any()


def test_dark_nuclei_are_neither_ink_nor_black_however_many() -> None:
    rgb = np.broadcast_to(EOSIN.astype(np.uint8), (300, 300, 3)).copy()
    at = np.arange(300) % 6 < 3
    rgb[at[:, None] & at[None]] = (20, 15, 22)  # at 2 um per pixel: 6 um wide, 6 um apart
    assert not find_ink(rgb, 2.0).any()
    assert not find_black(rgb, 2.0).any()


@pytest.mark.parametrize("mpp", [2.0, 8.0])
def test_black_is_told_by_its_area_on_the_glass(mpp) -> None:
    side_px = int(MIN_BLACK_UM2**0.5 / mpp)
    rgb = np.full((300, 300, 3), 240, np.uint8)
    rgb[50 : 50 + side_px, 50 : 50 + side_px] = 0
    assert not find_black(rgb, mpp).any()
    rgb[50 : 52 + side_px, 50 : 52 + side_px] = 0
    assert find_black(rgb, mpp)[50 : 52 + side_px, 50 : 52 + side_px].all()


def test_tissue_out_of_focus_is_left_out_and_the_sharp_half_stays() -> None:
    rgb = texture()
    rgb[:, 100:] = cv2.GaussianBlur(rgb, (0, 0), 3.0)[:, 100:]
    tissue = find(rgb, exclude_blur=True)
    assert tissue[:, :85].all()
    assert tissue[:, 115:].mean() < 0.05
    assert find(rgb).all()


def test_sharpness_does_not_depend_on_glass_nor_on_strength_of_stain() -> None:
    rgb = np.full((200, 300, 3), 243, np.uint8)
    rgb[20:180, 20:140] = texture()[20:180, 20:140]
    faint = 243 - (243 - texture(seed=5).astype(int)) // 4
    rgb[20:180, 160:280] = faint[20:180, 20:140]
    is_tissue = np.zeros((200, 300), bool)
    is_tissue[20:180, 20:140] = is_tissue[20:180, 160:280] = True
    assert not find_blur(rgb, is_tissue, MPP).any()
    soft = cv2.GaussianBlur(rgb, (0, 0), 3.0)
    # The outline against glass is no detail: blurred tissue is found up to its edge.
    assert find_blur(soft, is_tissue, MPP)[is_tissue].mean() > 0.95
    assert not find_blur(soft, is_tissue, MPP)[~is_tissue].any()


def test_tissue_without_contrast_is_not_judged() -> None:
    rgb = np.broadcast_to(EOSIN.astype(np.uint8), (80, 80, 3)).copy()
    assert not find_blur(rgb, np.ones((80, 80), bool), MPP).any()
    assert not find_blur(rgb, np.zeros((80, 80), bool), MPP).any()


@pytest.mark.parametrize("mpp", [0.5, 2.0, 100.0])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (40, 1)])
def test_the_smallest_overviews_are_searched(mpp, shape) -> None:
    rgb = np.zeros((*shape, 3), np.uint8)
    for found in (
        find_ink(rgb, mpp), find_black(rgb, mpp), find_blur(rgb, np.ones(shape, bool), mpp)
    ):  # fmt: skip
        assert (found.shape, found.dtype) == (shape, bool)


@pytest.mark.parametrize("method", METHODS)
def test_the_mask_has_the_same_bytes_for_any_number_of_threads(method) -> None:
    od = disc(400, 900)[..., None] * np.array([0.1, 0.4, 0.2])
    od[300:320, 100:700] += INK_OD["blue"]
    rgb = through(od)
    rgb[:, :60] = 3
    rgb[400:600, 400:600] = cv2.GaussianBlur(texture(), (0, 0), 2.5)
    n_threads = cv2.getNumThreads()
    try:
        masks = []
        for n in (1, 4):
            cv2.setNumThreads(n)
            masks.append(find(rgb, method=method, exclude_blur=True).tobytes())
    finally:
        cv2.setNumThreads(n_threads)
    assert masks[0] == masks[1]
