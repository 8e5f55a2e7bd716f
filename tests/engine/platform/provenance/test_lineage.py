import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pathassets import report
from pathassets.adapters.store.damage import MANIFEST
from pathassets.catalog.records import CohortFacts
from pathassets.core.address import Address
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.datasets.build import build_dataset
from pathassets.engine.platform.datasets.freeze import freeze
from pathassets.engine.platform.plan import annotation_address, plan_slides
from pathassets.engine.platform.provenance import lineage as lineage_module
from pathassets.engine.platform.provenance.drawing import graph_of
from pathassets.engine.platform.provenance.lineage import SHOWN, lineage_of
from pathassets.errors import CatalogError, StoreError
from tests.engine.annotations import record_boxes
from tests.engine.conftest import RECIPE

pytestmark = pytest.mark.usefixtures("here")
FEATURES = ("features", "stats")


@pytest.fixture
def planned(platform, get_ready):
    return get_ready(platform, 2, is_run=True)


def folder_of(platform, planned, key=FEATURES):
    return platform.store.path_of(planned.steps[key].address)


def stages(ancestor):
    """The chain to the slide, by the first parent of each."""
    if not ancestor.parents:
        return [ancestor.address.stage]
    return [ancestor.address.stage, *stages(ancestor.parents[0])]


@pytest.mark.parametrize("below", [".", "features.zarr", "features.zarr/features/c/0/0"])
def test_any_file_of_an_artifact_is_traced_to_the_slide(platform, planned, below):
    traced = lineage_of(platform, folder_of(platform, planned[0]) / below)
    assert stages(traced) == ["features", "patch_locations", "tissue_mask", "slide"]
    assert traced.address == planned[0].steps[FEATURES].address
    assert traced.facts["made_by"] == "run-1"
    assert traced.facts["spec"] == {
        "encoder": "colour_stats", "fast": False, "bad_tiles": "fail", "max_bad_tile_share": 0.01
    }  # fmt: skip
    artifact = platform.store.read(traced.address)
    assert traced.facts["files"] == {f.path: f.sha256 for f in artifact.files}
    assert traced.facts["n_patches"] == artifact.facts["n_patches"]


def test_the_slide_is_told_with_its_content_places_and_resolution(platform, planned, ready_home):
    one = planned[0]
    platform.catalog.override_mpp(one.slide_id, 0.5, who="Ada", why="the scanner's log")
    traced = lineage_of(platform, folder_of(platform, one))
    slide = traced.parents[1]
    assert slide.address.stage == "slide"
    assert slide.address.partition_key == one.slide_id
    assert slide.facts["sha256"] == one.record.fingerprint
    assert slide.facts["paths"] == [str(ready_home(2, is_run=True).home.parent / "scans" / "a.svs")]
    assert slide.facts["mpp_in_file"] == 0.5
    assert slide.facts["mpp_sources"]["aperio.MPP"] == "0.5"
    assert slide.facts["mpp_stated"][0].startswith("0.5 by Ada at ")
    assert slide.facts["mpp_stated"][0].endswith(": the scanner's log")


def test_a_dataset_is_traced_to_each_of_its_slides(platform, planned):
    [entry] = platform.recipe.datasets
    built = build_dataset(platform, entry, run_id="run-2")
    folder = platform.store.path_of(built.artifact.address)
    traced = lineage_of(platform, folder / "manifest.parquet")
    assert stages(traced) == [
        "dataset", "features", "patch_locations", "tissue_mask", "slide"
    ]  # fmt: skip
    assert {p.address.partition_key for p in traced.parents} == {p.slide_id for p in planned}


