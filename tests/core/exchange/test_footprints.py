from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathassets.adapters.exchange.spatialdata import base_downsample
from pathassets.core.exchange.bags import Footprint
from pathassets.core.exchange.footprints import (
    boxes_of,
    level_patch_of,
    magnifications_of,
    px0_of,
    side_of,
    um_of,
)

MPPS = st.floats(0.05, 5.0)
SIDES_PX = st.integers(1, 4096)


def footprint(patch_px: int, mpp: float, slide_mpp: float) -> Footprint:
    side_px0 = max(1, round(patch_px * mpp / slide_mpp))
    return Footprint(patch_px=patch_px, mpp=mpp, side_px0=side_px0)


@given(SIDES_PX, MPPS, MPPS)
def test_a_side_follows_whole_from_magnifications_floored_or_rounded(patch_px, mpp, slide_mpp):
    one = footprint(patch_px, mpp, slide_mpp)
    said = magnifications_of(one)
    assert patch_px * said.level0 // said.target == one.side_px0
    assert round(patch_px * said.level0 / said.target) == one.side_px0
    assert side_of(patch_px, said.level0, said.target) == pytest.approx(one.side_px0, abs=1e-6)
    assert said.target == pytest.approx(10 / mpp)


@given(SIDES_PX, MPPS, MPPS)
def test_a_side_follows_whole_from_wsidata_s_downsample(patch_px, mpp, slide_mpp):
    side_px0 = footprint(patch_px, mpp, slide_mpp).side_px0
    assert int(patch_px * base_downsample(side_px0, patch_px)) == side_px0


@given(SIDES_PX, MPPS, MPPS, st.lists(st.floats(1.5, 64), max_size=3, unique=True))
def test_what_clam_reads_covers_the_patch_to_a_pixel_or_is_not_said(patch_px, mpp, slide_mpp, more):
    downsamples = (1.0, *sorted(more))
    one = footprint(patch_px, mpp, slide_mpp)
    found = level_patch_of(one, slide_mpp, downsamples)
    if found is not None:
        assert abs(found.patch_px * downsamples[found.level] - one.side_px0) < 1
        assert found.patch_px % patch_px == 0


@pytest.mark.parametrize(
    ("mpp", "slide_mpp", "downsamples", "said"),
    [
        (0.5, 0.5, (1.0, 4.0), (0, 256)),
        (0.5, 0.25, (1.0, 4.0), (0, 512)),
        (1.0, 0.25, (1.0, 4.0, 16.0), (1, 256)),
        (2.0, 0.25, (1.0, 4.0, 16.0), (1, 512)),
        (0.5, 0.2498, (1.0, 4.00005), (0, 512)),
        (0.5, 0.2738, (1.0, 4.0), None),
        (0.25, 0.5, (1.0,), None),
    ],
)
def test_levels_that_clam_can_name(mpp, slide_mpp, downsamples, said):
    found = level_patch_of(footprint(256, mpp, slide_mpp), slide_mpp, downsamples)
    assert (None if found is None else (found.level, found.patch_px)) == said


@given(
    st.lists(st.tuples(st.integers(0, 300_000), st.integers(0, 300_000)), max_size=20),
    st.floats(0.1, 2.0),
)
def test_micrometres_lead_back_to_the_same_pixels(corners, slide_mpp):
    boxes_px0 = boxes_of(np.array(corners, np.int64).reshape(-1, 2), 512)
    said = um_of(boxes_px0, slide_mpp)
    assert said.dtype == np.float32
    np.testing.assert_array_equal(px0_of(said, slide_mpp), boxes_px0[:, :2])


def test_micrometres_that_would_lead_elsewhere_are_refused():
    with pytest.raises(ValueError, match="another level-0 pixel"):
        um_of(boxes_of(np.array([[2**31 + 1, 0]]), 1), 0.25)
