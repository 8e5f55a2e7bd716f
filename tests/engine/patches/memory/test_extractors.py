import gc
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pathassets.engine.patches.memory.extractors import (
    MemPatchExtractor,
    MemPatchExtractorPool,
    MultiResMemPatchExtractor,
    MultiResMemPatchExtractorPool,
)
from pathassets.engine.workers import ring
from pathassets.engine.workers.parts import schedule as parts
from pathassets.engine.workers.parts import stream as streaming
from pathassets.errors import SlideUnreadable, SpecError, WorkerLost
from tests.engine.patch_objects import (
    grid_on,
    is_alive,
    is_right,
    none_is_left,
    patches_on,
    segments_now,
)
from tests.engine.pool_tasks import workers_now
from tests.formula_tiff import formula_box, write_formula_tiff

UNGUARDED = """
import sys
from types import SimpleNamespace
from pathassets.engine.patches.memory.extractors import MemPatchExtractorPool

print("run", flush=True)
patches = SimpleNamespace(
    wsi_file=sys.argv[1], patch_data=[((x, 0), (64, 64), "") for x in range(0, 2048, 64)],
    level_or_mpp=0, class_name="", param_info={},
)
pool = MemPatchExtractorPool(patches_pool=[patches] * 2, proc_num_workers=1, thread_num_workers=1)
print(len(list(pool.patch_list)))
"""


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory) -> Path:
    return write_formula_tiff(tmp_path_factory.mktemp("formula") / "formula.tiff")


def pool_of(*patches, n=1, n_threads=1, **more):
    return MemPatchExtractorPool(
        patches_pool=patches, proc_num_workers=n, thread_num_workers=n_threads, **more
    )


def sets_of(*patches, n=1, **more):
    return MultiResMemPatchExtractorPool(
        patches_pool=patches, proc_num_workers=n, thread_num_workers=1, **more
    )


def labelled(path, *labels):
    """A square for each label, 100 px apart."""
    return SimpleNamespace(
        wsi_file=str(path), class_name="Foreign", param_info={}, level_or_mpp=0,
        patch_data=[((100 * i, 50), (32, 32), label) for i, label in enumerate(labels)],
    )  # fmt: skip


def n_decoders():
    return sum(thread.name.startswith("decode") for thread in threading.enumerate())


# -------------------------------------------------------------------------------------- a patch


@pytest.fixture
def patch(slide_path):
    [patch] = MemPatchExtractor(
        patches=patches_on(slide_path, [(-8, 520)], side_px=32, label="tumour"), num_workers=1
    ).patch_stream
    return patch


def test_a_patch_is_unpacked_as_image_and_label(patch) -> None:
    image, label = patch
    assert (type(image), image.mode, image.size, label) == (Image.Image, "RGB", (32, 32), "tumour")
    assert np.array_equal(np.asarray(image), formula_box(0, -8, 520, 32, 32))
    assert len(patch) == 2
    assert (patch[1], patch[-1], patch[0], patch[-2]) == (label, label, image, image)
    assert patch[:] == (image, label)
    assert patch[1:] == ("tumour",)
    assert patch == (image, label) == tuple(patch)
    assert patch != (image, "glass")
    match patch:
        case (_, "tumour"):
            pass
        case _:
            pytest.fail("it is no sequence")
    for beyond in (2, -3):
        with pytest.raises(IndexError):
            patch[beyond]


def test_a_patch_says_where_it_is_from(patch, slide_path) -> None:
    assert patch.pixels.dtype == np.uint8
    assert (patch.slide_id, patch.wsi_file) == ("formula", str(slide_path))
    assert (patch.x_px0, patch.y_px0, patch.level_or_mpp, patch.index) == (-8, 520, 0, 0)
    assert "x_px0=-8" in repr(patch)
    assert len(repr(patch)) < 120


def test_a_patch_can_be_sent_to_another_process_alone(patch) -> None:
    data = pickle.dumps(patch)
    assert len(data) < 32 * 32 * 3 + 1000
    copy = pickle.loads(data)  # noqa: S301 - our own
    assert copy == patch
    assert (copy.index, copy.x_px0) == (0, -8)


def test_a_picture_is_made_only_when_it_is_asked_for(patch, monkeypatch) -> None:
    monkeypatch.delattr(Image, "fromarray")
    assert (patch[1], patch.label, len(patch)) == ("tumour", "tumour", 2)
    with pytest.raises(AttributeError):
        patch[0]


