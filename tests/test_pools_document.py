"""Word by word: what the users' document of the extractor pools names, quoted and held.

A quote is the key of what it promises; that none is left out is looked at where the document is.
"""

import inspect
import os
import re
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import pathassets
from tests.formula_tiff import formula_box, write_formula_tiff

FULL = np.ones((128, 96), bool)
"""Of the formula slide's level 2, (x, y)."""
NAMES = (
    "MemPatchExtractorPool",
    "MultiResMemPatchExtractorPool",
    "DiskPatchExtractorPool",
    "MultiResDiskPatchExtractorPool",
)
DISK = NAMES[2:]
SETS = NAMES[1::2]
N_PATCHES, N_SLIDES, SIDE_PX = 3, 2, 64
"""Patches of each slide."""


@pytest.fixture(scope="module")
def patches_pool(tmp_path_factory):
    """An object from one of the patch-location pool classes."""
    folder = tmp_path_factory.mktemp("document")
    slides = [str(write_formula_tiff(folder / f"wsi{i}.tiff")) for i in (1, 2)]
    return pathassets.WholeImageCustomPatchesPool(
        wsi_file_list=slides, mask_data_list=[FULL] * 2, proc_num_workers=1,
        points_list=[[(512, 512), (640, 512), (512, 640)]] * 2,
        patches_args={"patch_size": SIDE_PX, "weak_label": ["tumour", "normal"]},
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(patches_pool, tmp_path_factory):
    """Each class, used as the document's examples use it."""

    def make(name, **more):
        given = {"patches_pool": patches_pool, "thread_num_workers": 2, "proc_num_workers": 1}
        if name in DISK:
            folder = tmp_path_factory.mktemp("out")
            given |= {"output_dir": str(folder), "image_type": "png"}
        if name in SETS:
            given |= {"levels_or_mpps": [2, 1, 0] if name not in DISK else [0, 1]}
        pool = getattr(pathassets, name)(**given | more)
        seen = [] if name in DISK else list(pool.patch_list)  # each time it is, processes start
        return SimpleNamespace(pool=pool, seen=seen, folder=(given | more).get("output_dir"))

    kept = {}

    def once(name, **more):
        key = name, repr(sorted(more.items()))
        if key not in kept:
            kept[key] = make(name, **more)
        return kept[key]

    return once


def files(made_pool):
    """All images, by their paths below the folder, as forward slashes."""
    found = []
    for folder, _, names in os.walk(made_pool.folder):
        below = os.path.relpath(folder, made_pool.folder)
        found += [f"{below}/{name}".removeprefix("./") for name in names if name.endswith(".png")]
    return sorted(found)


def default_of(name, parameter):
    return inspect.signature(getattr(pathassets, name)).parameters[parameter].default


def is_required(name, parameter):
    return default_of(name, parameter) is inspect.Parameter.empty


def test_for_patch_in_extractor_pool_patch_list_print_patch(made):
    """in-memory patches from multiple WSIs … will print them on the screen"""
    seen = [(str(patch), *patch) for patch in made("MemPatchExtractorPool").seen]
    assert len(seen) == N_SLIDES * N_PATCHES
    assert {label for *_, label in seen} == {"tumour", "normal"}
    assert all(image.size == (SIDE_PX, SIDE_PX) and image.mode == "RGB" for _, image, _ in seen)
    assert all("\n" not in text for text, *_ in seen)


def test_for_patch_in_multires_patch_print_patch(made):
    seen = made("MultiResMemPatchExtractorPool").seen
    assert len(seen) == N_SLIDES * N_PATCHES
    for multires_patch in seen:
        assert [patch.level_or_mpp for patch in multires_patch] == [2, 1, 0]
        assert all(image.size == (SIDE_PX, SIDE_PX) for image, _ in multires_patch)


@pytest.mark.parametrize("name", NAMES)
def test_patch_count_return_the_number_of_extracted_patches(made, name):
    """property patch_count: Return the number of extracted patches."""
    n_views = {"MultiResMemPatchExtractorPool": 3, "MultiResDiskPatchExtractorPool": 2}.get(name, 1)
    assert made(name).pool.patch_count == N_SLIDES * N_PATCHES * n_views


@pytest.mark.parametrize("name", NAMES[:2])
def test_patch_list_return_the_extracted_patches_stored_in_memory(made, name):
    """property patch_list: Return the extracted patches stored in memory."""
    one = made(name)
    (first, *more) = one.pool.patch_list  # as often as wanted
    assert len(one.pool.patch_list) == len(one.seen) == len([first, *more])
    first = first if name == NAMES[0] else first[-1]
    assert first.pixels.dtype == np.uint8
    x_px0, y_px0 = first.x_px0, first.y_px0
    assert np.array_equal(first.pixels, formula_box(0, x_px0, y_px0, SIDE_PX, SIDE_PX))


@pytest.mark.parametrize("name", NAMES)
def test_pids_return_the_ids_of_the_executed_processes(made, name):
    """property pids: Return the IDs of the executed processes."""
    pool = made(name).pool
    assert len(pool.pids) == N_SLIDES
    assert all(isinstance(pid, int) and pid != os.getpid() for pid in pool.pids)


@pytest.mark.parametrize("name", SETS)
def test_patchset_count_return_the_number_of_patch_sets(made, name):
    """property patchset_count: Return the number of patch sets created during the extraction."""
    assert made(name).pool.patchset_count == N_SLIDES * N_PATCHES


@pytest.mark.parametrize("name", DISK)
def test_manifest_ids_return_the_ids_of_the_created_manifests(made, name):
    """property manifest_ids: Return the IDs of the created manifests."""
    one = made(name)
    texts = [path.name for path in Path(one.folder, "manifests").glob("*.txt")]
    assert len(one.pool.manifest_ids) == len(texts) == N_SLIDES
    assert all(sum(each in text for text in texts) == 1 for each in one.pool.manifest_ids)


@pytest.mark.parametrize("name", SETS)
def test_levels_or_mpps_int_or_float_numbers_representing_levels_or_mpp_values(made, name):
    """levels_or_mpps (list of level_or_mpp values): Int or Float numbers representing WSI levels
    or MPP values
    """
    assert is_required(name, "levels_or_mpps")
    one = made(name, levels_or_mpps=[0, 0.5, 2.0])  # of level 0 the mpp is 0.5, of level 1 2.0
    assert one.pool.patch_count == 3 * one.pool.patchset_count
    if name in DISK:
        resolutions = {re.search(r"_(level\d+|mpp[\d.]+)_", path)[1] for path in files(one)}
        assert resolutions == {"level0", "mpp0.5", "mpp2.0"}
    else:
        first, same, wide = one.seen[0]
        assert np.array_equal(first.pixels, same.pixels)
        assert not np.array_equal(first.pixels, wide.pixels)


def test_global_counter_initial_counter_value_for_an_entire_collection(made):
    """global_counter (int, default=1): Initial counter value for enumerating patch set
    directories (set1, set2, set3, …) for an entire collection of WSIs.
    """
    assert default_of("MultiResDiskPatchExtractorPool", "global_counter") == 1
    n_sets = N_SLIDES * N_PATCHES
    for first, more in ((1, {}), (7, {"global_counter": 7})):
        folders = {
            path.split("/")[0] for path in files(made("MultiResDiskPatchExtractorPool", **more))
        }
        assert folders == {f"set{n}" for n in range(first, first + n_sets)}


def test_global_counter_none_resets_the_counter_for_each_wsi(made):
    """Setting this value to None will cause the patch set counter to be reset for each WSI"""
    one = made("MultiResDiskPatchExtractorPool", global_counter=None)
    folders = {path.split("/")[0] for path in files(one)}
    assert folders == {f"wsi{i}__set{n}" for i in (1, 2) for n in range(1, N_PATCHES + 1)}


@pytest.mark.parametrize("name", DISK)
def test_output_dir_directory_for_saving_the_extracted_patches(made, name):
    """output_dir (str): Directory name or path for saving the extracted patches."""
    assert is_required(name, "output_dir")
    one = made(name)
    assert len(files(one)) == one.pool.patch_count
    for path in files(one)[:3]:
        assert cv2.imread(f"{one.folder}/{path}").shape == (SIDE_PX, SIDE_PX, 3)


@pytest.mark.parametrize("image_type", ["PNG", "JPG", "png", "jpg", "jpeg", "tif", "tiff", "webp"])
def test_image_type_png_jpg_etc(patches_pool, tmp_path, image_type):
    """image_type (str): Image type of the saved files (PNG, JPG, etc.)."""
    assert all(is_required(name, "image_type") for name in DISK)
    few = pathassets.PatchesMock(
        patch_data=[((0, 0), (64, 64), "")], wsi_file=patches_pool[0].wsi_file, level_or_mpp=0
    )
    if image_type.isupper():
        pathassets.DiskPatchExtractorPool(
            patches_pool=[few], output_dir=str(tmp_path), image_type=image_type,
            proc_num_workers=1, thread_num_workers=1,
        )  # fmt: skip
    else:  # the same without a process
        pathassets.DiskPatchExtractor(
            patches=few, output_dir=str(tmp_path), image_type=image_type, num_workers=1
        )
    (path,) = tmp_path.glob("*.*")
    assert path.suffix == f".{image_type}"
    assert cv2.imread(str(path)).shape == (64, 64, 3)


@pytest.fixture(scope="module")
def with_options(made, patches_pool):
    """Each class, with all that may be left out given at once."""
    mocks = tuple(
        pathassets.PatchesMock(
            patch_data=one.patch_data, wsi_file=one.wsi_file, level_or_mpp=one.level_or_mpp
        )
        for one in patches_pool
    )
    common = {
        "patches_pool": mocks, "proc_mp_chunksize": 5, "thread_mp_chunksize": 5,
        "included_labels": None, "excluded_labels": None, "proc_num_workers": 2,
    }  # fmt: skip
    names = {"filename_comment": "he", "filename_separator": "--", "create_subdirs": True}
    return lambda name: made(name, **common | (names if name in DISK else {}))


@pytest.mark.parametrize("name", DISK)
def test_filename_comment_and_separator_in_the_saved_file_names(with_options, name):
    """filename_comment (str, optional): Comment to be added to the saved file names.

    filename_separator (str, default="_"): Separator used in the saved file names.
    """
    assert default_of(name, "filename_separator") == "_"
    one = with_options(name)
    parts = [path.rsplit("/", 1)[-1].split("--") for path in files(one)]
    assert all(part[0] in {"wsi1", "wsi2"} and part[2] == "he" for part in parts)
    assert {part[1] for part in parts} == set(one.pool.manifest_ids)


@pytest.mark.parametrize("name", DISK)
def test_create_subdirs_label_specific_subdirectories(made, with_options, name):
    """create_subdirs (bool, default=False): Whether to create label specific subdirectories inside
    output_dir or not.
    """
    assert default_of(name, "create_subdirs") is False
    with_them = {path.split("/")[0] for path in files(with_options(name))}
    without = {path.split("/")[0] for path in files(made(name))}
    assert with_them == {"tumour", "normal"}
    assert not without & with_them


@pytest.mark.parametrize("name", NAMES)
def test_patches_pool_or_patches_calculated_by_other_sources(made, with_options, name):
    """patches_pool (object): Object representing one of the patch location pool classes.

    And: they could also extract patches calculated by other sources.
    """
    assert is_required(name, "patches_pool")
    assert with_options(name).pool.patch_count == made(name).pool.patch_count


@pytest.mark.parametrize("name", NAMES)
def test_workers_are_asked_for_and_chunksizes_are_1(made, with_options, name):
    """proc_num_workers (int): Number of processes in the pool.

    thread_num_workers (int): Number of threads per one worker process.
    proc_mp_chunksize (int, default=1), thread_mp_chunksize (int, default=1)
    """
    assert is_required(name, "proc_num_workers")
    assert is_required(name, "thread_num_workers")
    sizes = "proc_mp_chunksize", "thread_mp_chunksize"
    assert [default_of(name, size) for size in sizes] == [1, 1]
    for one, n_processes in ((made(name), 1), (with_options(name), 2)):
        assert len(set(one.pool.pids)) <= n_processes


@pytest.mark.parametrize(
    ("name", "mode"), [*zip(NAMES, ["wsi", "tile", "tile", "wsi"], strict=True)]
)
def test_resampling_mode_wsi_or_tile(patches_pool, tmp_path, name, mode):
    """resampling_mode (str, optional): One of two supported down/up-sampling methods: wsi or
    tile
    """
    assert default_of(name, "resampling_mode") is None
    given = {
        "patches_pool": [
            pathassets.PatchesMock(
                patch_data=[((256, 256), (64, 64), "")], wsi_file=patches_pool[0].wsi_file,
                level_or_mpp=0.75,
            )
        ],
        "proc_num_workers": 1, "thread_num_workers": 1, "resampling_mode": mode,
    }  # fmt: skip
    if name in DISK:
        given |= {"output_dir": tmp_path, "image_type": "png"}
    if name in SETS:
        given["levels_or_mpps"] = [0.75]

    def run():
        pool = getattr(pathassets, name)(**given)
        return pool.patch_count if name in DISK else len(list(pool.patch_list))

    assert run() == 1
    if name == "MultiResMemPatchExtractorPool":
        given["resampling_mode"] = None
        with pytest.raises(ValueError, match="Give resampling_mode='tile' or 'wsi'"):
            run()


@pytest.mark.parametrize("name", NAMES)
def test_included_and_excluded_labels(made, name):
    """included_labels (list of str, optional): Polygon labels included in patch extraction, all
    other labels will be ignored.; excluded_labels (list of str, optional): Polygon labels
    excluded from patch extraction.
    """
    n_all = made(name).pool.patch_count
    both = {"included_labels": ["tumour"]}, {"excluded_labels": ["normal"]}
    for given in both[:1] if name == DISK[0] else both[1:] if name == DISK[1] else both:
        one = made(name, **given)
        assert one.pool.patch_count == n_all // 2
        if name in DISK:
            assert all("_tumour_" in path for path in files(one))
    with pytest.raises(ValueError, match="both included and excluded"):
        made(name, included_labels=["tumour"], excluded_labels=["normal"])


def test_no_name_of_the_document_is_left_out(shared):
    text = (shared / "reference" / "patch-extraction-pools.txt").read_text()
    kinds = "int|str|bool|list|object"
    parameters = set(re.findall(rf"^\W*(\w+) \((?:{kinds})\b", text, re.MULTILINE))
    properties = set(re.findall(r"^property (\w+)$", text, re.MULTILINE))
    classes = set(re.findall(r"^class dplabtools\.slides\.patches\.(\w+)\(", text, re.MULTILINE))
    assert classes == set(NAMES)
    assert (len(parameters), len(properties)) == (15, 5)
    quoted = " ".join(
        each.__doc__ or "" for name, each in globals().items() if name.startswith("test_")
    )
    assert [each for each in parameters | properties if f"{each} (" not in quoted
            and f"property {each}:" not in quoted] == []  # fmt: skip
