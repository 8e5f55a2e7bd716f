"""Many slides at once: what a pool refuses, gives, and does about a slide that fails."""

import inspect
import logging
import os
import pickle
import shutil
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest

from pathassets.core.annotations.annotations import AnnotationPolygon
from pathassets.engine.locations import classes as location_classes
from pathassets.engine.locations import pools as location_pools
from pathassets.engine.locations.classes import WholeImageGridPatches
from pathassets.engine.locations.pools import (
    LocationTask,
    PolygonRegionCustomPatchesPool,
    PolygonRegionGridPatchesPool,
    WholeImageGridPatchesPool,
    WholeImageInvertedRandomPatchesPool,
    WholeImageRandomPatchesPool,
    locate,
)
from pathassets.errors import ResolutionMissing, SlideError, SlideUnreadable, SpecError, WorkerLost
from tests.engine.workers_here import workers_here
from tests.formula_tiff import write_formula_tiff

FULL = np.ones((128, 96), bool)
REGIONS = ("WholeImage", "WholeImageInverted", "PolygonRegion")
SAMPLERS = ("Grid", "Random", "PoissonDisk", "Custom")


def square(x, y, side, label="a"):
    corners = [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]
    return AnnotationPolygon(points=corners, label=label)


@pytest.fixture
def here():
    """Start no worker processes: for tests of what is asked of a slide, and of what comes out."""
    with workers_here(location_pools):
        yield


@pytest.fixture(scope="module")
def slides(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("slides")
    first = write_formula_tiff(folder / "s0.tiff")
    return [str(first), *(shutil.copy(first, str(folder / f"s{i}.tiff")) for i in (1, 2, 3))]


@pytest.fixture
def no_workers(monkeypatch):
    """Whoever starts a worker here has not looked at what was asked."""

    class NoWorkers:
        def __init__(self, **_: object) -> None:
            raise AssertionError("a worker was about to start")

    monkeypatch.setattr(location_pools, "LocalWorkers", NoWorkers)


def pool(slides, kind=WholeImageGridPatchesPool, **more):
    given = {
        "wsi_file_list": slides,
        "mask_data_list": [FULL] * len(slides),
        "patches_args": {},
        "proc_num_workers": 2,
    }
    return kind(**given | more)


# ------------------------------------------------------------------------------ signatures


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_there_is_a_pool_for_every_class_with_the_documented_parameters(region, sampler):
    kind = getattr(location_pools, f"{region}{sampler}PatchesPool")
    assert kind._kind is getattr(location_classes, f"{region}{sampler}Patches")
    wanted = {
        "wsi_file_list", "mask_data_list", "patches_args", "proc_num_workers", "mp_chunksize",
        "save_preview_image_args", "on_error", "slide_mpp_list", "verbose",
    }  # fmt: skip
    wanted |= set() if region == "WholeImage" else {"polygon_data_list"}
    wanted |= {"points_list"} if sampler == "Custom" else set()
    parameters = inspect.signature(kind).parameters
    assert set(parameters) == wanted
    assert {p.kind for p in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert parameters["mp_chunksize"].default == 1


@pytest.mark.usefixtures("no_workers")
def test_a_missing_or_unknown_parameter_is_told_with_the_pool(slides):
    with pytest.raises(TypeError, match=r"WholeImageGridPatchesPool: .*'polygon_data_list'"):
        pool(slides, polygon_data_list=[])
    with pytest.raises(TypeError, match=r"PolygonRegionGridPatchesPool: .*'polygon_data_list'"):
        pool(slides, PolygonRegionGridPatchesPool)
    with pytest.raises(TypeError, match="'proc_num_workers'"):
        WholeImageGridPatchesPool(wsi_file_list=[], mask_data_list=[], patches_args={})


# --------------------------------------------------------- what is refused before any worker


@pytest.mark.usefixtures("no_workers")
@pytest.mark.parametrize(
    ("kind", "more", "name", "n"),
    [
        (WholeImageGridPatchesPool, {"mask_data_list": [FULL]}, "mask_data_list", 1),
        (WholeImageGridPatchesPool, {"mask_data_list": []}, "mask_data_list", 0),
        (WholeImageGridPatchesPool, {"slide_mpp_list": [0.5] * 5}, "slide_mpp_list", 5),
        (WholeImageGridPatchesPool, {"patches_args": {"patch_stride": [1, 2]}}, "patch_stride", 2),
        (WholeImageGridPatchesPool, {"patches_args": {"weak_label": ["a"]}}, "weak_label", 1),
        (
            PolygonRegionGridPatchesPool,
            {"polygon_data_list": [[]] * 2},
            "polygon_data_list",
            2,
        ),
        (
            PolygonRegionGridPatchesPool,
            {"polygon_data_list": [[]] * 4, "patches_args": {"included_labels": [["a"], []]}},
            "included_labels",
            2,
        ),
        (
            PolygonRegionCustomPatchesPool,
            {"polygon_data_list": [[]] * 4, "points_list": [[]] * 3},
            "points_list",
            3,
        ),
    ],
)
def test_lists_of_different_lengths_are_refused_with_both(slides, kind, more, name, n):
    with pytest.raises(SpecError, match=rf"{name}\S* has {n} entries, wsi_file_list 4"):
        pool(slides, kind, **more)


@pytest.mark.usefixtures("no_workers")
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"proc_num_workers": 0}, "proc_num_workers: 0"),
        ({"proc_num_workers": -1}, "proc_num_workers: -1"),
        ({"proc_num_workers": 1.0}, "proc_num_workers: 1.0"),
        ({"proc_num_workers": True}, "proc_num_workers: True"),
        ({"mp_chunksize": 0}, "mp_chunksize: 0"),
        ({"on_error": "ignore"}, "on_error: 'ignore'"),
        ({"wsi_file_list": "a.svs"}, "wsi_file_list: str"),
        ({"mask_data_list": (FULL for _ in range(4))}, "mask_data_list: generator"),
        ({"patches_args": {"wsi_file": "a"}}, "'wsi_file' is given for each slide"),
        ({"patches_args": {"mask_data": "a"}}, "'mask_data' is given for each slide"),
        ({"patches_args": {"polygon_data": []}}, "'polygon_data' is given for each slide"),
        ({"patches_args": {"points": []}}, "'points' is given for each slide"),
        ({"patches_args": {"stride": 1}}, "WholeImageGridPatches takes no 'stride'"),
        ({"patches_args": {"num_patches": 1}}, "takes no 'num_patches'"),
        ({"patches_args": {"patch_size": 0}}, "patch_size: 0"),
        ({"patches_args": {"patch_stride": [1, 1, 1, 9]}}, r"s3\.tiff: patch_stride: 9"),
        ({"patches_args": {"level_or_mpp": True}}, "neither a level nor"),
        (
            {"patches_args": {"slide_mpp": 0.5}, "slide_mpp_list": [None] * 4},
            "'slide_mpp' is given for each slide",
        ),
        ({"save_preview_image_args": {"thickness": 1}}, "no image_file"),
        ({"save_preview_image_args": {"image_file": "a.png", "colour": 1}}, "there is no 'colour'"),
    ],
)
def test_an_impossible_request_is_refused_before_any_worker_starts(slides, more, said):
    with pytest.raises(SpecError, match=said):
        pool(slides, **more)


