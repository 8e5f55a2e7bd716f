"""What the quality of patches costs beside reading them, and what blur and folds do to its numbers.

Patches of 256 px at 0.5 um per pixel, on a grid over a scanned slide; CPU time in one process and
one thread, the least of several rounds, reading and measuring in turn. Then the same patches
blurred by a Gaussian, and a band of the overview through which light passes twice.

    .venv/bin/python benchmarks/quality.py SLIDE [MPP]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from pathassets.core.locations.location_spec import LocationSpec
from pathassets.core.locations.locations import PatchLocations, locate
from pathassets.core.quality.folds import find_folds
from pathassets.core.quality.patch_measures import MEASURES, measure
from pathassets.core.slides.regions import read_overview
from pathassets.core.slides.resolution import downsample_for
from pathassets.core.tissue.tissue_mask import TissueMask, TissueSpec, find_tissue
from pathassets.engine.slides.open import OpenedSlide, open_slide
from pathassets.engine.slides.read_patches import read_patches

N_ROUNDS = 7
OVERVIEW_MPP = 8.0
SIGMAS_PX = (0.5, 1.0, 2.0, 4.0)
BAND_UM = 100.0


def read_all(slide: OpenedSlide, locations: PatchLocations) -> np.ndarray:
    """All patches, RGB uint8 (n, y, x, 3)."""
    return np.concatenate([batch.pixels for batch in read_patches(slide, locations)])


def least_ms(work: Callable[[], object], n: int) -> float:
    """CPU milliseconds of a patch, the least of the rounds."""
    found = []
    for _ in range(N_ROUNDS):
        begin_s = time.process_time()
        work()
        found.append(1000 * (time.process_time() - begin_s) / n)
    return min(found)


def print_blur(patches: np.ndarray) -> None:
    """Focus of the patches as they are, and blurred."""
    focus = MEASURES.index("focus")
    for sigma_px in (0.0, *SIGMAS_PX):
        blurred = [cv2.GaussianBlur(p, (0, 0), sigma_px) if sigma_px else p for p in patches]
        found = np.nanpercentile(measure(np.array(blurred))[:, focus], [5, 50, 95])
        print(f"blurred by {sigma_px:g} px: focus {found.round(1)} (5 %, 50 %, 95 %)")


def print_folds(rgb: np.ndarray, mask: TissueMask, mpp: float) -> None:
    """Share of the tissue that is taken for folds, and of a band of two layers that is found."""
    tissue, glass = mask.tissue, np.median(rgb[~mask.tissue], axis=0)
    middle, width_px = tissue.shape[1] // 2, round(BAND_UM / mpp)
    band = np.zeros_like(tissue)
    band[:, middle : middle + width_px] = True
    twice = rgb.copy()
    twice[band] = (rgb[band].astype(float) ** 2 / glass).clip(0, 255)
    found = find_folds(twice, tissue, mpp) & band & tissue
    share = find_folds(rgb, tissue, mpp).sum() / tissue.sum()
    print(f"taken for folds: {share:.1%} of the tissue as it is")
    print(f"found: {found.sum() / (band & tissue).sum():.0%} of a band of {BAND_UM:g} um")


def main() -> None:
    """Print it all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", type=Path)
    parser.add_argument("mpp", type=float, nargs="?")
    asked = parser.parse_args()
    with open_slide(asked.slide, mpp=asked.mpp) as slide:
        slide_mpp = float(slide.info.mpp or 0)
        rgb, downsample = read_overview(slide, downsample=downsample_for(OVERVIEW_MPP, slide_mpp))
        mask = find_tissue(rgb, downsample=downsample, slide_mpp=slide_mpp, spec=TissueSpec())
        locations = locate(mask, slide.info, LocationSpec(patch_px=256, mpp=0.5), slide_key="")
        patches = read_all(slide, locations)
        reading = least_ms(lambda: read_all(slide, locations), len(locations))
        measuring = least_ms(lambda: measure(patches), len(locations))
    print(f"{asked.slide.name}: {len(locations)} patches")
    print(f"reading {reading:.2f}, measuring {measuring:.2f} CPU-ms a patch")
    print_blur(patches)
    print_folds(rgb, mask, downsample * slide_mpp)


if __name__ == "__main__":
    main()
