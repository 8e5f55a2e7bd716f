"""pathassets: whole-slide images to patch features one can train on, tracked by Dagster.

    scan ─▶ slide ─▶ tissue mask ─▶ patch locations ─▶ features ─▶ dataset

The house, each floor importing only those below it:

    definitions   what `dagster dev` loads         cli   the `pathassets` command
    defs          thin Dagster: assets, sensors, schedules, jobs
    engine        how work is run: settings, pools, stations of a slide, batches
    catalog       what exists and where it came from, in SQL
    adapters      one door for each foreign package
    core          the science, pure
    errors        what can go wrong

As a library:

    with pathassets.open_slide("slide.svs") as slide:
        corner = slide.read_region(0, 0, mpp=0.5, width_px=512, height_px=512)
        for indices, pixels in pathassets.read_patches(slide, locations, n_threads=4):
            ...
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pathassets.core.ledger import Ledger
    from pathassets.core.locations import PatchLocations
    from pathassets.core.patches import ReadSpec
    from pathassets.engine.patch_reader import PatchBatch, read_patches
    from pathassets.engine.slides import open_slide

__all__ = ["Ledger", "PatchBatch", "PatchLocations", "ReadSpec", "open_slide", "read_patches"]

_HOMES = {
    "Ledger": "pathassets.core.ledger",
    "PatchBatch": "pathassets.engine.patch_reader",
    "PatchLocations": "pathassets.core.locations",
    "ReadSpec": "pathassets.core.patches",
    "open_slide": "pathassets.engine.slides",
    "read_patches": "pathassets.engine.patch_reader",
}
"""Imported when first asked for: OpenSlide and OpenCV take half a second."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
