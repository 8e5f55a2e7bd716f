# The public names, each written once; `lazy_loader` reads this file, and so do type checkers.

# Slides
from .engine.slides.open import open_slide as open_slide
from .core.slides.bad_tiles import BadTiles as BadTiles

# Tissue
from .engine.slides.tissue_mask import tissue_mask_of as tissue_mask_of
from .core.tissue.tissue_mask import (
    TissueMask as TissueMask,
    TissueSpec as TissueSpec,
)

# Annotations
from .adapters.annotations.reader import read_annotations as read_annotations
from .core.annotations.annotations import AnnotationPolygon as AnnotationPolygon

# Locations: where the patches of a slide are, and pools of many slides
from .core.locations.location_spec import LocationSpec as LocationSpec
from .core.locations.locations import PatchLocations as PatchLocations
from .engine.locations.classes import (
    WholeImageGridPatches as WholeImageGridPatches,
    WholeImageRandomPatches as WholeImageRandomPatches,
    WholeImagePoissonDiskPatches as WholeImagePoissonDiskPatches,
    WholeImageCustomPatches as WholeImageCustomPatches,
    WholeImageInvertedGridPatches as WholeImageInvertedGridPatches,
    WholeImageInvertedRandomPatches as WholeImageInvertedRandomPatches,
    WholeImageInvertedPoissonDiskPatches as WholeImageInvertedPoissonDiskPatches,
    WholeImageInvertedCustomPatches as WholeImageInvertedCustomPatches,
    PolygonRegionGridPatches as PolygonRegionGridPatches,
    PolygonRegionRandomPatches as PolygonRegionRandomPatches,
    PolygonRegionPoissonDiskPatches as PolygonRegionPoissonDiskPatches,
    PolygonRegionCustomPatches as PolygonRegionCustomPatches,
)
from .engine.locations.pools import (
    WholeImageGridPatchesPool as WholeImageGridPatchesPool,
    WholeImageRandomPatchesPool as WholeImageRandomPatchesPool,
    WholeImagePoissonDiskPatchesPool as WholeImagePoissonDiskPatchesPool,
    WholeImageCustomPatchesPool as WholeImageCustomPatchesPool,
    WholeImageInvertedGridPatchesPool as WholeImageInvertedGridPatchesPool,
    WholeImageInvertedRandomPatchesPool as WholeImageInvertedRandomPatchesPool,
    WholeImageInvertedPoissonDiskPatchesPool as WholeImageInvertedPoissonDiskPatchesPool,
    WholeImageInvertedCustomPatchesPool as WholeImageInvertedCustomPatchesPool,
    PolygonRegionGridPatchesPool as PolygonRegionGridPatchesPool,
    PolygonRegionRandomPatchesPool as PolygonRegionRandomPatchesPool,
    PolygonRegionPoissonDiskPatchesPool as PolygonRegionPoissonDiskPatchesPool,
    PolygonRegionCustomPatchesPool as PolygonRegionCustomPatchesPool,
)
from .engine.locations.patches_mock import PatchesMock as PatchesMock

# Patches: read in a loop, in memory by many processes, or saved as files
from .engine.slides.read_patches import (
    PatchBatch as PatchBatch,
    read_patches as read_patches,
)
from .core.patches.read_plan import ReadSpec as ReadSpec
from .engine.patches.memory.extractors import (
    MemPatchExtractor as MemPatchExtractor,
    MemPatchExtractorPool as MemPatchExtractorPool,
    MultiResMemPatchExtractor as MultiResMemPatchExtractor,
    MultiResMemPatchExtractorPool as MultiResMemPatchExtractorPool,
)
from .engine.patches.disk.extractors import (
    DiskPatchExtractor as DiskPatchExtractor,
    DiskPatchExtractorPool as DiskPatchExtractorPool,
    MultiResDiskPatchExtractor as MultiResDiskPatchExtractor,
    MultiResDiskPatchExtractorPool as MultiResDiskPatchExtractorPool,
)

# Features
from .engine.features.extractor import DeepFeatureExtractor as DeepFeatureExtractor

# Datasets: bags of features that torch trains on
from .engine.datasets.load import load_dataset as load_dataset
from .engine.datasets.copy import copy_dataset as copy_dataset
from .adapters.torch.bags.dataset import BagDataset as BagDataset
from .adapters.torch.bags.bag import (
    Bag as Bag,
    PaddedBags as PaddedBags,
    ConcatenatedBags as ConcatenatedBags,
    pad_bags as pad_bags,
    concatenate_bags as concatenate_bags,
)

__version__: str
