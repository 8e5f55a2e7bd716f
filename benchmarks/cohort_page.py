"""What the cohort page takes: CPU-seconds and bytes of a report, and of a page that is served.

Slides of tissue that was painted are registered and run for real, some paintings moved, mirrored
and made lighter or darker for all of them. Then the report is written twice, in a process of its
own: the second finds what was read of each slide. Rows without files bring the cohort to many
slides, of which a page is described and written as `pathassets ui` does.

    .venv/bin/python benchmarks/cohort_page.py [--slides 500] [--many 10000]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from events import describe_machine

from pathassets.adapters.tifffile import PyramidSpec, write_pyramid
from pathassets.catalog.records import PathRecord, SlideRecord
from pathassets.core.demo_painting import Appearance, Piece, paint

RECIPE = """
tissue_mask: {otsu: {method: otsu, mpp: 8.0}}
patch_locations: {grid: {tissue_mask: otsu, patch_px: 128, mpp: 1.0}}
features: {colours: {patch_locations: grid, encoder: colour_stats}}
"""
N_PAINTINGS = 10
WIDTH_PX0, HEIGHT_PX0 = 1800, 1400
COMMAND = "from pathassets.cli import main; main()"


def write_slides(folder: Path, n_slides: int) -> None:
    """Write slides that all differ, from a few paintings."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    paintings = [_paint(rng, seed) for seed in range(N_PAINTINGS)]
    for number in range(n_slides):
        rgb = np.roll(paintings[number % N_PAINTINGS], rng.integers(-60, 60, 2), (0, 1))
        rgb = rgb[:: 1 if number % 3 else -1, :: 1 if number % 4 else -1]
        shades = (255 * (np.arange(256) / 255) ** rng.uniform(0.9, 1.1)).astype(np.uint8)
        varied = cv2.LUT(np.ascontiguousarray(rgb), shades)
        spec = PyramidSpec(mpp=1.0, factor=2, n_levels=2)
        write_pyramid(folder / f"s{number:04}.svs", np.asarray(varied, np.uint8), spec)


def _paint(rng: np.random.Generator, seed: int) -> np.ndarray:
    piece = Piece(
        x=0.5, y=0.5, length=float(rng.uniform(0.3, 0.5)), width=float(rng.uniform(0.15, 0.3)),
        turn=float(rng.uniform(-1.3, 1.3)), bend=0.1,
    )  # fmt: skip
    look = Appearance(
        width_px0=WIDTH_PX0, height_px0=HEIGHT_PX0, pieces=(piece,), gland_share=0.4,
        lymphoid_share=0.2, warmth=0.4,
    )  # fmt: skip
    return paint(look, seed=seed).rgb


def command(*arguments: str) -> tuple[float, str]:
    """Run a command; CPU-seconds of all its processes, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", COMMAND, *arguments], capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, done.stdout.strip()


def register_many(platform: Any, n_slides: int) -> None:
    """Enter slides whose files are nowhere."""
    for number in range(n_slides - platform.catalog.n_slides()):
        slide_id = f"away-{number:06}"
        record = SlideRecord(
            slide_id=slide_id, fingerprint=f"{number:064x}", size_bytes=9, vendor="aperio",
            reader="openslide", width_px0=20_000, height_px0=15_000, n_levels=1,
            level_downsamples=(1.0,), mpp=0.5, mpp_sources=(), patient=f"P{number // 3}",
        )  # fmt: skip
        path = PathRecord(
            path=f"/nowhere/{slide_id}.svs", slide_id=slide_id, size_bytes=9, mtime_ns=1, ctime_ns=1
        )
        platform.catalog.register_slide(record, path)


def time_served(n_slides: int) -> None:
    """Describe and write the first page of a cohort of so many slides, twice."""
    from pathassets.engine.platform.cohort_page import page as cohort_page  # noqa: PLC0415 - home
    from pathassets.engine.platform.platform import open_platform  # noqa: PLC0415
    from pathassets.engine.settings import read_settings  # noqa: PLC0415
    from pathassets.report.cohort_page.html import Page, Served, page_html  # noqa: PLC0415

    with open_platform(read_settings()) as platform:
        register_many(platform, n_slides)
        surveys = cohort_page.Surveys()
        for which in ("first", "next"):
            began_s = time.process_time()
            cohort = cohort_page.open_cohort(platform, surveys=surveys)
            slides = cohort_page.describe_slides(platform, cohort, cohort.pages[0])
            text = page_html(Page(title="cohort", slides=slides, served=Served()))
            spent = time.process_time() - began_s
            print(f"served, the {which}: {len(slides)} of {len(cohort.slide_ids)} slides, "
                  f"{spent:.2f} CPU-s, {len(text):,} characters", flush=True)  # fmt: skip


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--slides", type=int, default=500)
    parser.add_argument("--many", type=int, default=10_000)
    asked = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ["PATHASSETS_HOME"] = folder
        (home / "recipe.yaml").write_text(RECIPE)
        write_slides(home / "slides", asked.slides)
        command("ingest", str(home / "slides"))
        print(f"run: {command('run')[0]:.0f} CPU-s", flush=True)
        for which in ("first", "next"):
            spent, said = command("report")
            print(f"report, the {which}: {spent:.0f} CPU-s; {said.partition(':')[0]}", flush=True)
        time_served(asked.many)


if __name__ == "__main__":
    main()
