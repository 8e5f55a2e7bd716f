import json
import tarfile
import threading

import numpy as np
import pandas as pd
import pytest
import zarr

from pathassets.adapters.images.encode import decode_image
from pathassets.core.patches.names import NameSpec, plan_names
from pathassets.core.patches.patch_set import PatchSetSpec
from pathassets.engine.patches.extraction import ExtractionSpec, job_of
from pathassets.engine.patches.images import ImageWork, write_images
from pathassets.engine.patches.multi_resolution import read_job
from pathassets.engine.patches.writer import write_patch_set
from pathassets.errors import SlideUnreadable, StoreError
from tests.engine.disk_trees import images_in, is_right, tree_of
from tests.engine.patch_objects import grid_on, patches_on
from tests.formula_tiff import formula_box, write_formula_tiff

STORES = ["files", "zarr", "webdataset"]


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return write_formula_tiff(tmp_path_factory.mktemp("slides") / "a.b.tiff")


def job_on(slide, *, n=100, levels=None, labels=("", "T"), **asked):
    patches = grid_on(slide, side_px=64, n=n)
    patches.patch_data = [
        (corner, size, labels[i % len(labels)])
        for i, (corner, size, _) in enumerate(patches.patch_data)
    ]
    return job_of(patches, ExtractionSpec(levels_or_mpps=levels, **asked))


def write(folder, job, *, n_threads=1, batches=None, digest="d", **spec):
    folder.mkdir()
    return write_patch_set(
        job, PatchSetSpec(**spec), folder, slide_id="s-1", digest=digest, n_threads=n_threads,
        batches=batches,
    )  # fmt: skip


def images_of(folder, table):
    """Pixels of each row, as a stranger reads them."""
    for row in table.to_dict("records"):
        if "row" in row:
            group = zarr.open_group(folder / row["file"], mode="r")
            start, stop = group["offsets"][row["row"] : row["row"] + 2]
            data = bytes(np.asarray(group["data"][start:stop]))
        elif "key" in row:
            with tarfile.open(folder / row["file"]) as tar:
                data = tar.extractfile(row["key"]).read()
        else:
            data = (folder / row["file"]).read_bytes()
        assert len(data) == row["n_bytes"]
        yield row, decode_image(data)


@pytest.mark.parametrize("store", STORES)
def test_every_image_of_the_table_has_the_pixels_it_tells(tmp_path, slide, store):
    facts = write(tmp_path / "s", job_on(slide), store=store)
    table = pd.read_parquet(tmp_path / "s" / "patches.parquet")
    assert len(table) == facts["n_patches"] == 100
    for n, (row, rgb) in enumerate(images_of(tmp_path / "s", table)):
        assert np.array_equal(rgb, formula_box(0, row["x_px0"], row["y_px0"], 64, 64))
        assert (row["index"], row["label"]) == (n, "T" if n % 2 else "")
        assert (row["width_px"], row["height_px"], row["level"]) == (64, 64, 0)
    assert facts["n_by_label"] == {"": 50, "T": 50}
    assert facts["n_bytes"] == table["n_bytes"].sum()


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("levels", [None, (0, 1.0, 2.0)])
def test_equal_work_gives_equal_bytes_for_any_threads(tmp_path, slide, store, levels):
    job = job_on(slide, levels=levels, resampling_mode="tile")
    for name, n_threads in (("one", 1), ("many", 5)):
        write(tmp_path / name, job, n_threads=n_threads, store=store)
    one = tree_of(tmp_path / "one")
    assert one == tree_of(tmp_path / "many")
    assert not [name for name in one if name.endswith(".part")]


