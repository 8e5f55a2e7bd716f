"""Tables and facts of a slide whose areas are known."""

import cv2
import numpy as np
import pytest

from pathassets.core.locations.locations import PatchLocations
from pathassets.core.quality.patch_measures import MEASURES
from pathassets.core.quality.patch_quality import (
    COLUMNS,
    PatchQualitySpec,
    colours_of_patches,
    patch_table,
    slide_facts,
    view_slide,
)
from pathassets.core.tissue.tissue_mask import TissueMask

MPP, DOWNSAMPLE = 8.0, 16.0
WIDTH_PX, HEIGHT_PX = 160, 120
PEN = (30, 50, 170)
SPEC = PatchQualitySpec(blurred_below=50.0)


def locations(*corners_px: tuple[int, int], side_px: int = 20) -> PatchLocations:
    """Squares by their corners in pixels of the overview."""
    x_px, y_px = np.array(corners_px, np.int64).reshape(-1, 2).T
    return PatchLocations(
        x_px0=(x_px * DOWNSAMPLE).astype(np.int64), y_px0=(y_px * DOWNSAMPLE).astype(np.int64),
        tissue_share=np.ones(len(x_px), np.float32), side_px0=int(side_px * DOWNSAMPLE),
        patch_px=320, mpp=0.5,
    )  # fmt: skip


@pytest.fixture
def seen():
    """A slide of 100 x 80 pixels of tissue with a pen stroke of 30 x 40 beside it."""
    rgb = np.full((HEIGHT_PX, WIDTH_PX, 3), 245, np.uint8)
    tissue = np.zeros((HEIGHT_PX, WIDTH_PX), bool)
    tissue[20:100, 20:120] = True
    rgb[tissue] = (210, 130, 180)
    cv2.rectangle(rgb, (130, 40), (149, 99), PEN, cv2.FILLED)
    mask = TissueMask(tissue=tissue, downsample=DOWNSAMPLE, slide_mpp=0.5)
    return view_slide(rgb, mask, MPP), mask


def table_of(view, where, focus, unread=()):
    measures = np.full((len(where), len(MEASURES)), 0.5, np.float32)
    measures[:, 0] = focus
    measures[[*unread]] = np.nan
    return patch_table(
        where, measures, unread, view,
        width_px0=int(WIDTH_PX * DOWNSAMPLE), height_px0=int(HEIGHT_PX * DOWNSAMPLE),
    )  # fmt: skip


def test_rows_stand_as_the_locations_do_and_know_the_ink_in_them(seen) -> None:
    view, _ = seen
    where = locations((20, 20), (135, 60), (100, 40))
    table = table_of(view, where, [10.0, 60.0, 400.0], unread=[2])
    assert tuple(table.columns) == COLUMNS
    assert table["x_px0"].tolist() == where.x_px0.tolist()
    assert table["is_read"].tolist() == [True, True, False]
    # It ends at 150, and its rim of 24 um three pixels further: 18 of 20 columns.
    assert table["ink_share"].tolist() == pytest.approx([0.0, 0.9, 0.0])
    colours = colours_of_patches(table, SPEC)
    assert len({tuple(one) for one in colours.tolist()}) == 3
    assert colours[2].tolist() == [0, 0, 0]


def test_facts_are_areas_on_the_glass_and_ranks_of_the_patches(seen) -> None:
    view, mask = seen
    where = locations(*((x, y) for y in (20, 40, 60) for x in (20, 40, 60)))
    table = table_of(view, where, [10, 20, 30, 40, 50, 60, 70, 80, 90], unread=[8])
    facts = slide_facts(table, view, mask, where, SPEC)
    assert (facts["focus_p05"], facts["focus_median"], facts["focus_p95"]) == (10.0, 40.0, 80.0)
    assert facts["blurred_share"] == 4 / 8
    assert (facts["n_patches"], facts["n_skipped"]) == (9, 1)
    assert facts["bad_patch_share"] == pytest.approx(1 / 9)
    assert facts["tissue_mm2"] == pytest.approx(100 * 80 * (MPP / 1000) ** 2)
    assert facts["coverage"] == pytest.approx(9 * 400 / 8000)
    # The stroke has 20 x 60 pixels, and a rim of 24 um around it counts.
    assert 1200 <= facts["ink_mm2"] / (MPP / 1000) ** 2 <= 26 * 66
    assert facts["ink_share"] == pytest.approx(facts["ink_mm2"] / (facts["ink_mm2"] + 0.512))
    assert facts["fold_share"] == 0.0


def test_a_slide_without_tissue_or_patches_has_facts_that_say_nothing(seen) -> None:
    view, mask = seen
    bare = TissueMask(tissue=np.zeros_like(mask.tissue), downsample=DOWNSAMPLE, slide_mpp=0.5)
    glass = np.full((HEIGHT_PX, WIDTH_PX, 3), 245, np.uint8)
    none = locations()
    view = view_slide(glass, bare, MPP)
    facts = slide_facts(table_of(view, none, []), view, bare, none, SPEC)
    unknown = ("focus_median", "blurred_share", "od_red", "coverage")
    assert [facts[name] for name in unknown] == [None] * len(unknown)
    none_of = ("n_patches", "bad_patch_share", "tissue_mm2", "ink_share", "fold_share")
    assert [facts[name] for name in none_of] == [0] * len(none_of)
