"""What reading patches costs: the tile reader and OpenSlide, over decoding each tile once.

Three slides are made of the same tissue: 20,000 x 20,000 px with tiles of 256 and of 240 px, and
larger ones for the memory. Each case reads a square full of patches by

    floor       each tile that is needed, decoded once into one buffer, and nothing else;
                at half resolution decoded at half size by the JPEG decoder
    pathassets  `read_patches`, one thread
    openslide   `read_region`, convert, and at half resolution `cv2.resize`, patch by patch

Costs are user instructions, counted by valgrind (apt-get install valgrind), and CPU time, the
least of several rounds in turn. Instructions are the same on a busy machine, and decide; without
valgrind, or with --cpu, CPU time does.
"""

from __future__ import annotations

import argparse
import json
import os
import platform as machine
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import openslide
import tifffile

from pathassets.core.demo_painting import Appearance, Piece, paint
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches.read_plan import ReadSpec
from pathassets.core.slides.tiles import find_touches
from pathassets.engine.slides.open import OpenedSlide, open_slide
from pathassets.engine.slides.read_patches import read_patches

SIDE_PX = 20_000
QUALITY = 70
MARKER = "getpgid"
"""C function at whose calls callgrind writes down what it has counted."""
N_ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way to cut patches."""

    name: str
    tile_px: int = 256
    offset_px0: int = 0
    side_px0: int = 256
    fast: bool = False
    limit: float = 1.2
    """Most that `read_patches` may cost, over the floor."""

    @property
    def shrink(self) -> int:
        """Level-0 pixels per pixel of a patch."""
        return self.side_px0 // 256


CASES = (
    Case(name="aligned to 256-px tiles"),
    Case(name="offset from 256-px tiles", offset_px0=100),
    Case(name="240-px tiles", tile_px=240),
    Case(name="half resolution, exact", side_px0=512, limit=1.6),
    Case(name="half resolution, fast", side_px0=512, fast=True),
)
OPENSLIDE_RATIO = 6.0
"""Least that OpenSlide costs over `read_patches`."""
THREADS_RATIO = 1.6
"""Least by which two threads are faster than one, on an idle machine."""
MEMORY_MB = 600


def paint_tissue() -> np.ndarray:
    """RGB uint8 (y, x, 3) with tissue from edge to edge."""
    piece = Piece(x=0.5, y=0.5, length=3.0, width=3.0)
    look = Appearance(width_px0=2880, height_px0=2880, pieces=(piece,), gland_share=0.4,
                lymphoid_share=0.1)  # fmt: skip
    return paint(look, seed=3).rgb


def write_slide(
    path: Path, tissue: np.ndarray, width_px: int, height_px: int, tile_px: int
) -> None:
    """Write one level of JPEG tiles, 4:2:0, as Aperio does; the tissue again and again."""
    n_columns, n_rows = -(-width_px // tile_px), -(-height_px // tile_px)
    across, down = tissue.shape[1] // tile_px, tissue.shape[0] // tile_px
    encode = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    tiles = [
        bytes(cv2.imencode(".jpg", tissue[y : y + tile_px, x : x + tile_px, ::-1], encode)[1])
        for y in range(0, down * tile_px, tile_px)
        for x in range(0, across * tile_px, tile_px)
    ]

    def repeat() -> Iterator[bytes]:
        for row in range(n_rows):
            for column in range(n_columns):
                yield tiles[(row % down) * across + (column + 3 * (row // down)) % across]

    with tifffile.TiffWriter(path, bigtiff=True) as file:
        file.write(
            repeat(), shape=(height_px, width_px, 3), dtype=np.uint8, tile=(tile_px, tile_px),
            photometric="ycbcr", subsampling=(2, 2), compression="jpeg", metadata=None,
            description=f"Aperio Image Library\r\n{width_px}x{height_px}|AppMag = 40|MPP = 0.25",
        )  # fmt: skip


def lay_patches(case: Case, n_across: int, n_down: int, start_px0: int = 5120) -> PatchLocations:
    """A block of patches, row by row."""
    steps = start_px0 // (case.tile_px * 16) * case.tile_px * 16 + case.offset_px0
    x, y = np.meshgrid(
        steps + np.arange(n_across) * case.side_px0, steps + np.arange(n_down) * case.side_px0
    )
    return PatchLocations(
        x_px0=x.ravel(), y_px0=y.ravel(), tissue_share=np.ones(x.size, np.float32),
        side_px0=case.side_px0, patch_px=256, mpp=0.25 * case.shrink,
    )  # fmt: skip


def read_floor(slide: OpenedSlide, locations: PatchLocations, case: Case) -> None:
    """Decode every tile that is needed, once."""
    source = slide.tiles(0)
    touches = find_touches(source.grid, locations.x_px0, locations.y_px0, locations.side_px0)
    side_px = case.tile_px // case.shrink
    buffer = np.empty((side_px, side_px, 3), np.uint8)
    for tile in touches.tiles.tolist():
        source.read(tile, shrink=case.shrink, out=buffer)


def read_ours(
    slide: OpenedSlide, locations: PatchLocations, case: Case, n_threads: int = 1
) -> None:
    """All patches, through the library."""
    spec = ReadSpec(fast=case.fast)
    n = sum(len(b.indices) for b in read_patches(slide, locations, spec=spec, n_threads=n_threads))
    if n != len(locations):
        sys.exit(f"{n} of {len(locations)} patches were read")


def read_openslide(handle: openslide.OpenSlide, locations: PatchLocations, case: Case) -> None:
    """All patches, as every peer reads them."""
    side_px = locations.side_px0
    for x, y in zip(locations.x_px0.tolist(), locations.y_px0.tolist(), strict=True):
        patch = np.asarray(handle.read_region((x, y), 0, (side_px, side_px)).convert("RGB"))
        if case.shrink > 1:
            cv2.resize(patch, (256, 256), interpolation=cv2.INTER_AREA)


def methods(folder: Path, case: Case, n: int) -> dict[str, Callable[[], None]]:
    """The three ways to read a block of `n` x `n` patches."""
    path = folder / f"tiles_{case.tile_px}.svs"
    slide, handle = open_slide(path, backend="tiles"), openslide.OpenSlide(path)
    locations = lay_patches(case, n, n)
    return {
        "floor": lambda: read_floor(slide, locations, case),
        "pathassets": lambda: read_ours(slide, locations, case),
        "openslide": lambda: read_openslide(handle, locations, case),
    }


def count_here(folder: Path) -> None:
    """Under callgrind: every method of every case between two marks."""
    for case in CASES:
        small = methods(folder, case, 2)
        for method, work in methods(folder, case, 8 if case.shrink > 1 else 12).items():
            small[method]()  # what is done once
            os.getpgid(0)
            work()
            os.getpgid(0)
            print(f"    {case.name}, {method}", file=sys.stderr, flush=True)


def count_instructions(folder: Path) -> list[dict[str, float]]:
    """Millions of user instructions of each method, case by case."""
    out = folder / "callgrind.out"
    subprocess.run(  # noqa: S603 - ourselves
        ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", f"--dump-before={MARKER}",  # noqa: S607
         sys.executable, __file__, "--count-in", str(folder)],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    dumps = sorted(folder.glob("callgrind.out.*"), key=lambda p: int(p.suffix[1:]))
    totals = [_total(path) for path in dumps]
    costs = iter(totals[1::2])  # every other part lies between the two marks of a method
    return [{m: next(costs) / 1e6 for m in ("floor", "pathassets", "openslide")} for _ in CASES]


def _total(path: Path) -> float:
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith(("totals:", "summary:")):
            return float(line.split()[1])
    raise SystemExit(f"{path}: callgrind wrote no total")


def time_cpu(folder: Path) -> list[dict[str, float]]:
    """CPU milliseconds of each method, case by case."""
    costs = []
    for case in CASES:
        found = methods(folder, case, 24 if case.shrink > 1 else 48)
        rounds = [{m: _cpu_ms(work) for m, work in found.items()} for _ in range(N_ROUNDS)]
        costs.append({m: min(r[m] for r in rounds) for m in found})
    return costs


def _cpu_ms(work: Callable[[], None]) -> float:
    before = time.process_time()
    work()
    return (time.process_time() - before) * 1e3


def compare_threads(folder: Path) -> tuple[float, float]:
    """How many times faster two threads are than one, by the clock: reading, bare decoding.

    The second is what the machine gives: two of its cores may be one, or somebody else's.
    """
    case = CASES[0]
    locations = lay_patches(case, 48, 48)
    ours: dict[int, list[float]] = {1: [], 2: []}
    bare: dict[int, list[float]] = {1: [], 2: []}
    with open_slide(folder / "tiles_256.svs", backend="tiles") as slide:
        for _ in range(N_ROUNDS):
            for n in (1, 2):
                ours[n].append(_clock_s(lambda n=n: read_ours(slide, locations, case, n)))
                bare[n].append(_clock_s(lambda n=n: decode_bare(slide, locations, n)))
    return min(ours[1]) / min(ours[2]), min(bare[1]) / min(bare[2])


def decode_bare(slide: OpenedSlide, locations: PatchLocations, n_threads: int) -> None:
    """Decode every tile that is needed, once, by threads that do nothing else."""
    source = slide.tiles(0)
    touches = find_touches(source.grid, locations.x_px0, locations.y_px0, locations.side_px0)

    def decode(tiles: np.ndarray) -> None:
        buffer = np.empty((256, 256, 3), np.uint8)
        for tile in tiles.tolist():
            source.read(tile, out=buffer)

    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(decode, np.array_split(touches.tiles, n_threads)))


def _clock_s(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def read_all(path: Path) -> None:
    """In a process of its own: every patch of a slide; prints what memory that took, in MB."""
    case = CASES[1]
    with open_slide(path, backend="tiles") as slide:
        started_mb = peak_memory_mb()
        info = slide.info
        x, y = np.meshgrid(
            np.arange(100, info.width_px0 - 256, 256), np.arange(100, info.height_px0 - 256, 256)
        )
        locations = PatchLocations(
            x_px0=x.ravel(), y_px0=y.ravel(), tissue_share=np.ones(x.size, np.float32),
            side_px0=256, patch_px=256, mpp=0.25,
        )  # fmt: skip
        read_ours(slide, locations, case, n_threads=2)
    facts = {"n": x.size, "started_mb": started_mb, "peak_mb": peak_memory_mb()}
    print(json.dumps(facts))


def peak_memory_mb() -> float:
    """Most memory this process ever had; `ru_maxrss` counts what its parent had, too."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("this kernel does not tell a process's peak memory")