@pytest.mark.usefixtures("no_workers")
@pytest.mark.parametrize(
    "more",
    [
        {"patches_args": {"patch_size_value": 256}},
        {"save_preview_image_args": {"image_file": "a.png", "level": 1}},
        {"patches_args": {"patch_size": "256"}},
        {"proc_num_workers": None},
    ],
)
def test_what_python_would_call_a_type_error_is_one(slides, more):
    with pytest.raises(TypeError) as told:
        pool(slides, **more)
    assert isinstance(told.value, SpecError)  # and has a subject, and a remedy
    assert told.value.remedy


@pytest.mark.usefixtures("no_workers")
def test_a_parameter_that_a_class_needs_is_asked_for(slides):
    with pytest.raises(SpecError, match="WholeImageRandomPatches needs 'num_patches'"):
        pool(slides, WholeImageRandomPatchesPool)


# ---------------------------------------------------------------------------------- results


@pytest.fixture(scope="module", params=[1, 2])
def found(request, slides):
    mask = [FULL.copy() for _ in slides]
    mask[1][:64] = False
    mask[2][:] = False
    return WholeImageGridPatchesPool(
        wsi_file_list=slides,
        mask_data_list=mask,
        patches_args={"weak_label": ["w", "x", "y", "w"], "patch_size": [256, 256, 256, 512]},
        proc_num_workers=request.param,
    )


