import hashlib
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from pathassets.adapters.openslide.reader import OpenSlideReader
from pathassets.adapters.tifffile import PyramidSpec, corrupt_tile, write_pyramid
from pathassets.core.slides.regions import read_overview
from pathassets.core.slides.tiles import TileDamaged
from pathassets.engine.platform.ingestion.ingest import find_files, ingest
from pathassets.engine.slides import open as open_module
from pathassets.engine.slides.open import open_slide
from pathassets.engine.stages.slide_task import run_slide
from pathassets.errors import SlideUnreadable, SpecError, TileUnreadable

N_OPENS = 50


def pixels(width_px: int, height_px: int, seed: int = 0) -> np.ndarray:
    """Coloured waves and noise."""
    y, x = np.mgrid[:height_px, :width_px]
    waves = np.stack([np.sin(x / 9 + y / 31), np.cos(y / 7 - x / 41), np.sin((x + y) / 13)], -1)
    noise = np.random.default_rng(seed).normal(0, 9, waves.shape)
    return np.clip(140 + 90 * waves + noise, 0, 255).astype(np.uint8)


def theirs(path: Path, level: int = 0) -> np.ndarray:
    """A whole level as OpenSlide has it."""
    with openslide.OpenSlide(path) as handle:
        size = handle.level_dimensions[level]
        return np.asarray(handle.read_region((0, 0), level, size))[..., :3]


def ours(slide, level: int = 0) -> np.ndarray:
    """A whole level as we have it."""
    width_px, height_px = slide.info.level_sizes_px[level]
    return slide.read_region(0, 0, level=level, width_px=width_px, height_px=height_px)


def descriptors() -> list[str]:
    """Files that this process holds open."""
    links = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, not paths
        try:
            links.append(os.readlink(f"/proc/self/fd/{name}"))  # noqa: PTH115
        except FileNotFoundError:
            continue  # the listing itself
    return sorted(link for link in links if link.startswith("/") and ".so" not in link)


@pytest.fixture
def plain(tmp_path) -> Path:
    write_pyramid(tmp_path / "plain.svs", pixels(600, 500), PyramidSpec(tile_px=128))
    return tmp_path / "plain.svs"


def write_with_label(path: Path) -> Path:
    """Write a slide with thumbnail, label and macro in strips, as scanners do."""
    said = "Aperio Image Library\r\n"
    with tifffile.TiffWriter(path) as file:
        file.write(
            pixels(600, 500), tile=(128, 128), photometric="rgb", compression="jpeg",
            subsampling=(2, 2), metadata=None, description=f"{said}600x500 |AppMag = 20|MPP = 0.5",
        )  # fmt: skip
        for name, kind in (("600x500 -> 60x50", 0), ("label", 1), ("macro", 9)):
            file.write(
                pixels(60, 50, seed=kind), photometric="rgb", rowsperstrip=50, subfiletype=kind,
                compression="lzw" if name == "label" else "jpeg", metadata=None,
                description=f"{said}{name} 60x50",
            )  # fmt: skip
    return path


@pytest.fixture
def labelled(tmp_path) -> Path:
    return write_with_label(tmp_path / "labelled.svs")


def garble_strips(path: Path) -> int:
    """Overwrite all that is stored in strips; returns how many bytes these are."""
    rng, n_bytes = np.random.default_rng(0), 0
    with tifffile.TiffFile(path) as file:
        strips = [page for page in file.pages if not page.is_tiled]
        extents = [
            each
            for page in strips
            for each in zip(page.dataoffsets, page.databytecounts, strict=True)
        ]
    with path.open("r+b") as file:
        for offset, size in extents:
            file.seek(offset)
            file.write(rng.bytes(size))
            n_bytes += size
    return n_bytes


# --------------------------------------------------------------------- which reader


def test_tiles_are_read_directly_and_the_slide_says_so(plain) -> None:
    with open_slide(plain) as slide:
        assert slide.info.reader == open_module.READER
        assert "simplejpeg" in slide.info.reader
        assert slide.info.fallback == ""
        assert np.array_equal(ours(slide), theirs(plain))


def test_openslide_reads_all_where_it_is_asked_for(plain) -> None:
    with open_slide(plain, backend="openslide") as slide:
        assert slide.info.reader.startswith("openslide ")
        assert slide.info.fallback == ""
        assert np.array_equal(ours(slide), theirs(plain))


def test_a_path_may_be_text(plain) -> None:
    with open_slide(str(plain)) as slide:
        assert slide.path == str(plain)


