"""A store in a bucket beside one in a folder: features of 20,000 patches, published and read.

Features (20,000 x 1,024 float32, 82 MB, in 20 chunks) are written on this machine and published to
a folder and to a bucket of an S3 server that this script starts (moto). Then another machine, which
has no copy, reads them: what it looks at, checks and fetches. The folder's writes end on the disk
(fsync), the bucket's in the server's memory; both are hashed. CPU-seconds are this process's alone.
Each step is done several times, folder and bucket in turn; the median is told.

    .venv/bin/python benchmarks/object_store.py [--rows 20000] [--times 5]
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import zarr

sys.path.insert(0, str(Path(__file__).parent.parent))

from pathassets.adapters.store.opening import store_at
from pathassets.adapters.store.store import Artifact, Store
from pathassets.core.address import Address
from tests.s3_server import make_bucket, serve_s3

N_COLUMNS, N_CHUNK = 1024, 1024
LOOK = "look: presence and sizes"
T = TypeVar("T")


def cpu_s() -> float:
    """CPU-seconds of this process, of all its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def write_features(folder: Path, rows: np.ndarray) -> None:
    """Write features as the platform does: uncompressed, a chunk of 1,024 rows each."""
    group = zarr.create_group(store=str(folder / "features.zarr"))
    array = group.create_array(
        "features", shape=rows.shape, chunks=(N_CHUNK, rows.shape[1]), dtype="float32",
        compressors=None, fill_value=float("nan"),
    )  # fmt: skip
    for start in range(0, len(rows), N_CHUNK):
        array[start : start + N_CHUNK] = rows[start : start + N_CHUNK]


def draft(number: int) -> Artifact:
    """What is published."""
    return Artifact(
        address=Address("features", "bench", f"slide-{number}", "0" * 16), spec={},
        code_version="1", weights_sha256="", parents=(), facts={}, software={},
    )  # fmt: skip


class Laps:
    """CPU-seconds and seconds of each step, by store."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[tuple[float, float]]] = {}

    def lap(self, step: str, kind: str, act: Callable[[], T]) -> T:
        """Do something, and keep what it took."""
        began_cpu_s, began_s = cpu_s(), time.perf_counter()
        result = act()
        took = cpu_s() - began_cpu_s, time.perf_counter() - began_s
        self._found.setdefault((step, kind), []).append(took)
        return result

    def tell(self, n_bytes: int) -> None:
        """Print a line for each step."""
        print(f"{'':34s}{'folder':>24s}{'bucket':>24s}{'ratio of CPU':>16s}")
        for step in dict.fromkeys(step for step, _ in self._found):
            laps = [self._found[step, kind] for kind in ("folder", "bucket")]
            cpu = [statistics.median(one for one, _ in some) for some in laps]
            wall = [statistics.median(one for _, one in some) for some in laps]
            told = "".join(
                f"{1000 * used_s:10.1f} CPU-ms" + _pace(step, n_bytes / took_s)
                for used_s, took_s in zip(cpu, wall, strict=True)
            )
            print(f"{step:34s}{told}{cpu[1] / cpu[0]:>12.1f}")


def _pace(step: str, bytes_per_s: float) -> str:
    """MB/s, of a step that reads or writes all bytes."""
    return f"{'':7s}" if step == LOOK else f"{bytes_per_s / 1e6:5.0f} MB/s"


def measure(laps: Laps, kind: str, place: tuple[str, Path], number: int, rows: np.ndarray) -> None:
    """Publish, and read as a machine does that has no copy."""
    where, work = place
    store = store_at(where, work / "writer")
    store.open()
    with store.staging(f"run-{number}") as staging:
        write_features(staging / "features", rows)
        made = laps.lap(
            "publish: hash, write, name", kind,
            lambda: store.publish(draft(number), staging / "features"),
        )  # fmt: skip
    reader: Store = store_at(where, work / f"reader-{number}")
    address = made.address
    laps.lap(LOOK, kind, lambda: reader.check_sizes(address, made.files))
    laps.lap("scrub: every byte hashed", kind, lambda: reader.check_bytes(address, made.files))
    laps.lap("read_checked: hashed, and here", kind, lambda: reader.read_checked(address))
    group = zarr.open_group(str(reader.fetch(address) / "features.zarr"), mode="r")
    if not np.array_equal(group["features"][:], rows):
        raise SystemExit(f"{kind}: other rows were read than were written")


def main() -> None:
    """Measure both, in turn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--times", type=int, default=5)
    asked = parser.parse_args()
    rows = np.random.default_rng(0).standard_normal((asked.rows, N_COLUMNS), dtype=np.float32)
    place, laps = Path(tempfile.mkdtemp(prefix="pathassets-bucket-")), Laps()
    try:
        with serve_s3() as endpoint:
            bucket = make_bucket(endpoint)
            for number in range(asked.times + 1):
                if number == 1:
                    laps = Laps()  # the first is to warm up
                for kind, where in (("folder", str(place / "store")), ("bucket", bucket)):
                    measure(laps, kind, (where, place / kind), number, rows)
                    shutil.rmtree(place / kind, ignore_errors=True)
        print(f"{os.cpu_count()} cores, {asked.rows} x {N_COLUMNS} float32, {rows.nbytes} bytes")
        laps.tell(rows.nbytes)
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
