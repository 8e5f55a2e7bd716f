import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from pathassets.engine.features.given_patches import check_patches, read_batches, read_image
from pathassets.errors import SpecError
from tests.formula_tiff import write_formula_tiff

RNG = np.random.default_rng(1)
PATCHES = RNG.integers(0, 256, (5, 8, 6, 3), dtype=np.uint8)


def written(path: Path, rgb: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, rgb)
    else:
        assert cv2.imwrite(str(path), rgb[..., ::-1])
    return path


def all_of(images, n_batch: int = 2, **how) -> np.ndarray:
    return np.concatenate(list(read_batches(images, n_batch=n_batch, n_threads=2, **how)))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".bmp", ".npy"])
def test_files_give_their_pixels_in_order(tmp_path, suffix):
    files = [written(tmp_path / f"{i}{suffix}", rgb) for i, rgb in enumerate(PATCHES)]
    assert (all_of(files) == PATCHES).all()
    assert (all_of([str(file) for file in files], n_batch=99) == PATCHES).all()


def test_jpeg_files_are_read(tmp_path):
    smooth = np.full((8, 6, 3), (200, 100, 50), np.uint8)
    found = read_image(written(tmp_path / "a.jpg", smooth))
    assert np.abs(found.astype(int) - smooth).max() <= 3  # and red is not blue


def test_arrays_and_lists_of_arrays_are_the_same():
    assert (all_of(PATCHES) == PATCHES).all()
    assert (all_of(list(PATCHES)) == PATCHES).all()
    assert (all_of(PATCHES.astype(np.int64)) == PATCHES).all()
    assert [len(b) for b in read_batches(PATCHES, n_batch=2, n_threads=1)] == [2, 2, 1]
    assert list(read_batches([], n_batch=2, n_threads=1)) == []


@pytest.mark.parametrize(
    "wrong",
    [PATCHES[0] / 255, PATCHES[0].astype(np.float32), PATCHES[0].astype(np.uint16) + 200,
     PATCHES[0].astype(int) - 300, PATCHES[0, 0], PATCHES[0, ..., :2], PATCHES[:, :, :, :, None],
     np.zeros((0, 4, 3), np.uint8), 3, None],
)  # fmt: skip
def test_what_is_no_rgb_of_8_bits_is_refused_by_its_place(wrong):
    with pytest.raises(SpecError, match="image 1"):
        all_of([PATCHES[0], wrong])


def test_patches_of_another_size_are_refused_by_name(tmp_path):
    file = written(tmp_path / "odd.png", PATCHES[0][:4])
    with pytest.raises(SpecError, match=r"odd\.png: is 4 x 6 px .* not 8 x 6"):
        all_of([*PATCHES[:3], file])
    with pytest.raises(SpecError, match=r"image 0: is 8 x 6 px .* not 6 x 8"):
        all_of(PATCHES, shape=(6, 8))


@pytest.mark.parametrize(
    "name", ["missing.png", "missing.npy", "empty.png", "text.png", "text.npy"]
)
def test_files_that_are_none_are_refused_by_name(tmp_path, name):
    if not name.startswith("missing"):
        (tmp_path / name).write_bytes(b"" if name.startswith("empty") else b"no image at all")
    with pytest.raises(SpecError, match=name):
        read_image(tmp_path / name)


def test_arrays_with_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(SpecError, match="object"):
        read_image(tmp_path / "a.npy")


def test_grey_files_are_grey_patches_and_deep_ones_are_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), PATCHES[0, ..., 0])
    assert (read_image(tmp_path / "grey.png") == PATCHES[0, ..., :1]).all()
    cv2.imwrite(str(tmp_path / "deep.png"), PATCHES[0].astype(np.uint16) * 257)
    with pytest.raises(SpecError, match="uint16"):
        read_image(tmp_path / "deep.png")


def test_what_is_transparent_has_no_colour(tmp_path):
    rgba = np.dstack([PATCHES[0], np.full((8, 6), 255, np.uint8)])
    cv2.imwrite(str(tmp_path / "a.png"), rgba)
    assert (read_image(tmp_path / "a.png") == PATCHES[0][..., ::-1]).all()
    rgba[0, 0, 3] = 0
    cv2.imwrite(str(tmp_path / "b.png"), rgba)
    with pytest.raises(SpecError, match="transparent"):
        read_image(tmp_path / "b.png")


@pytest.mark.parametrize("images", ["a.png", Path("a.png"), {1}, None])
def test_patches_come_in_a_list_or_an_array(images):
    with pytest.raises(TypeError, match="a list or an array of patches"):
        check_patches(images)


def test_arrays_of_other_axes_are_refused():
    for shape in ((8, 6, 3), (2, 3, 8, 6), (2, 8, 6, 4)):
        with pytest.raises(SpecError, match="an array of shape"):
            check_patches(np.zeros(shape, np.uint8))


def test_threads_end_when_nobody_wants_more():
    before = threading.active_count()
    batches = read_batches(PATCHES, n_batch=1, n_threads=3)
    next(batches)
    batches.close()
    assert threading.active_count() == before


@pytest.mark.parametrize(
    "name", ["a.svs", "a.NDPI", "a.mrxs", "a.dcm", "a.tif", "a.tiff", "folder"]
)
def test_a_slide_is_no_patch_whatever_it_is_called(tmp_path, name):
    path = tmp_path / name
    if name == "folder":
        path.mkdir()  # of a DICOM series
    else:
        write_formula_tiff(path)
    with pytest.raises(SpecError, match=r"is a slide, not a patch\. Give patch_mode=False"):
        read_image(path)


@pytest.mark.parametrize(("side_px", "is_slide"), [(512, False), (4096, True)])
def test_a_tiled_tiff_of_the_size_of_a_patch_is_one(tmp_path, side_px, is_slide):
    rgb = np.full((side_px, side_px, 3), 200, np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", rgb, tile=(256, 256), compression="deflate")
    if is_slide:
        with pytest.raises(SpecError, match="patch_mode=False"):
            read_image(tmp_path / "a.tif")
    else:
        assert (read_image(tmp_path / "a.tif") == rgb).all()
