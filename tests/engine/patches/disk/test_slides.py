"""What is left by runs that are killed, disturbed or repeated."""

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pathassets.adapters.images.patch_files import JOURNAL, PART
from pathassets.adapters.tifffile import corrupt_tile
from pathassets.engine.patches.disk import slides as disk_slides
from pathassets.engine.patches.disk.extractors import DiskPatchExtractor, MultiResDiskPatchExtractor
from pathassets.errors import SlideChanged, SlideUnreadable, StoreError, TileUnreadable
from tests.engine.disk_trees import images_in, tree_of
from tests.engine.patch_objects import grid_on
from tests.formula_tiff import write_formula_tiff

N = 320
"""Patches of 32 px: five batches."""

KILL = """
import itertools, os, signal, sys
from pathlib import Path

import pathassets.engine.patches.disk.extractors as extractors
from tests.engine.patch_objects import grid_on

slide, root, is_set, moments = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "True", sys.argv[4:]
patches = grid_on(slide, side_px=32, n=320)
asked = {"patches": patches, "num_workers": 2, "image_type": "png", "create_subdirs": True}
if is_set:
    asked |= {"levels_or_mpps": [0, 2.0], "global_counter": 5}
kind = extractors.MultiResDiskPatchExtractor if is_set else extractors.DiskPatchExtractor


def kill_at(method, number, is_before):
    owner, real = extractors_of[method]
    calls = itertools.count(1)  # one number for each, whatever thread it is in

    def hooked(*args, **named):
        is_the_one = next(calls) == number
        if is_the_one and is_before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **named)
        if is_the_one:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, method, hooked)


from pathassets.adapters.images.patch_files import Journal
extractors_of = {
    "replace": (Path, Path.replace),
    "write_bytes": (Path, Path.write_bytes),
    "note": (Journal, Journal.note),
    "remove": (Journal, Journal.remove),
}
for moment in moments:
    method, number, when = moment.split(":")
    child = os.fork()
    if not child:
        kill_at(method, int(number), when == "before")
        kind(output_dir=root / moment, **asked)
        os._exit(7)  # it was not killed
    ended = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGKILL, (moment, ended)
    print("killed", moment, sum(1 for _ in root.rglob("*.part")), flush=True)
"""
MOMENTS = [
    *("write_bytes:1:before", "write_bytes:1:after", "replace:1:after", "replace:100:before"),
    *("write_bytes:200:after", "note:1:before", "note:1:after", "note:2:before"),
    *("note:2:after", "note:5:after"),
    *("replace:321:before", "replace:321:after", "replace:322:before", "replace:322:after"),
    *("remove:1:before", "remove:1:after"),
]
"""The 321st rename is that of the table, the 322nd that of the text."""


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return write_formula_tiff(tmp_path_factory.mktemp("slides") / "f.tiff")


def extract(slide, folder, *, is_set=False, n=N, **asked):
    given = {
        "patches": grid_on(slide, side_px=32, n=n), "num_workers": 2, "output_dir": folder,
        "image_type": "png", "create_subdirs": True,
    } | asked  # fmt: skip
    if is_set:
        return MultiResDiskPatchExtractor(levels_or_mpps=[0, 2.0], global_counter=5, **given)
    return DiskPatchExtractor(**given)


@pytest.fixture(scope="module")
def whole_folders(slide, tmp_path_factory):
    """Folders of runs that nothing happened to, by whether they are of sets; only to be read."""
    folders = {is_set: tmp_path_factory.mktemp("whole") for is_set in (False, True)}
    for is_set, folder in folders.items():
        extract(slide, folder, is_set=is_set)
    return folders


@pytest.fixture(scope="module")
def undisturbed(whole_folders):
    """Their trees."""
    return {is_set: tree_of(folder) for is_set, folder in whole_folders.items()}


@pytest.fixture
def copy_whole(whole_folders, tmp_path):
    """Give a folder as such a run leaves it, for the test to change."""

    def copy(*, is_set=False):
        return Path(shutil.copytree(whole_folders[is_set], tmp_path / "whole"))

    return copy


def reads_of(monkeypatch):
    """The parts of jobs that are read from here on."""
    parts, real = [], disk_slides.read_job

    def noted(job, part, **how):
        parts.append(part)
        return real(job, part, **how)

    monkeypatch.setattr(disk_slides, "read_job", noted)
    return parts