def test_results_come_in_the_order_of_the_list_for_any_number_of_workers(slides, found):
    assert [one.wsi_file for one in found] == slides
    assert [one.patch_count for one in found] == [48, 24, 0, 12]
    assert [one.class_name for one in found] == ["WholeImageGridPatches"] * 4
    alone = WholeImageGridPatches(wsi_file=slides[0], mask_data=FULL, weak_label="w")
    assert found[0].patch_data == alone.patch_data
    assert found[0].param_info == alone.param_info | {"patch_size": 256}
    assert (found.indices, found.errors) == ([0, 1, 2, 3], {})


def test_a_pool_reads_like_a_list_any_number_of_times(slides, found):
    assert len(found) == 4
    first, second = list(found), list(found)
    assert all(a is b for a, b in zip(first, second, strict=True))
    assert len(first) == 4
    assert [one.wsi_file for one in zip(found, found, strict=True) for one in one] == [
        path for path in slides for _ in range(2)
    ]
    assert found[-1] is first[3]
    assert found[1:3] == first[1:3]
    with pytest.raises(IndexError):
        found[4]


def test_a_pool_sums_up_its_slides(slides, found):
    assert found.patch_count == 84
    assert found.patch_info == {"w": 60, "x": 24, "y": 0}
    assert found.patch_labels == ["w", "x", "y"]
    assert found.patch_details == list(
        zip(slides, [{"w": 48}, {"x": 24}, {"y": 0}, {"w": 12}], strict=True)
    )
    assert len(found.pids) == 4
    assert os.getpid() not in found.pids


def test_no_slides_are_a_pool_without_results():
    none = pool([])
    assert (len(none), none.patch_count, none.patch_info, none.pids) == (0, 0, {}, [])


def test_draws_are_the_same_for_any_number_of_workers(slides):
    areas = [[square(100 * i, 100, 300)] for i in range(4)]

    def draw(n):
        run = pool(
            slides, WholeImageInvertedRandomPatchesPool, polygon_data_list=areas,
            patches_args={"num_patches": [5, 6, 7, 8], "seed": 3, "patch_size": 64},
            proc_num_workers=n,
        )  # fmt: skip
        return [patches.patch_data for patches in run]

    with workers_here(location_pools):
        one = draw(1)
    assert one == draw(2)
    assert [len(rows) for rows in one] == [5, 6, 7, 8]


@pytest.mark.usefixtures("here")
def test_lists_are_by_slide_and_lists_in_them_by_polygon(slides):
    areas = [
        [square(0, 0, 512, "a"), square(512, 512, 512, "b")],
        [square(0, 0, 512, "a")],
        [square(0, 0, 512, "b"), square(512, 0, 512, "b"), square(0, 512, 512, "a")],
    ]
    args = {
        "patch_size": 128,
        "patch_stride": [[1, 2], [2], [1, 1]],
        "level_or_mpp": [0, 0, 0],
        "excluded_labels": [[], [], ["a"]],
        "included_labels": [],
        "overlap_ratio": 0.9,
    }
    given = {"polygon_data_list": areas, "patches_args": args}
    by_slide = pool(slides[:3], PolygonRegionGridPatchesPool, **given)
    assert [one.patch_info for one in by_slide] == [{"a": 16, "b": 4}, {"a": 4}, {"b": 32}]
    assert args["patch_stride"] == [[1, 2], [2], [1, 1]]
    assert len(args) == 6
    for_all = pool(
        slides[:3], PolygonRegionGridPatchesPool, polygon_data_list=areas,
        patches_args={"patch_size": 256, "included_labels": ["b"]},
    )  # fmt: skip
    assert [one.patch_info for one in for_all] == [{"b": 4}, {}, {"b": 8}]


@pytest.mark.usefixtures("here")
def test_points_and_resolutions_are_by_slide(slides):
    found = pool(
        slides[:2], PolygonRegionCustomPatchesPool, polygon_data_list=[[square(0, 0, 2000)]] * 2,
        points_list=[[(0, 0), (9, 9)], np.array([[700, 500]])], slide_mpp_list=[None, 0.25],
        patches_args={"level_or_mpp": 0.5, "patch_size": 100},
    )  # fmt: skip
    assert [[corner for corner, *_ in one.patch_data] for one in found] == [
        [(0, 0), (9, 9)], [(700, 500)],
    ]  # fmt: skip
    assert [one.locations.side_px0 for one in found] == [100, 200]
    assert [one.slide_mpp for one in found] == [None, 0.25]


