import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pathassets.core.annotations.annotations import AnnotationPolygon
from pathassets.core.locations.location_spec import LocationSpec
from pathassets.core.locations.locations import PatchLocations, locate
from pathassets.core.slides.slide import MppAudit, SlideInfo
from pathassets.core.spec import digest_of
from pathassets.core.tissue.tissue_mask import TissueMask
from pathassets.errors import AnnotationsMissing, SpecError


def full_mask(
    width_px0: int, height_px0: int, downsample: float = 16.0, slide_mpp: float = 0.5
) -> TissueMask:
    """What an overview of an all-tissue slide gives: a whole number of pixels, rounded down."""
    shape = (max(1, int(height_px0 / downsample)), max(1, int(width_px0 / downsample)))
    return TissueMask(tissue=np.ones(shape, bool), downsample=downsample, slide_mpp=slide_mpp)


def random_mask(seed: int, shape: tuple[int, int], downsample: float) -> TissueMask:
    tissue = np.random.Generator(np.random.PCG64(seed)).random(shape) < 0.5
    return TissueMask(tissue=tissue, downsample=downsample, slide_mpp=0.5)


def info_of(
    width_px0: int, height_px0: int, mpp: float | None = 0.5,
    downsamples: tuple[float, ...] = (1.0, 4.0, 16.0),
) -> SlideInfo:  # fmt: skip
    sizes = tuple((max(1, int(width_px0 / d)), max(1, int(height_px0 / d))) for d in downsamples)
    return SlideInfo(
        width_px0=width_px0, height_px0=height_px0, level_downsamples=downsamples,
        level_sizes_px=sizes, vendor="formula", reader="formula 1", objective_power=None,
        audit=MppAudit(sources=(), mpp=mpp),
    )  # fmt: skip


def lay(width_px0: int, height_px0: int, slide_mpp: float = 0.5, **spec: Any) -> PatchLocations:
    mask = full_mask(width_px0, height_px0, slide_mpp=slide_mpp)
    return lay_on(mask, width_px0, height_px0, **spec)


def lay_on(mask: TissueMask, width_px0: int, height_px0: int, **spec: Any) -> PatchLocations:
    info = info_of(width_px0, height_px0, mask.slide_mpp)
    return locate(mask, info, LocationSpec(**spec), slide_key="a")


def points(locations: PatchLocations) -> list[tuple[int, int]]:
    return list(zip(locations.x_px0.tolist(), locations.y_px0.tolist(), strict=True))


def share_of(mask: TissueMask, x_px0: int, y_px0: int, side_px0: int) -> float:
    """Share of a square within the mask: every mask pixel, with what it has in common with it."""
    lengths = []
    for at, n in ((y_px0, mask.tissue.shape[0]), (x_px0, mask.tissue.shape[1])):
        low = np.arange(n) * mask.downsample
        high = low + mask.downsample
        lengths.append((np.minimum(at + side_px0, high) - np.maximum(at, low)).clip(0))
    return float(lengths[0] @ mask.tissue @ lengths[1]) / side_px0**2


def test_a_full_mask_gives_every_square_of_the_grid_row_by_row() -> None:
    locations = lay(2048, 1536)
    assert len(locations) == 48
    assert locations.side_px0 == 256
    found = points(locations)
    assert found == [(x, y) for y in range(0, 1536, 256) for x in range(0, 2048, 256)]
    assert (found[0], found[-1]) == ((0, 0), (1792, 1280))
    assert locations.tissue_share.tolist() == [1.0] * 48
    assert locations.boxes_px0[-1].tolist() == [1792, 1280, 2048, 1536]
    assert (locations.patch_px, locations.mpp) == (256, 0.5)


def test_a_coarser_patch_takes_a_larger_step_on_level_0() -> None:
    locations = lay(2048, 1536, patch_px=200, mpp=0.7)
    assert len(locations) == 35
    assert locations.side_px0 == 280
    assert np.unique(locations.x_px0).tolist() == list(range(0, 7 * 280, 280))
    assert np.unique(locations.y_px0).tolist() == list(range(0, 5 * 280, 280))


