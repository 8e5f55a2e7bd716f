"""What features cost: over the model's pure forward, and against a DataLoader around OpenSlide.

One slide of 20,000 x 20,000 px at 0.5 um with JPEG tiles of 256 px is encoded, 256 px a patch, in
processes of their own, by turns; the clock runs once all is imported and the model has run once:

    forward        the model alone, in passes as the pipeline's, on batches that are in memory as
                   what the model takes: normalised float32, channels last
    reading        `read_patches` alone
    pathassets     `encode_slides`, features on disk
    loader float   a DataLoader with two workers, OpenSlide's `read_region` for each patch, float32
    loader uint8   likewise, but the workers send uint8; both take the start of their workers, too

CPU time is of all processes together, per patch, and decides; patches a second are printed, too.
Ratios are made in each round, and are printed as their medians, as a machine that others use, too,
changes its pace. Memory is the greatest sum of what all processes have, shared pages counted once.

With --device cuda, ViT-S/16 and ViT-L/16 of random weights: share of the speed of the pure forward.
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import openslide
import torch
from feature_models import MODELS
from pools import Stopwatch, _memory_mb
from read import SIDE_PX, paint_tissue, write_slide
from torch import nn

from pathassets.adapters.zarr.feature_writer import FeatureWriter
from pathassets.core.features.encoder import Encoder
from pathassets.core.locations.locations import PatchLocations
from pathassets.engine.features.encoders import encoder_of_module
from pathassets.engine.features.encoding import encode_slides
from pathassets.engine.features.works import EncodingHow, SlideWork, Target
from pathassets.engine.slides.open import open_slide
from pathassets.engine.slides.read_patches import read_patches

N_ROUNDS = 5
N_WORKERS = 2
N_PRELOADED = 64
LOADER_RATIO = 4.0
"""Least by which the mean colour costs less CPU time than by a DataLoader, the better of both."""
FORWARD_SHARE = 0.95
"""Least that ResNet-18's forward is of the CPU time of all."""
TOGETHER_RATIO = 1.1
"""Most that two encoders at once cost, over both forwards and one reading."""
FLAT_RATIO = 1.15
"""Most by which 20,000 patches need more memory than 2,000."""


def open_model(name: str, device: str) -> tuple[nn.Module, Encoder]:
    """A seeded model on the device, and the same as an encoder."""
    torch.manual_seed(0)
    module = MODELS[name][0]().eval().to(device)
    return module, encoder_of_module(module, name=name, device=device)


def lay(n: int, patch_px: int, stride_px: int) -> PatchLocations:
    """The first `n` patches of a grid, row by row."""
    across = (SIDE_PX - patch_px) // stride_px + 1
    i = np.arange(n)
    if n > across**2:
        sys.exit(f"{n} patches: there are {across**2}")
    return PatchLocations(
        x_px0=i % across * stride_px, y_px0=i // across * stride_px,
        tissue_share=np.ones(n, np.float32), side_px0=patch_px, patch_px=patch_px, mpp=0.5,
    )  # fmt: skip