def test_sets_share_a_centre_and_have_a_folder_each(tmp_path, slide):
    job = job_of(patches_on(slide, [(512, 512)], side_px=256),
                 ExtractionSpec(levels_or_mpps=(0, 1.0, 0.75), resampling_mode="tile"))  # fmt: skip
    facts = write(tmp_path / "s", job)
    table = pd.read_parquet(tmp_path / "s" / "patches.parquet")
    corners = list(zip(table["x_px0"], table["y_px0"], strict=True))
    assert corners == [(512, 512), (384, 384), (448, 448)]
    stem = f"images/s-1__set1/s-1_{facts['manifest_id']}"
    assert table["file"].tolist() == [
        f"{stem}_level0_x512_y512.png",
        f"{stem}_mpp1.0_x384_y384.png",
        f"{stem}_mpp0.75_x448_y448.png",
    ]
    assert (facts["n_patches"], facts["n_sets"], facts["n_images"]) == (1, 1, 3)


@pytest.mark.parametrize("store", STORES)
def test_bare_glass_is_an_empty_set_that_can_be_read(tmp_path, slide, store):
    facts = write(tmp_path / "s", job_on(slide, n=0), store=store)
    assert (facts["n_patches"], facts["n_bytes"], facts["n_by_label"]) == (0, 0, {})
    assert len(pd.read_parquet(tmp_path / "s" / "patches.parquet")) == 0
    if store == "zarr":
        group = zarr.open_group(tmp_path / "s" / "patches.zarr", mode="r")
        assert group["offsets"][:].tolist() == [0]


def test_labels_that_would_do_harm_are_files_and_stay_what_they_are_in_the_table(tmp_path, slide):
    labels = ("../x", "a/b", "a:b", "T", "t", "[x]", "é", "\u202e", "..", "manifests")
    job = job_on(slide, n=40, labels=labels)
    facts = write(tmp_path / "s", job, create_subdirs=True)
    table = pd.read_parquet(tmp_path / "s" / "patches.parquet")
    assert {*table["label"]} == {*labels} == {*facts["n_by_label"]}
    assert {*images_in(tmp_path / "s")} == {*table["file"]}
    folders = {path.rsplit("/", 1)[0] for path in table["file"]}
    assert len({folder.casefold() for folder in folders}) == len(labels)
    assert {path.name for path in tmp_path.iterdir()} == {"s"}


def test_two_patches_of_one_corner_are_two_files(tmp_path, slide):
    patches = patches_on(slide, [(0, 0)] * 3, side_px=32)
    patches.patch_data[1] = ((0, 0), (64, 16), "")
    patches.patch_data.append(((0, 0), (8, 8), "T"))
    write(tmp_path / "s", job_of(patches, ExtractionSpec()))
    table = pd.read_parquet(tmp_path / "s" / "patches.parquet")
    assert table["file"].is_unique
    assert [file.rsplit("_y0")[1] for file in table["file"]] == [
        ".png",
        "_r2.png",
        "_r3.png",
        ".png",
    ]
    sizes = [rgb.shape[:2] for _, rgb in images_of(tmp_path / "s", table)]
    assert sizes == [(32, 32), (16, 64), (32, 32), (8, 8)]


def test_one_resolution_twice_in_a_set_is_two_files(tmp_path, slide):
    for store in STORES:
        write(tmp_path / store, job_on(slide, n=3, levels=(0, 0)), store=store)
    table = pd.read_parquet(tmp_path / "files" / "patches.parquet")
    assert len({*table["file"]}) == 6
    keys = pd.read_parquet(tmp_path / "webdataset" / "patches.parquet")["key"]
    assert len({*keys}) == 6


def test_what_was_asked_and_where_images_are_is_told_to_a_person(tmp_path, slide):
    facts = write(tmp_path / "s", job_on(slide, n=3), image_type="jpg", quality=80)
    lines = (tmp_path / "s" / "patches.txt").read_text().splitlines()
    told = {line[:24].strip(): line[24:] for line in lines}
    assert told["Manifest ID:"] == facts["manifest_id"]
    assert told["Disk file count:"] == "3"
    assert "                        quality: 80" in lines
    assert sum(line.endswith(".jpg") for line in lines) == 3