@pytest.mark.parametrize(
    ("width_px0", "height_px0", "spec", "n"),
    [
        (2220, 2967, {}, 8 * 11),
        (256, 256, {}, 1),
        (255, 256, {}, 0),
        (256, 255, {}, 0),
        (1, 1, {}, 0),
        (1, 1, {"patch_px": 1}, 1),
        (2048, 1536, {"stride_px": 128}, 15 * 11),
        (2048, 1536, {"stride_px": 300}, 6 * 5),
        (2048, 1536, {"stride_px": 5000}, 1),
        (2048, 1536, {"mpp": 0.25}, 16 * 12),
    ],
)
def test_the_number_of_squares_is_the_one_of_a_pencil(width_px0, height_px0, spec, n) -> None:
    assert len(lay(width_px0, height_px0, **spec)) == n


def test_a_slide_without_tissue_has_no_patch_but_the_right_types() -> None:
    mask = TissueMask(tissue=np.zeros((96, 128), bool), downsample=16.0, slide_mpp=0.5)
    locations = lay_on(mask, 2048, 1536)
    assert len(locations) == 0
    assert locations.boxes_px0.shape == (0, 4)
    assert locations.x_px0.dtype == locations.y_px0.dtype == locations.boxes_px0.dtype == np.int64
    assert locations.tissue_share.dtype == np.float32


def test_a_patch_is_kept_when_at_least_the_share_asked_for_is_tissue() -> None:
    # 16 mask pixels a patch; the first has half of them, the second one less, the third one more.
    tissue = np.zeros((4, 12), bool)
    tissue[:2] = True
    tissue[1, 4], tissue[2, 8] = False, True
    mask = TissueMask(tissue=tissue, downsample=64.0, slide_mpp=0.5)
    locations = lay_on(mask, 768, 256, min_tissue_share=0.5)
    assert locations.x_px0.tolist() == [0, 512]
    assert locations.tissue_share.tolist() == [0.5, 0.5625]


@pytest.mark.parametrize("downsample", [32.0, 32.0075, 31.99])
def test_a_patch_that_is_all_tissue_up_to_a_part_of_a_pixel_is_kept_where_all_is_asked_for(
    downsample,
) -> None:
    tissue = np.zeros((64, 64), bool)
    tissue[8:24, 8:24] = True  # from 256 to 768, give or take a quarter of a pixel
    mask = TissueMask(tissue=tissue, downsample=downsample, slide_mpp=0.5)
    kept = lay_on(mask, 2048, 2048, min_tissue_share=1.0)
    assert points(kept) == [(256, 256), (512, 256), (256, 512), (512, 512)]
    assert (kept.tissue_share == 1.0).all()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_no_share_asked_for_keeps_all_and_the_whole_keeps_what_is_covered(share) -> None:
    mask = random_mask(3, (40, 50), 7.3)
    mask.tissue[:20, :30] = True
    every = lay_on(mask, 365, 292, patch_px=16, min_tissue_share=0.0)
    kept = lay_on(mask, 365, 292, patch_px=16, min_tissue_share=share)
    wanted = [
        box[:2]
        for box in every.boxes_px0.tolist()
        if round(share_of(mask, *box[:2], 16), 10) >= share
    ]
    assert kept.boxes_px0[:, :2].tolist() == wanted
    assert len(every) == 22 * 18
    assert share == 0 or 0 < len(kept) < len(every)


def test_a_patch_at_the_edge_is_judged_by_the_last_pixels_of_the_mask() -> None:
    # The mask covers 96 of 100 px0; patches of 20 px0 begin at 80.
    tissue = np.zeros((3, 3), bool)
    tissue[:, 2] = True
    mask = TissueMask(tissue=tissue, downsample=32.0, slide_mpp=0.5)
    locations = lay_on(mask, 100, 100, patch_px=20, min_tissue_share=1.0)
    assert locations.x_px0.tolist() == [80] * 5
    assert locations.y_px0.tolist() == [0, 20, 40, 60, 80]