@pytest.mark.slow
@pytest.mark.parametrize("is_set", [False, True])
def test_a_killed_run_leaves_no_half_image_and_the_next_makes_all_as_if_undisturbed(
    tmp_path, slide, undisturbed, start_python, is_set
):
    whole = undisturbed[is_set]
    factor = 2 if is_set else 1
    moments = [m.replace("321", str(factor * N + 1)).replace("322", str(factor * N + 2))
               for m in MOMENTS]  # fmt: skip
    killer = start_python(KILL, slide, tmp_path, is_set, *moments)
    said, told = killer.communicate(timeout=200)
    assert killer.returncode == 0, told
    assert said.count("killed") == len(moments)
    for moment in moments:
        left = tree_of(tmp_path / moment)
        wrong = {name for name, sha256 in left.items() if sha256 != whole.get(name)}
        assert all(Path(name).name.startswith(".") for name in wrong)
        extract(slide, tmp_path / moment, is_set=is_set)
        assert tree_of(tmp_path / moment) == whole, moment


@pytest.fixture(scope="module")
def killed(slide, tmp_path_factory):
    """Folders of runs that were killed, by the moment; each for one test to change."""
    moments = ["replace:100:before", "note:5:after", "note:4:after"]
    root = tmp_path_factory.mktemp("killed")
    said = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", KILL, slide, root, "False", *moments], capture_output=True,
        text=True, check=True, env=os.environ | {"PYTHONPATH": str(Path.cwd())}, timeout=100,
    )  # fmt: skip
    assert said.stdout.count("killed") == len(moments)
    return {moment: root / moment for moment in moments}


def test_some_moments_leave_parts_for_the_next_run_to_remove(killed):
    left = tree_of(killed["replace:100:before"])
    assert [name for name in left if name.endswith(PART)]
    assert [name for name in left if name.endswith(JOURNAL)]


def test_a_repeated_call_reads_and_writes_nothing(tmp_path, slide, undisturbed, monkeypatch):
    first = extract(slide, tmp_path)
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    parts = reads_of(monkeypatch)
    again = extract(slide, tmp_path)
    assert parts == []
    assert (again.manifest_id, again.patch_count) == (first.manifest_id, first.patch_count)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == stamps
    assert tree_of(tmp_path) == undisturbed[False]


@pytest.mark.parametrize("damage", ["gone", "short", "empty"])
@pytest.mark.parametrize("is_set", [False, True])
def test_only_batches_with_a_damaged_image_are_read_again(  # noqa: PLR0913, PLR0917
    copy_whole, slide, undisturbed, monkeypatch, damage, is_set
):
    folder = copy_whole(is_set=is_set)
    lines = next(folder.glob("manifests/*.txt")).read_text().splitlines()
    in_order = [line.strip() for line in lines if line.endswith(".png")]
    victim = folder / in_order[130 * (2 if is_set else 1)]
    data = victim.read_bytes()
    victim.unlink()
    if damage != "gone":
        victim.write_bytes(data[:-1] if damage == "short" else b"")
    parts = reads_of(monkeypatch)
    extract(slide, folder, is_set=is_set)
    assert parts == [slice(128, 192)]
    assert tree_of(folder) == undisturbed[is_set]


@pytest.mark.parametrize("suffix", ["txt", "parquet"])
@pytest.mark.parametrize("damage", ["gone", "empty", "junk"])
def test_a_manifest_that_is_gone_or_damaged_is_written_again(
    copy_whole, slide, undisturbed, suffix, damage
):
    folder = copy_whole()
    (manifest,) = folder.glob(f"manifests/*.{suffix}")
    manifest.unlink()
    if damage != "gone":
        manifest.write_bytes(b"" if damage == "empty" else b"junk")
    extract(slide, folder)
    expected = dict(undisturbed[False])
    if suffix == "txt" and damage != "gone":
        # What a person wrote into it stays his: only the table is read.
        name = manifest.relative_to(folder).as_posix()
        expected[name] = tree_of(folder)[name]
    assert tree_of(folder) == expected


def test_an_image_that_was_damaged_in_a_killed_run_is_made_again(slide, undisturbed, killed):
    folder = killed["note:5:after"]
    victim = folder / images_in(folder)[10]
    victim.write_bytes(bytes(victim.stat().st_size))  # as a power cut leaves it: the size is right
    extract(slide, folder)
    assert tree_of(folder) == undisturbed[False]


