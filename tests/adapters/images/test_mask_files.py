import cv2
import numpy as np
import pytest
import tifffile

from pathassets.adapters.images.mask_files import load_mask_array, load_mask_image
from pathassets.errors import AnnotationError

MASK = np.zeros((6, 9), bool)
MASK[1:4, 2:8] = True


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
@pytest.mark.parametrize("kind", ["grey", "one", "rgb", "16 bits"])
def test_what_is_not_0_is_in_the_mask(tmp_path, suffix, kind):
    path = tmp_path / f"mask{suffix}"
    pixels = {
        "grey": MASK * np.uint8(255),
        "one": MASK.astype(np.uint8),
        "rgb": np.stack([MASK * 0, MASK * 0, MASK * 9], axis=-1).astype(np.uint8),
        "16 bits": MASK.astype(np.uint16) * 256,
    }[kind]
    if suffix == ".bmp" and kind == "16 bits":
        pytest.skip("BMP has no such pixels")
    cv2.imwrite(str(path), pixels)
    assert (load_mask_image(path) == MASK).all()


def test_transparent_pixels_are_not_in_the_mask(tmp_path):
    rgba = np.full((*MASK.shape, 4), 200, np.uint8)
    rgba[..., 3] = MASK * 255
    cv2.imwrite(str(tmp_path / "mask.png"), rgba)
    assert (load_mask_image(tmp_path / "mask.png") == MASK).all()


@pytest.mark.parametrize("compression", [None, "deflate", "lzw"])
def test_a_tiled_pyramid_is_read_at_its_first_page(tmp_path, compression):
    mask = np.zeros((300, 500), np.uint8)
    mask[50:200, 100:400] = 1
    with tifffile.TiffWriter(tmp_path / "mask.tif") as file:
        file.write(mask, tile=(128, 128), compression=compression)
        file.write(mask[::2, ::2], tile=(128, 128), subfiletype=1)
    assert (load_mask_image(tmp_path / "mask.tif") == (mask != 0)).all()


@pytest.mark.parametrize(
    "kind",
    ["1 bit", "white is 0", "palette", "planes", "signed", "float", "zstd", "thumbnail first"],
)
def test_a_tiff_is_read_however_its_pixels_are_kept(tmp_path, kind):
    palette = np.zeros((3, 256), np.uint16)
    palette[0, 7] = 1
    one = MASK.astype(np.uint8)
    pixels, how = {
        "1 bit": (MASK, {"photometric": "minisblack"}),
        "white is 0": (255 - one, {"photometric": "miniswhite"}),
        "palette": (one * 7, {"photometric": "palette", "colormap": palette}),
        "planes": (
            np.stack([one * 0, one * 0, one]),
            {"photometric": "rgb", "planarconfig": "separate"},
        ),
        "signed": (MASK * np.int16(-1), {}),
        "float": (MASK * np.float32(1e-3), {}),
        "zstd": (one, {"compression": "zstd"}),
        "thumbnail first": (one, {}),
    }[kind]
    with tifffile.TiffWriter(tmp_path / "mask.tif") as file:
        if kind == "thumbnail first":
            file.write(one[::3, ::3], subfiletype=1)
        file.write(pixels, **how)
    assert (load_mask_image(tmp_path / "mask.tif") == MASK).all()


def test_of_a_pyramid_too_large_the_finest_level_within_the_limit_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("pathassets.adapters.images.mask_files.MAX_MASK_PX", 300 * 500 - 1)
    mask = np.zeros((300, 500), np.uint8)
    mask[50:200, 100:400] = 1
    tifffile.imwrite(tmp_path / "flat.tif", mask)
    cv2.imwrite(str(tmp_path / "flat.png"), mask)
    for name in ("flat.tif", "flat.png"):
        with pytest.raises(AnnotationError, match="150,000 pixels, over 149,999"):
            load_mask_image(tmp_path / name)
    with tifffile.TiffWriter(tmp_path / "mask.tif") as file:
        file.write(mask, tile=(128, 128), subifds=1)
        file.write(mask[::2, ::2], tile=(128, 128), subfiletype=1)
    assert (load_mask_image(tmp_path / "mask.tif") == (mask[::2, ::2] != 0)).all()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_labels_drawn_on_white_are_refused_and_a_mask_of_all_is_not(tmp_path, suffix):
    path = tmp_path / f"mask{suffix}"
    on_white = np.full((*MASK.shape, 3), 255, np.uint8)
    on_white[MASK] = (0, 0, 200)
    cv2.imwrite(str(path), on_white)
    with pytest.raises(AnnotationError, match="none of which is 0"):
        load_mask_image(path)
    cv2.imwrite(str(path), np.full(MASK.shape, 255, np.uint8))
    assert load_mask_image(path).all()