GRIDS = {
    "slide_mpp": st.floats(0.1, 3.0),
    "mpp": st.floats(0.1, 3.0),
    "patch_px": st.integers(1, 40),
    "size_px0": st.tuples(st.integers(1, 60), st.integers(1, 60)),
}


@given(**GRIDS, stride_px=st.integers(1, 60))
def test_every_patch_is_inside_the_slide_in_row_order(
    slide_mpp, mpp, patch_px, size_px0, stride_px
) -> None:
    width_px0, height_px0 = size_px0
    locations = lay(
        width_px0, height_px0, slide_mpp, mpp=mpp, patch_px=patch_px, stride_px=stride_px
    )
    assert locations.side_px0 == max(1, round(patch_px * mpp / slide_mpp))
    boxes = locations.boxes_px0
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2] <= width_px0).all()
    assert (boxes[:, 3] <= height_px0).all()
    rows = [(y, x) for x, y in points(locations)]
    assert rows == sorted(set(rows))
    fits = locations.side_px0 <= min(size_px0)
    assert (rows[:1] == [(0, 0)]) == fits


@given(**GRIDS, gap_px=st.integers(0, 20))
def test_no_two_patches_share_a_pixel_when_the_stride_is_no_shorter_than_the_patch(
    slide_mpp, mpp, patch_px, size_px0, gap_px
) -> None:
    locations = lay(*size_px0, slide_mpp, mpp=mpp, patch_px=patch_px, stride_px=patch_px + gap_px)
    for edges in (np.unique(locations.x_px0), np.unique(locations.y_px0)):
        assert (np.diff(edges) >= locations.side_px0).all()


def test_neighbours_at_a_fractional_resolution_neither_overlap_nor_drift() -> None:
    # 256 px at 0.5 um are 506.93 level-0 pixels at 0.2525: a side of 507.
    side_by_side = lay(40_000, 507, slide_mpp=0.2525)
    assert np.unique(np.diff(side_by_side.x_px0)).tolist() == [507]
    assert len(side_by_side) == 78
    # With a gap, each position is the exact one, rounded.
    apart = lay(40_000, 507, slide_mpp=0.2525, stride_px=300)
    exact_px0 = np.arange(len(apart)) * 300 * 0.5 / 0.2525
    assert np.abs(apart.x_px0 - exact_px0).max() <= 0.5


@pytest.mark.parametrize("slide_mpp", [0.2525, 0.25, 0.4])
def test_a_grid_leaves_no_room_for_another_column(slide_mpp) -> None:
    locations = lay(5000, 5000, slide_mpp=slide_mpp, stride_px=100)
    step_px0 = 100 * 0.5 / slide_mpp
    assert locations.x_px0.max() + step_px0 + locations.side_px0 > 5000 - 0.5


# -------------------------------------------------------------------------------- the request


def test_the_plain_request_is_half_a_micrometre_and_says_so() -> None:
    spec = LocationSpec()
    assert (spec.patch_px, spec.mpp, spec.level, spec.patch_um) == (256, 0.5, None, None)
    assert digest_of(spec) == digest_of(LocationSpec(mpp=0.5, patch_px=256, level=None))


def test_a_level_takes_the_place_of_a_resolution() -> None:
    spec = LocationSpec(level=1)
    assert (spec.level, spec.mpp) == (1, None)
    assert digest_of(spec) == digest_of(LocationSpec(level=1, mpp=None))


@pytest.mark.parametrize(
    ("given", "patch_px", "mpp"),
    [
        ({"patch_um": 128}, 256, 0.5),
        ({"patch_um": 100.0, "mpp": 0.3}, 333, 0.3),
        ({"patch_um": 256, "patch_px": 224}, 224, 256 / 224),
        ({"patch_um": 0.01}, 1, 0.5),
    ],
)
def test_a_side_on_the_glass_becomes_what_was_left_out(given, patch_px, mpp) -> None:
    spec = LocationSpec(**given)
    assert (spec.patch_px, spec.mpp, spec.patch_um) == (patch_px, mpp, None)
    assert digest_of(spec) == digest_of(LocationSpec(patch_px=patch_px, mpp=mpp))


