import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

import openslide
import pytest
import zarr

from pathassets.adapters.files import stamp_of
from pathassets.adapters.store.damage import MANIFEST
from pathassets.adapters.tifffile import PyramidSpec, corrupt_tile
from pathassets.core.features.encoder import COLOUR_STATS_CARD
from pathassets.engine.platform.plan import annotation_address, plan_slides
from pathassets.engine.slides import source
from pathassets.engine.slides.source import SlidePath
from pathassets.engine.software import software_versions
from pathassets.engine.stages import context
from pathassets.engine.stages.registry import SLIDE_STAGES
from pathassets.engine.stages.slide_task import failed_outcome, run_slide
from pathassets.errors import WorkerLost
from tests.engine.annotations import record_boxes
from tests.engine.conftest import PYRAMID, RECIPE

IN_TISSUE = 34
"""Index of a level-0 tile whose pixels belong to patches."""


@pytest.fixture
def slide(make_slide):
    return make_slide()


@pytest.fixture
def planned(platform, slide, register):
    return register(platform, slide)[0]


@pytest.fixture
def task(platform, planned, make_task):
    return make_task(platform, planned)


def states(outcome):
    return [step.state for step in outcome.steps]


def names(outcome):
    return {step.step.address.stage: step for step in outcome.steps}


def put_in_place_of(monkeypatch, name, make):
    """Let a stage be made by something else."""
    monkeypatch.setitem(SLIDE_STAGES, name, replace(SLIDE_STAGES[name], make=make))


def assert_nothing_staged(task):
    assert list(Path(task.staging).glob("*")) == []


def test_a_slide_is_made_and_then_current(platform, task):
    first = run_slide(task)
    assert states(first) == ["made"] * 3
    assert first.failure is None
    assert all(platform.store.read_checked(step.address) for step in task.steps)
    assert all(step.seconds > 0 for step in first.steps)
    second = run_slide(task)
    assert states(second) == ["current"] * 3
    assert [s.artifact for s in second.steps] == [s.artifact for s in first.steps]
    assert [s.preview for s in second.steps] == [s.preview for s in first.steps]
    assert_nothing_staged(task)


def test_an_artifact_says_what_it_was_made_from_and_with(task):
    for step in run_slide(task).steps:
        assert step.artifact.address == step.step.address
        assert step.artifact.parents == step.step.parents
        assert step.artifact.code_version == step.step.entry.code_version
        assert step.artifact.software == software_versions()
        assert {"numpy", "openslide-bin", "pathassets"} <= set(step.artifact.software)
        assert step.artifact.spec == step.step.entry.parameters


def test_mask_grid_and_features_come_with_a_picture(task):
    steps = names(run_slide(task))
    for stage in ("tissue_mask", "patch_locations", "features"):
        assert steps[stage].preview.startswith(b"\xff\xd8")
        assert len(steps[stage].preview) <= 12_000


def test_a_corrupt_tile_fails_the_features_and_leaves_mask_and_grid_made(slide, task):
    corrupt_tile(slide, level=0, tile_index=IN_TISSUE)
    task = replace(task, fingerprint=hashlib.sha256(slide.read_bytes()).hexdigest())
    outcome = run_slide(task)
    assert states(outcome) == ["made", "made", "failed"]
    failure = outcome.failure
    assert failure.step.address.stage == "features"
    assert failure.reason == "tile_unreadable"
    assert failure.is_final
    assert failure.message.startswith(f"{task.slide_id} ({slide}): ")
    assert "level 0" in failure.message
    assert "scan" in failure.remedy
    assert_nothing_staged(task)


def test_without_a_resolution_the_first_step_says_how_to_state_it(
    platform, make_slide, register, make_task
):
    path = make_slide(spec=PyramidSpec(mpp=None))
    planned = register(platform, path)[0]
    outcome = run_slide(make_task(platform, planned))
    assert states(outcome) == ["failed", "blocked", "blocked"]
    assert outcome.failure.reason == "resolution_missing"
    assert outcome.failure.is_final
    assert f"pathassets mpp set {planned.slide_id} " in outcome.failure.remedy
    for blocked in outcome.steps[1:]:
        said = f"{planned.slide_id}: not tried, tissue_mask/otsu failed"
        assert blocked.message == said
        assert blocked.reason == "resolution_missing"
    platform.catalog.override_mpp(planned.slide_id, 0.5, who="me", why="known")
    again = make_task(platform, plan_slides(platform)[0])
    assert states(run_slide(again)) == ["made"] * 3


