"""What people see of public objects: a line, whatever the data, and in a notebook more."""

from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from defusedxml.ElementTree import fromstring

import pathassets
from pathassets.adapters.tifffile import corrupt_tile
from pathassets.core import display
from pathassets.engine.locations import pools as location_pools
from pathassets.engine.patches.disk import extractors
from tests.engine.workers_here import workers_here
from tests.formula_tiff import write_formula_tiff

HOSTILE = "<img src=x onerror=alert(1)>&'\"\n"
LONG = "x" * 100_000
FULL = np.ones((128, 96), bool)


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("looks")
    return str(write_formula_tiff(folder / "<img src=x onerror=alert(1)>&'\".tiff"))


def locations(n: int, labels: tuple[str, ...] = ("",)) -> pathassets.PatchLocations:
    x = np.arange(n)
    return pathassets.PatchLocations(
        x_px0=x, y_px0=x, tissue_share=np.ones(n, np.float32), side_px0=256, patch_px=128, mpp=0.5,
        labels=labels, label_codes=None if len(labels) == 1 else (x % len(labels)).astype(np.int32),
    )  # fmt: skip


def mock(path, n=1000, label="a"):
    rows = [((i, 0), (8, 8), label) for i in range(n)]
    return pathassets.PatchesMock(patch_data=rows, wsi_file=path, level_or_mpp=0)


def objects(path: str, tmp_path: Path, label: str):
    """One of every public class, with a label of a stranger."""
    how = {"proc_num_workers": 1, "thread_num_workers": 1}
    files = {"image_type": "jpg", "num_workers": 1}
    one, few = {"patches": mock(path, 3, label)}, [mock(path, 3, label)]
    disk_pool = how | {"patches_pool": few, "image_type": "jpg"}
    square = [(0, 0), (1024, 0), (1024, 1024), (0, 1024)]
    area = pathassets.AnnotationPolygon(points=square, label=label)
    located = {"wsi_file": path, "mask_data": FULL}
    pool = pathassets.PolygonRegionGridPatchesPool(
        wsi_file_list=[path], mask_data_list=[FULL], polygon_data_list=[[area]], patches_args={},
        proc_num_workers=1,
    )  # fmt: skip
    mem_pool = pathassets.MemPatchExtractorPool(patches_pool=few, **how)
    (first, *_) = mem_pool.patch_list
    yield from (first, mem_pool.patch_list, mem_pool, pool, *pool, pool[0].patch_data, area)
    yield pathassets.TissueMask(tissue=np.ones((2000, 3000), bool), downsample=16.0, slide_mpp=0.5)
    yield pathassets.TissueMask(tissue=np.ones((0, 0), bool), downsample=16.0, slide_mpp=None)
    yield locations(100_000, tuple(f"{label}{i}" for i in range(1000)))
    yield pathassets.LocationSpec(region="annotations", included_labels=(label,))
    yield from (pathassets.TissueSpec(mpp=4.0), pathassets.ReadSpec(fast=True))
    yield pathassets.BadTiles(n_tiles=9, skipped=list(range(100_000)))
    yield pathassets.PatchBatch(np.arange(64), np.zeros((64, 8, 8, 3), np.uint8))
    yield pathassets.WholeImageGridPatches(**located, weak_label=label)
    yield mock(path, 3, label)
    yield pathassets.MemPatchExtractor(**one, num_workers=1)
    yield pathassets.MultiResMemPatchExtractor(**one, num_workers=1, levels_or_mpps=[0, 1] * 99)
    yield pathassets.MultiResMemPatchExtractorPool(patches_pool=few, levels_or_mpps=[0], **how)
    yield pathassets.DiskPatchExtractor(**one, **files, output_dir=tmp_path / "a")
    yield pathassets.DiskPatchExtractorPool(**disk_pool, output_dir=tmp_path / "b")
    yield pathassets.MultiResDiskPatchExtractor(
        **one, **files, output_dir=tmp_path / "c", levels_or_mpps=[0]
    )
    yield pathassets.MultiResDiskPatchExtractorPool(
        **disk_pool, output_dir=tmp_path / "d", levels_or_mpps=[0]
    )
    bag = pathassets.Bag(torch.zeros(9, 4), torch.zeros(9, 4).long(), 1, label, label)
    yield from (bag, pathassets.pad_bags([bag] * 99), pathassets.concatenate_bags([bag] * 99))
    yield pathassets.BagDataset(
        name=label, root=tmp_path, members=(), classes=tuple(f"{label}{i}" for i in range(99))
    )
    with pathassets.open_slide(path) as slide:
        yield from (slide, slide.info)


