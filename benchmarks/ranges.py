"""Slides in a bucket: what is fetched of one, for a tenth of its patches in one piece of tissue.

A server on this machine (moto) gives a slide of 16,384 x 12,288 px to the code that reads slides of
buckets, pixels compared with a copy's. Then, without a slide, the requests that the same code plans
for one of 100,000 x 80,000 px whose tiles have 11 KB each.
"""

from __future__ import annotations

import math
import resource
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from pyramids import write_pyramid_slide
from read import paint_tissue

from pathassets.adapters.files import fingerprint_of
from pathassets.adapters.objects.place import ObjectPlace, StoredObject, open_place
from pathassets.adapters.objects.remote_file import place_of
from pathassets.adapters.objects.remote_slides import stamp_at
from pathassets.core.locations.locations import PatchLocations
from pathassets.engine.slides.open import OpenedSlide, open_slide
from pathassets.engine.slides.read_patches import read_patches
from pathassets.engine.slides.remote import ranged
from pathassets.engine.slides.remote.spans import BLOCK_BYTES, blocks_of, requests_for
from pathassets.engine.slides.scratch import open_scratch
from pathassets.engine.slides.source import SlidePath, find_source
from tests.s3_server import make_bucket, serve_s3

WIDTH_PX, HEIGHT_PX, TILE_PX = 16_384, 12_288, 256
SHARE = 0.1
LARGE_PX, LARGE_TILE_BYTES = (100_000, 80_000), 11_000


def piece(width_px: int, height_px: int, side_px: int, share: float) -> np.ndarray:
    """Upper left corners (n, 2) of the squares of a grid in a round piece, in the middle."""
    y, x = np.mgrid[0:height_px:side_px, 0:width_px:side_px]
    radius_px = math.sqrt(share * width_px * height_px / math.pi)
    inside = np.hypot(x + side_px / 2 - width_px / 2, y + side_px / 2 - height_px / 2) < radius_px
    return np.stack([x[inside], y[inside]], axis=1).astype(np.int64)


def main() -> None:
    """Measure, and say so."""
    with serve_s3() as endpoint, tempfile.TemporaryDirectory() as folder:
        measure(make_bucket(endpoint), Path(folder))
    plan_large()


def measure(bucket: str, folder: Path) -> None:
    """Put a slide into a bucket, and read a tenth of it there."""
    path = folder / "a.svs"
    write_pyramid_slide(path, paint_tissue(), WIDTH_PX, HEIGHT_PX)
    open_place(bucket).put_file(path.name, path)
    place = place_of(f"{bucket}/{path.name}")
    seen = SlidePath(path=str(place), stamp=stamp_at(place))
    ranged.LEAST_BYTES = 0
    fetched = count_requests()
    with open_scratch(folder / "scratch", 10**10) as scratch:
        source = find_source("a", fingerprint_of([path]), [seen], scratch)
        with closing(source), source.open(None) as far, open_slide(path) as near:
            tell("opened", fetched, path.stat().st_size)
            corners = piece(WIDTH_PX, HEIGHT_PX, TILE_PX, SHARE)
            before_s = cpu_s()
            digest = pixels_of(far, corners)
            far_s = cpu_s() - before_s
            tell(f"{len(corners)} patches of 256 px", fetched, path.stat().st_size)
            before_s = cpu_s()
            if digest != pixels_of(near, corners):
                sys.exit("FAIL: other pixels than those of a copy")
            print(f"CPU-s: {far_s:.2f} fetched and read, {cpu_s() - before_s:.2f} read of a copy")


def count_requests() -> list[int]:
    """Sizes of what is fetched from now on."""
    sizes: list[int] = []
    read = ObjectPlace.read_of

    def counted(self: ObjectPlace, known: StoredObject, *, start: int, end: int) -> bytes:
        data = read(self, known, start=start, end=end)
        sizes.append(len(data))
        return data

    ObjectPlace.read_of = counted  # type: ignore[method-assign]
    return sizes


def pixels_of(slide: OpenedSlide, corners: np.ndarray) -> int:
    """A number by which the pixels of all patches are told from others."""
    locations = PatchLocations(
        x_px0=corners[:, 0], y_px0=corners[:, 1], tissue_share=np.ones(len(corners), np.float32),
        side_px0=TILE_PX, patch_px=TILE_PX, mpp=None, level=0,
    )  # fmt: skip
    return hash(tuple(one.pixels.tobytes() for one in read_patches(slide, locations)))


def tell(what: str, sizes: list[int], n_bytes: int) -> None:
    """Say what was fetched, and forget it."""
    total = sum(sizes)
    print(
        f"{what}: {len(sizes)} requests, {total / 1e6:.1f} of {n_bytes / 1e6:.1f} MB "
        f"({total / n_bytes:.1%})"
    )
    sizes.clear()


def cpu_s() -> float:
    """CPU-seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def plan_large() -> None:
    """Plan the requests for a tenth of a slide that is not there."""
    width, height = LARGE_PX
    n_columns = -(-width // TILE_PX)
    n_tiles = n_columns * -(-height // TILE_PX)
    n_bytes = n_tiles * LARGE_TILE_BYTES
    corners = piece(width, height, TILE_PX, SHARE) // TILE_PX
    starts = (corners[:, 1] * n_columns + corners[:, 0]) * LARGE_TILE_BYTES
    n_blocks = -(-n_bytes // BLOCK_BYTES)
    lengths = np.full(len(starts), LARGE_TILE_BYTES)
    spans = requests_for(blocks_of(starts, lengths, n_blocks))
    sizes = [(stop - start) * BLOCK_BYTES for start, stop in spans]
    tell(f"planned, {width} x {height} px, {len(corners)} patches", sizes, n_bytes)


if __name__ == "__main__":
    main()