@pytest.mark.parametrize("field", ["digest", "slide_id"])
def test_names_hold_what_the_set_is(tmp_path, slide, field):
    ids = set()
    for n in range(2):
        (folder := tmp_path / str(n)).mkdir()
        asked = {"slide_id": "s", "digest": "d"} | {field: str(n)}
        ids.add(write_patch_set(job_on(slide, n=1), PatchSetSpec(), folder, **asked)["manifest_id"])
    assert len(ids) == 2


def test_a_key_of_a_sample_has_no_dot(tmp_path, slide):
    folder = tmp_path / "s"
    folder.mkdir()
    write_patch_set(
        job_on(slide, n=2, levels=(0, 2.0)), PatchSetSpec(store="webdataset", image_type="jpg"),
        folder, slide_id="a.b/ü", digest="d",
    )  # fmt: skip
    with tarfile.open(folder / "shard-000000.tar") as tar:
        names = tar.getnames()
        told = json.load(tar.extractfile(names[2]))
    assert len({name.partition(".")[0] for name in names}) == 2
    assert {*told} == {"level0.jpg", "mpp2.0.jpg"}
    assert all("/" not in name and name.isascii() for name in names)


def test_pixels_may_be_read_by_someone_else(tmp_path, slide):
    job = job_on(slide, n=30)
    batches = read_job(job, slice(None), n_batch=7, n_threads=2)
    write(tmp_path / "given", job, batches=batches)
    write(tmp_path / "own", job)
    assert tree_of(tmp_path / "given") == tree_of(tmp_path / "own")


def test_a_batch_is_bounded_in_bytes_and_never_empty(slide):
    def n_batch(side_px, levels=None):
        job = job_of(patches_on(slide, [(0, 0)], side_px=side_px),
                     ExtractionSpec(levels_or_mpps=levels, resampling_mode="tile"))  # fmt: skip
        return ImageWork(job=job, names=None, quality=None).n_batch

    assert n_batch(256) == 64
    assert n_batch(1024) == 16
    assert n_batch(1024, (0, 1.0)) == 8
    assert n_batch(8192) == 1


class Refusing:
    """A writer whose disk is full after some images."""

    where = ("file",)

    def __init__(self, n_taken):
        self.n_taken, self.stored, self.lock = n_taken, [], threading.Lock()

    def store(self, patch):
        with self.lock:
            if len(self.stored) >= self.n_taken:
                raise StoreError(patch.path, "cannot be written: no space left on device")
            self.stored.append(patch)

    def write(self, patches):
        return [{"file": patch.path} for patch in patches]

    def close(self):
        raise AssertionError("nothing is finished")


def test_a_full_disk_stops_the_reading_and_no_thread_goes_on(slide, tmp_path):
    job = job_on(slide, n=768)
    names = plan_names("s", "0a1b2c3d", ["", "T"], NameSpec(image_type="png"))
    work = ImageWork(job=job, names=names, quality=None, n_threads=3)
    reading = read_job(job, slice(None), n_batch=16, n_threads=2)
    before = threading.active_count()
    with pytest.raises(StoreError, match="no space left"):
        list(write_images(work, reading, Refusing(100)))
    assert reading.gi_frame is None
    assert threading.active_count() == before
    assert list(tmp_path.iterdir()) == []


def test_a_slide_that_is_gone_is_told(tmp_path):
    with pytest.raises(SlideUnreadable):
        write(tmp_path / "s", job_on(tmp_path / "gone.svs", n=3))


def test_a_folder_that_cannot_be_is_told(tmp_path, slide):
    (tmp_path / "f").touch()
    for store in STORES:
        with pytest.raises(StoreError):
            write_patch_set(
                job_on(slide, n=3), PatchSetSpec(store=store), tmp_path / "f" / "gone",
                slide_id="s", digest="d",
            )  # fmt: skip


def test_lossless_files_are_the_pixels_of_the_slide(tmp_path, slide):
    for image_type in ("png", "webp"):
        write(tmp_path / image_type, job_on(slide, n=5), image_type=image_type)
        for name in images_in(tmp_path / image_type):
            x = int(name.rsplit("_x", 1)[1].split("_")[0])
            assert is_right(tmp_path / image_type / name, 0, x, 0, 64)