def run_forward(job: dict[str, Any], watch: Stopwatch) -> None:
    """The model alone."""
    device, n = job["device"], job["n"]
    module, encoder = open_model(job["models"][0], device)
    patch_px, rows = MODELS[job["models"][0]][1], encoder.rows
    seen = min(n, max(rows, N_PRELOADED)) // rows * rows or n
    with open_slide(job["path"]) as slide:
        pixels = next(iter(read_patches(slide, lay(seen, patch_px, patch_px), n_batch=seen)))[1]
    batches = [
        (torch.from_numpy(pixels[i : i + rows].copy()).to(device).permute(0, 3, 1, 2) / 255.0)
        .contiguous(memory_format=torch.channels_last)
        for i in range(0, seen, rows)
    ]  # fmt: skip
    module = module.to(memory_format=torch.channels_last)
    dtype = getattr(torch, encoder.card.precision, torch.float32)
    with (
        torch.inference_mode(),
        torch.autocast(device.partition(":")[0], dtype, enabled=dtype != torch.float32),
    ):
        module(batches[0])
        _synchronize(device)
        watch.start()
        for k in range(-(-n // rows)):
            batch = batches[k % len(batches)]
            module(batch[: n - k * rows])
        _synchronize(device)
    watch.stop()


def _synchronize(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def run_reading(job: dict[str, Any], watch: Stopwatch) -> None:
    """Pixels alone."""
    locations = lay(job["n"], 256, 256)
    watch.start()
    with open_slide(job["path"]) as slide:
        count = sum(
            len(b.indices) for b in read_patches(slide, locations, n_threads=job["n_threads"])
        )
    watch.stop()
    if count != job["n"]:
        sys.exit(f"{count} of {job['n']} patches were read")


def run_pipeline(job: dict[str, Any], watch: Stopwatch) -> None:
    """The pipeline: one encoder, or several."""
    encoders = [open_model(name, job["device"])[1] for name in job["models"]]
    patch_px = MODELS[job["models"][0]][1]
    for encoder in encoders:
        encoder.encode(np.zeros((encoder.rows, patch_px, patch_px, 3), np.uint8))
    watch.start()
    locations = lay(job["n"], patch_px, job["stride_px"] or patch_px)
    with tempfile.TemporaryDirectory(prefix="pathassets-features-") as folder:
        targets = tuple(
            Target(
                encoder=encoder,
                writer=FeatureWriter(
                    Path(folder, encoder.card.name), shape=encoder.card.shape,
                    boxes={"coordinates": locations.boxes_px0}, attributes={},
                ),
            )
            for encoder in encoders
        )  # fmt: skip
        work = SlideWork(
            name="slide", open=lambda: open_slide(job["path"]), locations=locations,
            targets=targets,
        )  # fmt: skip
        how = EncodingHow(n_threads=job["n_threads"])
        with closing(encode_slides([work], how)) as encoded:
            for done in encoded:
                if done.error or done.target_errors:
                    sys.exit(f"{done.error} {done.target_errors}")
                for target in targets:
                    target.writer.finish()
        watch.stop()


class OpenSlidePatches(torch.utils.data.Dataset[torch.Tensor]):
    """A dataset as it is written everywhere: one `read_region` for each patch."""

    def __init__(self, path: str, locations: PatchLocations, *, as_float: bool) -> None:
        self.path, self.side_px, self.as_float = path, locations.patch_px, as_float
        self.corners = list(zip(locations.x_px0.tolist(), locations.y_px0.tolist(), strict=True))
        self.slide: openslide.OpenSlide | None = None

    def __len__(self) -> int:
        return len(self.corners)

    def __getitem__(self, i: int) -> torch.Tensor:
        self.slide = self.slide or openslide.OpenSlide(self.path)
        region = self.slide.read_region(self.corners[i], 0, (self.side_px, self.side_px))
        pixels = torch.from_numpy(np.array(region.convert("RGB"))).permute(2, 0, 1)
        return pixels.float().div_(255) if self.as_float else pixels


def run_loader(job: dict[str, Any], watch: Stopwatch) -> None:
    """A standard DataLoader."""
    module, _ = open_model(job["models"][0], job["device"])
    patch_px = MODELS[job["models"][0]][1]
    as_float = job["method"] == "loader float"
    patches = OpenSlidePatches(job["path"], lay(job["n"], patch_px, patch_px), as_float=as_float)
    features = []
    with torch.inference_mode():
        module(torch.zeros(8, 3, patch_px, patch_px, device=job["device"]))
        watch.start()
        loader = torch.utils.data.DataLoader(patches, batch_size=64, num_workers=N_WORKERS)
        for batch in loader:
            pixels = batch.to(job["device"])
            features.append(module(pixels if as_float else pixels.float().div_(255)).cpu())
        del loader
        with tempfile.TemporaryFile() as file:
            np.save(file, torch.cat(features).numpy())
    watch.stop()


METHODS: dict[str, Callable[[dict[str, Any], Stopwatch], None]] = {
    "forward": run_forward,
    "reading": run_reading,
    "pathassets": run_pipeline,
    "loader float": run_loader,
    "loader uint8": run_loader,
}


def run_here(job: dict[str, Any]) -> None:
    """In a process of its own: run a method; prints what it took."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    watch = Stopwatch()
    METHODS[job["method"]](job, watch)
    print(json.dumps(watch.facts(job["n"])))


def run_script(args: Sequence[str], *, with_memory: bool) -> dict[str, float]:
    """Run a Python script; returns what it prints, and its peak memory where that is asked for."""
    process = subprocess.Popen([sys.executable, *args], stdout=subprocess.PIPE, text=True)  # noqa: S603 - ourselves
    peak_mb = 0.0
    while with_memory and process.poll() is None:
        peak_mb = max(peak_mb, _memory_mb(process.pid))
        time.sleep(0.05)
    out, _ = process.communicate()
    if process.returncode:
        sys.exit(f"{args} ended with code {process.returncode}")
    return json.loads(out) | {"peak_mb": peak_mb}


class Bench:
    """The slide, and how it is encoded."""

    def __init__(self, path: Path, device: str, n_threads: int, n_rounds: int) -> None:
        self.job = {"path": str(path), "device": device, "n_threads": n_threads, "stride_px": 0}
        self.n_rounds = n_rounds

    def run(self, method: str, n: int, *models: str, **changes: Any) -> dict[str, float]:
        """Run a method once, in a process of its own; returns what it took."""
        with_memory = changes.pop("with_memory", False)
        job = self.job | {"method": method, "n": n, "models": models} | changes
        facts = run_script([__file__, "--run", json.dumps(job)], with_memory=with_memory)
        return facts | {"cpu_ms": 1e3 * facts["cpu_s"] / n, "speed": n / facts["wall_s"]}

    def rounds(self, n: int, cases: dict[str, tuple[str, ...]]) -> list[dict[str, dict]]:
        """Run some (method, models …) by turns, in several rounds."""
        return [
            {name: self.run(case[0], n, *case[1:]) for name, case in cases.items()}
            for _ in range(self.n_rounds)
        ]


def ratio_of(rounds: list[dict], make: Callable[[dict], float]) -> float:
    """The median over the rounds of a ratio made in each."""
    return median(make(costs) for costs in rounds)


def print_rounds(title: str, rounds: list[dict[str, dict]]) -> None:
    """Print the medians."""
    print(f"\n{title:36}{'CPU-ms a patch':>16}{'patches/s':>12}")
    for name in rounds[0]:
        cpu_ms, speed = (
            median(costs[name][key] for costs in rounds) for key in ("cpu_ms", "speed")
        )
        print(f"{name:36}{cpu_ms:16.3f}{speed:12,.0f}", flush=True)


def measure_cpu(bench: Bench, n: int, n_slow: int) -> Iterator[tuple[str, float, bool]]:
    """Every ratio that has a target: what it is, how much, and whether that will do."""
    methods = ("forward", "pathassets", "loader float", "loader uint8")
    fast = bench.rounds(n, {name: (name, "mean_rgb") for name in methods})
    print_rounds(f"mean colour, {n:,} patches", fast)
    ratio = ratio_of(
        fast,
        lambda c: (
            min(c[f"loader {kind}"]["cpu_ms"] for kind in ("float", "uint8"))
            / c["pathassets"]["cpu_ms"]
        ),
    )
    yield "mean colour: CPU time of the better DataLoader", ratio, ratio >= LOADER_RATIO
    cases = {name: (name, "resnet18") for name in methods}
    cases |= {
        "reading": ("reading",), "forward, mean colour": ("forward", "mean_rgb"),
        "pathassets, both at once": ("pathassets", "resnet18", "mean_rgb"),
    }  # fmt: skip
    slow = bench.rounds(n_slow, cases)
    print_rounds(f"ResNet-18, {n_slow:,} patches", slow)
    share = ratio_of(slow, lambda c: c["forward"]["cpu_ms"] / c["pathassets"]["cpu_ms"])
    yield "ResNet-18: share of the forward in CPU time", share, share >= FORWARD_SHARE
    speed = ratio_of(slow, lambda c: c["pathassets"]["speed"] / c["forward"]["speed"])
    yield "ResNet-18: speed, of the pure forward's", speed, speed >= FORWARD_SHARE
    parts = ("forward", "forward, mean colour", "reading")
    together = ratio_of(
        slow,
        lambda c: c["pathassets, both at once"]["cpu_ms"] / sum(c[p]["cpu_ms"] for p in parts),
    )
    yield "two encoders over both forwards and a reading", together, together <= TOGETHER_RATIO


def measure_memory(bench: Bench, sizes: tuple[int, int]) -> Iterator[tuple[str, float, bool]]:
    """Peak memory at few patches and at many."""
    few, many = (
        bench.run("pathassets", n, "mean_rgb", stride_px=128, with_memory=True)["peak_mb"]
        for n in sizes
    )
    print(f"\npeak memory: {few:.0f} MB at {sizes[0]:,} patches, {many:.0f} MB at {sizes[1]:,}")
    yield "memory at many patches over few", many / few, many <= FLAT_RATIO * few


def measure_cuda(bench: Bench, n: int) -> Iterator[tuple[str, float, bool]]:
    """Share of the pure forward's speed that two transformers reach; there is no target."""
    for model in ("vit_s16", "vit_l16"):
        cases = {"forward": ("forward", model), "pathassets": ("pathassets", model)}
        rounds = bench.rounds(n, cases)
        print_rounds(f"{model}, {n:,} patches", rounds)
        share = ratio_of(rounds, lambda c: c["pathassets"]["speed"] / c["forward"]["speed"])
        yield f"{model}: speed, of the pure forward's", share, True


def write_half_micron_slide(path: Path) -> None:
    """The slide of `read.py`, at 0.5 um per pixel."""
    write_slide(path, paint_tissue(), SIDE_PX, SIDE_PX, 256)
    with path.open("r+b") as file:
        place = file.read(1 << 20).find(b"MPP = 0.25")
        if place < 0:  # the description may lie behind the tiles
            place = path.read_bytes().rfind(b"MPP = 0.25")
        file.seek(place)
        file.write(b"MPP = 0.50")


def main() -> int:
    """Measure, print, tidy up; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda:0")
    parser.add_argument("--patches", type=int, default=6_084)
    parser.add_argument("--slow-patches", type=int, default=400, help="for ResNet-18")
    parser.add_argument("--threads", type=int, help="that decode; 1, and on a GPU one a core")
    parser.add_argument("--rounds", type=int, default=N_ROUNDS)
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--strict", action="store_true", help="exit with 1 for a missed target")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        run_here(json.loads(args.run))
        return 0
    is_cpu, cores = args.device == "cpu", len(os.sched_getaffinity(0))
    n_threads = args.threads or (1 if is_cpu else max(1, cores - 1))
    print(f"{cores} cores {machine.machine()}, Python {machine.python_version()}, "
          f"torch {torch.__version__}, load {os.getloadavg()[0]:.1f} before")  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="pathassets-features-"))
    try:
        write_half_micron_slide(folder / "slide.svs")
        bench = Bench(folder / "slide.svs", args.device, n_threads, args.rounds)
        found = list(measure_cpu(bench, args.patches, args.slow_patches) if is_cpu
                     else measure_cuda(bench, args.patches))  # fmt: skip
        if is_cpu and not args.no_memory:
            found += measure_memory(bench, (2_000, 20_000))
    finally:
        shutil.rmtree(folder)
    print()
    for what, value, is_met in found:
        print(f"{what:50}{value:8.2f}  {'met' if is_met else 'MISSED'}")
    return int(args.strict and not all(is_met for *_, is_met in found))


if __name__ == "__main__":
    sys.exit(main())
