from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pathassets.adapters.annotations.reader import read_annotations
from pathassets.core.address import Address
from pathassets.engine.platform import annotations
from pathassets.engine.platform.annotations import (
    AnnotationSource,
    annotations_of,
    find_preview,
    record_file,
    withdraw,
)
from pathassets.engine.platform.plan import annotation_address, plan_slides
from pathassets.errors import (
    AnnotationError,
    CatalogError,
    SlideUnreadable,
    SpecError,
)
from tests.engine.annotations import ANN_SAYS, NOTHING, polygon, record_boxes, write_boxes
from tests.engine.conftest import RECIPE

DRAWN = RECIPE + "annotations:\n  tumour:\n  edited: {about: Masks that a person mended.}\n"
ONE, OTHER = (100.0, 100.0, 300.0, 200.0), (350.5, 100.25, 400.0, 180.0)


@pytest.fixture
def platform(reopen):
    return reopen(DRAWN)


@pytest.fixture
def slide(make_slide):
    return make_slide()


@pytest.fixture
def slide_id(platform, slide, register):
    return register(platform, slide)[0].slide_id


def draw(tmp_path: Path, *boxes, name="a (é) [x].geojson", labels=()) -> Path:
    return write_boxes(tmp_path / "drawn" / name, *boxes, labels=labels)


def kept_files(platform, recorded) -> dict[str, bytes]:
    folder = platform.store.path_of(annotation_address(recorded.annotation))
    artifact = platform.store.read_checked(annotation_address(recorded.annotation))
    return {file.path: (folder / file.path).read_bytes() for file in artifact.files}


def test_a_drawing_is_kept_whole_and_outlives_its_file(platform, slide_id, tmp_path):
    file = draw(tmp_path, ONE, OTHER, labels=("Tumor/G2",))
    data = file.read_bytes()
    recorded = record_file(platform, slide_id, file, ANN_SAYS)
    file.unlink()
    assert recorded.is_new
    assert recorded.notes == ()
    annotation = recorded.annotation
    assert (annotation.slide_id, annotation.name) == (slide_id, "tumour")
    assert (annotation.file, annotation.sha256) == (file.name, hashlib.sha256(data).hexdigest())
    assert (annotation.n_polygons, annotation.labels) == (2, {"": 1, "Tumor/G2": 1})
    assert (annotation.who, annotation.why) == ("Ann", "review of 3 May")
    kept = kept_files(platform, recorded)
    assert set(kept) == {"annotations.geojson", "original/a_x_.geojson", "preview.jpg"}
    assert kept["original/a_x_.geojson"] == data
    place = platform.store.path_of(annotation_address(annotation))
    polygons = read_annotations(place / "annotations.geojson").polygons
    assert polygons == (polygon(ONE, "Tumor/G2"), polygon(OTHER))
    assert annotations_of(platform) == [annotation]


def test_the_artifact_says_what_it_holds_and_the_catalog_who_recorded_it(
    platform, slide_id, tmp_path
):
    recorded = record_file(platform, slide_id, draw(tmp_path, ONE), ANN_SAYS)
    address = annotation_address(recorded.annotation)
    assert address == Address("annotations", "tumour", slide_id, recorded.annotation.digest)
    artifact = platform.store.read(address)
    assert artifact.parents == ()
    assert artifact.facts["n_polygons"] == 1
    assert artifact.facts["labels"] == {"": 1}
    assert "GeoJSON" in artifact.facts["format"]
    assert "Ann" not in json.dumps(artifact.facts)
    record = platform.catalog.find_artifact(address)
    assert record.made_by == "Ann"
    assert record.facts == artifact.facts


def test_the_same_drawing_again_is_the_same_artifact_and_one_statement(
    platform, slide_id, tmp_path
):
    file = draw(tmp_path, ONE)
    first = record_file(platform, slide_id, file, ANN_SAYS)
    again = record_file(platform, slide_id, file, ANN_SAYS)
    assert (first.is_new, again.is_new) == (True, False)
    assert again.annotation == first.annotation
    by_bob = record_file(platform, slide_id, file, replace(ANN_SAYS, who="Bob"))
    assert by_bob.is_new
    assert by_bob.annotation.digest == first.annotation.digest
    assert [d.who for d in annotations_of(platform, slide_id)] == ["Bob", "Ann"]
    folder = platform.store.root / "annotations" / "tumour" / slide_id
    assert [path.name for path in folder.iterdir()] == [first.annotation.digest]


def test_a_deleted_artifact_has_no_picture_and_comes_back_by_recording_it_again(
    platform, slide_id, tmp_path
):
    file = draw(tmp_path, ONE)
    recorded = record_file(platform, slide_id, file, ANN_SAYS)
    folder = platform.store.path_of(annotation_address(recorded.annotation))
    folder.rename(tmp_path / "gone")
    assert find_preview(platform, recorded.annotation) == b""
    assert not record_file(platform, slide_id, file, ANN_SAYS).is_new
    assert find_preview(platform, recorded.annotation).startswith(b"\xff\xd8")


