import os
import re
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from pathassets.adapters.images.encode import decode_image
from pathassets.adapters.parquet import load_manifest
from pathassets.adapters.tifffile import corrupt_tile
from pathassets.engine.patches.disk import extractors
from pathassets.engine.patches.disk.extractors import (
    DiskPatchExtractor,
    DiskPatchExtractorPool,
    MultiResDiskPatchExtractor,
    MultiResDiskPatchExtractorPool,
)
from pathassets.engine.patches.memory.extractors import MemPatchExtractor
from pathassets.errors import OutputExists, SlideUnreadable, SpecError, StoreError, WorkerLost
from tests.engine.disk_trees import images_in, is_right, tree_of
from tests.engine.patch_objects import grid_on, patches_on
from tests.engine.workers_here import workers_here
from tests.formula_tiff import write_formula_tiff

RUN = """
import multiprocessing, sys
from pathlib import Path
from pathassets.engine.patches.disk.extractors import MultiResDiskPatchExtractorPool
from tests.engine.patch_objects import grid_on

slides, folder, method = sys.argv[1].split(":"), sys.argv[2], sys.argv[3]
multiprocessing.set_start_method(method)
pool = MultiResDiskPatchExtractorPool(
    patches_pool=[grid_on(s, side_px=64, n=100) for s in slides], levels_or_mpps=[0, 2.0],
    proc_num_workers=2, thread_num_workers=2, output_dir=folder, image_type="png",
)
print(*pool.manifest_ids)
"""