def test_patches_of_different_sizes_have_their_own(slide_path) -> None:
    patches = SimpleNamespace(
        wsi_file=str(slide_path), class_name="", param_info={}, level_or_mpp=1,
        patch_data=[((0, 0), (20, 50), ""), ((400, 80), (64, 3), ""), ((16, 16), (7, 7), "")],
    )  # fmt: skip
    seen = list(pool_of(patches, ordered=True).patch_list)
    assert [p.image.size for p in seen] == [(20, 50), (64, 3), (7, 7)]
    for patch in seen:
        width_px, height_px = patch.image.size
        wanted = formula_box(1, patch.x_px0 // 4, patch.y_px0 // 4, width_px, height_px)
        assert np.array_equal(patch.pixels, wanted)


# ------------------------------------------------------------------------------------ one slide


def test_one_slide_is_read_by_threads_of_this_process(slide_path) -> None:
    patches = grid_on(slide_path, side_px=64, n=400)
    extractor = MemPatchExtractor(patches=patches, num_workers=3)
    assert extractor.patch_count == 400
    assert extractor.patch_data == patches.patch_data
    stream = extractor.patch_stream
    first = next(stream)
    assert workers_now() == []
    assert 1 <= n_decoders() <= 3
    rest = list(stream)
    assert [p.index for p in [first, *rest]] == list(range(400))
    assert all(map(is_right, [first, *rest]))
    assert n_decoders() == 0
    assert list(extractor.patch_stream) == []  # it was gone through


def test_labels_are_left_out_and_the_index_is_of_all(slide_path) -> None:
    patches = labelled(slide_path, "a", "b", "", "a", "c")
    kept = MemPatchExtractor(patches=patches, num_workers=1, included_labels=["a", "c", "none"])
    assert [(p.label, p.index, p.x_px0) for p in kept.patch_stream] == [
        ("a", 0, 0), ("a", 3, 300), ("c", 4, 400),
    ]  # fmt: skip
    assert (kept.patch_count, kept.patch_labels) == (3, ["a", "c"])
    assert [label for *_, label in kept.patch_data] == ["a", "a", "c"]
    rest = MemPatchExtractor(patches=patches, num_workers=1, excluded_labels=["", "a"])
    assert (rest.patch_labels, rest.patch_count) == (["b", "c"], 2)


def test_inference_gives_the_place_in_patch_data_as_a_third(slide_path) -> None:
    patches = labelled(slide_path, "a", "b", "c")
    extractor = MemPatchExtractor(
        patches=patches, num_workers=1, excluded_labels=["a"], inference_mode=True
    )
    seen = list(extractor.patch_stream)
    assert [(len(p), p[1], p[2], p[-1], p.index) for p in seen] == [
        (3, "b", 0, 0, 1), (3, "c", 1, 1, 2),
    ]  # fmt: skip
    for image, label, place in seen:
        assert extractor.patch_data[place][2] == label
        assert image.size == (32, 32)


def test_sets_share_a_centre(slide_path) -> None:
    patches = patches_on(slide_path, [(512, 512)], side_px=256, label="x")
    extractor = MultiResMemPatchExtractor(
        patches=patches, num_workers=2, levels_or_mpps=[0, 1.0, 0.75], resampling_mode="tile",
        inference_mode=True,
    )  # fmt: skip
    [found] = extractor.patch_stream
    assert [(p.x_px0, p.y_px0) for p in found] == [(512, 512), (384, 384), (448, 448)]
    assert [p.level_or_mpp for p in found] == [0, 1.0, 0.75]
    assert [type(p.level_or_mpp) for p in found] == [int, float, float]
    assert [(len(p), p[1], p[2]) for p in found] == [(3, "x", 0)] * 3
    assert (extractor.patch_count, extractor.patch_labels) == (3, ["x"])
    assert is_right(found[0])


def test_a_slide_that_is_no_slide_is_told_by_the_stream(tmp_path) -> None:
    with pytest.raises(SlideUnreadable):
        next(MemPatchExtractor(patches=grid_on(tmp_path / "no.svs"), num_workers=1).patch_stream)


# --------------------------------------------------------------------------------------- pools


def test_a_pool_gives_all_patches_of_all_slides(slide_path) -> None:
    patches = [grid_on(slide_path, n=700), grid_on(slide_path, side_px=100, n=40, label="big")]
    pool = pool_of(*patches, n=2, n_threads=2)
    assert (pool.patch_count, len(pool.patch_list), pool.pids) == (740, 740, [])
    seen = list(pool.patch_list)
    assert len(seen) == 740
    assert all(map(is_right, seen))  # long after they came
    wanted = [(i, label, *xy) for p in patches for i, (xy, _, label) in enumerate(p.patch_data)]
    assert sorted((p.index, p.label, p.x_px0, p.y_px0) for p in seen) == sorted(wanted)
    assert (len(pool.pids), pool.errors) == (2, {})
    assert workers_now() == []


def test_a_pool_can_be_gone_through_twice_at_once(slide_path) -> None:
    pool = pool_of(grid_on(slide_path, n=300), n=1, ordered=True)
    listed = pool.patch_list
    for one, other in zip(listed, listed, strict=True):
        assert one is not other
        assert one.index == other.index
        assert np.array_equal(one.pixels, other.pixels)
    assert len(pool.pids) == 1


def test_a_pool_can_be_gone_through_again_and_its_locations_were_once_in_the_constructor(
    slide_path,
) -> None:
    taken = []

    def located():
        for i in range(3):
            taken.append(i)
            yield grid_on(slide_path, n=10, start=i)

    pool = MemPatchExtractorPool(
        patches_pool=located(), proc_num_workers=1, thread_num_workers=1, ordered=True
    )
    assert taken == [0, 1, 2]
    for _ in range(2):
        assert [p.index for p in pool.patch_list] == [*range(10)] * 3
        assert len(pool.pids) == 3
    assert taken == [0, 1, 2]


def test_a_pool_of_sets_gives_lists_in_the_order_asked_for(slide_path) -> None:
    patches = patches_on(slide_path, [(x, 512) for x in range(0, 1500, 60)], side_px=64)
    pool = sets_of(patches, n=2, levels_or_mpps=[2, 0, 1], ordered=True)
    assert (pool.patchset_count, pool.patch_count, len(pool.patch_list)) == (25, 75, 25)
    for n, found in enumerate(pool.patch_list):
        assert [p.level_or_mpp for p in found] == [2, 0, 1]
        assert {p.index for p in found} == {n}
        for patch, scale, level in zip(found, (16, 1, 4), (2, 0, 1), strict=True):
            assert patch.x_px0 == 60 * n + 32 - 32 * scale
            corner = round(patch.x_px0 / scale), round(patch.y_px0 / scale)
            assert np.array_equal(patch.pixels, formula_box(level, *corner, 64, 64))


@pytest.mark.parametrize("ordered", [False, True])
def test_sets_in_parts_are_those_of_one_slide_alone(slide_path, monkeypatch, ordered) -> None:
    monkeypatch.setattr(ring, "SLOT_BYTES", 8 * 16 * 16 * 3)
    monkeypatch.setattr(streaming, "PART_PATCHES", 100)
    monkeypatch.setattr(streaming, "ORDERED_PART_BYTES", 3 * 70 * 16 * 16 * 3)
    monkeypatch.setattr(streaming, "WAITING_BYTES", 3 * 70 * 16 * 16 * 3)
    monkeypatch.setattr(parts, "WAITING_BYTES", 3 * 70 * 16 * 16 * 3)
    patches, levels = grid_on(slide_path, n=350), [1, 0, 0.9]
    how = {"levels_or_mpps": levels, "resampling_mode": "tile"}
    alone = MultiResMemPatchExtractor(patches=patches, num_workers=1, **how).patch_stream
    found = list(sets_of(patches, n=2, ordered=ordered, **how).patch_list)
    if not ordered:
        found.sort(key=lambda one: one[0].index)
    for one, other in zip(alone, found, strict=True):
        assert [p.index for p in one] == [p.index for p in other]
        assert [(p.x_px0, p.y_px0) for p in one] == [(p.x_px0, p.y_px0) for p in other]
        assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("mode", ["tile", "wsi"])
def test_a_pool_resamples_as_one_slide_alone_does(slide_path, mode) -> None:
    patches = patches_on(slide_path, [(x, 100) for x in range(0, 900, 90)], level_or_mpp=0.7)
    alone = MemPatchExtractor(patches=patches, num_workers=1, resampling_mode=mode).patch_stream
    many = pool_of(patches, n=1, n_threads=2, resampling_mode=mode, ordered=True).patch_list
    for one, other in zip(alone, many, strict=True):
        assert np.array_equal(one.pixels, other.pixels)


def test_a_slide_without_patches_is_a_slide_all_the_same(slide_path) -> None:
    patches = [labelled(slide_path, "a"), labelled(slide_path, "b"), labelled(slide_path)]
    pool = pool_of(*patches, included_labels=["b"])
    assert [p.label for p in pool.patch_list] == ["b"]
    assert len(pool.pids) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"proc_num_workers": 0},
        {"thread_num_workers": 0},
        {"proc_mp_chunksize": 0},
        {"thread_mp_chunksize": -1},
        {"proc_num_workers": True},
        {"included_labels": ["a"], "excluded_labels": ["b"]},
        {"included_labels": "tumour"},
        {"resampling_mode": "slide"},
        {"on_error": "ignore"},
        {"patches_pool": 3},
        {"patches_pool": [3]},
    ],
)
def test_what_is_impossible_is_refused_before_any_worker_starts(
    slide_path, monkeypatch, wrong
) -> None:
    monkeypatch.delattr(subprocess, "Popen")
    right = {"proc_num_workers": 1, "thread_num_workers": 1, "patches_pool": [grid_on(slide_path)]}
    with pytest.raises(SpecError) as info:
        MemPatchExtractorPool(**right | wrong)
    assert info.value.remedy
    with pytest.raises(SpecError):
        MultiResMemPatchExtractorPool(**right | wrong, levels_or_mpps=[0])