class OffByOne:
    """A decoder that is wrong by one step, for everything."""

    def __init__(self, source) -> None:
        self._source = source
        self.grid, self.can_shrink = source.grid, source.can_shrink

    def read(self, tile, **kind):
        rgb = self._source.read(tile, **kind)
        rgb[:] = np.where(rgb < 255, rgb + 1, 254)
        return rgb


@pytest.fixture
def wrong_decoder(monkeypatch):
    """Make the tile reader wrong by one step of 255, on one level."""

    def make(level: int) -> None:
        real = open_module.OpenedSlide.tiles

        def tiles(slide, number):
            source = real(slide, number)
            is_ours = slide.info.reader == open_module.READER
            return OffByOne(source) if is_ours and number == level else source

        monkeypatch.setattr(open_module.OpenedSlide, "tiles", tiles)

    return make


@pytest.mark.parametrize("level", [0, 1])
def test_a_tile_reader_that_is_off_by_one_on_any_level_is_not_used(
    plain, wrong_decoder, level
) -> None:
    wrong_decoder(level)
    with open_slide(plain) as slide:
        assert slide.info.reader.startswith("openslide ")
        assert f"differs from OpenSlide by 1 of 255 on level {level} at (" in slide.info.fallback
        assert np.array_equal(ours(slide), theirs(plain))
    with pytest.raises(
        SpecError, match=r"plain\.svs: the tile reader cannot .* differs .* backend"
    ):
        open_slide(plain, backend="tiles")


def test_where_both_cannot_read_a_compared_region_nothing_is_concluded(plain) -> None:
    with open_slide(plain) as slide:
        n_tiles = [slide.tiles(level).grid.n_tiles for level in (0, 1)]
    for level, count in enumerate(n_tiles):
        for tile in range(count):
            corrupt_tile(plain, level, tile)
    with open_slide(plain) as slide:
        assert slide.info.reader == open_module.READER
        with pytest.raises(TileUnreadable):
            ours(slide)


def test_the_tile_reader_refuses_what_it_cannot_read(shared) -> None:
    with pytest.raises(SpecError, match=r"OpenSlide calls it dicom. Use backend="):
        open_slide(shared / "slides" / "camelyon_jpeg.dcm", backend="tiles")


def test_a_codec_it_does_not_know_is_left_to_openslide(tmp_path) -> None:
    path = tmp_path / "packbits.tif"
    tifffile.imwrite(
        path, pixels(512, 300), tile=(256, 256), photometric="rgb", compression="packbits",
        resolution=(20000, 20000), resolutionunit="CENTIMETER", metadata=None,
    )  # fmt: skip
    with open_slide(path) as slide:
        assert slide.info.reader.startswith("openslide ")
        assert np.array_equal(ours(slide), pixels(512, 300))
    with pytest.raises(SpecError, match="codec"):
        open_slide(path, backend="tiles")


def test_levels_that_openslide_does_not_see_are_no_healthy_slide(plain) -> None:
    with tifffile.TiffFile(plain) as file:
        at = file.pages[1].tags[530].valueoffset  # chroma subsampling: libtiff refuses 2 x 3
    with plain.open("r+b") as file:
        file.seek(at)
        file.write(b"\3")
    with openslide.OpenSlide(plain) as handle:
        assert handle.level_count == 1
    with pytest.raises(SlideUnreadable, match="OpenSlide sees 1 of its 2 levels") as caught:
        open_slide(plain)
    assert caught.value.reason == "damaged_structure"


# --------------------------------------------------------------------- resolution


def test_a_stated_resolution_goes_before_the_files_own(plain) -> None:
    with open_slide(plain, mpp=0.25) as slide:
        assert slide.info.mpp == 0.25
        assert slide.info.audit.mpp == 0.5
        half = slide.read_region(0, 0, mpp=0.5, width_px=300, height_px=250)
    with open_slide(plain) as slide:
        assert slide.info.mpp == 0.5
        assert np.array_equal(half, slide.read_region(0, 0, mpp=1.0, width_px=300, height_px=250))


@pytest.mark.parametrize("mpp", [0.0, -0.5, 1000.0, float("nan"), float("inf")])
def test_an_impossible_resolution_is_refused_before_the_file_is_opened(mpp) -> None:
    with pytest.raises(SpecError, match="um per pixel is not between"):
        open_slide("nowhere.svs", mpp=mpp)


def test_without_any_resolution_a_level_can_be_read_and_a_resolution_not(tmp_path) -> None:
    write_pyramid(tmp_path / "a.svs", pixels(600, 500), PyramidSpec(mpp=None))
    with open_slide(tmp_path / "a.svs") as slide:
        assert slide.info.mpp is None
        assert slide.info.audit.reason == "resolution_missing"
        assert ours(slide).shape == (500, 600, 3)
        with pytest.raises(SpecError):
            slide.read_region(0, 0, mpp=1.0, width_px=10, height_px=10)


