"""What it costs to read 1,000 bags once: load_dataset beside torch.load, h5py and zarr.

The same features and coordinates, 500 to 5,000 rows of 512 numbers a bag, lie in four kinds of file
and are read one bag at a time, in the same shuffled order, by one process:

    load_dataset   Zarr as pathassets writes it; features looked through for NaN
    torch.load     a .pt file, {"features": …, "coordinates": …}, weights_only=True
    h5py           a .h5 file, datasets `features` and `coords`, as TRIDENT and CLAM write them
    zarr           the first one's files, by zarr alone

and 512 rows drawn from each bag, by `max_patches` and, of what torch.load gives, by an index. Ways
take turns; what is said is the median of the rounds, and the ratio to torch.load of the same round.
The files are in the page cache: what is compared is the work, not the disk.

    .venv/bin/python benchmarks/bags.py [--bags 1000] [--dtype float16] [--rounds 5] [--strict]
"""

from __future__ import annotations

import argparse
import os
import platform as machine
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import zarr

import pathassets
from pathassets.core.datasets.manifest import MANIFEST_COLUMNS

DIM, CHUNK_ROWS, N_DRAWN = 512, 1024, 512
FEWEST, MOST = 500, 5000
TARGET = 1.5
"""Of torch.load's CPU time: what reading a whole bag may cost."""
Reader = Callable[[int], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """One epoch."""

    cpu_s: float
    wall_s: float


def write_bags(folder: Path, n_bags: int, dtype: str) -> int:
    """Write the bags in every kind of file; returns how many rows they have."""
    rng = np.random.default_rng(0)
    pool = rng.standard_normal((MOST, DIM), np.float32).astype(dtype)
    rows = []
    for number in range(n_bags):
        n = int(rng.integers(FEWEST, MOST + 1))
        boxes = rng.integers(0, 100_000, (n, 4))
        features = np.roll(pool[:n], number)
        _write_zarr(folder / f"features/f/{number}/d/features.zarr", features, boxes)
        tensors = {
            "features": torch.from_numpy(features), "coordinates": torch.from_numpy(boxes)
        }  # fmt: skip
        torch.save(tensors, folder / f"{number}.pt")
        _write_h5(folder / f"{number}.h5", features, boxes)
        uri = f"features/f/{number}/d/features.zarr"
        rows.append((f"s{number:05}", f"p{number}", str(number % 2), "train", n, uri, *[""] * 7))
    table = pd.DataFrame(rows, columns=list(MANIFEST_COLUMNS))
    table.to_parquet(folder / "manifest.parquet")
    return int(table["n_patches"].sum())


def _write_zarr(path: Path, features: np.ndarray, boxes: np.ndarray) -> None:
    group = zarr.create_group(store=str(path))
    for name, rows in (("features", features), ("coordinates", boxes)):
        array = group.create_array(
            name, shape=rows.shape, chunks=(CHUNK_ROWS, rows.shape[1]), dtype=rows.dtype,
            compressors=None,
        )  # fmt: skip
        array[:] = rows


def _write_h5(path: Path, features: np.ndarray, boxes: np.ndarray) -> None:
    h5py = _h5py()
    if h5py is not None:
        with h5py.File(path, "w") as file:
            file["features"], file["coords"] = features, boxes


def _h5py() -> Any:
    try:
        import h5py  # noqa: PLC0415 - where it is installed
    except ImportError:
        return None
    return h5py


def readers(folder: Path) -> dict[str, Reader]:
    """Each way to read a bag, by its number."""
    whole = pathassets.load_dataset(folder)
    drawn = pathassets.load_dataset(folder, max_patches=N_DRAWN)

    def by_torch(number: int) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = torch.load(folder / f"{number}.pt", weights_only=True)
        return found

    def drawn_by_torch(number: int) -> list[torch.Tensor]:
        found = by_torch(number)
        rows = torch.randperm(len(found["features"]))[:N_DRAWN].sort()[0]
        return [one[rows] for one in found.values()]

    def by_h5py(number: int) -> tuple[np.ndarray, np.ndarray]:
        with h5py.File(folder / f"{number}.h5") as file:
            return file["features"][:], file["coords"][:]

    def by_zarr(number: int) -> list[Any]:
        group = zarr.open_group(folder / f"features/f/{number}/d/features.zarr", mode="r")
        return [group["features"][:], group["coordinates"][:]]

    h5py = _h5py()
    return {
        "torch.load": by_torch,
        "load_dataset": whole.__getitem__,
        **({"h5py": by_h5py} if h5py is not None else {}),
        "zarr": by_zarr,
        f"torch.load, {N_DRAWN} rows": drawn_by_torch,
        f"load_dataset, {N_DRAWN} rows": drawn.__getitem__,
    }


def require_equal(ways: dict[str, Reader], n_bags: int) -> None:
    """Refuse to compare ways that do not read the same."""
    for number in range(0, n_bags, max(1, n_bags // 10)):
        said = [
            [np.asarray(one) for one in ways[name](number)[:2]]
            for name in ("load_dataset", "h5py", "zarr") if name in ways
        ]  # fmt: skip
        said.append([one.numpy() for one in ways["torch.load"](number).values()])
        for other in said[1:]:
            for a, b in zip(said[0], other, strict=True):
                np.testing.assert_array_equal(a, b)


def take_turns(ways: dict[str, Reader], n_bags: int, n_rounds: int) -> Iterator[tuple[str, Took]]:
    """Read all bags in every way, and again; the first round warms up and is not told."""
    names = list(ways)
    for round_number in range(n_rounds + 1):
        order = np.random.default_rng(round_number).permutation(n_bags).tolist()
        shift = round_number % len(names)
        for name in names[shift:] + names[:shift]:
            read = ways[name]
            cpu_s, wall_s = time.process_time(), time.perf_counter()
            for number in order:
                read(number)
            took = Took(cpu_s=time.process_time() - cpu_s, wall_s=time.perf_counter() - wall_s)
            if round_number:
                yield name, took


def report(found: dict[str, list[Took]], n_bags: int) -> bool:
    """Print the figures; returns whether the target is met."""
    print(f"{'a bag':26}{'CPU ms':>9}{'wall ms':>9}{'CPU, torch.load = 1':>22}{'wall':>7}")
    ratios = {}
    for name, took in found.items():
        base = found["torch.load, 512 rows" if name.endswith("rows") else "torch.load"]
        pairs = list(zip(took, base, strict=True))
        cpu = ratios[name] = statistics.median(a.cpu_s / b.cpu_s for a, b in pairs)
        wall = statistics.median(a.wall_s / b.wall_s for a, b in pairs)
        cpu_ms = 1e3 * statistics.median(one.cpu_s for one in took) / n_bags
        wall_ms = 1e3 * statistics.median(one.wall_s for one in took) / n_bags
        print(f"{name:26}{cpu_ms:9.2f}{wall_ms:9.2f}{cpu:22.2f}{wall:7.2f}")
    is_met = ratios["load_dataset"] <= TARGET
    verdict = "PASS" if is_met else "FAIL"
    print(f"{verdict}: {ratios['load_dataset']:.2f} times the CPU of torch.load, target {TARGET}")
    return is_met


def describe_machine() -> str:
    """Cores, load, and the versions that matter."""
    names = ("torch", "zarr", *(["h5py"] if _h5py() is not None else []))
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{cores} cores {machine.machine()}, Python {machine.python_version()}, {versions}, "
        f"load {os.getloadavg()[0]:.1f} before"
    )


def main() -> int:
    """Write, measure, print, tidy up; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bags", type=int, default=1000)
    parser.add_argument("--dtype", choices=["float16", "float32"], default="float16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--strict", action="store_true", help="exit with 1 where it costs more")
    args = parser.parse_args()
    print(describe_machine(), flush=True)
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(prefix="pathassets-bags-"))
    try:
        n_rows = write_bags(folder, args.bags, args.dtype)
        print(f"{args.bags} bags, {n_rows:,} rows of {DIM} {args.dtype}", flush=True)
        ways = readers(folder)
        require_equal(ways, args.bags)
        found: dict[str, list[Took]] = {name: [] for name in ways}
        for name, took in take_turns(ways, args.bags, args.rounds):
            found[name].append(took)
    finally:
        shutil.rmtree(folder)
    return int(not report(found, args.bags) and args.strict)


if __name__ == "__main__":
    sys.exit(main())
