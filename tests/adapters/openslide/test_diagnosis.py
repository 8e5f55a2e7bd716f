import gzip
import io
import os
import socket
import tarfile
import zipfile

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from pathassets.adapters.openslide.diagnosis import require_file, why_no_slide
from pathassets.errors import SlideUnreadable
from tests.adapters.small_tiffs import jpegs, picture, write_tiff


def rejected_file(path):
    with pytest.raises(SlideUnreadable) as e:
        require_file(path)
    return e.value


def as_image(kind):
    data = io.BytesIO()
    Image.fromarray(picture(60, 40)).save(data, kind)
    return data.getvalue()


def as_zip():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("a.svs", "a slide")
    return data.getvalue()


def as_tar():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as file:
        file.addfile(tarfile.TarInfo("a.svs"))
    return data.getvalue()


BY_BYTES = {
    "empty_file": [b""],
    "lfs_pointer": [b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12\n"],
    "html_page": [
        b"<!DOCTYPE html><html><body>403 Forbidden</body></html>",
        b"\xef\xbb\xbf\r\n <HTML>",
        b'<?xml version="1.0"?><!DOCTYPE html><html xmlns="x"></html>',
    ],
    "gzip": [gzip.compress(b"a slide", mtime=0)],
    "archive": [as_zip(), as_tar(), b"7z\xbc\xaf\x27\x1c\0\4", b"Rar!\x1a\7\1\0", b"BZh91AY"],
    "plain_image": [
        *map(as_image, ["JPEG", "PNG", "BMP", "WEBP", "GIF"]),
        imagecodecs.jpeg2k_encode(picture(60, 40)),
    ],
    "truncated": [b"II*\0\x10\0\0\0", b"MM\0*\0\0\0\x08", b"II*\0", b"II+\0\x08\0\0\0"],
    "damaged_structure": [b"II*\0\x08\0\0\0" + bytes(100), b"II*\0" + bytes(100)],
    "not_a_slide": [b"a letter, renamed", bytes(3000), bytes(128) + b"DICM" + bytes(9), b"%PDF-1"],
}


@pytest.mark.parametrize(
    ("reason", "data"), [(reason, data) for reason, each in BY_BYTES.items() for data in each]
)
def test_a_file_that_is_no_slide_is_called_what_it_is(tmp_path, reason, data):
    path = tmp_path / "a.svs"
    path.write_bytes(data)
    error = why_no_slide(path)
    assert error.reason == reason
    assert error.message.startswith(f"{path}: ")
    assert error.remedy
    assert error.remedy[0].isupper()


@pytest.mark.parametrize(
    ("data", "fact"),
    [
        (as_image("PNG"), "PNG"),
        (as_tar(), "tar"),
        (bytes(99), "99 zero bytes"),
        (bytes(128) + b"DICM", "DICOM"),
    ],
)
def test_it_is_named_by_its_kind(tmp_path, data, fact):
    (tmp_path / "a.svs").write_bytes(data)
    assert fact in why_no_slide(tmp_path / "a.svs").fact


def test_a_tiff_that_is_no_slide_is_told_apart_by_its_structure(tmp_path):
    pixels = picture(200, 150)
    tifffile.imwrite(tmp_path / "strips.tif", pixels, metadata=None)
    tifffile.imwrite(tmp_path / "16.tif", pixels.astype(np.uint16), tile=(64, 64), metadata=None)
    tifffile.imwrite(tmp_path / "zstd.tif", pixels, tile=(64, 64), compression="zstd")
    write_tiff(tmp_path / "whole.svs", jpegs())
    whole = (tmp_path / "whole.svs").read_bytes()
    (tmp_path / "cut.svs").write_bytes(whole[: len(whole) // 2])
    write_tiff(tmp_path / "big-endian.svs", jpegs(file={"byteorder": ">"}))
    reasons = {path.stem: why_no_slide(path).reason for path in tmp_path.iterdir()}
    assert reasons == {
        "strips": "striped_tiff",
        "16": "not_8bit_rgb",
        "zstd": "not_a_slide",
        "whole": "not_a_slide",
        "cut": "truncated",
        "big-endian": "not_a_slide",
    }
    assert "compression" in why_no_slide(tmp_path / "zstd.tif").fact
    assert "big-endian" in why_no_slide(tmp_path / "big-endian.svs").fact


def test_an_mrxs_without_its_folder_or_its_index_is_incomplete(tmp_path):
    path = tmp_path / "a.mrxs"
    path.write_bytes(as_image("JPEG"))
    assert why_no_slide(path).reason == "incomplete_mrxs"
    assert str(tmp_path / "a") in why_no_slide(path).fact
    (tmp_path / "a").mkdir()
    assert why_no_slide(path).reason == "incomplete_mrxs"
    assert "Slidedat.ini" in why_no_slide(path).fact
    (tmp_path / "a" / "Slidedat.ini").touch()
    assert why_no_slide(path).reason == "not_a_slide"


def test_a_file_with_bytes_is_let_through(tmp_path):
    (tmp_path / "a.svs").write_text("anything")
    (tmp_path / "link.svs").symlink_to("a.svs")
    require_file(tmp_path / "a.svs")
    require_file(tmp_path / "link.svs")


def test_what_is_not_there_is_missing(tmp_path):
    (tmp_path / "a.svs").write_text("a file")
    for path in (tmp_path / "none.svs", tmp_path / "none" / "b.svs", tmp_path / "a.svs" / "b.svs"):
        assert rejected_file(path).reason == "file_missing"
        assert why_no_slide(path).reason == "file_missing"


def test_a_link_to_nothing_says_where_it_leads(tmp_path):
    (tmp_path / "a.svs").symlink_to("/nowhere/gone.svs")
    error = rejected_file(tmp_path / "a.svs")
    assert error.reason == "dangling_link"
    assert "/nowhere/gone.svs" in error.fact


def test_links_in_a_circle_are_told_as_such(tmp_path):
    (tmp_path / "a.svs").symlink_to("b.svs")
    (tmp_path / "b.svs").symlink_to("a.svs")
    error = rejected_file(tmp_path / "a.svs")
    assert error.reason == "link_loop"
    assert "b.svs" in error.fact


def test_a_pipe_a_socket_and_a_device_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.svs")
    with socket.socket(socket.AF_UNIX) as bound:
        folder = os.open(tmp_path, os.O_RDONLY)
        bound.bind(f"/proc/self/fd/{folder}/s.svs")  # paths of sockets are 107 bytes at most
        os.close(folder)
        (tmp_path / "device.svs").symlink_to("/dev/null")
        for name, kind in (("pipe", "a named pipe"), ("s", "a socket"), ("device", "a device")):
            error = rejected_file(tmp_path / f"{name}.svs")
            assert error.reason == "not_a_file"
            assert kind in error.fact


def test_a_folder_and_an_empty_file_are_told_apart(tmp_path):
    (tmp_path / "a.svs").touch()
    assert rejected_file(tmp_path).reason == "folder_without_slide"
    assert rejected_file(tmp_path / "a.svs").reason == "empty_file"


def test_a_file_one_may_not_read_says_so(tmp_path):
    path = tmp_path / "a.svs"
    path.write_text("a slide")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root may read everything")
    assert rejected_file(path).reason == "no_permission"