def test_labels_are_the_same_request_in_any_order_from_lists_and_tuples() -> None:
    one = LocationSpec(region="annotations", included_labels=["b", "a", "b"])
    other = LocationSpec(region="annotations", included_labels=("a", "b"))
    assert one.included_labels == ("a", "b")
    assert digest_of(one) == digest_of(other)


def test_a_spec_can_be_made_again_of_its_own_fields() -> None:
    for spec in (
        LocationSpec(patch_um=112, patch_px=224),
        LocationSpec(level=2, stride_um=10),
        LocationSpec(region="annotations", excluded_labels=["x"], sampler="random", n_patches=4),
    ):
        fields = {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec)}
        assert LocationSpec(**fields) == dataclasses.replace(spec) == spec


IMPOSSIBLE = {
    "mpp and level": {"mpp": 0.5, "level": 0},
    "mpp or level": {"mpp": None},
    "two of them fix the third": {"patch_um": 100, "patch_px": 200, "mpp": 0.5},
    "patch_um and level": {"patch_um": 100, "level": 0},
    "stride_px and stride_um": {"stride_px": 9, "stride_um": 9},
    "only a grid has one": {"stride_px": 9, "sampler": "random", "n_patches": 9},
    "stride: the sampler is poisson_disk": {"stride_um": 9, "sampler": "poisson_disk"},
    "n_patches: give it": {"sampler": "random"},
    "n_patches: give it for": {"n_patches": 5},
    "spacing_um: give it": {"spacing_um": 5},
    "included_labels and excluded_labels": {
        "region": "annotations", "included_labels": ["a"], "excluded_labels": ["b"],
    },
    "looks at no annotations": {"included_labels": ["a"]},
    "labels: region tissue": {"excluded_labels": ["a"]},
    "buffer_um: region tissue": {"buffer_um": 3},
    "min_area_share: region tissue": {"min_area_share": 0.9},
    "contained_as_holes": {"contained_as_holes": False},
    "contained_as_holes: it is": {"region": "outside_annotations", "contained_as_holes": False},
    "level": {"level": -1},
    "patch_px": {"patch_um": 10_000},
    "patch_um": {"patch_um": "100"},
    "patch_um\n": {"patch_um": True},
    "patch_um\n ": {"patch_um": -5},
    "patch_px\n": {"patch_um": 100, "patch_px": "256"},
    "mpp\n": {"patch_um": 100, "mpp": 0},
    "included_labels": {"region": "annotations", "included_labels": "tumour"},
    "excluded_labels": {"region": "annotations", "excluded_labels": {"tumour"}},
    "sampler": {"sampler": "custom"},
    "region": {"region": "glass"},
    "max_patches": {"max_patches": 0},
    "seed": {"seed": -1},
}  # fmt: skip


@pytest.mark.parametrize("words", IMPOSSIBLE)
def test_a_request_that_means_nothing_is_refused_in_words(words) -> None:
    with pytest.raises(ValidationError, match=words.strip(" ")):
        LocationSpec(**IMPOSSIBLE[words])


# ------------------------------------------------------------------------- levels and lengths


@pytest.mark.parametrize(
    ("spec", "slide_mpp", "side", "n"),
    [
        ({"level": 1, "patch_px": 128, "stride_px": 64}, 0.5, 512, 35),
        ({"level": 1, "patch_px": 128, "stride_px": 64}, None, 512, 35),
        ({"level": 0, "min_tissue_share": 0.95}, None, 256, 48),
        ({"patch_um": 128}, 0.5, 256, 48),
        ({"patch_um": 140, "mpp": 0.7}, 0.5, 280, 35),
        ({"stride_um": 64}, 0.5, 256, 15 * 11),
        ({"level": 0, "stride_um": 64}, 0.5, 256, 15 * 11),
    ],
)
def test_sides_and_steps_may_be_told_by_level_or_on_the_glass(spec, slide_mpp, side, n) -> None:
    info = info_of(2048, 1536, slide_mpp)
    locations = locate(full_mask(2048, 1536), info, LocationSpec(**spec), slide_key="a")
    assert (locations.side_px0, len(locations)) == (side, n)