def measure_memory(folder: Path, tissue: np.ndarray) -> list[float]:
    """Peak memory of reading all patches of slides of three sizes."""
    peaks = []
    for width_px, height_px in ((10_000, 10_000), (30_000, 30_000), (60_000, 50_000)):
        path = folder / "memory.svs"
        write_slide(path, tissue, width_px, height_px, 256)
        done = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, __file__, "--read-all", str(path)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        path.unlink()
        facts = json.loads(done.stdout)
        peaks.append(facts["peak_mb"])
        print(
            f"  {width_px:,} x {height_px:,} px, {facts['n']:,} patches: "
            f"{facts['peak_mb']:.0f} MB, {facts['started_mb']:.0f} of them before the first",
            flush=True,
        )
    return peaks


def print_costs(costs: list[dict[str, float]], unit: str) -> list[str]:
    """Print a table; returns the targets that are missed."""
    missed = []
    print(f"\n{unit + ', over the floor':36}{'pathassets':>12}{'limit':>7}{'openslide':>11}"
          f"{'openslide / pathassets':>24}")  # fmt: skip
    for case, cost in zip(CASES, costs, strict=True):
        ours, theirs = cost["pathassets"] / cost["floor"], cost["openslide"] / cost["floor"]
        print(f"{case.name:36}{ours:12.2f}{case.limit:7.1f}{theirs:11.1f}{theirs / ours:24.1f}")
        if ours > case.limit:
            missed.append(f"{case.name}: {ours:.2f} times the floor, limit {case.limit}")
        if theirs < OPENSLIDE_RATIO * ours:
            missed.append(f"{case.name}: OpenSlide costs {theirs / ours:.1f} times as much")
    return missed


