"""What it takes to find patch locations: in 100,000 polygons, and 20,000 over the tissue.

On a slide of 100,000 x 80,000 px at 0.25 um per pixel, from annotations and a tissue mask in memory
to `PatchLocations`, as the platform's stage does it. The limit is of CPU time, in seconds.
"""

from __future__ import annotations

import argparse
import os
import platform as machine
import sys
import time
from collections.abc import Sequence

import numpy as np

from pathassets.core.annotations.annotations import AnnotationPolygon
from pathassets.core.locations.location_spec import LocationSpec
from pathassets.core.locations.locations import locate
from pathassets.core.slides.slide import MppAudit, SlideInfo
from pathassets.core.tissue.tissue_mask import TissueMask

WIDTH_PX0, HEIGHT_PX0 = 100_000, 80_000
MPP = 0.25
MASK_DOWNSAMPLE = 32.0
N_POLYGONS = 100_000
N_CORNERS = 24
LIMIT_S = 10.0
SPECS = {
    "a grid over the tissue": LocationSpec(mpp=MPP, patch_px=512),
    "a grid in 100,000 polygons": LocationSpec(
        mpp=MPP, patch_px=128, region="annotations", min_area_share=0.5
    ),
    "3 random in each of 100,000": LocationSpec(
        mpp=MPP, patch_px=64, region="annotations", min_area_share=0.3, sampler="random",
        n_patches=3,
    ),
}  # fmt: skip


def draw_polygons(n: int) -> list[AnnotationPolygon]:
    """Stars of 50 to 400 px that overlap a little, two labels."""
    rng = np.random.Generator(np.random.PCG64(0))
    angle = np.sort(rng.random((n, N_CORNERS)), axis=1) * 2 * np.pi
    radius = rng.uniform(50, 400, (n, 1)) * rng.uniform(0.7, 1.0, (n, N_CORNERS))
    centre = rng.uniform(1000, [WIDTH_PX0 - 1000, HEIGHT_PX0 - 1000], (n, 2))[:, None]
    corners = centre + np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    return [
        AnnotationPolygon(points=points, label="tumour" if i % 2 else "stroma")
        for i, points in enumerate(corners)
    ]


def find(spec: LocationSpec, polygons: Sequence[AnnotationPolygon]) -> tuple[int, float]:
    """Find locations; returns how many, and CPU seconds."""
    info = SlideInfo(
        width_px0=WIDTH_PX0, height_px0=HEIGHT_PX0, level_downsamples=(1.0,),
        level_sizes_px=((WIDTH_PX0, HEIGHT_PX0),), vendor="", reader="", objective_power=None,
        audit=MppAudit(sources=(), mpp=MPP),
    )  # fmt: skip
    shape = int(HEIGHT_PX0 / MASK_DOWNSAMPLE), int(WIDTH_PX0 / MASK_DOWNSAMPLE)
    mask = TissueMask(tissue=np.ones(shape, bool), downsample=MASK_DOWNSAMPLE, slide_mpp=MPP)
    given = polygons if spec.region != "tissue" else None
    started_s = time.process_time()
    locations = locate(mask, info, spec, annotations=given, slide_key="benchmark")
    return len(locations), time.process_time() - started_s


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strict", action="store_true", help="exit with 1 for a missed limit")
    args = parser.parse_args()
    print(f"{len(os.sched_getaffinity(0))} cores {machine.machine()}, "
          f"Python {machine.python_version()}, load {os.getloadavg()[0]:.1f} before")  # fmt: skip
    missed = []
    for name, spec in SPECS.items():
        n, cpu_s = find(spec, draw_polygons(N_POLYGONS))  # fresh: outlines are kept once made
        print(f"{name:30}{n:10,} patches{cpu_s:8.1f} CPU-s   limit {LIMIT_S:g}")
        if cpu_s > LIMIT_S:
            missed.append(name)
    print("PASS" if not missed else f"MISSED: {'; '.join(missed)}")
    return int(bool(missed) and args.strict)


if __name__ == "__main__":
    sys.exit(main())