def test_a_level_is_taken_by_its_own_downsample_and_its_mpp_follows() -> None:
    mask, spec = full_mask(5000, 5000), LocationSpec(level=1)
    odd = (1.0, 4.00050555)
    locations = locate(mask, info_of(5000, 5000, 0.25, odd), spec, slide_key="a")
    assert (locations.side_px0, locations.level) == (round(256 * 4.00050555), 1)
    assert locations.mpp == pytest.approx(1.0, abs=0.001)
    assert locate(mask, info_of(5000, 5000, None, odd), spec, slide_key="a").mpp is None
    plain = locate(mask, info_of(5000, 5000, 0.25), LocationSpec(), slide_key="a")
    assert (plain.level, plain.mpp) == (None, 0.5)


def test_the_mpp_of_the_slide_counts_and_not_that_of_the_mask() -> None:
    mask = full_mask(2048, 1536, slide_mpp=123.0)
    assert locate(mask, info_of(2048, 1536), LocationSpec(), slide_key="a").side_px0 == 256


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ({}, "mpp"),
        ({"level": 0, "stride_um": 9}, "stride_um"),
        ({"level": 0, "sampler": "poisson_disk", "spacing_um": 9}, "spacing_um"),
        ({"level": 0, "region": "annotations", "buffer_um": 9}, "buffer_um"),
    ],
)
def test_micrometres_on_a_slide_without_mpp_are_refused(spec, name) -> None:
    info = info_of(2048, 1536, None)
    with pytest.raises(SpecError, match=f"slide-7: {name} is in micrometres") as caught:
        locate(
            full_mask(2048, 1536), info, LocationSpec(**spec), annotations=[], slide_key="slide-7"
        )
    assert "State the slide's mpp" in caught.value.remedy


def test_a_level_that_the_slide_lacks_is_refused() -> None:
    with pytest.raises(SpecError, match="no level 3") as caught:
        lay(2048, 1536, level=3)
    assert "levels 0 to 2" in caught.value.remedy


def test_patches_may_reach_beyond_every_side_of_the_slide() -> None:
    locations = lay(300, 300, patch_px=200, stride_px=100, within_bound=False)
    found = points(locations)
    assert found == [
        (x, y)
        for y in (-100, 0, 100, 200)
        for x in (-100, 0, 100, 200)
        if not {x, y} <= {-100, 200}
    ]
    assert locations.tissue_share[found.index((-100, 0))] == 0.5
    assert locations.tissue_share[found.index((200, 0))] == 0.5


# --------------------------------------------------------------------------------- annotations


def drawn(label: str, x0: float, y0: float, x1: float, y1: float) -> AnnotationPolygon:
    return AnnotationPolygon(points=[(x0, y0), (x1, y0), (x1, y1), (x0, y1)], label=label)


def locate_in(annotations: Any, **spec: Any) -> PatchLocations:
    fields = {"patch_px": 100, "region": "annotations", **spec}
    info = info_of(1000, 800)
    return locate(
        full_mask(1000, 800), info, LocationSpec(**fields), annotations=annotations, slide_key="a"
    )


def labelled(locations: PatchLocations) -> list[tuple[int, int, str]]:
    codes = locations.label_codes
    if codes is None:
        codes = np.zeros(len(locations), np.int32)
    assert codes.dtype == np.int32
    names = [locations.labels[code] for code in codes.tolist()]
    return [(*xy, name) for xy, name in zip(points(locations), names, strict=True)]


