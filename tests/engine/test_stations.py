from contextlib import closing

import numpy as np
import pytest
import zarr

from pathassets.adapters.files import stamp_of
from pathassets.adapters.openslide import OpenSlideSlide
from pathassets.adapters.parquet import load_locations
from pathassets.adapters.zarr import load_mask
from pathassets.core.colour_stats import ColourStats
from pathassets.core.encoder import COLOUR_STATS_CARD
from pathassets.engine.slide_task import run_slide
from pathassets.engine.stations import Bench
from pathassets.errors import SlideChanged, SlideUnreadable


@pytest.fixture
def slide(make_slide):
    return make_slide()


@pytest.fixture
def bench(platform, slide):
    with closing(
        Bench(
            slide_id="a",
            slide=OpenSlideSlide(slide),
            members=[slide],
            stamp=stamp_of([slide]),
            fingerprint="f",
            slide_mpp=0.5,
            store=platform.store,
            device="cpu",
        )
    ) as bench:
        yield bench


@pytest.fixture
def made(platform, slide, register, make_task):
    """Artifact and folder of each section of the slide."""
    outcome = run_slide(make_task(platform, register(platform, slide)[0]))
    return {
        step.step.address.section: (step.artifact, platform.store.path_of(step.step.address))
        for step in outcome.steps
    }


def test_the_mask_covers_the_stained_rectangle(made):
    artifact, folder = made["tissue_mask"]
    mask = load_mask(folder / "tissue.zarr")
    assert mask.downsample == 16
    assert mask.slide_mpp == 0.5
    rows, columns = np.nonzero(mask.tissue)
    assert rows.min() * 16 == pytest.approx(60, abs=16)
    assert columns.max() * 16 == pytest.approx(540, abs=16)
    assert artifact.facts["tissue_mm2"] == pytest.approx(0.38 * 0.48 / 4, rel=0.1)
    assert artifact.facts["mask_mpp"] == 8
    assert artifact.facts["reader"].startswith("openslide 4.")


def test_the_grid_lies_on_the_tissue_and_tells_its_sizes(made):
    artifact, folder = made["patch_locations"]
    facts = artifact.facts
    locations = load_locations(folder / "locations.parquet", side_px0=64, patch_px=64, mpp=0.5)
    assert len(locations) == facts["n_patches"] >= 30
    assert (facts["side_px0"], facts["patch_px"], facts["mpp"], facts["level"]) == (64, 64, 0.5, 0)
    assert facts["is_upsampled"] is False
    assert (locations.tissue_share >= 0.5).all()


def test_the_features_are_those_of_the_pixels_at_the_coordinates(made, slide):
    artifact, folder = made["features"]
    group = zarr.open_group(folder / "features.zarr", mode="r")
    boxes = group["coordinates"][:]
    with closing(OpenSlideSlide(slide)) as opened:
        patches = [
            opened.read_level(int(x), int(y), level=0, width_px=64, height_px=64)
            for x, y in boxes[:, :2]
        ]
    assert np.array_equal(group["features"][:], ColourStats().encode(np.stack(patches)))
    assert (boxes[:, 2:] - boxes[:, :2] == 64).all()
    assert artifact.facts["n_patches"] == len(boxes)
    assert artifact.facts["dim"] == COLOUR_STATS_CARD.dim
    assert artifact.facts["device"] == "cpu"


def test_the_features_tell_a_stranger_where_they_are_from(made, register, platform):
    folder = made["features"][1]
    attributes = dict(zarr.open_group(folder / "features.zarr", mode="r").attrs)
    [planned] = register(platform)
    assert attributes["slide_id"] == planned.slide_id
    assert attributes["slide_sha256"] == planned.record.fingerprint
    assert (attributes["slide_mpp"], attributes["patch_mpp"]) == (0.5, 0.5)
    assert attributes["encoder"] == "colour_stats"
    assert attributes["feature_names"] == list(COLOUR_STATS_CARD.feature_names)


def test_only_the_last_overview_is_held(bench):
    first, downsample = bench.overview(8.0)
    assert downsample == 16
    assert bench.overview(8.0)[0] is first
    fine, downsample = bench.overview(2.0)
    assert downsample == 4
    assert fine.shape == (125, 150, 3)
    again, _ = bench.overview(8.0)
    assert again is not first
    assert np.array_equal(again, first)


def test_a_file_that_is_written_to_is_noticed(bench, slide):
    bench.check_unchanged()
    with slide.open("ab") as file:
        file.write(b"!")
    with pytest.raises(SlideChanged, match="changed while it was read"):
        bench.check_unchanged()
    slide.unlink()
    with pytest.raises(SlideUnreadable, match="no such file"):
        bench.check_unchanged()