def test_a_drawing_is_traced_with_who_recorded_it_and_why(reopen, make_slide, register):
    platform = reopen(
        RECIPE.replace("patch_px: 64,", "patch_px: 64, region: annotations, annotations: tumour,")
        + "annotations:\n  tumour:\n"
    )
    [planned] = register(platform, make_slide())
    first = record_boxes(platform, planned.slide_id, (0.0, 0.0, 90.0, 90.0)).annotation
    drawn = record_boxes(platform, planned.slide_id, (60.0, 60.0, 540.0, 440.0)).annotation
    assert first.digest != drawn.digest
    [planned] = plan_slides(platform)
    list(run_batch(platform, [planned], platform.recipe.per_slide, run_id="run-1"))
    traced = lineage_of(platform, folder_of(platform, planned))
    locations = traced.parents[0]
    assert [p.address.stage for p in locations.parents] == ["annotations", "tissue_mask", "slide"]
    recorded = locations.parents[0]
    assert recorded.address == annotation_address(drawn)
    assert recorded.parents == ()
    assert recorded.facts["n_polygons"] == 1
    [said] = recorded.facts["recorded"]
    assert said.startswith(f"{drawn.file} by Ann at ")
    assert said.endswith(": review of 3 May")
    assert set(recorded.facts["files"]) == {
        "annotations.geojson", f"original/{drawn.file}", "preview.jpg"
    }  # fmt: skip
    by_itself = lineage_of(platform, platform.store.path_of(annotation_address(drawn)))
    assert by_itself.facts == recorded.facts


def empty_manifest(folder):
    (folder / MANIFEST).write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (shutil.rmtree, "is gone from the store"),
        (empty_manifest, "is damaged: artifact.json is empty"),
    ],
)
def test_what_is_gone_or_damaged_can_still_be_traced_and_is_said_to_be_so(
    platform, planned, damage, said
):
    one = planned[0]
    folder = folder_of(platform, one)
    assert "damaged" not in lineage_of(platform, folder).facts
    damage(folder)
    traced = lineage_of(platform, folder / "features.zarr")
    assert traced.address.partition_key == one.slide_id
    assert traced.facts["damaged"] == f"{one.slide_id}: features/stats was made, and {said}"
    assert "damaged" not in traced.parents[0].facts
    damage(folder_of(platform, one, ("patch_locations", "grid")))
    assert "damaged" in lineage_of(platform, folder).parents[0].facts


def test_a_relative_path_and_a_link_into_the_store_are_followed(
    platform, planned, tmp_path, monkeypatch
):
    folder = folder_of(platform, planned[0])
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(folder.parent)
    expected = planned[0].steps[FEATURES].address
    assert lineage_of(platform, Path(folder.name, "features.zarr")).address == expected
    assert lineage_of(platform, tmp_path / "link").address == expected


def test_a_file_outside_the_store_is_refused(platform, tmp_path):
    with pytest.raises(StoreError, match="is not inside the store") as e:
        lineage_of(platform, tmp_path / "x.zarr")
    assert "PATHASSETS_STORE" in e.value.remedy


@pytest.mark.parametrize("place", ["", "features", "features/stats/unknown/0/x", "catalog.sqlite"])
def test_a_place_of_the_store_that_is_no_artifact_is_told(platform, place):
    with pytest.raises(CatalogError, match="knows no artifact here") as e:
        lineage_of(platform, platform.store.root / place)
    assert "<stage>/<name>" in e.value.remedy


def test_a_slide_is_traced_down_to_the_dataset_each_thing_once(platform, planned):
    [entry] = platform.recipe.datasets
    built = build_dataset(platform, entry, run_id="run-2")
    traced = lineage_of(platform, planned[0].slide_id)
    assert downwards(traced) == ["slide", "tissue_mask", "patch_locations", "features", "dataset"]
    assert lineage_of(platform, planned[0].paths[0].path) == traced  # its file means the slide
    features = lineage_of(platform, folder_of(platform, planned[0]))
    assert [one.address for one in features.children] == [built.artifact.address]


def test_a_release_is_traced_to_its_slides_and_a_slide_down_to_its_releases(platform, planned):
    [entry] = platform.recipe.datasets
    built = build_dataset(platform, entry, run_id="run-2")
    version = built.artifact.address.digest
    assert lineage_of(platform, f"cohort@{version}").address == built.artifact.address
    freeze(platform, "cohort", who="Ann", why="for the paper")
    traced = lineage_of(platform, "cohort@1")
    assert stages(traced)[:3] == ["release", "dataset", "features"]
    assert (traced.facts["who"], traced.facts["why"]) == ("Ann", "for the paper")
    assert downwards(lineage_of(platform, planned[0].slide_id))[-2:] == ["dataset", "release"]
    with pytest.raises(CatalogError):
        lineage_of(platform, "cohort@2")


