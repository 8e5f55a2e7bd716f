import pandas as pd
import pytest
from pydantic import ValidationError

from pathassets.core.patches.names import PatchPlace
from pathassets.core.patches.patch_set import (
    COLUMNS,
    EncodedPatch,
    PatchSetSpec,
    facts_of,
    row_of,
    rows_of,
    table_of,
)
from pathassets.core.spec import digest_of


def patch(**changes):
    place = PatchPlace(
        **{
            "index": 3, "label": "Tumor", "x_px0": -5, "y_px0": 2**40, "width_px": 256,
            "height_px": 128, "level_or_mpp": 0, "set_number": None,
        }
        | changes
    )  # fmt: skip
    return EncodedPatch.of(place, "a.png", b"bytes")


def row(file="a.png", **changes):
    return row_of(patch(**changes), {"file": file})


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"store": "tar"}, "files"),
        ({"image_type": "bmp"}, "webp"),
        ({"image_type": "PNG"}, "png"),
        ({"quality": 90}, "lossless"),
        ({"image_type": "tif", "quality": 90}, "lossless"),
        ({"image_type": "jpg", "quality": 0}, "greater"),
        ({"image_type": "jpg", "quality": 101}, "less"),
        ({"image_type": "jpg", "quality": 90.0}, "integer"),
        ({"filename_separator": "/"}, "cannot stand in a file name"),
        ({"levels_or_mpps": [True]}, "integer"),
        ({"levels_or_mpps": [-1]}, "neither a level nor micrometres"),
        ({"levels_or_mpps": [0.0]}, "neither a level nor micrometres"),
        ({"levels_or_mpps": ["0"]}, "integer"),
        ({"levels_or_mpps": [float("inf")]}, "finite"),
        ({"levels_or_mpps": 0}, "tuple"),
        ({"resampling_mode": "lanczos"}, "'tile' or 'wsi'"),
        ({"included_labels": "Tumor"}, "tuple"),
        ({"included_labels": [1]}, "string"),
        ({"included_labels": ["a"], "excluded_labels": ["b"]}, "both included and excluded"),
        ({"shard_mb": 0}, "greater"),
        ({"create_subdirs": 1}, "boolean"),
        ({"colour": "red"}, "Unexpected"),
    ],
)
def test_an_impossible_spec_is_refused_and_says_why(asked, said):
    with pytest.raises(ValidationError, match=said):
        PatchSetSpec(**asked)


def test_a_level_and_the_same_number_of_micrometres_are_two_specs():
    level, mpp = (PatchSetSpec(levels_or_mpps=[0, value]) for value in (1, 1.0))
    assert [type(value) for value in level.levels_or_mpps] == [int, int]
    assert [type(value) for value in mpp.levels_or_mpps] == [int, float]
    assert digest_of(level) != digest_of(mpp)


def test_a_list_of_a_recipe_is_the_tuple_of_python():
    as_list = PatchSetSpec(levels_or_mpps=[0, 0.5], excluded_labels=["a"])
    assert as_list == PatchSetSpec(levels_or_mpps=(0, 0.5), excluded_labels=("a",))
    assert digest_of(as_list) == digest_of(PatchSetSpec(levels_or_mpps=(0, 0.5),
                                                        excluded_labels=("a",)))  # fmt: skip


def test_every_field_of_the_spec_is_part_of_the_identity():
    others = [
        {"store": "zarr"}, {"image_type": "tif"}, {"image_type": "webp", "quality": 90},
        {"filename_comment": "c"}, {"filename_separator": "-"}, {"create_subdirs": True},
        {"levels_or_mpps": (0,)}, {"resampling_mode": "wsi"}, {"resampling_mode": None},
        {"included_labels": ("a",)}, {"excluded_labels": ("a",)}, {"shard_mb": 1}, {"fast": True},
    ]  # fmt: skip
    digests = {digest_of(PatchSetSpec(**changes)) for changes in [{}, *others]}
    assert len(digests) == len(others) + 1


def test_a_row_tells_level_or_mpp_by_the_type_of_the_number():
    assert (row(level_or_mpp=1)["level"], row(level_or_mpp=1)["mpp"]) == (1, None)
    assert (row(level_or_mpp=1.0)["level"], row(level_or_mpp=1.0)["mpp"]) == (None, 1.0)


def test_rows_come_back_from_their_table():
    rows = [row(), row("b.png", level_or_mpp=0.5, set_number=7, label=""), row("c.png", index=4)]
    table = table_of(rows, ["file"])
    assert list(table.columns) == ["file", *COLUMNS]
    assert rows_of(table) == rows
    assert [type(value) for value in rows_of(table)[1].values()] == [
        type(value) for value in rows[1].values()
    ]


def test_a_table_without_rows_has_the_same_types():
    full, empty = (table_of(rows, ["file", "row"]) for rows in ([row() | {"row": 0}], []))
    assert full.dtypes.to_dict() == empty.dtypes.to_dict()
    assert rows_of(empty) == []


def test_a_label_that_is_no_text_is_written_with_escapes():
    table = table_of([row(label="a\udc80")], ["file"])
    assert table["label"].tolist() == ["a\\udc80"]


def test_patches_are_counted_once_and_images_each():
    rows = [
        row(str(n) + str(level), index=n, set_number=n, level_or_mpp=level, label="T" if n else "")
        for n in range(3)
        for level in (0, 1.0)
    ]
    assert facts_of(rows) == {
        "n_patches": 3, "n_sets": 3, "n_images": 6, "n_bytes": 30, "n_by_label": {"": 1, "T": 2},
    }  # fmt: skip
    assert facts_of([]) == {
        "n_patches": 0, "n_sets": 0, "n_images": 0, "n_bytes": 0, "n_by_label": {},
    }  # fmt: skip


def test_a_large_coordinate_stays_whole():
    table = table_of([row(), row("b.png", level_or_mpp=0.5)], ["file"])
    assert table["y_px0"].dtype == "int64"
    assert pd.isna(table["level"][1])
    assert table["y_px0"].tolist() == [2**40] * 2
