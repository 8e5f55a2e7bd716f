import logging
import os
import shutil

import pytest

from pathassets.adapters.openslide import members
from pathassets.adapters.openslide.members import find_slides, members_of
from pathassets.errors import SlideUnreadable


def skip_if_allowed(path, mode):
    if os.access(path, mode):
        pytest.skip("root may read and write everything")


def test_a_folder_is_searched_by_suffix_whatever_its_case(tmp_path):
    (tmp_path / "b").mkdir()
    names = ["z.SVS", "a.svs", "b/c.Tiff", "b/d.ndpi"]
    for name in [*names, "notes.txt", "x.svs.part", "noext"]:
        (tmp_path / name).touch()
    assert find_slides(tmp_path) == sorted(tmp_path / name for name in names)


def test_hidden_files_and_folders_are_left_out(tmp_path):
    (tmp_path / ".trash").mkdir()
    for name in [".a.svs", "._b.svs", ".trash/c.svs", "d.svs"]:
        (tmp_path / name).touch()
    assert find_slides(tmp_path) == [tmp_path / "d.svs"]


def test_a_dangling_link_and_a_pipe_are_listed_and_a_folder_is_searched(tmp_path):
    (tmp_path / "a.svs").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "b.svs")
    (tmp_path / "c.svs").mkdir()
    (tmp_path / "c.svs" / "d.svs").touch()
    names = ["a.svs", "b.svs", "c.svs/d.svs"]
    assert find_slides(tmp_path) == [tmp_path / name for name in names]


def test_a_linked_folder_is_left_out_and_that_is_said(tmp_path, caplog):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "a.svs").touch()
    (tmp_path / "link").symlink_to(tmp_path / "scans")
    (tmp_path / "scans" / "up").symlink_to("..")
    with caplog.at_level(logging.WARNING):
        assert find_slides(tmp_path) == [tmp_path / "scans" / "a.svs"]
    assert f"{tmp_path / 'link'}: is a link to a folder, and not searched" in caplog.text
    assert find_slides(tmp_path / "link") == [tmp_path / "link" / "a.svs"]


def test_a_folder_one_may_not_look_into_is_warned_of(tmp_path, caplog):
    (tmp_path / "closed").mkdir(mode=0)
    skip_if_allowed(tmp_path / "closed", os.R_OK)
    (tmp_path / "a.svs").touch()
    with caplog.at_level(logging.WARNING):
        assert find_slides(tmp_path) == [tmp_path / "a.svs"]
    assert "closed: cannot be searched" in caplog.text


def test_an_mrxs_is_its_file_and_everything_in_its_folder(tmp_path):
    (tmp_path / "a" / "sub").mkdir(parents=True)
    names = ["a.mrxs", "a/Data0001.dat", "a/Slidedat.ini", "a/sub/x.dat"]
    for name in [*names, "b.mrxs"]:
        (tmp_path / name).touch()
    assert members_of(tmp_path / "a.mrxs") == [tmp_path / name for name in names]
    assert members_of(tmp_path / "b.mrxs") == [tmp_path / "b.mrxs"]


def test_a_hamamatsu_index_brings_the_pictures_that_it_names(tmp_path):
    index = (
        "[Virtual Microscope Specimen]\nImageFile=a.jpg\nImageFile(1,0)=b.jpg\nMapFile=none.jpg\n"
    )
    (tmp_path / "a.vms").write_text(index)
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).touch()
    assert members_of(tmp_path / "a.vms") == [tmp_path / n for n in ("a.vms", "a.jpg", "b.jpg")]


def test_a_plain_slide_is_one_file_that_is_not_even_opened(tmp_path):
    assert members_of(tmp_path / "none.svs") == [tmp_path / "none.svs"]


@pytest.fixture
def series(tmp_path, shared):
    """Two files of one DICOM series, one in upper case, a file of another, and what is none."""
    for name in ("a.dcm", "b.DCM"):
        shutil.copyfile(shared / "slides" / "camelyon_jpeg.dcm", tmp_path / name)
    shutil.copyfile(shared / "slides" / "camelyon_jpeg2000.dcm", tmp_path / "c.dcm")
    (tmp_path / "label.dcm").write_text("no slide")
    (tmp_path / "gone.dcm").symlink_to(tmp_path / "nowhere")
    return tmp_path


def test_a_dicom_slide_is_all_files_of_its_series(series):
    same = [series / "a.dcm", series / "b.DCM"]
    assert members_of(series / "a.dcm") == members_of(series / "b.DCM") == same
    assert members_of(series / "c.dcm") == [series / "c.dcm"]
    with pytest.raises(SlideUnreadable):
        members_of(series / "label.dcm")


def test_a_dicom_series_is_found_once(series):
    names = ["a.dcm", "c.dcm", "gone.dcm", "label.dcm"]
    assert find_slides(series) == [series / name for name in names]


def test_a_folder_of_dicom_files_is_opened_once_until_a_file_of_it_changes(series):
    before = members._series_in.cache_info().misses
    for name in ("a.dcm", "b.DCM", "c.dcm"):
        members_of(series / name)
    assert members._series_in.cache_info().misses == before + 1
    whole = (series / "a.dcm").read_bytes()
    (series / "d.dcm").write_bytes(whole[:1000])
    assert series / "d.dcm" not in members_of(series / "a.dcm")
    with (series / "d.dcm").open("ab") as file:
        file.write(whole[1000:])
    assert series / "d.dcm" in members_of(series / "a.dcm")