def downwards(relative):
    """The chain from the slide, where each thing has one child."""
    children = [one for one in relative.children if not one.is_again]
    assert len(children) <= 1
    return [relative.address.stage, *(downwards(children[0]) if children else [])]


def test_of_thousands_the_first_are_shown_and_the_others_counted(platform, planned):
    one = planned[0].steps[FEATURES].address
    slide = Address.of_slide(planned[0].slide_id, planned[0].version)
    many = [Address("dataset", "cohort", "all", f"{n:016x}") for n in range(2 * SHOWN)]
    for address in many:
        record = replace(platform.catalog.find_artifact(one), address=address, uri=str(address))
        platform.catalog.record_artifact(record, [one, slide])
    traced = lineage_of(platform, str(one))
    assert [child.address for child in traced.children] == many[:SHOWN]
    assert traced.more_children == {"dataset": SHOWN}
    whole = lineage_of(platform, str(one), is_whole=True)
    assert [child.address for child in whole.children] == many
    assert whole.more_children == {}


def test_of_a_patient_s_many_slides_the_first_are_shown(platform, planned, monkeypatch):
    facts = [CohortFacts(slide_id=p.slide_id, patient="P 1", label=None) for p in planned]
    platform.catalog.set_cohort_facts(facts)
    monkeypatch.setattr(lineage_module, "SHOWN", 1)
    traced = lineage_of(platform, "patient:P 1")
    assert len(traced.children) == 1
    assert traced.more_children == {"slide": 1}


def test_what_two_slides_lead_to_is_met_under_both_and_no_edge_is_lost(platform, planned, capsys):
    facts = [CohortFacts(slide_id=p.slide_id, patient="P 1", label=None) for p in planned]
    platform.catalog.set_cohort_facts(facts)
    [entry] = platform.recipe.datasets
    version = build_dataset(platform, entry, run_id="run-2").artifact.address
    traced = lineage_of(platform, "patient:P 1")
    places = [(parent.key, one) for parent, one in edges(traced) if one.address == version]
    assert [(key, one.is_again, bool(one.facts)) for key, one in places] == [
        (FEATURES, False, True), (FEATURES, True, False)
    ]  # fmt: skip
    recorded = {(p, c) for p, _ in edges(traced) for c in platform.catalog.children_of(p)}
    assert {(p, c.address) for p, c in edges(traced) if p.stage != "patient"} == recorded
    graph = graph_of(traced)
    boxes = [node.address for node in graph.nodes]
    assert {(boxes[a], boxes[b]) for a, b in graph.edges} == {
        (p, c.address) for p, c in edges(traced)
    }
    for is_whole in (False, True):
        report.lineage_tree(traced, is_whole=is_whole)
        told = [line for line in capsys.readouterr().out.splitlines() if "dataset/cohort" in line]
        assert [line.endswith("↑ above") for line in told] == [False, True]


def edges(relative):
    """All that a lineage shows downwards: what was made from what."""
    for child in relative.children:
        yield relative.address, child
        yield from edges(child)


def test_what_was_drawn_on_a_slide_is_shown_below_it(reopen, make_slide, register):
    platform = reopen(RECIPE + "annotations:\n  tumour:\n")
    [planned] = register(platform, make_slide())
    drawn = record_boxes(platform, planned.slide_id, (0.0, 0.0, 90.0, 90.0)).annotation
    traced = lineage_of(platform, planned.slide_id)
    assert [one.address for one in traced.children] == [annotation_address(drawn)]


def test_what_others_go_back_to_and_is_not_known_is_told(platform, planned):
    stray = Address("patch_locations", "grid", planned[0].slide_id, "f" * 16)
    record = platform.catalog.find_artifact(planned[0].steps[FEATURES].address)
    child = Address("features", "stats", planned[0].slide_id, "e" * 16)
    platform.catalog.record_artifact(replace(record, address=child, uri=str(child)), [stray])
    with pytest.raises(CatalogError, match="others go back to it") as caught:
        lineage_of(platform, str(child))
    assert caught.value.message.startswith(str(stray))
