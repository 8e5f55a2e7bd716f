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
    from pathassets.core.annotations import (
        AnnotationPolygon,
    )
    from pathassets.core.ledger import (
        Ledger,
    )
    from pathassets.core.locations import (
        LocationSpec,
        PatchLocations,
    )
    from pathassets.core.patches import (
        ReadSpec,
    )
    from pathassets.core.tissue import (
        TissueMask,
        TissueSpec,
    )
    from pathassets.engine.deep_features import (
        DeepFeatureExtractor,
    )
    from pathassets.engine.disk_extractors import (
        DiskPatchExtractor,
        DiskPatchExtractorPool,
        MultiResDiskPatchExtractor,
        MultiResDiskPatchExtractorPool,
    )
    from pathassets.engine.location_classes import (
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
    from pathassets.engine.location_pools import (
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
    from pathassets.engine.masks import (
        tissue_mask_of,
    )
    from pathassets.engine.mem_extractors import (
        MemPatchExtractor,
        MemPatchExtractorPool,
        MultiResMemPatchExtractor,
        MultiResMemPatchExtractorPool,
    )
    from pathassets.engine.patch_reader import (
        PatchBatch,
        read_patches,
    )
    from pathassets.engine.patches_mock import (
        PatchesMock,
    )
    from pathassets.engine.slides import (
        open_slide,
    )

__all__ = [
    "AnnotationPolygon",
    "DeepFeatureExtractor",
    "DiskPatchExtractor",
    "DiskPatchExtractorPool",
    "Ledger",
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
    "AnnotationPolygon": "pathassets.core.annotations",
    "DeepFeatureExtractor": "pathassets.engine.deep_features",
    "DiskPatchExtractor": "pathassets.engine.disk_extractors",
    "DiskPatchExtractorPool": "pathassets.engine.disk_extractors",
    "Ledger": "pathassets.core.ledger",
    "LocationSpec": "pathassets.core.locations",
    "MemPatchExtractor": "pathassets.engine.mem_extractors",
    "MemPatchExtractorPool": "pathassets.engine.mem_extractors",
    "MultiResDiskPatchExtractor": "pathassets.engine.disk_extractors",
    "MultiResDiskPatchExtractorPool": "pathassets.engine.disk_extractors",
    "MultiResMemPatchExtractor": "pathassets.engine.mem_extractors",
    "MultiResMemPatchExtractorPool": "pathassets.engine.mem_extractors",
    "PatchBatch": "pathassets.engine.patch_reader",
    "PatchLocations": "pathassets.core.locations",
    "PatchesMock": "pathassets.engine.patches_mock",
    "PolygonRegionCustomPatches": "pathassets.engine.location_classes",
    "PolygonRegionCustomPatchesPool": "pathassets.engine.location_pools",
    "PolygonRegionGridPatches": "pathassets.engine.location_classes",
    "PolygonRegionGridPatchesPool": "pathassets.engine.location_pools",
    "PolygonRegionPoissonDiskPatches": "pathassets.engine.location_classes",
    "PolygonRegionPoissonDiskPatchesPool": "pathassets.engine.location_pools",
    "PolygonRegionRandomPatches": "pathassets.engine.location_classes",
    "PolygonRegionRandomPatchesPool": "pathassets.engine.location_pools",
    "ReadSpec": "pathassets.core.patches",
    "TissueMask": "pathassets.core.tissue",
    "TissueSpec": "pathassets.core.tissue",
    "WholeImageCustomPatches": "pathassets.engine.location_classes",
    "WholeImageCustomPatchesPool": "pathassets.engine.location_pools",
    "WholeImageGridPatches": "pathassets.engine.location_classes",
    "WholeImageGridPatchesPool": "pathassets.engine.location_pools",
    "WholeImageInvertedCustomPatches": "pathassets.engine.location_classes",
    "WholeImageInvertedCustomPatchesPool": "pathassets.engine.location_pools",
    "WholeImageInvertedGridPatches": "pathassets.engine.location_classes",
    "WholeImageInvertedGridPatchesPool": "pathassets.engine.location_pools",
    "WholeImageInvertedPoissonDiskPatches": "pathassets.engine.location_classes",
    "WholeImageInvertedPoissonDiskPatchesPool": "pathassets.engine.location_pools",
    "WholeImageInvertedRandomPatches": "pathassets.engine.location_classes",
    "WholeImageInvertedRandomPatchesPool": "pathassets.engine.location_pools",
    "WholeImagePoissonDiskPatches": "pathassets.engine.location_classes",
    "WholeImagePoissonDiskPatchesPool": "pathassets.engine.location_pools",
    "WholeImageRandomPatches": "pathassets.engine.location_classes",
    "WholeImageRandomPatchesPool": "pathassets.engine.location_pools",
    "open_slide": "pathassets.engine.slides",
    "read_annotations": "pathassets.adapters.annotations.reader",
    "read_patches": "pathassets.engine.patch_reader",
    "tissue_mask_of": "pathassets.engine.masks",
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
