"""An OME-TIFF whose first image is the label, through everything that shows or reads a slide."""

import logging
from pathlib import Path

import cv2
import numpy as np
import openslide
import pytest
import tifffile

from pathassets.adapters.tifffile import TifffileTiles
from pathassets.core.locations.overlay import shrink_to
from pathassets.core.slides.regions import read_overview
from pathassets.core.slides.tiles import TileDamaged
from pathassets.engine.platform.ingestion.ingest import find_files, ingest
from pathassets.engine.slides import open as open_module
from pathassets.engine.slides.inspect_files import InspectionTask, inspect_file
from pathassets.engine.slides.open import open_slide
from pathassets.engine.slides.tile_check import CheckTask, check_slide
from pathassets.errors import SlideUnreadable, SpecError

LABEL_PX, SLIDE_PX = (120, 80), (700, 500)
JPEG = {"photometric": "rgb", "compression": "jpeg", "subsampling": (2, 2)}
LOSSLESS = {"photometric": "rgb", "compression": "deflate"}
MPP = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
WRITING = (0, 200, 0)
"""What stands on the label, in a colour that the slide does not have."""


def picture(width_px: int, height_px: int) -> np.ndarray:
    y, x = np.mgrid[:height_px, :width_px]
    waves = np.stack([np.sin(x / 9 + y / 31), np.cos(y / 7 - x / 41), np.sin((x + y) / 13)], -1)
    return np.clip(140 + 90 * waves, 0, 255).astype(np.uint8)


def write(path: Path, *, tile: tuple[int, int] | None = (64, 64), kind=JPEG, facts=MPP) -> Path:
    """Write label, slide with a level below it, and macro, in this order."""
    label = np.full((LABEL_PX[1], LABEL_PX[0], 3), WRITING, np.uint8)
    slide = picture(*SLIDE_PX)
    with tifffile.TiffWriter(path, ome=True) as file:
        named = {"axes": "YXS", "Name": "label image"}
        file.write(label, tile=tile, metadata=named, photometric="rgb")
        named = {"axes": "YXS", "Name": "s", **facts}
        file.write(slide, tile=(128, 128), subifds=1, metadata=named, **kind)
        file.write(slide[::2, ::2], tile=(128, 128), subfiletype=1, metadata=None, **kind)
        named = {"axes": "YXS", "Name": "macro image"}
        file.write(label, tile=tile, metadata=named, photometric="rgb")
    return path


@pytest.mark.parametrize("tile", [(64, 64), None], ids=["tiles", "strips"])
@pytest.mark.parametrize("kind", [JPEG, LOSSLESS], ids=["jpeg", "lossless"])
def test_the_slide_behind_its_label_is_read_with_all_its_levels(tmp_path, kind, tile) -> None:
    path = write(tmp_path / "a.ome.tif", kind=kind, tile=tile)
    with tifffile.TiffFile(path) as file:
        stored = file.pages[1].asarray()
    with open_slide(path) as slide:
        assert slide.info.reader == open_module.READER
        assert slide.info.level_sizes_px == (SLIDE_PX, (350, 250))
        assert slide.info.level_downsamples == (1.0, 2.0)
        assert slide.info.mpp == 0.5
        assert "directory 1 of the file" in slide.info.notes[0]
        region = slide.read_region(0, 0, level=0, width_px=SLIDE_PX[0], height_px=SLIDE_PX[1])
        assert slide.associated_names == ()  # the first image is the label: not even by name
        with pytest.raises(SpecError, match="no associated image 'label'"):
            slide.read_associated("label")
    assert np.array_equal(region, stored)


def test_openslide_would_have_read_the_label(tmp_path) -> None:
    with openslide.OpenSlide(write(tmp_path / "a.ome.tif")) as handle:
        assert handle.dimensions == LABEL_PX
    with pytest.raises(SlideUnreadable, match="directory 1, where OpenSlide takes") as caught:
        open_slide(tmp_path / "a.ome.tif", backend="openslide")
    assert caught.value.reason == "slide_image_unclear"


