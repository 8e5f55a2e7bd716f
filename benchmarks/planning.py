"""What `pathassets plan` says before a run, against what the run then takes, on unseen cohorts.

Two runs over small slides of three kinds (JPEG at 0.5 and at 0.25 um per pixel, deflate at 0.5) are
what the catalog measures. Then cohorts of other slides are registered, one after the other: of
other sizes, numbers and mixtures, the last with real slides where some are named. Of each the plan
is asked, then it is run. Every command is a process of its own. Masks, grids, colour statistics and
an untrained ResNet-18 are made.

A run's time is from the moment at which it begins to work to its end, as the catalog has it; that
of the command, imports and all, stands beside it.

    .venv/bin/python benchmarks/planning.py [--rounds 1] [--slide FILE] [--scale 1.0]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from events import describe_machine, home_of

TOLERANCE = 0.25
RECIPE = """
tissue_mask: {mask: {method: otsu, mpp: 8.0}}
patch_locations: {grid: {tissue_mask: mask, patch_px: 256, mpp: 0.5, min_tissue_share: 0.5}}
features:
  colours: {patch_locations: grid, encoder: colour_stats}
  resnet18_untrained: {patch_locations: grid, encoder: resnet18}
"""
COMMAND = "from pathassets.cli import main; main()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Slides of one kind."""

    n_slides: int
    sides_px: tuple[int, int]
    """Least and greatest side."""
    mpp: float = 0.5
    lossless: bool = False


MEASURED = (
    Group(n_slides=6, sides_px=(1500, 4000)),
    Group(n_slides=5, sides_px=(3000, 6000), mpp=0.25),
    Group(n_slides=5, sides_px=(1500, 4000), lossless=True),
)
UNSEEN = {
    "20 small, JPEG 0.5": (Group(n_slides=20, sides_px=(1200, 3000)),),
    "7 large, JPEG 0.25": (Group(n_slides=7, sides_px=(6000, 9000), mpp=0.25),),
    "12 of two codecs": (
        Group(n_slides=8, sides_px=(2000, 5000), lossless=True),
        Group(n_slides=4, sides_px=(3000, 6000)),
    ),
}


def write_slides(folder: Path, groups: tuple[Group, ...], seed: int, scale: float) -> None:
    """Write slides with tissue on a half of them, more or less."""
    from pathassets.adapters.tifffile import PyramidSpec, write_pyramid  # noqa: PLC0415

    folder.mkdir(parents=True)
    for group_number, group in enumerate(groups):
        for number in range(group.n_slides):
            rng = np.random.default_rng((seed, group_number, number))
            low, high = (int(side * scale) for side in group.sides_px)
            width, height = (int(n) for n in rng.integers(low, high, 2))
            rgb = np.full((height, width, 3), 242, np.uint8)
            share = rng.uniform(0.5, 0.9)
            h, w = int(height * share), int(width * share)
            y, x = (height - h) // 2, (width - w) // 2
            texture = rng.integers(0, 70, (h, w, 3), np.uint8)
            rgb[y : y + h, x : x + w] = texture + np.array([150, 70, 130], np.uint8)
            spec = PyramidSpec(mpp=group.mpp, lossless=group.lossless)
            write_pyramid(folder / f"s{seed}-{group_number}-{number}.svs", rgb, spec)


def pathassets(*arguments: str) -> str:
    """Run a command, and give what it prints."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", COMMAND, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{arguments}: {done.stdout}{done.stderr}")
    return done.stdout


def run() -> tuple[float, float]:
    """Run what is to be done; seconds of the run itself, and of the command."""
    from pathassets.engine.platform.platform import open_platform  # noqa: PLC0415
    from pathassets.engine.settings import read_settings  # noqa: PLC0415

    began_s = time.perf_counter()
    pathassets("run")
    command_s = time.perf_counter() - began_s
    with open_platform(read_settings()) as platform:
        newest = platform.catalog.batches()[0]
    if newest.ended_at is None:
        sys.exit(f"run {newest.run_id} did not end")
    return (newest.ended_at - newest.began_at).total_seconds(), command_s


def try_cohort(name: str) -> float:
    """Plan what was registered, run it, and say how far off the plan was."""
    said: dict[str, Any] = json.loads(pathassets("plan", "--json"))
    wall = said["wall_s"]
    patches = sum(e["patches"]["value"] for e in said["entries"] if e["asset"].startswith("feat"))
    run_s, command_s = run()
    off = wall["value"] / run_s - 1
    whole = "" if said["is_whole"] else " (not all of it known)"
    print(
        f"{name:22} {said['n_to_do']:3} slides, {patches:6.0f} patches to encode: planned "
        f"{wall['value']:6.1f} s ({wall['low']:.0f} to {wall['high']:.0f}), took {run_s:6.1f} s, "
        f"{off:+.0%}{whole}; the command {command_s:.1f} s; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return abs(off)


def one_round(folder: Path, number: int, real: list[str], scale: float) -> list[float]:
    """Measure in a home of its own, then try each cohort."""
    with home_of(folder / f"home{number}"):
        home = Path(os.environ["PATHASSETS_HOME"])
        (home / "recipe.yaml").write_text(RECIPE)
        for part in range(2):
            seed = 100 * number + part
            write_slides(folder / f"measured{seed}", MEASURED, seed, scale)
            pathassets("ingest", str(folder / f"measured{seed}"))
            run_s, command_s = run()
            print(f"measured: {run_s:.1f} s, the command {command_s:.1f} s", flush=True)
        off = []
        for place, (name, groups) in enumerate(UNSEEN.items()):
            seed = 100 * number + 10 + place
            write_slides(folder / f"unseen{seed}", groups, seed, scale)
            is_last = place == len(UNSEEN) - 1
            pathassets("ingest", str(folder / f"unseen{seed}"), *(real if is_last else ()))
            off.append(try_cohort(name + (", and real ones" if is_last and real else "")))
        return off


def main() -> int:
    """Try all cohorts, so many times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--slide", action="append", default=[], help="a real slide to be added")
    parser.add_argument("--scale", type=float, default=1.0, help="of the slides' sides")
    arguments = parser.parse_args()
    print(describe_machine())
    off: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.rounds):
            off += one_round(Path(folder), number, arguments.slide, arguments.scale)
    print(f"farthest off: {max(off):.0%}; {sum(one <= TOLERANCE for one in off)} of {len(off)} "
          f"within {TOLERANCE:.0%}")  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