@pytest.fixture
def here():
    """Start no worker processes: for tests of what is asked of a slide, and of what comes out."""
    with workers_here(extractors):
        yield


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return write_formula_tiff(tmp_path_factory.mktemp("slides") / "f.tiff")


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Three of one name, in folders of their own, with the same content."""
    folder = tmp_path_factory.mktemp("slides")
    for name in "abc":
        (folder / name).mkdir()
    return [write_formula_tiff(folder / name / "f.tiff") for name in "abc"]


def asked(folder, **changes):
    return {
        "proc_num_workers": 2, "thread_num_workers": 1, "output_dir": folder, "image_type": "png",
    } | changes  # fmt: skip


def pool_of(folder, patches_pool, **changes):
    return DiskPatchExtractorPool(patches_pool=patches_pool, **asked(folder, **changes))


def sets_of(folder, patches_pool, **changes):
    return MultiResDiskPatchExtractorPool(
        patches_pool=patches_pool, **asked(folder, **{"levels_or_mpps": [0, 2.0]} | changes)
    )


def labelled(slide, labels, side_px=64):
    patches = grid_on(slide, side_px=side_px, n=len(labels))
    patches.patch_data = [
        (corner, size, label)
        for (corner, size, _), label in zip(patches.patch_data, labels, strict=True)
    ]
    return patches


def finish(folder, slides):
    """Run what RUN runs, in this process: what comes out depends on no process, as is held here."""
    with workers_here(extractors):
        return sets_of(folder, [grid_on(slide, side_px=64, n=100) for slide in slides])


@pytest.fixture(scope="module")
def undisturbed(slides, tmp_path_factory):
    """The tree and the ids of a run that nothing happened to, in this process."""
    folder = tmp_path_factory.mktemp("whole")
    made = finish(folder, slides)
    return tree_of(folder), made.manifest_ids


def test_every_file_has_the_pixels_of_the_place_in_its_name(tmp_path, slide):
    one = DiskPatchExtractor(
        patches=grid_on(slide, side_px=256), num_workers=2, output_dir=tmp_path, image_type="png"
    )
    names = images_in(tmp_path)
    assert len(names) == one.patch_count == 48
    for name in names:
        x, y = map(int, re.fullmatch(rf"f_{one.manifest_id}_x(\d+)_y(\d+)\.png", name).groups())
        assert is_right(tmp_path / name, 0, x, y, 256)
    assert one.patch_data[0] == ((0, 0), (256, 256), "")
    assert one.patch_labels == [""]


def test_dark_pixels_stay_dark_and_what_lies_beyond_is_white(tmp_path, slide):
    corners = [(-128, -128), (1920, 1408), (0, 0)]
    DiskPatchExtractor(
        patches=patches_on(slide, corners, side_px=256), num_workers=1, output_dir=tmp_path,
        image_type="png",
    )  # fmt: skip
    for name in images_in(tmp_path):
        x, y = map(int, re.search(r"_x(-?\d+)_y(-?\d+)\.", name).groups())
        assert is_right(tmp_path / name, 0, x, y, 256)


def test_sets_are_folders_whose_images_share_a_centre(tmp_path, slide):
    made = MultiResDiskPatchExtractor(
        patches=patches_on(slide, [(512, 512), (0, 0)], side_px=256),
        levels_or_mpps=[0, 1.0, 0.75], num_workers=1, output_dir=tmp_path, image_type="png",
        resampling_mode="tile", global_counter=7,
    )  # fmt: skip
    stem = f"f_{made.manifest_id}"
    assert images_in(tmp_path)[:3] == [
        f"set7/{stem}_level0_x512_y512.png",
        f"set7/{stem}_mpp0.75_x448_y448.png",
        f"set7/{stem}_mpp1.0_x384_y384.png",
    ]
    assert {name.split("/")[0] for name in images_in(tmp_path)} == {"set7", "set8"}
    assert (made.patch_count, made.patchset_count, made.patchset_counter) == (6, 2, 8)


def test_sets_of_a_slide_are_counted_from_one_without_a_global_counter(tmp_path, slide):
    made = MultiResDiskPatchExtractor(
        patches=labelled(slide, ["T", ""]), levels_or_mpps=[0], num_workers=1, output_dir=tmp_path,
        image_type="png", global_counter=None, filename_separator="-", create_subdirs=True,
    )  # fmt: skip
    assert {name.rsplit("/", 1)[0] for name in images_in(tmp_path)} == {"T/f__set1", "f__set2"}
    assert made.patchset_counter == 2


def sets_of_one(folder, patches, **changes):
    given = {"levels_or_mpps": [0], "num_workers": 1, "image_type": "png"} | changes
    return MultiResDiskPatchExtractor(patches=patches, output_dir=folder, **given)


@pytest.mark.usefixtures("here")
def test_no_set_has_patches_of_two_slides(tmp_path, slide):
    other = write_formula_tiff(tmp_path / "other.tiff")
    out = tmp_path / "out"
    first = sets_of_one(out, grid_on(slide, n=3))
    before = images_in(out)
    with pytest.raises(OutputExists, match=r"set1: is a patch set already.*global_counter=4 on"):
        sets_of_one(out, grid_on(other, n=2))
    with pytest.raises(FileExistsError):
        MultiResDiskPatchExtractorPool(
            patches_pool=[grid_on(other, n=2)], proc_num_workers=1, thread_num_workers=1,
            levels_or_mpps=[0], output_dir=out, image_type="png",
        )  # fmt: skip
    assert images_in(out) == before
    assert not list((out / "manifests").glob(".*"))
    second = sets_of_one(out, grid_on(other, n=2), global_counter=first.patchset_counter + 1)
    assert second.patchset_counter == 5
    owners = {}
    for name in images_in(out):
        owners.setdefault(name.split("/")[0], set()).add(name.split("/")[1].split("_")[0])
    assert owners == {f"set{n}": {"f" if n < 4 else "other"} for n in range(1, 6)}
    assert sets_of_one(out, grid_on(slide, n=3)).manifest_id == first.manifest_id  # as before


@pytest.mark.usefixtures("here")
def test_slides_of_one_name_share_no_set_either(tmp_path, slide):
    (tmp_path / "b").mkdir()
    twin = write_formula_tiff(tmp_path / "b" / Path(slide).name, mpp=0.25)
    out = tmp_path / "out"
    sets_of_one(out, grid_on(slide, n=2), global_counter=None)
    with pytest.raises(OutputExists, match="f__set1"):
        sets_of_one(out, grid_on(twin, n=2), global_counter=None)


def test_what_is_no_image_of_a_set_does_not_stand_in_its_way(tmp_path, slide):
    (tmp_path / "set1").mkdir()
    (tmp_path / "set1" / "notes.txt").write_text("mine")
    assert sets_of_one(tmp_path, grid_on(slide, n=1)).patchset_count == 1


def test_labels_are_told_once_each_and_sorted_as_in_memory(tmp_path, slide):
    patches = labelled(slide, ["b", "a", "b", "c"])
    on_disk = DiskPatchExtractor(
        patches=patches, num_workers=1, output_dir=tmp_path, image_type="png", excluded_labels=["c"]
    )
    in_memory = MemPatchExtractor(patches=patches, num_workers=1, excluded_labels=["c"])
    assert on_disk.patch_labels == in_memory.patch_labels == ["a", "b"]
    assert on_disk.patch_data == in_memory.patch_data
    assert [label for *_, label in on_disk.patch_data] == ["b", "a", "b"]


@pytest.mark.parametrize("name", ["num_workers", "mp_chunksize"])
def test_what_is_no_number_is_a_type_error_too(tmp_path, slide, name):
    given = {"patches": grid_on(slide), "num_workers": 1}
    for kind in (MemPatchExtractor, DiskPatchExtractor):
        more = {"output_dir": tmp_path, "image_type": "png"} if kind is DiskPatchExtractor else {}
        with pytest.raises(TypeError, match=f"{name}=None") as told:
            kind(**given | more | {name: None})
        assert isinstance(told.value, SpecError)


def test_levels_need_no_mpp(tmp_path):
    slide = write_formula_tiff(tmp_path / "f.tiff", mpp=None)
    MultiResDiskPatchExtractor(
        patches=patches_on(slide, [(512, 512)], side_px=64), levels_or_mpps=[0, 1], num_workers=1,
        output_dir=tmp_path / "out", image_type="png",
    )  # fmt: skip
    names = images_in(tmp_path / "out")
    assert [name.split("_level")[1] for name in names] == ["0_x512_y512.png", "1_x416_y416.png"]
    assert is_right(tmp_path / "out" / names[1], 1, 104, 104, 64)


def test_the_manifest_tells_each_file_in_patch_order(tmp_path, slide):
    made = DiskPatchExtractor(
        patches=labelled(slide, ["b", "a", "b"]), num_workers=3, output_dir=tmp_path,
        image_type="jpg", create_subdirs=True, excluded_labels=["none"],
    )  # fmt: skip
    stem = f"manifests/manifest__{made.manifest_id}__f"
    text = (tmp_path / f"{stem}.txt").read_text()
    rows = load_manifest(tmp_path / f"{stem}.parquet")
    saved = [line.strip() for line in text.splitlines() if line.endswith(".jpg")]
    assert saved == [row["file"] for row in rows]
    assert [row["label"] for row in rows] == ["b", "a", "b"]
    assert [(row["x_px0"], row["y_px0"]) for row in rows] == [(0, 0), (64, 0), (128, 0)]
    assert all((tmp_path / row["file"]).stat().st_size == row["n_bytes"] for row in rows)
    for word in ("Date", "Hostname", str(tmp_path), str(slide.parent), os.uname().nodename):
        assert word not in text


@pytest.mark.parametrize(
    "ways",
    [
        [(2, 4, 5, 7)],
        pytest.param([(1, 1, 1, 1), (3, 1, 1, 1), (3, 4, 5, 7)], marks=pytest.mark.slow),
    ],
    ids=len,
)
def test_content_depends_on_neither_processes_nor_threads_nor_chunks(
    tmp_path, slides, undisturbed, ways
):
    patches = [grid_on(slide, side_px=64, n=100) for slide in slides]
    for n, (n_processes, n_threads, *chunks) in enumerate(ways):
        made = sets_of(
            tmp_path / str(n), patches, proc_num_workers=n_processes, thread_num_workers=n_threads,
            proc_mp_chunksize=chunks[0], thread_mp_chunksize=chunks[1],
        )  # fmt: skip
        assert (tree_of(tmp_path / str(n)), made.manifest_ids) == undisturbed


@pytest.mark.usefixtures("here")
def test_a_pool_writes_what_its_single_class_writes(tmp_path, slide):
    patches = labelled(slide, ["a", "b"] * 10)
    pool_of(tmp_path / "pool", [patches])
    DiskPatchExtractor(
        patches=patches, num_workers=1, output_dir=tmp_path / "one", image_type="png"
    )
    assert tree_of(tmp_path / "pool") == tree_of(tmp_path / "one")


@pytest.mark.parametrize("method", ["spawn", pytest.param("fork", marks=pytest.mark.slow)])
def test_numbers_do_not_depend_on_how_processes_start(
    tmp_path, slides, undisturbed, start_python, method
):
    first = start_python(RUN, ":".join(map(str, slides)), tmp_path, method)
    said, told = first.communicate(timeout=120)
    assert first.returncode == 0, told
    assert (tree_of(tmp_path), said.split()) == undisturbed


@pytest.mark.usefixtures("here")
def test_sets_are_numbered_in_input_order_after_filtering_without_gaps(tmp_path, slides):
    pool = [
        labelled(slides[0], ["a", "b", "a", "b"]),
        labelled(slides[1], ["b"] * 5),
        labelled(slides[2], ["a", "b"]),
    ]
    made = sets_of(tmp_path, pool, included_labels=["a"], global_counter=11)
    numbers = {}
    for one in tmp_path.glob("manifests/*.parquet"):
        numbers[one.stem.split("__")[1]] = sorted({row["set"] for row in load_manifest(one)})
    assert [numbers[one] for one in made.manifest_ids] == [[11, 12], [], [13]]
    assert (made.patch_count, made.patchset_count) == (6, 3)
    again = sets_of(tmp_path / "again", pool, included_labels=["a"], global_counter=11)
    assert again.manifest_ids == made.manifest_ids  # nothing is counted on from pool to pool


@pytest.mark.usefixtures("here")
def test_slides_of_one_name_and_one_slide_twice_never_share_a_file(tmp_path, slides):
    patches = [grid_on(slide, side_px=256, n=8) for slide in [*slides, slides[0]]]
    made = pool_of(tmp_path, patches)
    assert len({*made.manifest_ids}) == 4
    assert made.patch_count == len(images_in(tmp_path)) == 4 * 8
    assert len(list(tmp_path.glob("manifests/*.txt"))) == 4


@pytest.mark.usefixtures("here")
def test_a_repeated_pool_finds_its_own_files(tmp_path, slides):
    patches = [grid_on(slide, side_px=256, n=8) for slide in [*slides[:2], slides[0]]]
    first, tree = pool_of(tmp_path, patches), tree_of(tmp_path)
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    again = pool_of(tmp_path, iter(patches))
    assert again.manifest_ids == first.manifest_ids
    assert tree_of(tmp_path) == tree
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == stamps


def bad_pool(tmp_path, slide):
    bad = write_formula_tiff(tmp_path / "bad.tiff")
    corrupt_tile(bad, 0, 40)
    good = grid_on(slide, side_px=256, n=8)
    return [grid_on(tmp_path / "gone.svs"), good, grid_on(bad, side_px=256), good]


def test_bad_slides_are_collected_and_the_others_are_complete(tmp_path, slide):
    made = pool_of(tmp_path / "out", bad_pool(tmp_path, slide), on_error="collect")
    assert [*made.errors] == [0, 2]
    assert isinstance(made.errors[0], SlideUnreadable)
    assert "gone.svs" in str(made.errors[0])
    assert "bad.tiff" in str(made.errors[2])
    assert made.indices == [1, 3]
    assert made.patch_count == 16
    assert len(made.pids) == len(made.manifest_ids) == 2
    assert sum(name.startswith("f_") for name in images_in(tmp_path / "out")) == 16


@pytest.mark.usefixtures("here")
def test_bad_slides_are_skipped_and_logged(tmp_path, slide, caplog):
    made = pool_of(tmp_path / "out", bad_pool(tmp_path, slide)[:2], on_error="skip")
    assert made.patch_count == 8
    assert "gone.svs" in caplog.text


@pytest.mark.usefixtures("here")
def test_the_first_bad_slide_is_raised_once_the_others_are_complete(tmp_path, slide):
    with pytest.raises(SlideUnreadable, match=r"gone\.svs") as e:
        pool_of(tmp_path / "out", bad_pool(tmp_path, slide))
    notes = " ".join(e.value.__notes__)
    assert "2 of 4 slides are complete" in notes
    assert "bad.tiff" in notes
    assert sum(name.startswith("f_") for name in images_in(tmp_path / "out")) == 16


@pytest.mark.usefixtures("here")
def test_sets_of_a_bad_slide_keep_their_numbers(tmp_path, slide):
    pool = [grid_on(tmp_path / "gone.svs", n=3), grid_on(slide, n=2)]
    made = sets_of(tmp_path / "out", pool, on_error="collect")
    assert {name.split("/")[0] for name in images_in(tmp_path / "out")} == {"set4", "set5"}
    assert made.patchset_count == 2


@pytest.mark.usefixtures("here")
def test_labels_of_all_slides_have_folders_of_their_own(tmp_path, slides):
    labels = ["a/b", "a\\b", "a:b", "[x]", "Tumor", "tumor", "腫瘍", "..", "", "manifests"]
    pool_of(
        tmp_path / "out",
        [labelled(slides[0], labels[:5]), labelled(slides[1], labels[5:])],
        create_subdirs=True,
    )
    rows = [r for p in (tmp_path / "out").glob("manifests/*.parquet") for r in load_manifest(p)]
    folders = {r["label"]: r["file"].rpartition("/")[0] for r in rows}
    assert {*folders} == {*labels}
    assert len({folder.casefold() for folder in folders.values()}) == len(labels)
    assert folders["腫瘍"] == "腫瘍"
    assert folders[""] == ""
    assert {r["file"] for r in rows} == {*images_in(tmp_path / "out")}
    assert {p.name for p in tmp_path.iterdir()} == {"out"}


def test_an_empty_pool_is_no_error(tmp_path):
    made = sets_of(tmp_path, [])
    assert (made.patch_count, made.patchset_count, made.pids, made.manifest_ids) == (0, 0, [], [])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"proc_num_workers": 0}, "proc_num_workers=0"),
        ({"thread_num_workers": 0}, "thread_num_workers=0"),
        ({"thread_num_workers": True}, "thread_num_workers=True"),
        ({"proc_mp_chunksize": 0}, "proc_mp_chunksize=0"),
        ({"thread_mp_chunksize": 0}, "thread_mp_chunksize=0"),
        ({"thread_mp_chunksize": 1.5}, "thread_mp_chunksize=1.5"),
        ({"image_type": "bmp"}, "'webp'"),
        ({"quality": 90}, "lossless"),
        ({"filename_separator": "/"}, "filename_separator"),
        ({"resampling_mode": "nearest"}, "resampling_mode"),
        ({"included_labels": "Tumor"}, "is no list"),
        ({"included_labels": ["a"], "excluded_labels": ["b"]}, "both included and excluded"),
        ({"on_error": "ignore"}, "'collect'"),
        ({"global_counter": -1}, "global_counter"),
        ({"global_counter": 1.0}, "global_counter"),
        ({"levels_or_mpps": []}, "levels_or_mpps"),
        ({"levels_or_mpps": [0, True]}, "neither a level"),
        ({"patches_pool": 3}, "no pool"),
        ({"patches_pool": [3]}, "has no patches"),
        ({"patches_pool": SimpleNamespace(patch_data=[])}, "no pool"),
    ],
)
def test_what_is_impossible_is_refused_before_anything_is_made(tmp_path, slide, changes, said):
    started = psutil.Process().children(recursive=True)
    given = asked(tmp_path / "out") | {"patches_pool": [grid_on(slide)], "levels_or_mpps": [0]}
    with pytest.raises(SpecError, match=said):
        MultiResDiskPatchExtractorPool(**given | changes)
    assert not (tmp_path / "out").exists()
    assert psutil.Process().children(recursive=True) == started


@pytest.mark.usefixtures("here")
def test_a_folder_is_made_and_one_that_cannot_be_is_told(tmp_path, slide):
    pool_of(tmp_path / "a" / "b", [grid_on(slide, n=1)])
    assert len(images_in(tmp_path / "a" / "b")) == 1
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        pool_of(tmp_path / "file" / "out", [grid_on(slide, n=1)])


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "image_type", ["Tiff", *(pytest.param(t, marks=pytest.mark.slow) for t in ("JPG", "webp"))]
)
def test_files_end_as_the_user_wrote_the_type(tmp_path, slide, image_type):
    pool_of(tmp_path, [patches_on(slide, [(512, 512)], side_px=64)], image_type=image_type)
    (path,) = tmp_path.glob(f"*.{image_type}")
    assert np.abs(decode_image(path.read_bytes()).astype(int)[..., 0].mean() - 67.5) < 2


def child_of(process, within_s=60.0):
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        if children := psutil.Process(process.pid).children():
            return children[0]
        time.sleep(0.01)
    raise AssertionError("no worker")


def wait_for(folder, n_images, within_s=90.0):
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        if sum(1 for _ in folder.glob("set*/*.png")) >= n_images:
            return
        time.sleep(0.005)
    raise AssertionError("no images")


@pytest.mark.parametrize(
    "n_images",
    [200, *(pytest.param(n, marks=pytest.mark.slow)
            for n in (0, 1, 50, 128, 129, 256, 300, 400, 500, 550, 590))],
)  # fmt: skip
def test_a_pool_whose_parent_is_killed_is_finished_by_the_next_as_if_undisturbed(
    tmp_path, slides, undisturbed, start_python, n_images
):
    parent = start_python(RUN, ":".join(map(str, slides)), tmp_path, "fork")
    child_of(parent)
    wait_for(tmp_path, n_images)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    finish(tmp_path, slides)
    assert tree_of(tmp_path) == undisturbed[0]


@pytest.mark.slow
def test_a_killed_worker_is_its_slides_error_and_the_next_run_finishes(
    tmp_path, slides, undisturbed, start_python
):
    parent = start_python(RUN, ":".join(map(str, slides)), tmp_path, "fork")
    worker = child_of(parent)
    wait_for(tmp_path, 1)
    worker.kill()
    _, told = parent.communicate(timeout=120)
    assert parent.returncode == 1
    assert WorkerLost.__name__ in told
    assert "f.tiff" in told
    assert "2 of 3 slides are complete" in told
    finish(tmp_path, slides)
    assert tree_of(tmp_path) == undisturbed[0]


@pytest.mark.usefixtures("here")
def test_half_a_million_bytes_of_labels_do_no_harm(tmp_path, slide):
    labels = ["x" * 5000 + str(n) for n in range(100)]
    made = pool_of(Path(tmp_path), [labelled(slide, labels)], create_subdirs=True)
    assert made.patch_count == 100
    assert len({name.split("/")[0] for name in images_in(tmp_path)}) == 100