def test_other_content_has_another_digest_whatever_the_file_is_called(platform, slide_id, tmp_path):
    files = [
        draw(tmp_path, ONE, name="a.geojson"),
        draw(tmp_path, OTHER, name="b.geojson"),
        draw(tmp_path, ONE, name="c.geojson", labels=("x",)),
        draw(tmp_path, ONE, name="d.json"),
    ]
    digests = [record_file(platform, slide_id, f, ANN_SAYS).annotation.digest for f in files]
    assert digests[3] == digests[0]
    assert len(set(digests)) == 3


def test_an_empty_drawing_states_that_there_is_nothing(platform, slide_id, tmp_path):
    file = tmp_path / "none.geojson"
    file.write_text(NOTHING)
    recorded = record_file(platform, slide_id, file, ANN_SAYS)
    assert (recorded.annotation.n_polygons, recorded.annotation.labels) == (0, {})
    [planned] = plan_slides(platform)
    assert planned.annotation("tumour") == recorded.annotation


def test_what_is_left_out_or_mended_is_told(platform, slide_id, tmp_path):
    shapes = [
        {"type": "Point", "coordinates": [1, 2]},
        {"type": "Polygon", "coordinates": [[[0, 0], [90, 90], [90, 0], [0, 90], [0, 0]]]},
    ]
    features = [{"type": "Feature", "geometry": s, "properties": {}} for s in shapes]
    file = tmp_path / "odd.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    recorded = record_file(platform, slide_id, file, ANN_SAYS)
    left_out, mended = recorded.notes
    assert left_out.startswith("left out: 1 ")
    assert mended.startswith("mended: ")
    assert "Self-intersection" in mended
    facts = platform.store.read(annotation_address(recorded.annotation)).facts
    assert sum(facts["n_left_out"].values()) == facts["n_repaired"] == 1


MALFORMED = {
    "half.geojson": ('{"type": "FeatureCollection", "features": [', "not JSON"),
    "number.geojson": (
        json.dumps(
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [[[0, 0], ["x", 1], [2, 2]]]},
                "properties": {},
            }
        ),
        "numbers",
    ),
    "root.xml": ("<Nonsense/>", "Nonsense"),
    "notes.txt": ("no annotation", "neither JSON nor XML"),
    "empty.geojson": ("", "is empty"),
}


@pytest.mark.parametrize(("name", "case"), MALFORMED.items())
def test_a_malformed_file_is_refused_and_nothing_is_recorded(
    platform, slide_id, tmp_path, name, case
):
    text, said = case
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(AnnotationError, match=said) as caught:
        record_file(platform, slide_id, file, ANN_SAYS)
    assert str(file) in str(caught.value)
    assert_nothing_recorded(platform, slide_id)


def assert_nothing_recorded(platform, slide_id):
    assert platform.catalog.annotation_history(slide_id) == []
    assert not (platform.store.root / "annotations").exists()
    assert [p.name for p in (platform.store.root / ".staging").iterdir()] in ([], [".sweep.lock"])


def test_a_file_that_is_not_there_is_refused(platform, slide_id, tmp_path):
    with pytest.raises(AnnotationError, match="no such file"):
        record_file(platform, slide_id, tmp_path / "gone.geojson", ANN_SAYS)
    with pytest.raises(AnnotationError):
        record_file(platform, slide_id, tmp_path, ANN_SAYS)
    assert_nothing_recorded(platform, slide_id)


def test_a_file_that_is_written_to_meanwhile_is_refused(platform, slide_id, tmp_path, monkeypatch):
    file = draw(tmp_path, ONE)
    real = annotations.read_annotations

    def read_and_disturb(path, **how):
        found = real(path, **how)
        write_boxes(file, OTHER)
        return found

    monkeypatch.setattr(annotations, "read_annotations", read_and_disturb)
    with pytest.raises(AnnotationError, match="changed while it was read"):
        record_file(platform, slide_id, file, ANN_SAYS)
    assert_nothing_recorded(platform, slide_id)


def test_a_name_that_the_recipe_does_not_have_is_refused(platform, reopen, slide_id, tmp_path):
    file = draw(tmp_path, ONE)
    stated = replace(ANN_SAYS, name="tumor")
    with pytest.raises(SpecError, match="the recipe has no annotations/tumor") as caught:
        record_file(platform, slide_id, file, stated)
    assert caught.value.remedy == "It has tumour, edited"
    with pytest.raises(SpecError, match="no annotations/tumor"):
        withdraw(platform, slide_id, stated)
    bare = reopen(RECIPE)
    with pytest.raises(SpecError) as caught:
        record_file(bare, slide_id, file, stated)
    assert caught.value.remedy == "Add to it 'annotations: {tumor: {}}'"


def test_an_unknown_slide_is_refused_before_the_file_is_read(platform, slide_id, tmp_path):
    with pytest.raises(CatalogError, match=f"Did you mean {slide_id}"):
        record_file(platform, slide_id[:-1], tmp_path / "gone.geojson", ANN_SAYS)
    with pytest.raises(CatalogError, match="not in the catalog"):
        withdraw(platform, slide_id[:-1], ANN_SAYS)
    with pytest.raises(CatalogError, match="not in the catalog"):
        annotations_of(platform, slide_id[:-1])