def test_a_file_that_was_moved_away_is_missing(slide, task):
    slide.rename(slide.with_name("elsewhere.svs"))
    outcome = run_slide(task)
    assert states(outcome) == ["failed", "blocked", "blocked"]
    assert outcome.failure.reason == "file_missing"
    assert outcome.failure.message == f"{task.slide_id} ({slide}): no such file"
    assert "ingest it where it is now" in outcome.failure.remedy
    assert not outcome.failure.is_final


def test_a_file_with_other_content_is_changed(slide, task, make_slide):
    make_slide(seed=1)
    outcome = run_slide(task)
    assert states(outcome) == ["failed", "blocked", "blocked"]
    assert outcome.failure.reason == "slide_changed"
    assert f"pathassets ingest {slide}" in outcome.failure.remedy


@pytest.fixture
def hashed(monkeypatch):
    """What was hashed to find out whether it is what was registered."""
    found = []
    real = source.fingerprint_of
    monkeypatch.setattr(source, "fingerprint_of", lambda m: found.append(m) or real(m))
    return found


def test_a_file_that_looks_as_registered_is_not_hashed(task, hashed):
    outcome = run_slide(task)
    assert states(outcome) == ["made"] * 3
    assert hashed == []
    assert outcome.verified is None


def test_a_flipped_byte_is_found_though_size_and_time_are_as_before(
    platform, slide, task, hashed, monkeypatch
):
    stat = slide.stat()
    data = bytearray(slide.read_bytes())
    data[len(data) // 2] ^= 1
    slide.write_bytes(data)
    os.utime(slide, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (slide.stat().st_size, slide.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    monkeypatch.delattr(openslide, "OpenSlide")  # opening it would be another failure
    outcome = run_slide(task)
    assert states(outcome) == ["failed", "blocked", "blocked"]
    assert outcome.failure.reason == "slide_changed"
    assert outcome.verified is None
    assert hashed == [[slide]]
    assert not any(platform.store.has(step.address) for step in task.steps)


def test_a_file_of_another_size_is_changed_without_being_hashed(slide, task, hashed):
    with slide.open("ab") as file:
        file.write(b"more")
    assert run_slide(task).failure.reason == "slide_changed"
    assert hashed == []


@pytest.mark.parametrize("touch", [lambda p: os.utime(p, (1, 1)), lambda p: p.chmod(0o600)])
def test_a_file_that_was_only_touched_is_the_same_and_says_how_it_looks_now(
    slide, task, hashed, touch
):
    touch(slide)
    outcome = run_slide(task)
    assert states(outcome) == ["made"] * 3
    assert hashed == [[slide]]
    assert outcome.verified == SlidePath(path=str(slide), stamp=stamp_of([slide]))


def test_a_slide_without_a_known_file_says_so(task):
    outcome = run_slide(replace(task, paths=()))
    assert outcome.failure.reason == "file_missing"
    assert outcome.failure.message == f"{task.slide_id}: no file of it is known any more"
    assert "Ingest" in outcome.failure.remedy


def test_of_two_places_the_one_that_is_left_is_read(platform, slide, register, make_task):
    copy = slide.with_name("copy.svs")
    shutil.copyfile(slide, copy)
    [planned] = register(platform, slide, copy)
    assert len(planned.paths) == 2
    Path(planned.paths[0].path).unlink()
    assert states(run_slide(make_task(platform, planned))) == ["made"] * 3


def test_of_two_bad_places_the_changed_one_is_told(platform, slide, register, make_task):
    copy = slide.with_name("copy.svs")
    shutil.copyfile(slide, copy)
    [planned] = register(platform, slide, copy)
    slide.unlink()
    copy.write_text("something else")
    outcome = run_slide(make_task(platform, planned))
    assert outcome.failure.reason == "slide_changed"
    assert str(copy) in outcome.failure.message


def test_a_slide_that_changes_while_it_is_read_publishes_nothing(
    platform, slide, task, monkeypatch
):
    stage = SLIDE_STAGES["tissue_mask"]

    def make_and_disturb(*args):
        made = yield from stage.make(*args)
        with slide.open("ab") as file:
            file.write(b"more")
        return made

    put_in_place_of(monkeypatch, "tissue_mask", make_and_disturb)
    outcome = run_slide(task)
    assert states(outcome) == ["failed", "blocked", "blocked"]
    assert outcome.failure.reason == "slide_changed"
    assert "changed while it was read" in outcome.failure.message
    assert not any(platform.store.has(step.address) for step in task.steps)
    assert_nothing_staged(task)


def test_a_parent_that_was_not_asked_for_and_is_missing_is_named(platform, planned, make_task):
    outcome = run_slide(make_task(platform, planned, "patch_locations", "features"))
    assert states(outcome) == ["failed", "blocked"]
    assert outcome.failure.reason == "artifact_missing"
    assert planned.slide_id in outcome.failure.message
    assert outcome.failure.remedy == "pathassets run makes it, and what it is made from"


def test_parents_that_are_there_are_read_and_not_made_again(platform, planned, make_task):
    assert states(run_slide(make_task(platform, planned, "tissue_mask"))) == ["made"]
    outcome = run_slide(make_task(platform, planned, "patch_locations", "features"))
    assert states(outcome) == ["made", "made"]


def test_a_blank_slide_has_no_patches_and_an_empty_array(platform, make_slide, register, make_task):
    [planned] = register(platform, make_slide(blank=True))
    outcome = run_slide(make_task(platform, planned))
    assert states(outcome) == ["made"] * 3
    steps = names(outcome)
    assert steps["tissue_mask"].artifact.facts["tissue_mm2"] == 0
    assert steps["patch_locations"].artifact.facts["n_patches"] == 0
    assert steps["features"].artifact.facts["n_patches"] == 0
    folder = platform.store.path_of(steps["features"].step.address)
    group = zarr.open_group(folder / "features.zarr", mode="r")
    assert group["features"].shape == (0, COLOUR_STATS_CARD.dim)
    assert group["coordinates"].shape == (0, 4)


def test_a_damaged_manifest_is_made_again_and_what_is_whole_stays(platform, task):
    first = run_slide(task)
    folder = platform.store.path_of(task.steps[1].address)
    (folder / MANIFEST).write_text("{")
    outcome = run_slide(task)
    assert states(outcome) == ["current", "made", "current"]
    assert [s.artifact for s in outcome.steps] == [s.artifact for s in first.steps]
    assert states(run_slide(task)) == ["current"] * 3


def test_a_damaged_picture_is_made_again(platform, task):
    run_slide(task)
    path = platform.store.path_of(task.steps[0].address) / "preview.jpg"
    before = path.read_bytes()
    path.write_bytes(before[:-1] + b"?")
    assert states(run_slide(task)) == ["made", "current", "current"]
    assert path.read_bytes() == before


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


CHUNK = "tissue.zarr/c/0/0"


@pytest.mark.parametrize("damage", [Path.unlink, flip])
def test_a_damaged_mask_is_no_bare_glass_and_is_made_again_for_what_is_made_from_it(
    platform, planned, task, make_task, damage
):
    first = run_slide(task)
    folder = platform.store.path_of(task.steps[0].address)
    damage(folder / CHUNK)
    shutil.rmtree(platform.store.path_of(task.steps[1].address))
    outcome = run_slide(make_task(platform, planned, "patch_locations"))
    assert states(outcome) == ["made"]
    assert [s.state for s in outcome.mended] == ["made"]
    assert outcome.mended[0].step.address == task.steps[0].address
    assert outcome.steps[0].artifact == first.steps[1].artifact
    assert platform.store.is_intact(task.steps[0].address)


@pytest.mark.parametrize("damage", [Path.unlink, flip])
def test_damaged_locations_that_were_asked_for_are_made_again_for_the_features(
    platform, task, damage
):
    run_slide(task)
    damage(platform.store.path_of(task.steps[1].address) / "locations.parquet")
    shutil.rmtree(platform.store.path_of(task.steps[2].address))
    assert states(run_slide(task)) == ["current", "made", "made"]


def test_two_damaged_ancestors_are_made_again_one_after_the_other(
    platform, planned, task, make_task
):
    run_slide(task)
    flip(platform.store.path_of(task.steps[0].address) / CHUNK)
    flip(platform.store.path_of(task.steps[1].address) / "locations.parquet")
    shutil.rmtree(platform.store.path_of(task.steps[2].address))
    outcome = run_slide(make_task(platform, planned, "features"))
    assert states(outcome) == ["made"]
    assert [s.state for s in outcome.mended] == ["made", "made"]
    assert all(platform.store.is_intact(step.address) for step in task.steps)


def test_an_ancestor_that_cannot_be_made_again_is_the_slides_failure(
    platform, planned, task, make_task, monkeypatch
):
    run_slide(task)
    flip(platform.store.path_of(task.steps[1].address) / "locations.parquet")
    shutil.rmtree(platform.store.path_of(task.steps[2].address))

    def fail(*_):
        raise OSError(28, "No space left on device")

    put_in_place_of(monkeypatch, "patch_locations", fail)
    outcome = run_slide(make_task(platform, planned, "features"))
    assert states(outcome) == ["blocked"]
    assert outcome.failure == outcome.mended[0]
    assert outcome.failure.reason == "os_error"


def test_what_is_doubted_is_current_only_once_its_bytes_were_read(platform, task):
    first = run_slide(task)
    address = task.steps[2].address
    flip(platform.store.path_of(address) / "features.zarr" / "features" / "c" / "0" / "0")
    assert states(run_slide(task)) == ["current"] * 3  # of the same size
    doubting = replace(task, doubted=frozenset({address}))
    outcome = run_slide(doubting)
    assert states(outcome) == ["current", "current", "made"]
    assert outcome.steps[2].artifact == first.steps[2].artifact
    assert states(run_slide(doubting)) == ["current"] * 3


def test_what_fails_to_open_fails_each_first_step_alike_and_is_tried_once(
    reopen, planned, make_task, tmp_path, monkeypatch
):
    two = RECIPE.replace("otsu: {mpp: 8.0}", "otsu: {mpp: 8.0}\n  fine: {mpp: 4.0}")
    platform = reopen(two)
    path = tmp_path / "text.svs"
    path.write_text("no slide")
    task = replace(
        make_task(platform, plan_slides(platform)[0]),
        fingerprint=hashlib.sha256(b"no slide").hexdigest(),
        paths=(SlidePath(path=str(path), stamp=stamp_of([path])),),
    )
    tried = []
    real = context.find_source
    monkeypatch.setattr(context, "find_source", lambda *a: tried.append(a) or real(*a))
    outcome = run_slide(task)
    assert states(outcome) == ["failed", "failed", "blocked", "blocked"]
    one, other = outcome.steps[:2]
    assert one.reason == other.reason == "not_a_slide"
    assert one.message == other.message
    assert len(tried) == 1
    assert planned.slide_id == task.slide_id


def test_content_is_compared_each_time_where_that_is_asked_for(reopen, planned, make_task):
    """A disk that loses bits changes no time of a file."""
    task = make_task(reopen(verify="content"), planned)
    assert run_slide(task).failure is None
    wrong = replace(task, fingerprint="0" * 64, steps=task.steps[:1], store_root=task.staging)
    assert run_slide(wrong).failure.reason == "slide_changed"
    trusting = make_task(reopen(), planned)
    wrong = replace(trusting, fingerprint="0" * 64, steps=task.steps[:1], store_root=task.staging)
    assert run_slide(wrong).failure is None


def test_a_disk_that_cannot_be_written_is_an_outcome(task, tmp_path):
    (tmp_path / "file").touch()
    outcome = run_slide(replace(task, staging=str(tmp_path / "file" / "staging")))
    assert states(outcome) == ["failed", "blocked", "blocked"]
    assert outcome.failure.reason == "os_error"
    assert outcome.failure.message.startswith(f"{task.slide_id}: ")
    assert "disk" in outcome.failure.remedy


INSIDE = RECIPE.replace(
    "patch_px: 64,", "patch_px: 64, region: annotations, annotations: tumour,"
) + "annotations:\n  tumour:\n"  # fmt: skip
BOX = (100.0, 100.0, 300.0, 300.0)


def test_without_its_drawing_a_slide_fails_once_says_how_to_record_it_and_is_then_made(
    reopen, slide, register, make_task
):
    platform = reopen(INSIDE)
    [planned] = register(platform, slide)
    outcome = run_slide(make_task(platform, planned))
    assert states(outcome) == ["made", "failed", "blocked"]
    failure = outcome.failure
    assert (failure.reason, failure.is_final) == ("annotations_missing", True)
    assert failure.message == f"{planned.slide_id}: no annotations/tumour is recorded for it"
    assert f"pathassets annotations set {planned.slide_id} FILE --name tumour" in failure.remedy
    assert "empty FeatureCollection" in failure.remedy
    record_boxes(platform, planned.slide_id, BOX)
    [drawn] = plan_slides(platform)
    assert states(run_slide(make_task(platform, drawn))) == ["current", "made", "made"]


def test_a_drawing_that_is_missing_is_told_without_a_look_at_the_slide(
    reopen, slide, register, make_task
):
    platform = reopen(INSIDE)
    [planned] = register(platform, slide)
    run_slide(make_task(platform, planned, "tissue_mask"))
    slide.unlink()
    outcome = run_slide(make_task(platform, planned, "patch_locations"))
    assert outcome.failure.reason == "annotations_missing"


def test_a_drawing_that_is_gone_from_the_store_says_to_record_it_again(
    reopen, slide, register, make_task
):
    platform = reopen(INSIDE)
    [planned] = register(platform, slide)
    drawn = record_boxes(platform, planned.slide_id, BOX).annotation
    shutil.rmtree(platform.store.path_of(annotation_address(drawn)))
    [planned] = plan_slides(platform)
    outcome = run_slide(make_task(platform, planned))
    assert states(outcome) == ["made", "failed", "blocked"]
    assert outcome.failure.reason == "artifact_missing"
    assert "annotations/tumour of" in outcome.failure.message
    assert f"annotations set {planned.slide_id} FILE --name tumour" in outcome.failure.remedy


def test_a_drawing_whose_bytes_changed_in_the_store_is_not_believed(
    reopen, slide, register, make_task
):
    platform = reopen(INSIDE)
    [planned] = register(platform, slide)
    folder = platform.store.path_of(
        annotation_address(record_boxes(platform, planned.slide_id, BOX).annotation)
    )
    path = folder / "annotations.geojson"
    path.write_text(path.read_text().replace("300.0", "400.0"))
    [planned] = plan_slides(platform)
    outcome = run_slide(make_task(platform, planned))
    assert outcome.failure.reason == "artifact_corrupt"


def test_a_fault_of_ours_is_an_outcome_with_its_traceback(task, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("by zero")

    put_in_place_of(monkeypatch, "patch_locations", fail)
    outcome = run_slide(task)
    assert states(outcome) == ["made", "failed", "blocked"]
    assert outcome.failure.reason == "unexpected"
    assert f"{task.slide_id}: ZeroDivisionError: by zero" in outcome.failure.message
    assert "in fail" in outcome.failure.message
    assert "report it" in outcome.failure.remedy


def test_a_lost_worker_fails_the_first_step_that_is_not_there(platform, planned, task, make_task):
    run_slide(make_task(platform, planned, "tissue_mask"))
    lost = WorkerLost("worker process ended with code -9", remedy="Look at the log")
    outcome = failed_outcome(task, lost)
    assert states(outcome) == ["current", "failed", "blocked"]
    assert outcome.failure.reason == "worker_lost"
    assert outcome.failure.message == f"{task.slide_id}: worker process ended with code -9"
    assert outcome.failure.remedy == "Look at the log"


def test_a_worker_lost_after_everything_was_published_loses_nothing(task):
    run_slide(task)
    assert states(failed_outcome(task, WorkerLost("gone"))) == ["current"] * 3


def test_tiles_of_the_test_slide_are_where_this_file_thinks():
    column, row = IN_TISSUE % 10, IN_TISSUE // 10
    assert 60 <= column * PYRAMID.tile_px <= 540 - 64
    assert 60 <= row * PYRAMID.tile_px <= 440 - 64


def test_a_want_of_threads_is_no_fault_of_ours_and_is_tried_again(task):
    outcome = failed_outcome(task, RuntimeError("can't start new thread"))
    assert outcome.failure.reason == "resources_short"
    assert not outcome.failure.is_final
    assert task.slide_id in outcome.failure.message
    assert "fewer workers" in outcome.failure.remedy