@pytest.mark.usefixtures("here")
def test_a_preview_of_each_slide_is_saved_under_its_name(slides, tmp_path):
    (tmp_path / "far").mkdir()
    twin = shutil.copy(slides[0], tmp_path / "far")
    args = {"image_file": str(tmp_path / "_preview.png"), "patch_color": "red"}
    pool([*slides[:2], twin], save_preview_image_args=args)
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    assert names == ["s0-0_preview.png", "s0-2_preview.png", "s1_preview.png"]
    assert cv2.imread(str(tmp_path / names[0])).shape == (96, 128, 3)
    assert args == {"image_file": str(tmp_path / "_preview.png"), "patch_color": "red"}


# ------------------------------------------------------------------------------------ tasks


def tasks_of(monkeypatch, slides, **more) -> list[tuple[LocationTask, int]]:
    """Each task as it goes to a worker, and how many masks had been looked at when it was made."""
    masks = Looked(more.pop("masks"))
    seen = []

    class Here:
        def __init__(self, **_: object) -> None:
            pass

        def imap(self, fn, items):
            for task in items:
                seen.append((task, len(masks.looked)))
                yield task, fn(task)

    monkeypatch.setattr(location_pools, "LocalWorkers", Here)
    pool(slides, mask_data_list=masks, **more)
    return seen


class Looked(list):
    """A list that knows which of its entries were looked at."""

    def __init__(self, entries) -> None:
        super().__init__(entries)
        self.looked = []

    def __getitem__(self, index):
        self.looked.append(index)
        return super().__getitem__(index)


def test_a_task_holds_its_own_slides_mask_and_is_made_when_it_is_taken(monkeypatch, slides):
    rng = np.random.default_rng(5)
    masks = [rng.random((2048, 1536)) < 0.9 for _ in slides]
    seen = tasks_of(monkeypatch, slides, masks=masks, patches_args={"foreground_ratio": 0.1})
    assert [n_looked for _, n_looked in seen] == [1, 2, 3, 4]
    for task, _ in seen:
        sent = len(pickle.dumps(task))
        assert masks[0].nbytes <= sent < masks[0].nbytes + 2000
        answer = len(pickle.dumps(locate(task)))
        assert answer < 5000  # 48 patches, and no mask


# ----------------------------------------------------------------------------- bad slides


