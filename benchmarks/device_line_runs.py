"""What `device_line.py` measures, each in a process of its own: a job in, facts out, as JSON.

    decoding    `read_patches` alone, as many threads as cores: what the machine can decode
    batch       `run_batch` over a home: mask, grid, features
    extractor   `DeepFeatureExtractor` over the same slides, its own masks and grids
    forward     ResNet-18 alone, on batches that are in memory

The clock runs once all is imported and slides are registered.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
from pools import Stopwatch
from read import CASES, lay_patches

from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.ingestion.ingest import ingest
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.platform import open_platform
from pathassets.engine.settings import read_settings
from pathassets.engine.slides.open import open_slide
from pathassets.engine.slides.read_patches import read_patches

HALF = next(case for case in CASES if case.name == "half resolution, exact")
RECIPE = """
tissue_mask: {mask: {method: otsu, mpp: 8.0}}
patch_locations: {grid: {tissue_mask: mask, patch_px: 256, mpp: 0.5, min_tissue_share: 0.0}}
features: {features: {patch_locations: grid, encoder: %s}}
"""

Job = dict[str, Any]


def run_decoding(job: Job, watch: Stopwatch) -> int:
    """Pixels alone, of all patches of the grid."""
    watch.start()
    n = 0
    for path in job["paths"]:
        with open_slide(path) as slide:
            width, height = slide.info.width_px0, slide.info.height_px0
            locations = lay_patches(HALF, width // HALF.side_px0, height // HALF.side_px0, 0)
            reading = read_patches(slide, locations, n_threads=job["n_threads"])
            n += sum(len(batch.indices) for batch in reading)
    watch.stop()
    return n


def run_platform(job: Job, watch: Stopwatch) -> int:
    """A home with these slides and a recipe, from nothing."""
    home = Path(job["home"])
    home.mkdir()
    (home / "recipe.yaml").write_text(RECIPE % json.dumps(job["encoder"]))
    os.environ |= {"PATHASSETS_HOME": str(home), "PATHASSETS_DEVICE": "cpu"}
    with open_platform(read_settings()) as platform:
        for _ in ingest(platform, [Path(path) for path in job["paths"]]):
            pass
        planned, wanted = plan_slides(platform), platform.recipe.per_slide
        watch.start()
        outcomes = list(run_batch(platform, planned, wanted, run_id="run"))
        watch.stop()
    failures = [outcome.failure.message for outcome in outcomes if outcome.failure is not None]
    if failures or len(outcomes) != len(job["paths"]):
        sys.exit(f"{len(outcomes)} slides of {len(job['paths'])}, failed: {failures}")
    return sum(step.artifact.facts.get("n_patches", 0) for outcome in outcomes
               for step in outcome.steps
               if step.artifact is not None and step.step.address.stage == "features")  # fmt: skip


def run_extractor(job: Job, watch: Stopwatch) -> int:
    """The same through the class that users call."""
    import simulated_device  # noqa: PLC0415 - beside this file, for this run alone

    from pathassets import DeepFeatureExtractor  # noqa: PLC0415 - likewise

    model = simulated_device.make(**job["encoder"]["kwargs"])
    extractor = DeepFeatureExtractor(
        model, batch_size=model.rows, num_workers=job["n_threads"], verbose=False
    )
    watch.start()
    outputs = extractor.run(
        [Path(path) for path in job["paths"]], patch_mode=False, save_dir=job["home"],
        input_resolutions=[{"units": "mpp", "resolution": 0.5}], patch_input_shape=256,
    )  # fmt: skip
    watch.stop()
    return len(outputs)


def run_forward(job: Job, watch: Stopwatch) -> int:
    """The model of the recipe alone, in its passes, one thread."""
    import torch  # noqa: PLC0415 - takes seconds and memory, for this run alone
    from feature_models import resnet18  # noqa: PLC0415 - likewise

    from pathassets.adapters.torch import CPU_ROWS  # noqa: PLC0415 - likewise

    torch.set_num_threads(1)
    torch.manual_seed(0)
    module = resnet18().eval().to(memory_format=torch.channels_last)
    batch = torch.rand(CPU_ROWS, 3, 256, 256).contiguous(memory_format=torch.channels_last)
    n_passes = -(-job["n"] // CPU_ROWS)
    with torch.inference_mode():
        module(batch)
        watch.start()
        for _ in range(n_passes):
            module(batch)
    watch.stop()
    return n_passes * CPU_ROWS


RUNS: dict[str, Callable[[Job, Stopwatch], int]] = {
    "decoding": run_decoding,
    "batch": run_platform,
    "extractor": run_extractor,
    "forward": run_forward,
}


def main() -> None:
    """Run a job, print what it took."""
    job = json.loads(sys.argv[1])
    cv2.setNumThreads(1)
    watch = Stopwatch()
    n = RUNS[job["run"]](job, watch)
    time.sleep(0.2)  # what has ended is reaped
    print(json.dumps(watch.facts(n)))


if __name__ == "__main__":
    main()