def test_what_is_killed_goes_on_where_it_was(slide, killed, monkeypatch):
    parts = reads_of(monkeypatch)
    extract(slide, killed["note:4:after"])
    assert parts == [slice(192, 320)]


def test_a_slide_that_fails_midway_keeps_its_images_and_has_no_manifest(tmp_path, slide):
    slide = Path(shutil.copy(slide, tmp_path / "bad.tiff"))
    corrupt_tile(slide, 0, 40)  # of the sixth row: below the first 640 patches of 64 px
    for _ in range(2):
        with pytest.raises(TileUnreadable) as e:
            extract(slide, tmp_path / "out", patches=grid_on(slide, side_px=64))
        (note,) = [n for n in e.value.__notes__ if "without a manifest" in n]
        n_left = len(images_in(tmp_path / "out"))
        assert f"{n_left} of 768 patches" in note
        assert 64 <= n_left < 768
        assert not list((tmp_path / "out").glob("manifests/manifest*"))
        assert not [name for name in tree_of(tmp_path / "out") if name.endswith(PART)]


def test_a_slide_that_cannot_be_opened_leaves_nothing(tmp_path):
    (tmp_path / "bad.svs").write_bytes(b"no slide at all" * 100)
    for name in ("bad.svs", "gone.svs"):
        with pytest.raises(SlideUnreadable):
            extract(tmp_path / name, tmp_path / "out")
    assert tree_of(tmp_path / "out") == {}


def test_a_pipe_with_a_slides_name_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.svs")
    with pytest.raises(SlideUnreadable, match="named pipe"):
        extract(tmp_path / "pipe.svs", tmp_path / "out")


def test_a_slide_that_changes_meanwhile_is_told_and_has_no_manifest(tmp_path, monkeypatch):
    slide = write_formula_tiff(tmp_path / "f.tiff")
    real = disk_slides.read_job

    def read_and_touch(*args, **named):
        yield from real(*args, **named)
        os.utime(slide, ns=(1, 1))

    monkeypatch.setattr(disk_slides, "read_job", read_and_touch)
    with pytest.raises(SlideChanged, match="while it was read"):
        extract(slide, tmp_path / "out")
    assert not list((tmp_path / "out").glob("manifests/manifest*"))


def test_another_content_of_the_slide_is_another_output(tmp_path):
    slide = write_formula_tiff(tmp_path / "f.tiff")
    first = extract(slide, tmp_path / "out", n=10)
    before = tree_of(tmp_path / "out")
    with slide.open("ab") as file:
        file.write(b"\0")
    second = extract(slide, tmp_path / "out", n=10)
    assert first.manifest_id != second.manifest_id
    after = tree_of(tmp_path / "out")
    assert before.items() <= after.items()
    assert len(after) == 2 * len(before)


def test_two_runs_at_once_write_one_output(tmp_path, slide, undisturbed):
    barrier = threading.Barrier(3)

    def run():
        barrier.wait()
        return extract(slide, tmp_path)

    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(run) for _ in range(3)]
        ids = {run.result().manifest_id for run in runs}
    assert len(ids) == 1
    assert tree_of(tmp_path) == undisturbed[False]


def test_a_folder_that_cannot_be_written_is_told(tmp_path, slide):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifests").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        extract(slide, tmp_path / "out")


def test_a_full_disk_leaves_whole_images_and_the_next_run_finishes(
    tmp_path, slide, undisturbed, monkeypatch
):
    real, left = Path.write_bytes, [150]

    def write_some(path, data):
        left[0] -= 1
        if left[0] < 0:
            real(path, data[:10])
            raise OSError(28, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_some)
    with pytest.raises(StoreError, match="No space left"):
        extract(slide, tmp_path)
    whole = undisturbed[False]
    tree = tree_of(tmp_path)
    assert not [name for name in tree if name.endswith(PART)]
    assert all(whole[name] == tree[name] for name in images_in(tmp_path))
    monkeypatch.undo()
    extract(slide, tmp_path)
    assert tree_of(tmp_path) == whole


def test_a_slide_without_patches_has_a_manifest_and_is_complete(tmp_path, slide, monkeypatch):
    first = extract(slide, tmp_path, n=0)
    assert first.patch_count == 0
    assert len(tree_of(tmp_path)) == 2
    parts = reads_of(monkeypatch)
    assert extract(slide, tmp_path, n=0).manifest_id == first.manifest_id
    assert parts == []