def test_no_thumbnail_is_the_labels(tmp_path) -> None:
    look = inspect_file(InspectionTask(place=0, path=write(tmp_path / "a.ome.tif")))
    thumbnail = cv2.imdecode(np.frombuffer(look.thumbnail, np.uint8), cv2.IMREAD_COLOR_RGB)
    with open_slide(tmp_path / "a.ome.tif") as slide:
        overview = shrink_to(read_overview(slide, downsample=1.0)[0])
    assert thumbnail.shape == overview.shape
    assert np.abs(thumbnail.astype(int) - overview).mean() < 12
    assert (look.info.width_px0, look.info.height_px0) == SLIDE_PX


def test_a_slide_without_a_resolution_has_none_whatever_its_label_says(tmp_path) -> None:
    with open_slide(write(tmp_path / "a.ome.tif", facts={})) as slide:
        assert slide.info.audit.reason == "resolution_missing"
        assert slide.info.audit.sources == ()
    with open_slide(tmp_path / "a.ome.tif", mpp=0.25) as slide:
        assert slide.info.mpp == 0.25


def test_the_resolution_of_its_own_directory_counts_where_xml_has_none(tmp_path) -> None:
    kind = JPEG | {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
    with open_slide(write(tmp_path / "a.ome.tif", facts={}, kind=kind)) as slide:
        assert slide.info.mpp == 0.5
        assert slide.info.audit.sources[0].source == "tiff.XResolution"


def test_tiles_that_tifffile_reads_otherwise_are_not_believed(tmp_path, monkeypatch) -> None:
    path, real = write(tmp_path / "a.ome.tif"), TifffileTiles.read
    monkeypatch.setattr(TifffileTiles, "read", lambda self, tile, **_: 255 - real(self, tile))
    with pytest.raises(SlideUnreadable, match="differs from tifffile by") as caught:
        open_slide(path)
    assert caught.value.reason == "slide_image_unclear"


def test_tifffile_refuses_a_tile_that_it_cannot_decode(tmp_path) -> None:
    path = write(tmp_path / "a.ome.tif")
    with open_slide(path) as slide:
        level = slide._file.layout.levels[0]
    tiles = TifffileTiles(path, level)
    assert np.array_equal(tiles.read(0, out=np.empty((128, 128, 3), np.uint8)), tiles.read(0))
    with path.open("r+b") as file:
        file.seek(int(level.offsets[0]))
        file.write(bytes(int(level.n_bytes[0])))
    with pytest.raises(TileDamaged, match="tifffile cannot decode it"):
        tiles.read(0)


def test_a_slide_that_only_openslide_could_read_and_does_not_is_refused(tmp_path) -> None:
    path = write(tmp_path / "a.ome.tif", kind={"photometric": "rgb", "compression": "packbits"})
    with pytest.raises(SlideUnreadable, match=r"only OpenSlide could read it.*IN.tif\[page=1\]"):
        open_slide(path)


def test_a_level_as_large_as_the_slide_leaves_nothing_to_choose_by(tmp_path) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        for name, size_px, n_below in (("label", LABEL_PX, 0), ("s", SLIDE_PX, 1)):
            facts = {"axes": "YXS", "Name": name}
            file.write(picture(*size_px), tile=(64, 64), subifds=n_below, metadata=facts, **JPEG)
        below = {"tile": (64, 64), "subfiletype": 1, "metadata": None}
        file.write(picture(*SLIDE_PX), **below, **JPEG)
    with pytest.raises(SlideUnreadable, match="directory 1, where OpenSlide takes"):
        open_slide(path)


def test_check_tells_which_image_was_read(tmp_path) -> None:
    path = write(tmp_path / "a.ome.tif")
    done = check_slide(CheckTask(path=path, fingerprint="", n_threads=1))
    assert done.is_sound
    assert [level.grid.n_tiles for level in done.levels] == [24, 6]
    assert done.info.notes


@pytest.mark.usefixtures("here")
def test_ingestion_tells_what_is_not_read_of_a_slide(platform, tmp_path, caplog) -> None:
    path = tmp_path / "stack.tif"
    with tifffile.TiffWriter(path) as file:
        for _ in range(3):
            file.write(picture(300, 200), tile=(64, 64), metadata=None, **JPEG)
    with caplog.at_level(logging.WARNING):
        (found,) = ingest(platform, find_files([path]))
    assert found.state == "new"
    assert any("of its 3 images of one size the first is read" in m for m in caplog.messages)
