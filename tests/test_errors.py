"""What errors say, and once."""

import pickle

import numpy as np
import pytest

import pathassets
from pathassets.engine.features.extractor import SlideOutputs, SlidesFailed
from pathassets.errors import (
    EncoderError,
    OutputExists,
    PathAssetsError,
    SlideUnreadable,
    SpecError,
    StoreError,
    WorkerLost,
    WrongArguments,
    shortage_of,
)
from tests.formula_tiff import write_formula_tiff

FULL = np.ones((128, 96), bool)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a good slide is, a bad one, a folder, and a bad annotation."""
    folder = tmp_path_factory.mktemp("errors")
    write_formula_tiff(folder / "good.tiff")
    (folder / "bad.svs").write_bytes(b"x" * 100)
    (folder / "dir.svs").mkdir()
    (folder / "bad.geojson").write_text("{")
    return folder


def mock(path):
    return pathassets.PatchesMock(
        patch_data=[((0, 0), (64, 64), "")], wsi_file=path, level_or_mpp=0
    )


def located(path, **more):
    return pathassets.WholeImageGridPatches(wsi_file=path, mask_data=FULL, **more)


OF_A_SLIDE = {
    "open": pathassets.open_slide,
    "locations": located,
    "locations pool": lambda path: pathassets.WholeImageGridPatchesPool(
        wsi_file_list=[path], mask_data_list=[FULL], patches_args={}, proc_num_workers=1
    ),
    "in memory": lambda path: list(
        pathassets.MemPatchExtractor(patches=mock(path), num_workers=1).patch_stream
    ),
    "in memory pool": lambda path: list(
        pathassets.MemPatchExtractorPool(
            patches_pool=[mock(path)], proc_num_workers=1, thread_num_workers=1
        ).patch_list
    ),
    "on disk": lambda path: pathassets.DiskPatchExtractor(
        patches=mock(path), num_workers=1, output_dir="out", image_type="png"
    ),
    "on disk pool": lambda path: pathassets.DiskPatchExtractorPool(
        patches_pool=[mock(path)], proc_num_workers=1, thread_num_workers=1, output_dir="out",
        image_type="png",
    ),
}  # fmt: skip
OF_A_REQUEST = {
    "level": lambda path: located(path, level_or_mpp=9),
    "size": lambda path: located(path, patch_size=-1),
    "axes": lambda path: pathassets.WholeImageGridPatches(wsi_file=path, mask_data=FULL.T),
    "no room": lambda path: pathassets.WholeImageRandomPatches(
        wsi_file=path, mask_data=FULL, num_patches=9, patch_size=20_000
    ),
    "between levels": lambda path: list(
        pathassets.MultiResMemPatchExtractor(
            patches=mock(path), num_workers=1, levels_or_mpps=[0.33]
        ).patch_stream
    ),
    "no such level, in a worker": lambda path: list(
        pathassets.MultiResMemPatchExtractorPool(
            patches_pool=[mock(path)], proc_num_workers=1, thread_num_workers=1, levels_or_mpps=[9]
        ).patch_list
    ),
    "mpp": lambda path: pathassets.open_slide(path, mpp=-1),
    "label image": lambda path: pathassets.open_slide(path).read_associated("label"),
    "a file where a folder is": lambda path: pathassets.DiskPatchExtractor(
        patches=mock(path), num_workers=1, output_dir=path, image_type="png"
    ),
}


BAD = ["nope.svs", "bad.svs", "dir.svs"]
OF_WORKERS = ["locations pool", "in memory pool", "on disk pool"]
"""Each starts processes, and what is wrong with a slide is found out alike: one bad slide each."""


@pytest.mark.parametrize(
    ("way", "name"),
    [
        *((way, name) for way in OF_A_SLIDE if way not in OF_WORKERS for name in BAD),
        *zip(OF_WORKERS, BAD, strict=True),
    ],
)
def test_the_name_of_a_slide_that_cannot_be_read_is_told_once(folder, monkeypatch, way, name):
    monkeypatch.chdir(folder)
    with pytest.raises(SlideUnreadable) as told:
        OF_A_SLIDE[way](name)
    assert str(told.value).count(name) == 1
    assert str(told.value).startswith(f"{name}: ")


@pytest.mark.parametrize("way", OF_A_REQUEST)
def test_the_name_of_a_slide_of_which_something_impossible_is_asked_is_told_once(
    folder, monkeypatch, way
):
    monkeypatch.chdir(folder)
    with pytest.raises(PathAssetsError) as told:
        OF_A_REQUEST[way]("good.tiff")
    assert str(told.value).count("good.tiff") == 1


@pytest.mark.parametrize("name", ["bad.geojson", "nope.geojson"])
def test_the_name_of_a_drawing_that_cannot_be_read_is_told_once(folder, monkeypatch, name):
    monkeypatch.chdir(folder)
    with pytest.raises(PathAssetsError) as told:
        pathassets.PolygonRegionGridPatches(wsi_file="good.tiff", mask_data=FULL, polygon_data=name)
    assert str(told.value).count(name) == 1


def test_slides_that_failed_are_told_once_each():
    errors = {"nope.svs": SlideUnreadable("nope.svs", "no such file"), "b.svs": WorkerLost("ended")}
    said = SlidesFailed(SlideOutputs({}, errors)).message
    assert "failed: nope.svs: no such file; b.svs: ended" in said


@pytest.mark.parametrize(
    "error",
    [
        SlideUnreadable("a.svs", "gone", remedy="Look", reason="file_missing"),
        EncoderError("uni", "no file"),
        OutputExists("out", "is there"),
        WorkerLost("ended"),
        WrongArguments("no such thing"),
    ],
)
def test_an_error_that_is_given_a_name_stays_what_it_is(error):
    named = error.named("b.svs")
    assert (type(named), named.__dict__) == (type(error), error.__dict__)
    assert named.message == f"b.svs: {error.message}"
    assert named.named("b.svs") is named
    again = pickle.loads(pickle.dumps(named))  # noqa: S301
    assert (str(again), again.__dict__) == (str(named), named.__dict__)


def test_what_stands_for_a_builtin_is_one():
    assert issubclass(WrongArguments, TypeError)
    assert issubclass(WrongArguments, SpecError)
    assert issubclass(OutputExists, FileExistsError)
    assert issubclass(OutputExists, StoreError)
    assert str(OutputExists("out", "is there", remedy="Go")) == "out: is there. Go"


def test_a_name_that_sounds_like_a_want_of_memory_is_none():
    assert shortage_of(SlideUnreadable("(-4:Insufficient memory).svs", "is no slide")) is None
    short = EncoderError("uni", "cannot start")
    short.__cause__ = RuntimeError("can't start new thread")
    assert shortage_of(short).reason == "resources_short"
