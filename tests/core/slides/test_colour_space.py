"""Colours of drawn stains and of fluorescence are a picture's; as luminance and colour, none's."""

import numpy as np
import pytest

from pathassets.core.slides.colour_space import are_planes, beyond_gamut, is_magenta

STAINS = {
    "H&E": [(190, 90, 160), (80, 50, 130), (225, 140, 180)],
    "eosin": [(225, 130, 160), (230, 125, 140)],
    "haematoxylin": [(80, 60, 140), (120, 100, 170)],
    "DAB": [(130, 80, 45), (110, 120, 170), (90, 50, 30)],
    "fast red": [(200, 60, 90), (110, 120, 180)],
    "Giemsa": [(90, 60, 140), (150, 120, 190), (225, 180, 180)],
    "PAS": [(170, 40, 120), (200, 120, 170), (90, 80, 140)],
    "trichrome, blue": [(180, 50, 70), (60, 90, 180), (50, 30, 60)],
    "trichrome, green": [(180, 50, 70), (60, 150, 110), (50, 30, 60)],
    "light green": [(120, 200, 150), (90, 170, 120)],
    "Alcian blue": [(110, 190, 215), (90, 170, 210)],
    "silver": [(60, 50, 40), (160, 140, 110)],
    "Congo red": [(210, 110, 100), (130, 120, 180)],
    "Sirius red": [(190, 40, 60), (230, 200, 120)],
    "blood": [(200, 120, 125), (190, 105, 110)],
    "toluidine": [(60, 70, 160), (120, 140, 210)],
    "coral": [(240, 128, 128)],
    "oil red": [(210, 70, 60), (130, 140, 190)],
    "Papanicolaou": [(90, 160, 150), (220, 140, 110), (70, 60, 120)],
}
DYES = {"DAPI": [(10, 10, 160)], "FITC": [(10, 180, 20)], "two": [(10, 180, 20), (160, 10, 10)]}
N_PX = 6_000


def drawn(colours, glass_share, *, glass=245):
    """Dyes of varying density, some share of it glass (or, in fluorescence, black)."""
    rng = np.random.default_rng(0)
    colour = np.array(colours, float)[rng.integers(0, len(colours), N_PX)]
    density = np.clip(rng.normal(1, 0.35, N_PX), 0.1, 2)[:, None]
    rgb = 250 * (np.clip(colour, 2, 255) / 250) ** density + rng.normal(0, 4, (N_PX, 3))
    is_glass = rng.random(N_PX) < glass_share
    rgb[is_glass] = glass + rng.normal(0, 2, (is_glass.sum(), 3))
    return np.clip(rgb, 0, 255).astype(np.uint8)


def planes_of(rgb):
    """Luminance and colour, ITU-T T.871."""
    rgb = rgb.astype(float)
    y = rgb @ [0.299, 0.587, 0.114]
    blue, red = (rgb[..., 2] - y) / 1.772 + 128, (rgb[..., 0] - y) / 1.402 + 128
    return np.clip(np.round(np.stack([y, blue, red], -1)), 0, 255).astype(np.uint8)


def rgb_of(planes):
    y, blue, red = np.moveaxis(planes.astype(float) - [0, 128, 128], -1, 0)
    rgb = np.stack([y + 1.402 * red, y - 0.34414 * blue - 0.71414 * red, y + 1.772 * blue], -1)
    return np.clip(np.round(rgb), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("glass_share", [0.0, 0.1, 0.6, 1.0])
@pytest.mark.parametrize("stain", STAINS)
def test_no_stain_is_taken_for_another_colour_space(stain, glass_share):
    rgb = drawn(STAINS[stain], glass_share)
    assert not are_planes(rgb)
    assert not is_magenta(rgb)
    assert beyond_gamut(rgb.astype(np.float32)).mean() > 0.1  # where planes have 0.0


@pytest.mark.parametrize("black_share", [0.3, 0.9])
@pytest.mark.parametrize("dye", DYES)
def test_no_fluorescence_is_taken_for_another_colour_space(dye, black_share):
    rgb = drawn(DYES[dye], black_share, glass=0)
    assert not are_planes(rgb)
    assert not is_magenta(rgb)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (240, 235, 215)])
def test_one_colour_everywhere_is_no_evidence(colour):
    assert not are_planes(np.full((N_PX, 3), colour, np.uint8))


@pytest.mark.parametrize("glass_share", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("stain", STAINS)
def test_planes_of_any_stain_are_known_where_there_is_glass(stain, glass_share):
    assert are_planes(planes_of(drawn(STAINS[stain], glass_share)))


@pytest.mark.parametrize("stain", ["H&E", "eosin", "haematoxylin", "Giemsa", "PAS", "silver"])
def test_planes_of_most_stains_are_known_without_any_glass(stain):
    assert are_planes(planes_of(drawn(STAINS[stain], 0.0)))


@pytest.mark.parametrize("stain", STAINS)
def test_rgb_that_was_taken_for_planes_has_magenta_glass(stain):
    assert is_magenta(rgb_of(drawn(STAINS[stain], 0.3)))


@pytest.mark.parametrize(
    "name",
    [
        "CMU-1-Small-Region.svs",
        "TCGA-CR-7395-01A-01-TS1.svs",
        "camelyon_jpeg.dcm",
        "camelyon_jpeg2000.dcm",
    ],
)
def test_real_slides_are_pictures_and_their_planes_are_not(shared, name):
    import openslide  # noqa: PLC0415

    with openslide.OpenSlide(shared / "slides" / name) as handle:
        level = handle.level_count - 1
        size_px = handle.level_dimensions[level]
        rgb = np.asarray(handle.read_region((0, 0), level, size_px))[::3, ::3, :3]
    assert not are_planes(rgb)
    assert are_planes(planes_of(rgb))