@pytest.fixture(scope="module")
def mixed(slides, tmp_path_factory) -> list[str]:
    """Slides of which the second is missing and the fourth is none."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "text.svs").write_text("no slide")
    return [slides[0], str(folder / "gone.svs"), slides[1], str(folder / "text.svs"), slides[2]]


def test_a_bad_slide_is_kept_apart_and_harms_no_other(mixed):
    found = pool(mixed, on_error="collect")
    assert [one.wsi_file for one in found] == [mixed[0], mixed[2], mixed[4]]
    assert [one.patch_count for one in found] == [48] * 3
    assert found.indices == [0, 2, 4]
    assert list(map(type, found.errors.values())) == [SlideUnreadable] * 2
    assert sorted(found.errors) == [1, 3]
    assert all(mixed[i] in str(error) for i, error in found.errors.items())
    assert len(found.pids) == 3


@pytest.mark.usefixtures("here")
def test_a_bad_slide_is_logged_where_it_is_skipped(mixed, caplog):
    with caplog.at_level(logging.WARNING, "pathassets.engine.locations.pools"):
        found = pool(mixed, on_error="skip")
    assert found.indices == [0, 2, 4]
    said = [r.getMessage() for r in caplog.records if r.name == "pathassets.engine.locations.pools"]
    assert len(said) == 2
    assert all(mixed[i] in line and f"slide {i}" in line for i, line in zip((1, 3), sorted(said)))  # noqa: B905 - asserted above


@pytest.mark.parametrize("n_workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_first_bad_slide_of_the_list_is_the_one_that_is_raised(mixed, n_workers):
    with workers_here(location_pools) if n_workers == 1 else nullcontext():
        with pytest.raises(SlideError, match=r"gone\.svs"):
            pool(mixed, proc_num_workers=n_workers)
        with pytest.raises(SlideError, match=r"text\.svs"):
            pool([mixed[3], mixed[0], mixed[1]], proc_num_workers=n_workers)


def test_no_task_is_made_after_one_that_failed(monkeypatch, mixed):
    with pytest.raises(SlideError, match=r"gone\.svs"):
        tasks_of_raising(monkeypatch, mixed)
    assert tasks_of_raising.made == [0, 1]


def tasks_of_raising(monkeypatch, mixed):
    tasks_of_raising.made = made = []

    class Here:
        def __init__(self, **_: object) -> None:
            pass

        def imap(self, fn, items):
            for task in items:
                made.append(task.index)
                try:
                    result = fn(task)
                except SlideError as error:
                    result = error
                yield task, result

    monkeypatch.setattr(location_pools, "LocalWorkers", Here)
    pool(mixed)


def scripted(monkeypatch, script):
    """Workers that finish in an order of their own: (index, result) each."""
    closed = []

    class Scripted:
        def __init__(self, **_: object) -> None:
            pass

        def imap(self, fn, items):
            assert fn is locate
            tasks = []
            try:
                for index, result in script:
                    while len(tasks) <= index:
                        tasks.append(next(items))
                    good = locate(tasks[index]) if result is None else result
                    yield tasks[index], good
            finally:
                closed.append(True)

    monkeypatch.setattr(location_pools, "LocalWorkers", Scripted)
    return closed


def test_an_error_is_raised_once_and_neither_logged_nor_printed_before(slides, caplog, capfd):
    with caplog.at_level(logging.DEBUG), pytest.raises(SlideUnreadable) as raised:
        pool([*slides[:1], "nope.svs"], on_error="raise", proc_num_workers=1)
    assert str(raised.value).count("nope.svs") == 1
    assert not hasattr(raised.value, "__notes__")
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_slides_before_the_one_that_failed_are_waited_for(monkeypatch, slides):
    lost, bad = WorkerLost("no result within 5 s"), SlideUnreadable(slides[1], "is broken")
    closed = scripted(monkeypatch, [(2, lost), (0, None), (1, bad), (3, AssertionError("late"))])
    with pytest.raises(SlideUnreadable, match="is broken"):
        pool(slides)
    assert closed == [True]


def test_slides_after_the_one_that_failed_are_not_waited_for(monkeypatch, slides):
    script = [(3, None), (1, ValueError("bad")), (0, None), (2, AssertionError("late"))]
    scripted(monkeypatch, script)
    with pytest.raises(ValueError, match="bad") as raised:
        pool(slides)
    assert slides[1] in raised.value.__notes__[0]


def test_a_lost_worker_is_told_with_its_slide(monkeypatch, slides):
    scripted(monkeypatch, [(0, None), (1, WorkerLost("worker process ended with code -9"))])
    with pytest.raises(WorkerLost) as raised:
        pool(slides[:2])
    assert raised.value.message == f"{slides[1]}: worker process ended with code -9"


class Deadly:
    """A mask that ends the process that looks at it."""

    def __reduce__(self):
        return os._exit, (7,)


def test_a_worker_that_dies_harms_no_other_slide(slides):
    masks = [FULL, Deadly(), FULL, FULL]
    found = pool(slides, mask_data_list=masks, on_error="collect", proc_num_workers=1)
    assert [one.wsi_file for one in found] == [slides[0], slides[2], slides[3]]
    assert [one.patch_count for one in found] == [48] * 3
    (error,) = found.errors.values()
    assert isinstance(error, WorkerLost)
    assert f"{slides[1]}: worker process ended with code 7" in str(error)


@pytest.mark.usefixtures("here")
def test_what_is_impossible_for_one_slide_alone_is_that_slides_error(slides, tmp_path):
    no_mpp = str(write_formula_tiff(tmp_path / "no_mpp.tiff", mpp=None))
    found = pool(
        [slides[0], no_mpp, no_mpp, slides[1]], on_error="collect",
        patches_args={"level_or_mpp": [9, 0.7, 0, 0.7]},
    )  # fmt: skip
    assert found.indices == [2, 3]
    assert {i: type(error) for i, error in found.errors.items()} == {
        0: SpecError, 1: ResolutionMissing,
    }  # fmt: skip
    assert slides[0] in str(found.errors[0])


@pytest.mark.usefixtures("here")
def test_the_arguments_are_left_as_they_were(slides):
    files, masks, args = [Path(path) for path in slides], [FULL] * 4, {"weak_label": list("abcd")}
    found = pool(files, mask_data_list=masks, patches_args=args)
    assert found.patch_labels == list("abcd")
    assert [type(one.wsi_file) for one in found] == [str] * 4
    files.clear(), masks.clear()
    assert args == {"weak_label": list("abcd")}
    assert len(found) == 4