def test_what_is_compressed_with_loss_is_refused_by_any_name(tmp_path):
    pixels = MASK * np.uint8(255)
    tifffile.imwrite(tmp_path / "mask.tif", pixels, compression="jpeg")
    (tmp_path / "mask.png").write_bytes(cv2.imencode(".jpg", pixels)[1].tobytes())
    for name, said in (("mask.tif", "with loss"), ("mask.png", "no picture in PNG")):
        with pytest.raises(AnnotationError, match=said):
            load_mask_image(tmp_path / name)


def test_a_stack_of_pages_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "mask.tif", np.stack([MASK] * 4), photometric="minisblack")
    with pytest.raises(AnnotationError, match="several pages"):
        load_mask_image(tmp_path / "mask.tif")


@pytest.mark.parametrize("name", ["m.png", "m.tif", "m.npz"])
def test_a_damaged_file_is_refused_and_never_read_as_another_mask(tmp_path, name, capfd):
    rng = np.random.default_rng(0)
    mask = rng.random((60, 90)) < 0.5
    path, load = tmp_path / name, load_mask_array if name == "m.npz" else load_mask_image
    if name == "m.npz":
        np.savez_compressed(path, data=mask)
    elif name == "m.tif":
        tifffile.imwrite(path, mask.astype(np.uint8), compression="deflate")
    else:
        cv2.imwrite(str(path), mask * np.uint8(255))
    whole, found = path.read_bytes(), load(path)
    assert (found == mask).all()
    at = len(whole) // 2
    broken = bytes(b ^ 0xA5 for b in whole[at : at + 20])
    for damaged in (whole[:at], whole[: at + 3], whole[:at] + broken + whole[at + 20 :]):
        path.write_bytes(damaged)
        with pytest.raises(AnnotationError, match=name):
            load(path)
    capfd.readouterr()  # OpenCV says its part on the terminal


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_an_array_is_read_as_it_is_stored(tmp_path, dtype):
    np.save(tmp_path / "mask.npy", MASK.astype(dtype))
    np.savez(tmp_path / "mask.npz", data=MASK.astype(dtype))
    for name in ("mask.npy", "mask.npz"):
        found = load_mask_array(tmp_path / name)
        assert (found.dtype, found.tolist()) == (dtype, MASK.astype(dtype).tolist())


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.png", None, "No such file"),
        ("a.png", b"", "no picture"),
        ("a.png", b"\x89PNG\r\n\x1a\nrest", "no picture"),
        ("a.png", b"GIF89a of another name", "no picture in PNG"),
        ("a.tif", b"II*\x00\x08\x00\x00\x00\xff\xff", "is no mask"),
        ("gone.npy", None, "No such file"),
        ("a.npy", b"", "is no mask"),
        ("a.npy", b"nothing", "is no mask"),
        ("a.npz", b"PK\x03\x04nothing", "is no mask"),
    ],
)
def test_a_file_that_holds_none_is_refused_by_its_name(tmp_path, name, content, said, capfd):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    load = load_mask_array if name.endswith(("npy", "npz")) else load_mask_image
    with pytest.raises(AnnotationError, match=said) as caught:
        load(path)
    assert str(path) in caught.value.message
    assert caught.value.remedy
    capfd.readouterr()  # OpenCV says its part on the terminal


def test_arrays_of_objects_of_other_axes_or_names_are_refused(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    np.save(tmp_path / "rgb.npy", np.zeros((4, 4, 3)))
    np.savez(tmp_path / "other.npz", mask=MASK)
    for name in ("objects.npy", "rgb.npy", "other.npz"):
        with pytest.raises(AnnotationError, match=name):
            load_mask_array(tmp_path / name)