@pytest.mark.parametrize("levels", [[], [-1], ["0"], [0.0]])
def test_impossible_resolutions_are_refused(slide_path, levels) -> None:
    with pytest.raises(SpecError):
        sets_of(grid_on(slide_path), levels_or_mpps=levels)


def test_one_slide_alone_refuses_no_workers(slide_path) -> None:
    with pytest.raises(SpecError, match="num_workers=0"):
        MemPatchExtractor(patches=grid_on(slide_path), num_workers=0)
    with pytest.raises(SpecError, match="mp_chunksize=0"):
        MultiResMemPatchExtractor(
            patches=grid_on(slide_path), num_workers=1, mp_chunksize=0, levels_or_mpps=[0]
        )


def test_bad_slides_are_collected_and_counted_out(slide_path, tmp_path) -> None:
    gone = tmp_path / "gone.tiff"
    (tmp_path / "text.svs").write_text("no slide")
    pool = sets_of(
        grid_on(gone, n=7), grid_on(slide_path, n=9), grid_on(tmp_path / "text.svs", n=5),
        n=2, on_error="collect", levels_or_mpps=[0, 1],
    )  # fmt: skip
    assert (pool.patchset_count, pool.patch_count) == (21, 42)
    assert len(list(pool.patch_list)) == 9
    assert (pool.patchset_count, pool.patch_count, len(pool.patch_list)) == (9, 18, 9)
    assert list(pool.errors) == [0, 2]
    assert all(isinstance(error, SlideUnreadable) for error in pool.errors.values())
    assert len(pool.pids) == 1


