import json
import pickle

import numpy as np
import pytest

from pathassets.engine.locations.patches_mock import PatchesMock
from pathassets.engine.locations.rows import PatchRows, rows_of
from pathassets.errors import SpecError

ROWS = [((0, 0), (256, 256), "a"), ((-7, 900), (100, 50), ""), ((512, 0), (256, 256), "a")]


def mock(rows=ROWS, **more):
    return PatchesMock(patch_data=rows, wsi_file="/far/a.svs", level_or_mpp=0, **more)


def test_patches_from_elsewhere_are_kept_as_they_are():
    patches = mock()
    assert patches.patch_data == ROWS
    assert (patches.wsi_file, patches.level_or_mpp, patches.patch_count) == ("/far/a.svs", 0, 3)
    assert patches.patch_info == {"": 1, "a": 2}
    assert patches.patch_labels == ["", "a"]
    assert patches.class_name == "PatchesMock"


def test_labels_that_are_announced_are_counted_where_none_has_them():
    patches = mock(patch_labels=["z", "a", ""])
    assert patches.patch_info == {"": 1, "a": 2, "z": 0}
    assert patches.patch_labels == ["", "a", "z"]
    assert mock([], patch_labels=["z"]).patch_info == {"z": 0}
    assert mock([]).patch_info == {}


def test_a_label_that_is_not_among_the_announced_is_refused():
    with pytest.raises(SpecError, match="patch_labels: '' of patch_data"):
        mock(patch_labels=["a"])


@pytest.mark.parametrize("second", [((0, 0), (256, 256), "b"), ((0, 0), (1, 2), "a")])
def test_one_corner_twice_is_refused_unless_it_is_meant(second):
    rows = [ROWS[0], second]
    with pytest.raises(SpecError, match=r"1 corners .* such as \(0, 0\)"):
        mock(rows)
    assert mock(rows, check_location=False).patch_data == rows
    assert mock([ROWS[0], ROWS[0]], check_location=False).patch_count == 2


def test_parameters_of_another_class_stand_in_for_its_own():
    patches = mock(class_name="Mine", class_params={"stride": 2})
    assert (patches.class_name, patches.param_info) == ("Mine", {"stride": 2})


def test_its_own_parameters_count_the_patches_and_print():
    told = mock([((i, 0), (1, 1), "") for i in range(1000)]).param_info
    assert told["patch_data"] == "1000 patches"
    assert len(json.dumps(told)) < 300


def test_neither_the_rows_nor_the_lists_it_was_given_are_held_on_to():
    rows, labels, params = list(ROWS), ["a", ""], {"k": 1}
    patches = mock(rows, patch_labels=labels, class_params=params)
    rows.clear(), labels.clear(), params.clear()
    assert (patches.patch_count, patches.patch_labels) == (3, ["", "a"])
    assert patches.param_info == {"k": 1}
    mock().param_info["x"] = 1
    assert "x" not in mock().param_info


@pytest.mark.parametrize(
    "row",
    [
        ((0, 0), (256, 256)),
        ((0,), (256, 256), "a"),
        ((0, 0), (0, 256), "a"),
        ((0, 0), (256, -1), "a"),
        ((0.5, 0), (256, 256), "a"),
        ((float("nan"), 0), (256, 256), "a"),
        ((float("inf"), 0), (256, 256), "a"),
        (("0", 0), (256, 256), "a"),
        ((0, 0), (256, 256), None),
        ((0, 0), (256, 256), 3),
        ((0, 0), 256, "a"),
        ((2**70, 0), (256, 256), "a"),
        "abc",
        5,
    ],
)
def test_what_is_no_patch_is_refused_with_its_place(row):
    with pytest.raises(SpecError, match="patch_data: no patch at place 1"):
        mock([ROWS[0], row])


@pytest.mark.parametrize("level", [True, 0.0, -1, -0.5, float("nan"), "0", None])
def test_a_level_or_mpp_that_is_neither_is_refused(level):
    with pytest.raises(SpecError, match="neither a level nor micrometres"):
        PatchesMock(patch_data=ROWS, wsi_file="a.svs", level_or_mpp=level)


def test_numbers_of_numpy_are_numbers():
    rows = [((np.int64(3), 4.0), np.array([5, 6]), np.str_("n"))]
    patches = PatchesMock(patch_data=rows, wsi_file="a.svs", level_or_mpp=np.float64(0.5))
    ((corner, size, label),) = patches.patch_data
    assert (corner, size, label) == ((3, 4), (5, 6), "n")
    assert {type(n) for n in (*corner, *size)} == {int}
    assert type(label) is str
    assert type(patches.level_or_mpp) is float


def test_it_goes_to_another_process_small():
    rows = [((i * 7, i), (256, 256), "abc"[i % 3]) for i in range(20_000)]
    sent = pickle.dumps(mock(rows))
    assert len(sent) < 20_000 * 40
    again = pickle.loads(sent)  # noqa: S301 - our own bytes
    assert again.patch_data == rows
    assert again.__dict__.keys() == mock(rows).__dict__.keys()


# ------------------------------------------------------------------------------------ rows


def test_rows_read_like_a_list():
    rows = rows_of(ROWS)
    assert isinstance(rows, PatchRows)
    assert (rows == ROWS, list(ROWS).__eq__(rows)) == (True, NotImplemented)  # so it asks the rows
    assert not rows != ROWS  # noqa: SIM202 - that operator is what is tested
    assert [rows[0], rows[-1]] == [ROWS[0], ROWS[2]]
    assert (rows[1:], rows[::-1], rows[5:]) == (ROWS[1:], ROWS[::-1], [])
    assert list(rows) == list(rows) == ROWS
    assert ([ROWS[0], *rows], rows + [1], [1] + rows) == (  # noqa: RUF005 - what is tested
        [ROWS[0], *ROWS], [*ROWS, 1], [1, *ROWS],
    )  # fmt: skip
    assert ROWS[1] in rows
    assert rows.index(ROWS[2]) == 2
    assert rows_of(rows) is rows
    for index in (3, -4):
        with pytest.raises(IndexError):
            rows[index]


def test_rows_differ_where_anything_differs():
    rows = rows_of(ROWS)
    for other in (
        ROWS[:2],
        [*ROWS[:2], ((512, 1), (256, 256), "a")],
        [*ROWS[:2], ((512, 0), (256, 255), "a")],
        [*ROWS[:2], ((512, 0), (256, 256), "b")],
        tuple(ROWS),
        None,
    ):
        assert rows != other
    with pytest.raises(TypeError):
        hash(rows)


def test_rows_show_themselves_shortly():
    assert repr(rows_of(ROWS)) == repr(ROWS)
    many = repr(rows_of([((i, 0), (1, 1), "") for i in range(100_000)]))
    assert len(many) < 300
    assert "100000 patches" in many


def test_rows_longer_than_what_is_made_at_once_come_whole_and_in_order():
    rows = [((i, -i), (i + 1, 3), str(i % 7)) for i in range(10_001)]
    assert list(rows_of(rows)) == rows
    assert rows_of(rows)[4090:4100] == rows[4090:4100]