# --------------------------------------------------------------------- regions


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("corner_px0", [(0, 0), (1, 1), (127, 129), (380, 311), (590, 490)])
def test_a_region_is_what_openslide_reads(tmp_path, corner_px0, lossless) -> None:
    path = tmp_path / "a.svs"
    write_pyramid(path, pixels(600, 500), PyramidSpec(tile_px=128, lossless=lossless))
    with open_slide(path, backend="tiles") as slide, openslide.OpenSlide(path) as handle:
        for kind in ({"level": 0}, {"mpp": 0.5}, {}):
            region = slide.read_region(*corner_px0, width_px=130, height_px=110, **kind)
            wanted = np.asarray(handle.read_region(corner_px0, 0, (130, 110)))
            inside = wanted[..., 3] == 255
            assert np.array_equal(region[inside], wanted[inside][:, :3])
            assert (region[~inside] == 255).all()


# --------------------------------------------------------------------- folders


def test_a_folder_with_one_dicom_series_is_one_slide(shared, tmp_path) -> None:
    for name in ("a.dcm", "b.dcm"):
        shutil.copy(shared / "slides" / "camelyon_jpeg.dcm", tmp_path / name)
    (tmp_path / "b.dcm").unlink()
    with open_slide(tmp_path) as slide:
        assert slide.info.vendor == "dicom"
        assert np.array_equal(ours(slide), theirs(tmp_path / "a.dcm"))


def test_a_folder_with_two_slides_is_refused(shared, tmp_path) -> None:
    for name in ("camelyon_jpeg.dcm", "camelyon_jpeg2000.dcm"):
        shutil.copy(shared / "slides" / name, tmp_path / name)
    with pytest.raises(SlideUnreadable, match=r"is a folder with 2 slides\. Name one") as caught:
        open_slide(tmp_path)
    assert caught.value.reason == "folder_of_slides"
    assert caught.value.path == str(tmp_path)


def test_a_folder_without_a_slide_is_refused(tmp_path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SlideUnreadable, match="is a folder with no slides") as caught:
        open_slide(tmp_path)
    assert caught.value.reason == "folder_without_slide"


# --------------------------------------------------------------------- label and macro


def test_associated_images_are_listed_and_read_by_name_alone(labelled) -> None:
    with open_slide(labelled) as slide:
        assert slide.associated_names == ("label", "macro", "thumbnail")
        assert np.array_equal(slide.read_associated("label"), pixels(60, 50, seed=1))
        with pytest.raises(
            SpecError, match=r"no associated image 'slide'. It has label, macro, th"
        ):
            slide.read_associated("slide")


def test_garbage_in_label_and_macro_is_never_met_but_by_who_asks(labelled) -> None:
    assert garble_strips(labelled) > 3000
    with open_slide(labelled) as slide:
        assert slide.info.reader == open_module.READER
        assert np.array_equal(ours(slide), theirs(labelled))
        assert read_overview(slide, downsample=16)[0].shape == (31, 37, 3)
        with pytest.raises(SlideUnreadable, match="image 'label' cannot be decoded"):
            slide.read_associated("label")
        assert np.array_equal(ours(slide), theirs(labelled))


def test_a_slide_with_garbage_for_a_label_is_ingested_and_made(
    platform, labelled, register, make_task
) -> None:
    garble_strips(labelled)
    task = make_task(platform, register(platform, labelled)[0])
    assert [step.state for step in run_slide(task).steps] == ["made"] * len(task.steps)


@pytest.mark.usefixtures("here")
def test_no_byte_of_a_label_reaches_what_ingestion_keeps(platform, tmp_path) -> None:
    one = write_with_label(tmp_path / "a.svs")
    other = Path(shutil.copy(one, tmp_path / "b.svs"))
    garble_strips(other)
    for path in (one, other):
        assert [found.state for found in ingest(platform, find_files([path]))] == ["new"]
    records = platform.catalog.slides()
    assert len({record.fingerprint for record in records}) == 2
    kept = [
        {hashlib.sha256(p.read_bytes()).hexdigest() for p in platform.store.root.rglob("*.jpg")
         if record.slide_id in str(p)}
        for record in records
    ]  # fmt: skip
    assert kept[0] == kept[1]


# --------------------------------------------------------------------- OpenSlide's handle