def test_patches_in_annotations_are_of_one_grid_and_carry_their_labels() -> None:
    tumour, stroma = drawn("tumour", 460, 110, 790, 290), drawn("stroma", 0, 0, 130, 100)
    locations = locate_in([tumour, stroma, tumour])
    # Of the column at 400, 40 % are inside; of the rows at 100 and 200, 90 %.
    assert labelled(locations) == [
        *((x, y, "tumour") for y in (100, 200) for x in (500, 600, 700)), (0, 0, "stroma")
    ]  # fmt: skip
    assert locations.labels == ("tumour", "stroma")
    assert locations.tissue_share.dtype == np.float32


def test_the_share_within_the_annotation_is_the_one_asked_for() -> None:
    area = drawn("t", 460, 110, 790, 290)
    assert {x for x, _ in points(locate_in([area], min_area_share=0.36))} == {400, 500, 600, 700}
    assert {x for x, _ in points(locate_in([area], min_area_share=0.9))} == {500, 600}
    assert len(locate_in([area], min_area_share=0.91)) == 0


def test_labels_are_chosen_and_left_out() -> None:
    areas = [drawn("a", 0, 0, 100, 100), drawn("b", 200, 0, 300, 100), drawn("", 400, 0, 500, 100)]
    assert labelled(locate_in(areas, included_labels=["b", "a"])) == [(0, 0, "a"), (200, 0, "b")]
    assert labelled(locate_in(areas, excluded_labels=["a"])) == [(200, 0, "b"), (400, 0, "")]
    nothing = locate_in(areas, included_labels=["c"])
    assert (len(nothing), nothing.labels, nothing.label_codes) == (0, ("",), None)


def test_an_annotation_within_another_is_a_hole_unless_that_is_not_wanted() -> None:
    areas = [drawn("outer", 0, 0, 500, 300), drawn("inner", 100, 100, 200, 200)]
    assert (100, 100, "outer") not in labelled(locate_in(areas))
    assert (100, 100, "inner") in labelled(locate_in(areas))
    both = labelled(locate_in(areas, contained_as_holes=False))
    assert {(100, 100, "outer"), (100, 100, "inner")} <= set(both)


def test_annotations_grow_and_shrink_by_lengths_on_the_glass() -> None:
    area = [drawn("a", 100, 100, 400, 400)]
    assert len(locate_in(area, min_area_share=1.0)) == 9
    assert len(locate_in(area, min_area_share=1.0, buffer_um=-25)) == 1
    assert len(locate_in(area, min_area_share=0.9, buffer_um=50)) == 25 - 4
    gone = locate_in(area, buffer_um=-1000)
    assert (len(gone), gone.labels) == (0, ("a",))


def test_outside_of_annotations_is_the_slide_without_them() -> None:
    areas = [drawn("a", 0, 0, 1000, 300), drawn("b", 500, 200, 1000, 700)]
    locations = locate_in(areas, region="outside_annotations")
    assert set(points(locations)) == {
        (x, y) for x in range(0, 1000, 100) for y in range(0, 800, 100)
        if y >= 300 and (x < 500 or y >= 700)
    }  # fmt: skip
    assert (locations.labels, locations.label_codes) == (("",), None)
    alone = locate_in(areas, region="outside_annotations", included_labels=["b"])
    assert (0, 0) in points(alone)
    assert len(locate_in([drawn("a", -9, -9, 1009, 809)], region="outside_annotations")) == 0


def test_no_annotations_recorded_is_an_error_and_an_empty_list_is_a_value() -> None:
    with pytest.raises(AnnotationsMissing, match="a: no annotations are recorded"):
        locate_in(None)
    assert len(locate_in([])) == 0
    assert len(locate_in([], region="outside_annotations")) == 80
    assert len(lay(2048, 1536)) == 48


@pytest.mark.parametrize("sampler", [{"sampler": "random", "n_patches": 5}, {"sampler": "grid"}])
def test_annotations_that_nothing_is_left_of_leave_the_others_theirs(sampler) -> None:
    areas = [drawn("gone", 0, 0, 20, 20), drawn("kept", 100, 100, 700, 700)]
    locations = locate_in(areas, buffer_um=-20, **sampler)
    assert {label for *_, label in labelled(locations)} == {"kept"}


