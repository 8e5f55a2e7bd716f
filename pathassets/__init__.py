"""pathassets: whole-slide images to patch features one can train on, tracked by Dagster.

    scan ─▶ slide ─▶ tissue mask ─▶ patch locations ─▶ features ─▶ dataset

The house, each floor importing only those below it:

    definitions   what `dagster dev` loads         cli      the `pathassets` command
    defs          thin Dagster: assets, events,    report   what a terminal shows
                  the page, sensors, schedules
    engine        how work is run, in wings, top to bottom:
                  platform · stages · patches | features | locations | datasets · slides · workers
    catalog       what exists and where it came from, in SQL
    adapters      one door for each foreign package or file format
    core          the science, pure
    errors        what can go wrong

What is done with a noun of the chain is `engine/<noun>`, its science `core/<noun>`; `tests` mirrors
both: `engine/patches`, `core/patches`, `tests/engine/patches`, `tests/core/patches`.

Words, and what others call them:

    slide            a whole-slide image (WSI): one scan, in one file or several
    slide id         its name here, from the file's name and content; Dagster's partition key
    level            one resolution of the slide's pyramid; level 0 is the finest
    downsample       level-0 pixels per pixel; names ending in `_px0` are in level-0 pixels
    mpp              micrometres per pixel; objective power, or magnification, is near 10 / mpp
    tile             a rectangle of pixels as the file stores it, compressed by itself; not a patch
    patch            a square of pixels that an encoder sees; elsewhere also a tile or crop
    patch locations  where the patches of a slide are: corners at level 0, side, labels
    patch set        the patches of a slide, saved as images
    patch quality    focus, colour, ink and folds of each patch; quality control (QC)
    bag              the features of a slide's patches, as in multiple-instance learning (MIL)
    tissue mask      a raster of where there is something to look at; the foreground
    annotation       what a person drew on a slide: polygons with labels; regions of interest
    bad tiles        tiles that cannot be read, and what was left out for them
    stage            a step of the chain, and what it makes: tissue_mask, features, …
    recipe entry     a stage with a name and parameters, its spec; an asset in Dagster
    artifact         what an entry made of one slide: a folder, never changed once published
    digest           hash of spec, code version and parents; a cache key, Dagster's data version
    address          stage / entry / partition key / digest: the identity of an artifact
    dataset          the table to train on, a row a slide, split by patient; a release of the cohort
    store            the folder of artifacts; an artifact or object store
    catalog          the SQL database of slides, artifacts and failures; a metadata database
    home             the folder with store, inbox, recipe and Dagster's state; a workspace

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

    train = pathassets.load_dataset("luad@3", split="train")
    loader = DataLoader(train, batch_size=8, collate_fn=pathassets.pad_bags)

The public names stand in `__init__.pyi`. Each is imported when it is first asked for: OpenSlide and
OpenCV take half a second.
"""

from typing import Any

from lazy_loader import attach_stub

from pathassets.engine.public_help import with_parameters

__version__ = "0.1.0"

_import_public, __dir__, __all__ = attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """A public name; `help` of a class tells all its parameters from then on."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    public = _import_public(name)
    return with_parameters(public) if isinstance(public, type) else public