def test_a_withdrawal_needs_something_to_withdraw_and_is_history_too(platform, slide_id, tmp_path):
    why = replace(ANN_SAYS, who="Bob", why="of another slide")
    with pytest.raises(CatalogError, match="no annotations/tumour is recorded for it"):
        withdraw(platform, slide_id, why)
    record_file(platform, slide_id, draw(tmp_path, ONE), ANN_SAYS)
    gone = withdraw(platform, slide_id, why)
    assert gone.is_withdrawn
    assert annotations_of(platform) == []
    assert [d.who for d in annotations_of(platform, slide_id)] == ["Bob", "Ann"]
    assert find_preview(platform, gone) == b""
    with pytest.raises(CatalogError, match="no annotations/tumour is recorded for it"):
        withdraw(platform, slide_id, why)


def test_the_picture_shows_the_outlines_where_they_are(platform, slide_id, tmp_path):
    nothing = tmp_path / "none.geojson"
    nothing.write_text(NOTHING)
    plain = decoded(
        find_preview(platform, record_file(platform, slide_id, nothing, ANN_SAYS).annotation)
    )
    drawn = decoded(find_preview(platform, record_boxes(platform, slide_id, ONE).annotation))
    assert plain.shape == drawn.shape
    differs = np.abs(plain.astype(int) - drawn).max(axis=2) > 60
    rows, columns = np.nonzero(differs)
    scale = plain.shape[1] / 600
    found = (columns.min(), rows.min(), columns.max(), rows.max())
    assert found == pytest.approx([v * scale for v in ONE], abs=3)
    inside = differs[int(120 * scale) : int(180 * scale), int(120 * scale) : int(280 * scale)]
    assert not inside.any()


def decoded(jpeg: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def test_polygons_are_recorded_though_the_slide_is_not_there(platform, slide, slide_id, tmp_path):
    slide.unlink()
    assert record_file(platform, slide_id, draw(tmp_path, ONE), ANN_SAYS).is_new


def test_a_mask_picture_is_kept_as_it_is_and_counted_by_its_pieces(
    platform, slide, slide_id, tmp_path
):
    mask = np.zeros((125, 150), np.uint8)
    mask[10:40, 10:60] = mask[60:90, 20:40] = 255
    file = tmp_path / "a.png"
    cv2.imwrite(str(file), mask)
    stated = AnnotationSource(name="edited", who="Ann", why="mended in QuPath")
    recorded = record_file(platform, slide_id, file, stated)
    assert (recorded.annotation.n_polygons, recorded.annotation.labels) == (2, {"": 2})
    kept = kept_files(platform, recorded)
    assert set(kept) == {"original/a.png", "preview.jpg"}
    assert kept["original/a.png"] == file.read_bytes()
    slide.unlink()
    mask[0, 0] = 1
    cv2.imwrite(str(file), mask)
    with pytest.raises(SlideUnreadable, match="no such file"):
        record_file(platform, slide_id, file, stated)


def test_nanometres_from_the_centre_of_the_glass_need_a_slide_that_knows_where_it_lies(
    platform, slide, slide_id, tmp_path, shared
):
    file = tmp_path / "a.ndpa"
    file.write_bytes((shared / "annotations" / "lazyslide_mixed.ndpa").read_bytes())
    with pytest.raises(SpecError, match="XOffsetFromSlideCentre"):
        record_file(platform, slide_id, file, ANN_SAYS)
    slide.unlink()
    with pytest.raises(SlideUnreadable, match="no such file"):
        record_file(platform, slide_id, file, ANN_SAYS)
    assert_nothing_recorded(platform, slide_id)


@pytest.mark.parametrize(
    "name",
    ["dlup_qupath05.geojson", "dplabtools_asap1.xml", "histoqc_holed.geojson",
     "histoqc_TCGA-EJ-5518-01Z-00-DX1.imagescope.xml", "dplabtools_sedeen1.xml"],
)  # fmt: skip
def test_what_viewers_write_is_recorded_and_read_back_as_it_was(platform, slide_id, shared, name):
    file = shared / "annotations" / name
    recorded = record_file(platform, slide_id, file, ANN_SAYS)
    folder = platform.store.path_of(annotation_address(recorded.annotation))
    kept = read_annotations(folder / "annotations.geojson").polygons
    assert kept == read_annotations(file).polygons
    assert len(kept) == recorded.annotation.n_polygons > 0


def test_what_lies_beside_the_slide_is_told(platform, slide_id, tmp_path):
    stated = AnnotationSource(name="tumour", who="Ann", why="review")
    beyond = (26_353.0, 15_345.0, 26_500.0, 15_400.0)
    (note,) = record_file(platform, slide_id, draw(tmp_path, beyond, ONE), stated).notes
    assert "1 of 2 polygons lie beside the slide, which has 600 x 500 level-0 pixels" in note
    assert "from (100, 100) to (26500, 15400)" in note
    assert record_file(platform, slide_id, draw(tmp_path, ONE), stated).notes == ()
