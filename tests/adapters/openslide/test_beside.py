from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pathassets.adapters.openslide.beside import PipeBeside
from pathassets.adapters.openslide.completeness import lacking
from pathassets.adapters.openslide.members import find_slides, members_of, slide_stamp
from pathassets.catalog import inbox
from pathassets.engine.slides.open import open_slide
from pathassets.engine.slides.tile_check import CheckTask, check_slide
from pathassets.errors import SlideUnreadable

DICOM = bytes(128) + b"DICM"


def lay(folder: Path, kind: str) -> tuple[Path, Path]:
    """A slide of a kind, and where a file is opened along with it."""
    folder.mkdir()
    if kind == "dicom":
        (folder / "a.dcm").write_bytes(DICOM)
        return folder / "a.dcm", folder / "b"
    if kind == "hamamatsu":
        (folder / "a.vms").write_text("[Virtual Microscope Specimen]\nImageFile=a.jpg\n")
        return folder / "a.vms", folder / "a.jpg"
    (folder / "a").mkdir()
    (folder / "a.mrxs").write_bytes(b"\xff\xd8\xff a preview")
    if kind == "mrxs index":
        return folder / "a.mrxs", folder / "a" / "Slidedat.ini"
    (folder / "a" / "Slidedat.ini").write_text("[DATAFILE]\nFILE_COUNT=1\nFILE_0 = ../b.dat\n")
    return folder / "a.mrxs", folder / "b.dat"


@pytest.mark.parametrize("kind", ["dicom", "hamamatsu", "mrxs index", "mrxs"])
def test_a_slide_is_not_opened_while_a_pipe_would_be_opened_with_it(
    tmp_path: Path, kind: str
) -> None:
    path, pipe = lay(tmp_path / "scans", kind)
    os.mkfifo(pipe)
    with pytest.raises(SlideUnreadable) as told:
        open_slide(path)
    assert told.value.reason == PipeBeside.reason == inbox.BESIDE  # it is looked at again
    assert f"{pipe.name} is a named pipe" in told.value.fact
    assert f"Move {pipe.name} out" in told.value.remedy
    assert pipe.name in lacking(path)
    checked = check_slide(CheckTask(path=path, fingerprint="", n_threads=1)).error
    assert checked is not None
    assert checked.reason == "pipe_beside"
    pipe.unlink()
    assert "pipe" not in lacking(path)
    with pytest.raises(SlideUnreadable) as mended:
        open_slide(path)
    assert mended.value.reason != "pipe_beside"


def test_a_folder_of_dicom_with_a_pipe_is_searched_and_its_slide_opens_once_it_is_gone(
    tmp_path: Path, shared: Path
) -> None:
    path = tmp_path / "a.dcm"
    shutil.copyfile(shared / "slides" / "camelyon_jpeg.dcm", path)
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/dev/null")
    assert find_slides(tmp_path) == [path]
    assert slide_stamp(path).size_bytes == path.stat().st_size
    for call in (members_of, open_slide):
        with pytest.raises(SlideUnreadable, match="link is a device"):
            call(path)
    (tmp_path / "link").unlink()
    with open_slide(path) as slide:
        assert slide.info.vendor == "dicom"