def test_a_bad_tile_costs_openslides_reader_that_tile_alone(plain) -> None:
    corrupt_tile(plain, 0, 7)
    with open_slide(plain, backend="openslide") as slide:
        source = slide.tiles(0)
        for _ in range(3):
            bad = []
            for tile in range(source.grid.n_tiles):
                try:
                    source.read(tile)
                except TileDamaged as damage:
                    bad.append((tile, damage.reason))
            assert bad == [(7, "undecodable")]


def test_many_threads_lose_no_good_tile_to_a_bad_one(plain) -> None:
    with open_slide(plain, backend="openslide") as slide:
        good = [slide.tiles(0).read(tile) for tile in range(slide.tiles(0).grid.n_tiles)]
    for tile in (3, 11):
        corrupt_tile(plain, 0, tile)
    start = threading.Barrier(8)
    with open_slide(plain, backend="openslide") as slide:
        source = slide.tiles(0)

        def read_all(first: int) -> list[int]:
            start.wait()
            bad = []
            for i in range(len(good)):
                tile = (first + i) % len(good)
                try:
                    assert np.array_equal(source.read(tile), good[tile])
                except TileDamaged:
                    bad.append(tile)
            return sorted(bad)

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(read_all, range(0, 24, 3))) == [[3, 11]] * 8


def test_a_tile_that_was_read_twice_at_once_is_the_same(plain) -> None:
    with open_slide(plain) as slide, ThreadPoolExecutor(4) as pool:
        source = slide.tiles(0)
        read = list(pool.map(lambda i: source.read(i % 20), range(400)))
        for i, rgb in enumerate(read):
            assert np.array_equal(rgb, read[i % 20])


# --------------------------------------------------------------------- open files


def test_the_count_of_open_files_counts(plain) -> None:
    before = descriptors()
    with open_slide(plain):
        assert len(descriptors()) == len(before) + 1


@pytest.mark.parametrize("backend", ["auto", "openslide", "tiles"])
def test_a_closed_slide_holds_no_file(plain, backend) -> None:
    before = descriptors()
    for _ in range(N_OPENS):
        with open_slide(plain, backend=backend) as slide:
            slide.read_region(0, 0, width_px=10, height_px=10)
        slide.close()  # a second time: nothing happens
    assert descriptors() == before


def test_a_slide_that_falls_back_or_is_refused_holds_no_file(plain, wrong_decoder) -> None:
    wrong_decoder(0)
    before = descriptors()
    for _ in range(N_OPENS):
        open_slide(plain).close()
        with pytest.raises(SpecError):
            open_slide(plain, backend="tiles")
    assert descriptors() == before


def make_bad(folder: Path, plain: Path) -> list[Path]:
    """Files that are refused at every step of opening."""
    data = plain.read_bytes()
    contents = {
        "empty": b"", "text": b"no slide", "half": data[: len(data) // 2], "short": data[:-100],
        "head": data[:8],
    }  # fmt: skip
    for name, content in contents.items():
        (folder / f"{name}.svs").write_bytes(content)
    striped = folder / "striped.tif"
    tifffile.imwrite(striped, pixels(300, 300), photometric="rgb", metadata=None)
    return [*(folder / f"{name}.svs" for name in contents), striped, folder / "nowhere.svs"]


def test_a_slide_that_cannot_be_opened_holds_no_file(plain, tmp_path) -> None:
    paths = make_bad(tmp_path, plain)
    before = descriptors()
    for path in paths:
        for _ in range(N_OPENS):
            with pytest.raises(SlideUnreadable):
                open_slide(path)
    assert descriptors() == before


def test_bad_tiles_hold_no_file_open(plain) -> None:
    corrupt_tile(plain, 0, 7)
    before = descriptors()
    with open_slide(plain, backend="openslide") as slide:
        for _ in range(N_OPENS):
            with pytest.raises(TileDamaged):
                slide.tiles(0).read(7)
            slide.tiles(0).read(6)
    assert descriptors() == before


@pytest.mark.parametrize("backend", ["openslide", "tiles"])
def test_a_closed_slide_cannot_be_read(plain, backend) -> None:
    slide = open_slide(plain, backend=backend)
    slide.close()
    with pytest.raises(SlideUnreadable):
        slide.tiles(0).read(0)


def test_the_file_may_be_deleted_while_it_is_open(plain) -> None:
    wanted = theirs(plain)
    with open_slide(plain) as slide:
        plain.unlink()
        assert np.array_equal(ours(slide), wanted)


def test_a_file_that_is_gone_when_a_handle_must_be_reopened_is_missing(plain) -> None:
    corrupt_tile(plain, 0, 7)
    reader = OpenSlideReader(plain)
    plain.unlink()
    with pytest.raises(SlideUnreadable) as caught:
        reader.tiles(0).read(7)
    assert caught.value.reason == "file_missing"
    reader.close()
