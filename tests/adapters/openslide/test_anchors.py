"""Levels that are not a whole number of times smaller: read as they are stored, or told."""

from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from pathassets.adapters.openslide.reader import OpenSlideReader
from pathassets.core.slides.regions import read_box
from pathassets.engine.slides.open import open_slide

TRESTLE = {
    "software": "MedScan",
    "description": "OverlapsXY=0 0 0 0;Background Color=FFFFFF;Objective Power=20",
    "resolution": (0.25, 0.25),
}
LOSSLESS = {"photometric": "rgb", "compression": "deflate", "metadata": None}


def noise(width_px: int, height_px: int) -> np.ndarray:
    draw = np.random.default_rng(width_px)
    return draw.integers(0, 255, (height_px, width_px, 3), np.uint8)


def write_trestle(path: Path, *sizes_px: tuple[int, int]) -> list[np.ndarray]:
    levels = [noise(*size_px) for size_px in sizes_px]
    with tifffile.TiffWriter(path) as file:
        for level in levels:
            file.write(level, tile=(256, 256), **LOSSLESS, **TRESTLE)
    return levels


@pytest.mark.parametrize(
    "sizes_px",
    [[(2603, 900), (1300, 449)], [(1003, 2401), (501, 1200)], [(4405, 303), (2200, 151)]],
    ids=["wide", "high", "beyond 2048"],
)
def test_every_pixel_of_a_level_is_the_stored_one(tmp_path, sizes_px) -> None:
    levels = write_trestle(tmp_path / "a.tif", *sizes_px)
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.info.vendor == "trestle"
        assert not slide.info.level_downsamples[1].is_integer()
        assert slide.info.notes == ()
        for level, stored in enumerate(levels):
            box_px = (0, 0, stored.shape[1], stored.shape[0])
            assert np.array_equal(read_box(slide, level, box_px), stored)


def test_a_level_that_openslide_cannot_but_interpolate_is_told(tmp_path) -> None:
    _, stored = write_trestle(tmp_path / "a.tif", (4401, 302), (2200, 151))
    with open_slide(tmp_path / "a.tif") as slide:
        (note,) = slide.info.notes
        assert note.startswith("OpenSlide interpolates level 1: it is 2.0002")
        read = read_box(slide, 1, (0, 0, 2200, 151))
    assert np.array_equal(read[:, :2048], stored[:, :2048])  # from the level's own corner
    assert not np.array_equal(read, stored)


def test_from_other_points_openslide_interpolates(tmp_path) -> None:
    _, stored = write_trestle(tmp_path / "a.tif", (2603, 600), (1300, 299))
    with openslide.OpenSlide(tmp_path / "a.tif") as handle:
        x_px0 = round(700 * handle.level_downsamples[1])
        read = np.asarray(handle.read_region((x_px0, 0), 1, (64, 64)))[..., :3]
    assert np.abs(read.astype(int) - stored[:64, 700:764]).max() > 10


def test_a_region_of_any_corner_is_read_as_it_is_stored(tmp_path) -> None:
    _, stored = write_trestle(tmp_path / "a.tif", (2603, 1202), (1300, 600))
    reader = OpenSlideReader(tmp_path / "a.tif")
    for x_px, y_px in ((0, 0), (1, 500), (640, 3), (1299, 599), (511, 513)):
        right_px, bottom_px = min(x_px + 90, 1300), min(y_px + 70, 600)
        read = reader.read(1, x_px, y_px, right_px - x_px, bottom_px - y_px)
        assert np.array_equal(read, stored[y_px:bottom_px, x_px:right_px])
    reader.close()


NM, MAIN, OFFSET, GLASS = 500, (1203, 901), (301, 201), (2301, 1903)
"""Nanometres per pixel; size and place of the scan, and size of the glass, in pixels."""
_UUID = "urn:uuid:00000000-0000-0000-0000-00000000000"


def leica_image(name: str, dimensions: str, view: str, power: float) -> str:
    size = f'sizeX="{MAIN[0]}" sizeY="{MAIN[1]}"'
    return (
        f'<image name="{name}" uuid="{_UUID}{len(name)}"><pixels {size}>{dimensions}</pixels>'
        f"<creationDate>2020-01-01T00:00:00Z</creationDate>"
        f'<device model="x" version="1"/><view {view}/><scanSettings><objectiveSettings>'
        f"<objective>{power}</objective></objectiveSettings><illuminationSettings>"
        "<numericalAperture>0.4</numericalAperture><illuminationSource>brightfield"
        "</illuminationSource></illuminationSettings></scanSettings></image>"
    )


def write_leica(path: Path, *, n_planes: int = 1) -> list[np.ndarray]:
    """Write an SCN whose scan lies amid its glass, and whose levels are cut at odd sizes."""
    levels = [noise(*MAIN), noise(MAIN[0] // 2, MAIN[1] // 2), noise(MAIN[0] // 4, MAIN[1] // 4)]
    dimensions = "".join(
        f'<dimension sizeX="{level.shape[1]}" sizeY="{level.shape[0]}" r="{r}" z="{z}" ifd="{r}"/>'
        for z in range(n_planes)
        for r, level in enumerate(levels)
    )
    view = f'sizeX="{MAIN[0] * NM}" sizeY="{MAIN[1] * NM}"'
    glass = f'sizeX="{GLASS[0] * NM}" sizeY="{GLASS[1] * NM}"'
    place = f'offsetX="{OFFSET[0] * NM}" offsetY="{OFFSET[1] * NM}"'
    xml = (
        '<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        f'<collection name="c" uuid="{_UUID}9" {glass}>'
        + leica_image("main", dimensions, f"{view} {place}", 20)
        + leica_image(
            "macro image", '<dimension sizeX="64" sizeY="64" r="0" ifd="3"/>',
            f'{glass} offsetX="0" offsetY="0"', 0.6,
        )
        + "</collection></scn>"
    )  # fmt: skip
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for number, level in enumerate([*levels, noise(64, 64)]):
            file.write(
                level, tile=(256, 256), description=xml if number == 0 else None,
                resolution=(20_000 / 2**number,) * 2, resolutionunit="CENTIMETER", **LOSSLESS,
            )  # fmt: skip
    return levels


def test_of_leicas_slides_no_pixel_is_read_for_its_neighbour(tmp_path) -> None:
    levels = write_leica(tmp_path / "a.scn")
    with open_slide(tmp_path / "a.scn") as slide:
        assert slide.info.vendor == "leica"
        assert [float(d).is_integer() for d in slide.info.level_downsamples] == [True, False, False]
        assert slide.info.notes == ()
        for level, stored in enumerate(levels):
            x_px, y_px = (at // 2**level for at in OFFSET)
            box_px = (x_px, y_px, x_px + stored.shape[1], y_px + stored.shape[0])
            assert np.array_equal(read_box(slide, level, box_px), stored)


def test_a_z_stack_is_told(tmp_path) -> None:
    write_leica(tmp_path / "a.scn", n_planes=3)
    with open_slide(tmp_path / "a.scn") as slide:
        assert slide.info.notes == ("of its 3 focal planes one is read",)