def measure(folder: Path, *, count: bool, with_memory: bool) -> list[str]:
    """Make the slides, measure, print; returns the targets that are missed."""
    tissue = paint_tissue()
    for tile_px in (256, 240):
        path = folder / f"tiles_{tile_px}.svs"
        write_slide(path, tissue, SIDE_PX, SIDE_PX, tile_px)
        n_tiles = (-(-SIDE_PX // tile_px)) ** 2
        print(f"  {SIDE_PX:,} x {SIDE_PX:,} px, tiles of {tile_px} px, "
              f"{path.stat().st_size / n_tiles / 1e3:.1f} kB each")  # fmt: skip
    missed = print_costs(count_instructions(folder), "user instructions") if count else []
    cpu = print_costs(time_cpu(folder), "CPU time")
    ratio, bare = compare_threads(folder)
    print(f"\ntwo threads: {ratio:.2f} times as fast as one by the clock (target {THREADS_RATIO}); "
          f"bare decoding: {bare:.2f}")  # fmt: skip
    if ratio < THREADS_RATIO:
        missed.append(f"two threads: {ratio:.2f}")
    if with_memory:
        print("\npeak memory of reading every patch, two threads")
        peaks = measure_memory(folder, tissue)
        missed += [f"memory: {peak:.0f} MB" for peak in peaks if peak > MEMORY_MB]
    return missed if count else missed + cpu


def main() -> int:
    """Measure, print, tidy up; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cpu", action="store_true", help="CPU time only")
    parser.add_argument("--no-memory", action="store_true", help="leave out the three large slides")
    parser.add_argument("--strict", action="store_true", help="exit with 1 for a missed target")
    parser.add_argument("--count-in", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--read-all", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    if args.count_in:
        count_here(args.count_in)
        return 0
    if args.read_all:
        read_all(args.read_all)
        return 0
    count = not args.cpu and shutil.which("valgrind") is not None
    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores {machine.machine()}, Python {machine.python_version()}, "
          f"OpenSlide {openslide.__library_version__}")  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="pathassets-read-"))
    try:
        missed = measure(folder, count=count, with_memory=not args.no_memory)
    finally:
        shutil.rmtree(folder)
    print("\n" + ("PASS: every target is met" if not missed else "MISSED: " + "; ".join(missed)))
    return int(bool(missed) and args.strict)


if __name__ == "__main__":
    sys.exit(main())
