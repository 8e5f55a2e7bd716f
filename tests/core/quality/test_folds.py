"""Folds that are laid by arithmetic: light passes the tissue twice."""

import numpy as np

from pathassets.core.quality.folds import MIN_FOLD_UM2, find_folds
from pathassets.core.tissue.stain import OD_OF_LEVEL

MPP = 8.0
TISSUE, GLASS = np.array([210, 130, 180]), 245
"""Of ordinary stain; two layers have a density of twice as much in each channel."""
TWICE = np.rint(TISSUE.astype(float) ** 2 / 255).astype(np.uint8)


def overview() -> tuple[np.ndarray, np.ndarray]:
    """Tissue with glass around it, and its mask."""
    rgb = np.full((120, 160, 3), GLASS, np.uint8)
    tissue = np.zeros(rgb.shape[:2], bool)
    tissue[20:100, 20:140] = True
    rgb[tissue] = TISSUE
    return rgb, tissue


def test_a_band_of_two_layers_is_found_and_nothing_beside_it() -> None:
    rgb, tissue = overview()
    rgb[20:100, 60:75] = TWICE
    found = find_folds(rgb, tissue, MPP)
    assert found[25:95, 62:73].all()
    assert not found[:, :57].any()
    assert not found[:, 78:].any()


def test_tissue_of_one_layer_has_no_fold_however_dark_its_stain() -> None:
    rgb, tissue = overview()
    assert not find_folds(rgb, tissue, MPP).any()
    rgb[tissue] = TWICE
    assert not find_folds(rgb, tissue, MPP).any()


def test_an_infiltrate_as_dense_as_two_layers_is_no_fold_for_it_is_bluer() -> None:
    rgb, tissue = overview()
    blue = np.array([70, 90, 140], np.uint8)
    assert OD_OF_LEVEL[blue].sum() > OD_OF_LEVEL[TWICE].sum()
    rgb[20:100, 60:75] = blue
    assert not find_folds(rgb, tissue, MPP).any()
    rgb[20:100, 100:115] = TWICE
    assert find_folds(rgb, tissue, MPP)[30:90, 103:112].all()


def test_dark_specks_and_what_is_no_tissue_are_no_folds() -> None:
    rgb, tissue = overview()
    rgb[40:46, 40:46] = TWICE  # 2,304 um2
    assert 36 * MPP**2 < MIN_FOLD_UM2
    rgb[2:18, 20:140] = TWICE  # a shadow on the glass
    assert not find_folds(rgb, tissue, MPP).any()
    assert not find_folds(rgb, np.zeros_like(tissue), MPP).any()
