"""pathassets: whole-slide images to patch features one can train on, tracked by Dagster.

    scan ─▶ slide ─▶ tissue mask ─▶ patch locations ─▶ features ─▶ dataset

The house, each floor importing only those below it:

    definitions   what `dagster dev` loads         cli   the `pathassets` command
    defs          thin Dagster: assets, sensors, schedules, jobs
    engine        how work is run: settings, pools, stages of a slide, batches
    catalog       what exists and where it came from, in SQL
    adapters      one door for each foreign package
    core          the science, pure
    errors        what can go wrong

As a library:

    with pathassets.open_slide("slide.svs") as slide:
        corner = slide.read_region(0, 0, mpp=0.5, width_px=512, height_px=512)
        for indices, pixels in pathassets.read_patches(slide, locations, n_threads=4):
            ...

    located = pathassets.WholeImageGridPatchesPool(wsi_file_list=…, mask_data_list=…, …)
    for image, label in pathassets.MemPatchExtractorPool(patches_pool=located, …).patch_list:
        ...

    extractor = pathassets.DeepFeatureExtractor("resnet18")
    extractor.run(["slide.svs"], patch_mode=False, save_dir="features", …)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pathassets.adapters.annotations.reader import (
        read_annotations,
    )
    from pathassets.core.annotations.annotations import (
        AnnotationPolygon,
    )
    from pathassets.core.locations.locations import (
        LocationSpec,
        PatchLocations,
    )
    from pathassets.core.patches.read_plan import (
        ReadSpec,
    )
    from pathassets.core.slides.bad_tiles import (
        BadTiles,
    )
    from pathassets.core.tissue.tissue_mask import (
        TissueMask,
        TissueSpec,
    )
    from pathassets.engine.features.extractor import (
        DeepFeatureExtractor,
    )
    from pathassets.engine.locations.classes import (
        PolygonRegionCustomPatches,
        PolygonRegionGridPatches,
        PolygonRegionPoissonDiskPatches,
        PolygonRegionRandomPatches,
        WholeImageCustomPatches,
        WholeImageGridPatches,
        WholeImageInvertedCustomPatches,
        WholeImageInvertedGridPatches,
        WholeImageInvertedPoissonDiskPatches,
        WholeImageInvertedRandomPatches,
        WholeImagePoissonDiskPatches,
        WholeImageRandomPatches,
    )
    from pathassets.engine.locations.patches_mock import (
        PatchesMock,
    )
    from pathassets.engine.locations.pools import (
        PolygonRegionCustomPatchesPool,
        PolygonRegionGridPatchesPool,
        PolygonRegionPoissonDiskPatchesPool,
        PolygonRegionRandomPatchesPool,
        WholeImageCustomPatchesPool,
        WholeImageGridPatchesPool,
        WholeImageInvertedCustomPatchesPool,
        WholeImageInvertedGridPatchesPool,
        WholeImageInvertedPoissonDiskPatchesPool,
        WholeImageInvertedRandomPatchesPool,
        WholeImagePoissonDiskPatchesPool,
        WholeImageRandomPatchesPool,
    )
    from pathassets.engine.patches.disk.extractors import (
        DiskPatchExtractor,
        DiskPatchExtractorPool,
        MultiResDiskPatchExtractor,
        MultiResDiskPatchExtractorPool,
    )
    from pathassets.engine.patches.memory.extractors import (
        MemPatchExtractor,
        MemPatchExtractorPool,
        MultiResMemPatchExtractor,
        MultiResMemPatchExtractorPool,
    )
    from pathassets.engine.slides.open import (
        open_slide,
    )
    from pathassets.engine.slides.read_patches import (
        PatchBatch,
        read_patches,
    )
    from pathassets.engine.slides.tissue_mask import (
        tissue_mask_of,
    )

__all__ = [
    "AnnotationPolygon",
    "BadTiles",
    "DeepFeatureExtractor",
    "DiskPatchExtractor",
    "DiskPatchExtractorPool",
    "LocationSpec",
    "MemPatchExtractor",
    "MemPatchExtractorPool",
    "MultiResDiskPatchExtractor",
    "MultiResDiskPatchExtractorPool",
    "MultiResMemPatchExtractor",
    "MultiResMemPatchExtractorPool",
    "PatchBatch",
    "PatchLocations",
    "PatchesMock",
    "PolygonRegionCustomPatches",
    "PolygonRegionCustomPatchesPool",
    "PolygonRegionGridPatches",
    "PolygonRegionGridPatchesPool",
    "PolygonRegionPoissonDiskPatches",
    "PolygonRegionPoissonDiskPatchesPool",
    "PolygonRegionRandomPatches",
    "PolygonRegionRandomPatchesPool",
    "ReadSpec",
    "TissueMask",
    "TissueSpec",
    "WholeImageCustomPatches",
    "WholeImageCustomPatchesPool",
    "WholeImageGridPatches",
    "WholeImageGridPatchesPool",
    "WholeImageInvertedCustomPatches",
    "WholeImageInvertedCustomPatchesPool",
    "WholeImageInvertedGridPatches",
    "WholeImageInvertedGridPatchesPool",
    "WholeImageInvertedPoissonDiskPatches",
    "WholeImageInvertedPoissonDiskPatchesPool",
    "WholeImageInvertedRandomPatches",
    "WholeImageInvertedRandomPatchesPool",
    "WholeImagePoissonDiskPatches",
    "WholeImagePoissonDiskPatchesPool",
    "WholeImageRandomPatches",
    "WholeImageRandomPatchesPool",
    "open_slide",
    "read_annotations",
    "read_patches",
    "tissue_mask_of",
]

_HOMES = {
    "AnnotationPolygon": "pathassets.core.annotations.annotations",
    "DeepFeatureExtractor": "pathassets.engine.features.extractor",
    "DiskPatchExtractor": "pathassets.engine.patches.disk.extractors",
    "DiskPatchExtractorPool": "pathassets.engine.patches.disk.extractors",
    "BadTiles": "pathassets.core.slides.bad_tiles",
    "LocationSpec": "pathassets.core.locations.locations",
    "MemPatchExtractor": "pathassets.engine.patches.memory.extractors",
    "MemPatchExtractorPool": "pathassets.engine.patches.memory.extractors",
    "MultiResDiskPatchExtractor": "pathassets.engine.patches.disk.extractors",
    "MultiResDiskPatchExtractorPool": "pathassets.engine.patches.disk.extractors",
    "MultiResMemPatchExtractor": "pathassets.engine.patches.memory.extractors",
    "MultiResMemPatchExtractorPool": "pathassets.engine.patches.memory.extractors",
    "PatchBatch": "pathassets.engine.slides.read_patches",
    "PatchLocations": "pathassets.core.locations.locations",
    "PatchesMock": "pathassets.engine.locations.patches_mock",
    "PolygonRegionCustomPatches": "pathassets.engine.locations.classes",
    "PolygonRegionCustomPatchesPool": "pathassets.engine.locations.pools",
    "PolygonRegionGridPatches": "pathassets.engine.locations.classes",
    "PolygonRegionGridPatchesPool": "pathassets.engine.locations.pools",
    "PolygonRegionPoissonDiskPatches": "pathassets.engine.locations.classes",
    "PolygonRegionPoissonDiskPatchesPool": "pathassets.engine.locations.pools",
    "PolygonRegionRandomPatches": "pathassets.engine.locations.classes",
    "PolygonRegionRandomPatchesPool": "pathassets.engine.locations.pools",
    "ReadSpec": "pathassets.core.patches.read_plan",
    "TissueMask": "pathassets.core.tissue.tissue_mask",
    "TissueSpec": "pathassets.core.tissue.tissue_mask",
    "WholeImageCustomPatches": "pathassets.engine.locations.classes",
    "WholeImageCustomPatchesPool": "pathassets.engine.locations.pools",
    "WholeImageGridPatches": "pathassets.engine.locations.classes",
    "WholeImageGridPatchesPool": "pathassets.engine.locations.pools",
    "WholeImageInvertedCustomPatches": "pathassets.engine.locations.classes",
    "WholeImageInvertedCustomPatchesPool": "pathassets.engine.locations.pools",
    "WholeImageInvertedGridPatches": "pathassets.engine.locations.classes",
    "WholeImageInvertedGridPatchesPool": "pathassets.engine.locations.pools",
    "WholeImageInvertedPoissonDiskPatches": "pathassets.engine.locations.classes",
    "WholeImageInvertedPoissonDiskPatchesPool": "pathassets.engine.locations.pools",
    "WholeImageInvertedRandomPatches": "pathassets.engine.locations.classes",
    "WholeImageInvertedRandomPatchesPool": "pathassets.engine.locations.pools",
    "WholeImagePoissonDiskPatches": "pathassets.engine.locations.classes",
    "WholeImagePoissonDiskPatchesPool": "pathassets.engine.locations.pools",
    "WholeImageRandomPatches": "pathassets.engine.locations.classes",
    "WholeImageRandomPatchesPool": "pathassets.engine.locations.pools",
    "open_slide": "pathassets.engine.slides.open",
    "read_annotations": "pathassets.adapters.annotations.reader",
    "read_patches": "pathassets.engine.slides.read_patches",
    "tissue_mask_of": "pathassets.engine.slides.tissue_mask",
}
"""Imported when first asked for: OpenSlide and OpenCV take half a second."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        public = getattr(import_module(_HOMES[name]), name)
        if isinstance(public, type):
            from pathassets.engine.public_help import with_parameters  # noqa: PLC0415 - as all else

            return with_parameters(public)
        return public
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
