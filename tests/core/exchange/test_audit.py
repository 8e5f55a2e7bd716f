from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathassets.core.exchange.audit import Asked, fault_of_rows, faults_of, touching
from pathassets.core.exchange.bags import SlideFacts
from pathassets.core.exchange.found import FoundFeatures

SLIDE = SlideFacts(
    slide_id="a-1", sha256="a" * 64, name="a", file_name="a.svs", width_px0=1000, height_px0=800,
    mpp=0.25, level_downsamples=(1.0, 4.0),
)  # fmt: skip
ASKED = Asked(
    encoder="uni", dim=8, patch_px=256, mpp=0.5, side_px0=100, is_within=True,
    weights_sha256="a" * 64,
)  # fmt: skip


def found(
    corners=np.array([[0.0, 0], [900, 700], [100, 0]]),  # noqa: B008 - nobody writes to it
    **changed,
) -> FoundFeatures:
    plain = FoundFeatures(
        tool="trident", name="a", files=(), read_corners=lambda: corners,
        unit="px0", side=100, n_rows=3, n_columns=8, dtype="float32",
        chunks=lambda: iter([np.zeros((3, 8))]),
    )  # fmt: skip
    return replace(plain, **changed)


def test_what_fits_has_no_fault():
    assert list(faults_of(found(), SLIDE, ASKED)) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"slide_sha256": "b" * 64}, "SHA-256 bbbbbbbbbbbb"),
        ({"slide_size_px0": (1000, 801)}, "1000 x 801 px"),
        ({"slide_mpp": 0.5}, "0.5 um per pixel, in force are 0.25"),
        ({"n_rows": 4}, "4 rows of features for 3 coordinates"),
        ({"dtype": "float64"}, "float64"),
        ({"n_columns": 9}, "9 numbers, uni has 8"),
        ({"encoder": "virchow2"}, "made by virchow2"),
        ({"weights_sha256": "b" * 64}, "weights of SHA-256 bbbbbbbbbbbb…, the entry's have aaaa"),
        ({"side": None}, "nothing tells how large"),
        ({"side": 101}, "101 level-0 px (25.25 um), the entry asks for 100 px (25.00 um)"),
        ({"side": 25, "level": 7}, "nothing tells how large"),
        ({"corners": np.array([[0.0, 0], [np.nan, 0], [5, 5]])}, "coordinates 1 are no numbers"),
        ({"corners": np.array([[0.5, 0], [0, 0], [5, 5]])}, "0 are no whole level-0 pixels"),
        ({"corners": np.array([[-1.0, 0], [0, 0], [5, 5]])}, "coordinates 0 lie beyond"),
        ({"corners": np.array([[0.0, 0], [0, 701], [5, 5]])}, "coordinates 1 lie beyond"),
        ({"corners": np.array([[7.0, 0], [0, 0], [7, 0]])}, "1 coordinates are there more"),
    ],
)
def test_what_does_not_fit_is_named(changed, said):
    assert said in "; ".join(faults_of(found(**changed), SLIDE, ASKED))


def test_other_spellings_of_the_encoder_and_other_ways_to_say_the_size_fit():
    assert list(faults_of(found(encoder="uni_v1"), SLIDE, ASKED)) == []
    assert list(faults_of(found(side=25, level=1), SLIDE, ASKED)) == []
    in_um = found(unit="um", side=25.0, corners=found().corners * 0.25)
    assert list(faults_of(in_um, SLIDE, ASKED)) == []


def test_patches_may_reach_over_the_edge_where_the_entry_lets_them():
    over = found(corners=np.array([[950.0, 0], [0, 0], [5, 5]]))
    assert "beyond" in "; ".join(faults_of(over, SLIDE, ASKED))
    assert list(faults_of(over, SLIDE, replace(ASKED, is_within=False))) == []


def test_a_side_may_be_off_as_far_as_a_person_lets_it():
    off = found(side=103.0, corners=np.array([[0.0, 0], [5, 5], [200, 200]]))
    assert list(faults_of(off, SLIDE, replace(ASKED, max_off_px0=5.0))) == []


def test_patches_on_bad_tiles_are_named():
    bad = replace(ASKED, bad_boxes_px0=np.array([[950.0, 750, 960, 760]]))
    (said,) = faults_of(found(), SLIDE, bad)
    assert "1 patches lie on tiles that cannot be read, rows 1" in said


BOXES = st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 9)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@given(st.lists(BOXES, min_size=1, max_size=8), st.lists(BOXES, max_size=4))
def test_boxes_touch_where_they_share_a_pixel(boxes, others):
    def pixels(box):
        return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}

    taken = set().union(*map(pixels, others))
    expected = [bool(pixels(box) & taken) for box in boxes]
    assert touching(np.array(boxes), np.array(others).reshape(-1, 4)).tolist() == expected


def test_a_row_that_is_no_number_is_named_by_its_place_in_all():
    rows = np.zeros((4, 2), np.float16)
    rows[2, 1] = np.inf
    assert fault_of_rows(rows, 1024) == "row 1026 has NaN or infinity"
    assert fault_of_rows(rows[:2], 0) == ""
