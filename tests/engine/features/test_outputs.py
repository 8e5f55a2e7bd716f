import json
from pathlib import Path

import numpy as np
import pytest

from pathassets.adapters.zarr.feature_writer import FeatureWriter
from pathassets.engine.features.outputs import MemoryWriter, OutputFolder, Place, is_whole, stated
from pathassets.errors import OutputExists, StoreError

A, B = "a" * 64, "b" * 64


def make(place: Place) -> Path:
    """Write an output as a run does."""
    place.acquire()
    boxes = {"coordinates": np.zeros((2, 4), np.int64)}
    attributes = {"request": place.request, "slide_sha256": place.fingerprint}
    with FeatureWriter(place.part, shape=(3,), boxes=boxes, attributes=attributes) as writer:
        writer.write(np.ones((2, 3), np.float32))
        writer.finish()
    place.publish(overwrite=True)
    place.release()
    return place.final


def names_of(root: Path, *slides: tuple[str, str], request: str = "r1") -> list[str]:
    folder = OutputFolder(root, [stem for stem, _ in slides])
    return [folder.place_of(*slide, request).final.name for slide in slides]


def test_an_output_has_the_name_of_its_slide(tmp_path):
    assert names_of(tmp_path, ("x", A), ("y", B)) == ["x.zarr", "y.zarr"]


@pytest.mark.parametrize("stem", ["x", "X"])
def test_slides_of_one_stem_are_told_apart_by_their_content_in_any_order(tmp_path, stem):
    forth = names_of(tmp_path, ("x", A), (stem, B))
    assert forth == ["x-aaaaaaaaaa.zarr", f"{stem}-bbbbbbbbbb.zarr"]
    assert names_of(tmp_path, (stem, B), ("x", A)) == forth[::-1]


def test_the_same_content_twice_is_told_apart_by_a_number(tmp_path):
    found = names_of(tmp_path, ("x", A), ("x", A), ("x", B), ("x", A))
    assert found == [
        f"x-{tag}.zarr" for tag in ("a" * 10, "a" * 10 + "-2", "b" * 10, "a" * 10 + "-3")
    ]


@pytest.mark.parametrize("other", [("x", A), ("x", B), ("x-aaaaaaaaaa", B)])
def test_one_that_is_published_takes_only_what_was_begun_of_itself(tmp_path, other):
    folder = OutputFolder(tmp_path, ["x", other[0]])
    place, beside = folder.place_of("x", A, "r1"), folder.place_of(*other, "r1")
    before = OutputFolder(tmp_path, ["x", other[0]]).place_of("x", A, "r0")
    for part in (before.part, beside.part):
        part.mkdir()
        (part / "journal").touch()
    make(place)
    assert not before.part.exists()
    assert (beside.part / "journal").exists()


def test_an_output_that_is_there_is_found_again_whoever_else_is_in_the_list(tmp_path):
    make(OutputFolder(tmp_path, ["x"]).place_of("x", A, "r1"))
    assert names_of(tmp_path, ("x", B)) == ["x-bbbbbbbbbb.zarr"]  # the plain name is another's
    assert names_of(tmp_path, ("x", B), ("x", A)) == ["x-bbbbbbbbbb.zarr", "x.zarr"]
    make(OutputFolder(tmp_path, ["x", "x"]).place_of("x", B, "r1"))
    assert names_of(tmp_path, ("x", A)) == ["x.zarr"]
    assert names_of(tmp_path, ("x", B)) == ["x-bbbbbbbbbb.zarr"]


def test_one_that_was_named_with_its_content_is_found_again_alone(tmp_path):
    make(OutputFolder(tmp_path, ["x", "x"]).place_of("x", A, "r1"))
    assert names_of(tmp_path, ("x", A)) == ["x-aaaaaaaaaa.zarr"]


def place_in(root: Path, fingerprint: str = A, request: str = "r1") -> Place:
    return OutputFolder(root, ["x"]).place_of("x", fingerprint, request)


def test_only_a_whole_output_of_the_same_request_is_done(tmp_path):
    assert not place_in(tmp_path).is_done(overwrite=False)
    final = make(place_in(tmp_path))
    assert is_whole(final, "r1")
    assert place_in(tmp_path).is_done(overwrite=False)
    assert not place_in(tmp_path).is_done(overwrite=True)
    with pytest.raises(OutputExists, match="another request"):
        place_in(tmp_path, request="r2").is_done(overwrite=False)
    assert not place_in(tmp_path, request="r2").is_done(overwrite=True)


def test_what_is_no_output_of_the_slide_is_never_replaced(tmp_path):
    (tmp_path / "x.zarr").mkdir()
    (tmp_path / "x.zarr" / "mine.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(StoreError, match=r"x\.zarr"):
            place_in(tmp_path).is_done(overwrite=overwrite)
    told = {"zarr_format": 3, "node_type": "group", "attributes": {"slide_sha256": B}}
    (tmp_path / "x.zarr" / "zarr.json").write_text(json.dumps(told))
    assert place_in(tmp_path).final.name == "x-aaaaaaaaaa.zarr"  # that is another slide's


def test_one_that_a_kill_left_without_its_name_gets_it(tmp_path):
    place = place_in(tmp_path)
    final = make(place)
    final.rename(place.part)
    assert place_in(tmp_path).is_done(overwrite=False)
    assert final.is_dir()
    assert not place.part.exists()


def test_replacing_leaves_nothing_and_removes_what_was_begun_of_this_slide_alone(tmp_path):
    make(place_in(tmp_path))
    for name in (".x-aaaaaaaaaa-r0.part", ".x-bbbbbbbbbb-r0.part", ".x.zarr.old"):
        (tmp_path / name).mkdir()
    make(place_in(tmp_path, request="r2"))
    assert stated(tmp_path / "x.zarr")["request"] == "r2"
    assert {p.name for p in tmp_path.iterdir()} == {"x.zarr", ".x-bbbbbbbbbb-r0.part"}


def test_two_processes_do_not_write_one_slides_output(tmp_path):
    first, second = place_in(tmp_path), place_in(tmp_path, request="r2")
    first.acquire()
    with pytest.raises(StoreError, match="another process"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"attributes": 3}', '{"more": {}}', "\xff"])
def test_a_damaged_group_says_nothing(tmp_path, text):
    (tmp_path / "zarr.json").write_text(text, encoding="latin-1")
    assert stated(tmp_path) == {}
    assert stated(tmp_path / "missing") == {}


def test_rows_in_memory_are_all_there_or_it_says_so():
    writer = MemoryWriter(3, (2,))
    with writer:
        writer.write(np.ones((2, 2), np.float32))
        writer.leave_out([])
        with pytest.raises(ValueError, match="2 rows written of 3"):
            writer.finish()
        with pytest.raises(ValueError, match="left out"):
            writer.leave_out([1])
        with pytest.raises(ValueError, match="broadcast"):
            writer.write(np.ones((2, 2), np.float32))