def test_leaving_the_with_block_ends_all_workers_and_who_goes_on_is_told(slide_path) -> None:
    before = segments_now()
    with pool_of(grid_on(slide_path), n=1) as pool:
        patches = iter(pool.patch_list)
        next(patches)
        others = iter(pool.patch_list)
        next(others)
        workers = workers_now()
        assert len(workers) == 2
    assert none_is_left(workers, before)
    for stream in (patches, others):
        with pytest.raises(WorkerLost, match="closed"):
            list(stream)


def test_a_pool_that_is_dropped_leaves_nothing(slide_path) -> None:
    pool = pool_of(grid_on(slide_path), n=1)
    workers = workers_now()
    assert len(workers) == 1
    del pool
    gc.collect()
    assert not any(map(is_alive, workers))
    for _ in pool_of(grid_on(slide_path), n=1).patch_list:
        break
    gc.collect()
    assert workers_now() == []


def test_the_first_patch_comes_before_the_last_is_read(slide_path) -> None:
    pool = pool_of(*[grid_on(slide_path)] * 3, n=1)
    stream = iter(pool.patch_list)
    assert is_right(next(stream))
    assert pool.pids == []  # not one of the slides is finished
    stream.close()


def test_a_script_without_a_guard_can_use_a_pool(slide_path, tmp_path) -> None:
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-W", "error", script, slide_path], capture_output=True, text=True,
        check=False, env={"PYTHONPATH": str(Path.cwd())}, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["run", "64"]