# --------------------------------------------------------------------------------------- draws


RANDOM = {"sampler": "random", "n_patches": 20, "patch_px": 64}


def test_draws_belong_to_the_slide_and_the_spec() -> None:
    mask, info = full_mask(2048, 1536), info_of(2048, 1536)

    def draw(slide_key: str, **spec: Any) -> list[tuple[int, int]]:
        return points(locate(mask, info, LocationSpec(**RANDOM, **spec), slide_key=slide_key))

    assert draw("a") == draw("a")
    assert len(set(draw("a"))) == 20
    assert len({tuple(d) for d in (draw("a"), draw("b"), draw("a", seed=1))}) == 3


def test_random_patches_are_drawn_in_each_annotation_by_itself() -> None:
    areas = [drawn("a", 0, 0, 300, 300), drawn("b", 400, 400, 900, 700)]
    found = labelled(locate_in(areas, **RANDOM))
    assert [label for *_, label in found] == ["a"] * 20 + ["b"] * 20
    assert all(-32 <= x <= 268 for x, _, label in found if label == "a")
    with pytest.raises(SpecError, match=r"area 2 of 2 \('b'\): 0 of 20 random squares"):
        locate_in([areas[0], drawn("b", 5, 5, 25, 25)], **RANDOM)


def test_bare_glass_has_no_random_patches_and_is_no_error() -> None:
    bare = TissueMask(tissue=np.zeros((96, 128), bool), downsample=16.0, slide_mpp=0.5)
    assert len(lay_on(bare, 2048, 1536, **RANDOM)) == 0
    assert len(lay_on(bare, 2048, 1536, **RANDOM, min_tissue_share=0.0)) == 20


def test_disks_keep_apart_by_a_length_on_the_glass_or_the_patch_side() -> None:
    for spec, apart in (({"spacing_um": 50.0}, 100), ({}, 64)):
        locations = lay(2048, 1536, sampler="poisson_disk", patch_px=64, **spec)
        x, y = locations.x_px0, locations.y_px0
        between = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2 + np.eye(len(x)) * 1e9
        assert apart**2 <= between.min() < (apart + 5) ** 2
        assert len(x) > 0.6 * 2048 * 1536 / apart**2


def test_a_choice_of_many_patches_is_in_order_even_and_of_the_slide() -> None:
    every = points(lay(2048, 1536))
    chosen = points(lay(2048, 1536, max_patches=12))
    places = [every.index(point) for point in chosen]
    assert (len(chosen), places) == (12, sorted(set(places)))
    counts = np.zeros(48)
    for seed in range(200):
        for point in points(lay(2048, 1536, max_patches=12, seed=seed)):
            counts[every.index(point)] += 1
    assert counts.sum() == 2400
    assert ((counts - 50) ** 2 / (50 * 0.75)).sum() * 47 / 48 < 83  # one of 1,000 is above 82.7
    assert points(lay(2048, 1536, max_patches=48)) == every


def test_a_choice_of_patches_keeps_their_labels_and_shares() -> None:
    areas = [drawn("a", 0, 0, 500, 500), drawn("b", 500, 0, 1000, 500)]
    every = locate_in(areas)
    chosen = locate_in(areas, max_patches=7)
    assert set(labelled(chosen)) <= set(labelled(every))
    assert len(chosen.tissue_share) == len(chosen.label_codes) == len(chosen) == 7


def test_annotations_beyond_the_slide_have_patches_of_the_slide_alone() -> None:
    area = [drawn("a", -500, -500, 140, 140)]
    assert points(locate_in(area)) == [(0, 0)]
    assert points(locate_in(area, within_bound=False)) == [(0, 0)]  # no tissue beyond it
    every = points(locate_in(area, within_bound=False, min_tissue_share=0.0))
    assert every == [(x, y) for y in range(-500, 1, 100) for x in range(-500, 1, 100)]