class Tags(HTMLParser):
    """What a browser would make of it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list]] = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, attrs))


@pytest.fixture
def here():
    """Start no processes to find or to save patches: what an object looks like knows of none."""
    with workers_here(location_pools), workers_here(extractors):
        yield


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("label", [HOSTILE, LONG], ids=["hostile", "long"])
def test_every_public_object_is_a_line_whatever_the_data(path, tmp_path, label):
    seen = set()
    for one in objects(path, tmp_path, label):
        text = repr(one)
        assert text.isprintable(), text
        assert len(text) <= 1500 if text.startswith("[") else len(text) <= display.LINE_CHARS
        assert "array(" not in text
        assert "object at 0x" not in text
        seen.add(type(one).__name__)
        html = getattr(one, "_repr_html_", str)()
        if html:
            tags = Tags()
            tags.feed(html)
            assert {tag for tag, _ in tags.found} == {"div", "p", "table", "tr", "th", "td"}
            assert not any(attrs for _, attrs in tags.found)
            assert len(html) < 6000
    classes = {name for name in pathassets.__all__ if isinstance(getattr(pathassets, name), type)}
    kinds = {name for name in classes if "Patches" in name and name != "PatchesMock"}
    assert classes - kinds - seen == {"DeepFeatureExtractor"}


def test_a_line_says_what_a_person_wants_to_know():
    mask = pathassets.TissueMask(
        tissue=np.arange(12).reshape(3, 4) < 3, downsample=16.0, slide_mpp=0.5
    )
    assert repr(mask) == "TissueMask(4 x 3 px, downsample 16, 25.0% tissue, 0.000192 mm2)"
    found = "PatchLocations(2 patches, 128 px, 0.5 um/px, side 256 px0, labels 'a', 'b')"
    assert repr(locations(2, ("a", "b"))) == found
    assert repr(pathassets.TissueSpec(method="hsv", mpp=4.0)) == "TissueSpec(method='hsv', mpp=4.0)"
    assert repr(pathassets.LocationSpec()) == "LocationSpec()"
    assert repr(mock("a.svs")) == "PatchesMock('a.svs', 1,000 patches, labels 'a')"
    extractor = pathassets.MultiResMemPatchExtractor(
        patches=mock("a.svs"), num_workers=1, levels_or_mpps=[0, 0.5]
    )
    assert repr(extractor) == "MultiResMemPatchExtractor('a.svs', 1,000 sets, at level0 mpp0.5)"


def test_a_slide_is_a_line_with_its_size_and_resolution(path):
    with pathassets.open_slide(path) as slide:
        assert repr(slide).endswith("2048 x 1536 px, 0.5 um/px, 3 levels, generic-tiff)")
        assert repr(slide.info) == "SlideInfo(2048 x 1536 px, 0.5 um/px, 3 levels, generic-tiff)"


def test_of_a_long_path_the_end_is_told():
    assert repr(mock(f"/a/{'b' * 5000}/slide.svs", 1)).endswith(
        "bbb/slide.svs', 1 patch, labels 'a')"
    )


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_a_notebook_shows_a_slide_and_a_mask_as_pictures(path):
    with pathassets.open_slide(path) as slide:
        picture = decoded(slide._repr_png_())
        expected = slide.read_region(0, 0, level=1, width_px=512, height_px=384)
    assert np.abs(picture.astype(int) - expected).max() <= 1
    tissue = np.zeros((3000, 6000), bool)
    tissue[:, :3000] = True
    mask = pathassets.TissueMask(tissue=tissue, downsample=16.0, slide_mpp=0.5)
    svg = fromstring(mask._repr_svg_())
    assert (svg.get("width"), svg.get("height"), svg.get("viewBox")) == ("512", "256", "0 0 192 96")
    glass, drawn = svg
    assert (glass.get("fill"), drawn.get("fill")) == (display.GLASS, display.TISSUE)
    assert drawn.get("d") == "".join(f"M0 {y}h96v1h-96z" for y in range(96))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9000), (3, 4), (500, 400)])
def test_the_picture_of_a_mask_is_small_whatever_the_mask(shape):
    tissue = np.random.default_rng(0).random(shape) < 0.5
    mask = pathassets.TissueMask(tissue=tissue, downsample=16.0, slide_mpp=0.5)
    assert len(mask._repr_svg_()) < 400_000
    assert (
        pathassets.TissueMask(tissue=tissue[:0], downsample=16.0, slide_mpp=0.5)._repr_svg_()
        is None
    )


def test_a_slide_with_a_bad_tile_is_shown_as_a_line(tmp_path):
    path = write_formula_tiff(tmp_path / "bad.tiff")
    for level in range(3):
        corrupt_tile(path, level, 0)
    with pathassets.open_slide(path) as slide:
        assert slide._repr_png_() is None
        assert repr(slide)


def test_a_notebook_shows_the_first_rows_of_a_table(path):
    html = locations(7, ("<b>", ""))._repr_html_()
    assert html.count("<tr>") == 1 + display.N_ROWS
    assert "<td>0</td><td>0</td><td>1.000</td><td>&lt;b&gt;</td>" in html
    assert "… 7 rows" in html
    found = pathassets.WholeImageGridPatches(wsi_file=path, mask_data=FULL)
    assert "<td>256</td><td>0</td>" in found._repr_html_()
