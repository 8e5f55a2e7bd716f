from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pathassets.engine.platform.annotation_matching import find_matches, match_files
from pathassets.engine.platform.annotations import annotations_of
from pathassets.errors import SpecError
from tests.engine.annotations import ANN_SAYS, write_boxes
from tests.engine.conftest import RECIPE

BOX = (100.0, 100.0, 300.0, 200.0)


@pytest.fixture
def platform(reopen):
    return reopen(RECIPE + "annotations:\n  tumour:\n")


@pytest.fixture
def slides(platform, make_slide, register):
    """Slide ids of x/a.svs, x/b.svs, and of y/b.svs with other content."""
    paths = [make_slide(name, seed=i) for i, name in enumerate(("x/a.svs", "x/b.svs", "y/b.svs"))]
    return [planned.slide_id for planned in register(platform, *paths)]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "drawn"


def found(platform, folder: Path) -> dict[str, tuple[str, str]]:
    return {
        str(m.path.relative_to(folder)): (m.state, m.slide_id)
        for m in find_matches(platform, folder)
    }


def test_a_file_is_the_slide_s_whose_id_or_name_it_bears(platform, slides, folder):
    for name in (f"{slides[1]}.geojson", "deep/down/a.svs.xml", "c.json"):
        write_boxes(folder / name, BOX)
    assert found(platform, folder) == {
        f"{slides[1]}.geojson": ("fits", slides[1]),
        "deep/down/a.svs.xml": ("fits", slides[0]),
        "c.json": ("unmatched", ""),
    }


def test_two_slides_of_one_name_are_for_a_person_to_tell_apart(platform, slides, folder):
    write_boxes(folder / "b.geojson", BOX)
    [match] = find_matches(platform, folder)
    assert match.state == "ambiguous"
    assert match.said == f"several slides are called so: {', '.join(sorted(slides[1:]))}"


def test_two_files_of_one_slide_are_for_a_person_to_choose_from(platform, slides, folder):
    write_boxes(folder / "a.geojson", BOX)
    write_boxes(folder / f"{slides[0]}.json", BOX)
    one, other = find_matches(platform, folder)
    assert one.state == other.state == "ambiguous"
    assert one.said == f"is of {slides[0]}, as are {other.path}"


def test_a_slide_known_by_two_names_is_one_slide(platform, slides, folder, tmp_path, register):
    copy = tmp_path / "scans" / "x" / "second.svs"
    shutil.copyfile(tmp_path / "scans" / "x" / "a.svs", copy)
    register(platform, copy)
    write_boxes(folder / "second.geojson", BOX)
    assert found(platform, folder) == {"second.geojson": ("fits", slides[0])}


def test_hidden_files_slides_and_files_of_other_kinds_are_no_drawings(
    platform, slides, folder, make_slide, register
):
    for name in (".a.geojson", ".trash/a.geojson", "a.geojson.bak", "a.txt", "a.svs.geojson"):
        write_boxes(folder / name, BOX)
    plain = make_slide("plain.tif", seed=9)
    target = folder / "a.tif"
    shutil.move(plain, target)
    register(platform, target)
    (folder / "a.xml").mkdir()
    assert found(platform, folder) == {"a.svs.geojson": ("fits", slides[0])}


def test_a_folder_without_drawings_is_refused(platform, slides, tmp_path):
    assert slides
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpecError, match="no annotations in this folder") as caught:
        find_matches(platform, tmp_path / "empty")
    assert ".geojson" in caught.value.remedy
    with pytest.raises(SpecError, match="no such folder"):
        find_matches(platform, tmp_path / "gone")


def test_what_looks_like_a_drawing_and_cannot_be_read_is_listed_all_of_it(platform, slides, folder):
    names = ["a.annotations", "deep/b.zip", "a.qpdata", "a.geojson.gz", "a.jpg", "c.svg"]
    for name in names:
        write_boxes(folder / name, BOX)
    (folder / "halo.xml").write_text("<Annotations/>")
    write_boxes(folder / "a.geojson", BOX)
    by_name = found(platform, folder)
    assert {name for name, (state, _) in by_name.items() if state == "passed over"} == set(names)
    assert by_name["a.geojson"] == ("fits", slides[0])
    said = {m.path.name: m.said for m in match_files(platform, folder, ANN_SAYS, is_dry=False)}
    assert "HALO" in said["a.annotations"]
    assert "GeoJSON" in said["a.qpdata"]
    assert "unpack" in said["b.zip"]


def test_a_folder_of_nothing_else_is_listed_too(platform, slides, folder):
    assert slides
    write_boxes(folder / "a.annotations", BOX)
    [match] = find_matches(platform, folder)
    assert (match.state, match.slide_id) == ("passed over", "")


def test_what_fits_is_recorded_and_a_malformed_file_stops_nobody(platform, slides, folder):
    write_boxes(folder / "a.geojson", BOX)
    (folder / f"{slides[1]}.geojson").write_text("{")
    write_boxes(folder / f"{slides[2]}.geojson", BOX, BOX)
    write_boxes(folder / "zzz.geojson", BOX)
    done = {m.path.stem: m for m in match_files(platform, folder, ANN_SAYS, is_dry=False)}
    assert {name: m.state for name, m in done.items()} == {
        "a": "recorded", slides[1]: "refused", slides[2]: "recorded", "zzz": "unmatched"
    }  # fmt: skip
    assert "not JSON" in done[slides[1]].said
    kept = {d.slide_id: d.n_polygons for d in annotations_of(platform)}
    assert kept == {slides[0]: 1, slides[2]: 2}
    again = list(match_files(platform, folder, ANN_SAYS, is_dry=False))
    assert [m.recorded.is_new for m in again if m.recorded] == [False, False]


def test_a_dry_run_records_nothing(platform, slides, folder):
    write_boxes(folder / "a.geojson", BOX)
    [match] = match_files(platform, folder, ANN_SAYS, is_dry=True)
    assert (match.state, match.slide_id, match.recorded) == ("fits", slides[0], None)
    assert annotations_of(platform) == []
    assert not (platform.store.root / "annotations").exists()


def test_a_name_that_the_recipe_does_not_have_is_refused_in_a_dry_run_too(reopen, slides, folder):
    assert slides
    write_boxes(folder / "a.geojson", BOX)
    with pytest.raises(SpecError, match="no annotations/tumour"):
        list(match_files(reopen(RECIPE), folder, ANN_SAYS, is_dry=True))
