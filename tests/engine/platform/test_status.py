import shutil
from pathlib import Path

import pytest
from sqlalchemy import insert

from pathassets.adapters.store.damage import MANIFEST
from pathassets.adapters.store.staging import STAGING
from pathassets.adapters.tifffile import PyramidSpec, corrupt_tile
from pathassets.catalog.database.connect import writing
from pathassets.catalog.tables import wanted
from pathassets.engine.platform.annotations import find_preview
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.datasets.build import build_dataset
from pathassets.engine.platform.ingestion.ingest import ingest
from pathassets.engine.platform.plan import annotation_address, plan_slides
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.platform.standing.rows import first_rows
from pathassets.engine.platform.status import cohort_status, open_work, slides_status
from pathassets.errors import CatalogError
from tests.cohort_rows import rows_of
from tests.engine.annotations import record_boxes
from tests.engine.conftest import RECIPE

pytestmark = pytest.mark.usefixtures("here")
MASK, GRID, STATS = ("tissue_mask", "otsu"), ("patch_locations", "grid"), ("features", "stats")
KEYS = {MASK, GRID, STATS}
COHORT = ("dataset", "cohort")


def run(platform, *, stages=(), run_id="run"):
    wanted = [e for e in platform.recipe.per_slide if not stages or e.stage.name in stages]
    return list(run_batch(platform, plan_slides(platform), wanted, run_id=run_id))


def states(platform):
    return [[cell.state for cell in slide.cells] for slide in rows_of(platform)]


def has_work(platform, keys, *, retry):
    plan_id = refresh_wanted(platform)
    return bool(open_work(platform, plan_id, keys, retry=retry).slide_ids)


def only(platform):
    [slide] = rows_of(platform)
    return slide


@pytest.fixture
def registered(platform, get_ready):
    """One slide, whose file is not to be changed."""
    get_ready(platform, 1)


@pytest.fixture
def made(platform, get_ready):
    """One slide after a run, whose file is not to be changed."""
    get_ready(platform, 1, is_run=True)


@pytest.fixture
def slide(platform, make_slide, register):
    path = make_slide()
    register(platform, path)
    return path


@pytest.mark.usefixtures("registered")
def test_a_registered_slide_is_missing_everything(platform):
    row = only(platform)
    assert [c.state for c in row.cells] == ["missing"] * 3
    assert [c.key for c in row.cells] == [MASK, GRID, STATS]
    assert row.failure is None
    assert has_work(platform, KEYS, retry=False)


@pytest.mark.usefixtures("registered")
def test_a_made_slide_is_current_and_tells_its_numbers(platform):
    [outcome] = run(platform)
    row = only(platform)
    assert [c.state for c in row.cells] == ["current"] * 3
    assert row.cells[0].tissue_mm2 == outcome.steps[0].artifact.facts["tissue_mm2"]
    assert row.cells[1].n_patches == row.cells[2].n_patches >= 30
    assert [c.digest for c in row.cells] == [s.step.address.digest for s in outcome.steps]
    assert not has_work(platform, KEYS, retry=False)
    assert not has_work(platform, KEYS, retry=True)


def test_slides_that_lack_an_annotation_are_told_together_and_one_alone_in_its_words(
    reopen, get_ready
):
    drawn = "patch_px: 64, region: annotations, annotations: tumour,"
    text = RECIPE.replace("patch_px: 64,", drawn) + "annotations:\n  tumour:\n"
    platform = reopen(text)
    ids = [one.slide_id for one in get_ready(platform, 3)]
    run(platform)
    status = slides_status(platform, ids)
    assert status.counts[GRID] == {"failed": 3}
    [lacking] = status.troubles.failures.lacking
    assert (lacking.annotation, lacking.n_slides, lacking.first) == ("tumour", 3, tuple(ids))
    assert status.troubles.failures.n_cells == 3
    alone = slides_status(platform, ids[:1]).troubles.failures
    assert alone.lacking == ()
    assert f"annotations set {ids[0]} FILE" in alone.cells[0].remedy
    [row, *_] = first_rows(platform, 2, ids[1:])
    assert row.planned.slide_id == ids[1]


@pytest.mark.usefixtures("registered")
def test_what_was_not_asked_for_is_missing(platform):
    run(platform, stages=["tissue_mask"])
    row = only(platform)
    assert [c.state for c in row.cells] == ["current", "missing", "missing"]
    assert not has_work(platform, {MASK}, retry=False)
    assert has_work(platform, {MASK, GRID}, retry=False)


@pytest.mark.usefixtures("made")
def test_an_mpp_override_makes_all_stale_and_back_again_current(platform):
    slide_id = only(platform).planned.slide_id
    platform.catalog.override_mpp(slide_id, 0.4, who="me", why="log")
    assert states(platform) == [["stale"] * 3]
    assert has_work(platform, KEYS, retry=False)
    platform.catalog.override_mpp(slide_id, 0.5, who="me", why="it was right")
    assert states(platform) == [["current"] * 3]


@pytest.mark.usefixtures("made")
def test_a_changed_entry_makes_its_descendants_stale(reopen):
    assert states(reopen(RECIPE.replace("patch_px: 64", "patch_px: 65"))) == [
        ["current", "stale", "stale"]
    ]


def test_a_failure_is_told_with_its_reason_and_blocks_what_comes_after(platform, slide):
    slide.unlink()
    run(platform)
    row = only(platform)
    assert [c.state for c in row.cells] == ["failed", "blocked", "blocked"]
    assert row.failure == row.cells[0]
    assert row.failure.reason == "file_missing"
    assert "no such file" in row.failure.message
    assert row.failure.remedy
    assert not row.failure.is_final
    assert has_work(platform, KEYS, retry=False)


def test_a_failure_is_forgotten_once_it_is_made(platform, slide):
    away = slide.rename(slide.with_name("away.svs"))
    run(platform)
    away.rename(slide)
    run(platform, run_id="again")
    assert states(platform) == [["current"] * 3]


def test_a_final_failure_is_not_tried_again_unless_asked(platform, make_slide, register):
    register(platform, make_slide(spec=PyramidSpec(mpp=None)))
    run(platform)
    row = only(platform)
    assert [c.state for c in row.cells] == ["failed", "blocked", "blocked"]
    assert row.failure.is_final
    assert not has_work(platform, KEYS, retry=False)
    assert has_work(platform, KEYS, retry=True)
    platform.catalog.override_mpp(row.planned.slide_id, 0.5, who="me", why="known")
    row = only(platform)
    assert [c.state for c in row.cells] == ["missing"] * 3
    assert has_work(platform, KEYS, retry=False)


def test_beside_a_final_failure_what_is_missing_is_still_work(
    platform, make_slide, register, reopen
):
    path = make_slide()
    corrupt_tile(path, level=0, tile_index=34)
    register(platform, path)
    run(platform)
    assert states(platform) == [["current", "current", "failed"]]
    assert not has_work(platform, KEYS, retry=False)
    more = reopen(
        RECIPE.replace("dataset:", "  more: {patch_locations: grid, encoder: resnet18}\ndataset:")
    )
    row = only(more)
    assert [c.state for c in row.cells] == ["current", "current", "failed", "missing"]
    assert has_work(more, {*KEYS, ("features", "more")}, retry=False)
    assert not has_work(more, KEYS, retry=False)


def lose_chunk(folder):
    (folder / "features.zarr" / "features" / "c" / "0" / "0").unlink()


def cut_chunk(folder):
    chunk = folder / "features.zarr" / "features" / "c" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-1])


def empty_manifest(folder):
    (folder / MANIFEST).write_bytes(b"")


def lose_folder(folder):
    shutil.rmtree(folder)


def lose_section(folder):
    shutil.rmtree(folder.parent.parent.parent)


@pytest.mark.parametrize(
    ("damage", "reason", "said"),
    [
        (lose_chunk, "artifact_corrupt", "damaged: features.zarr/features/c/0/0 is gone"),
        (cut_chunk, "artifact_corrupt", "damaged: features.zarr/features/c/0/0 has "),
        (empty_manifest, "artifact_corrupt", "damaged: artifact.json is empty"),
        (lose_folder, "artifact_missing", "gone from the store"),
        (lose_section, "artifact_missing", "gone from the store"),
    ],
)
@pytest.mark.usefixtures("made")
def test_what_is_gone_or_damaged_is_told_with_its_reason_and_made_again_by_a_run(
    platform, damage, reason, said
):
    before = only(platform)
    folder = platform.store.path_of(before.planned.steps[STATS].address)
    made = platform.store.read_checked(before.planned.steps[STATS].address)
    damage(folder)
    row = only(platform)
    assert [c.state for c in row.cells] == ["current", "current", "damaged"]
    assert row.damages == (row.cells[2],)
    cell = row.cells[2]
    assert cell.reason == reason
    assert said in cell.message
    assert cell.message.startswith(f"{row.planned.slide_id}: features/stats was made, and is ")
    assert cell.remedy == "pathassets run makes it anew"
    assert row.failure is None
    assert has_work(platform, KEYS, retry=False)
    assert not has_work(platform, {MASK, GRID}, retry=False)
    [outcome] = run(platform, run_id="again")
    assert [s.state for s in outcome.steps] == ["current", "current", "made"]
    assert platform.store.read_checked(made.address) == made
    after = only(platform)
    assert (after.cells, after.annotations) == (before.cells, before.annotations)


@pytest.mark.usefixtures("made")
def test_what_could_not_be_made_again_is_failed_and_what_is_whole_stays_current(
    platform, make_slide, register
):
    path = make_slide("own.svs", seed=5)
    planned = register(platform, path)[-1]
    run(platform)
    path.unlink()
    shutil.rmtree(platform.store.path_of(planned.steps[GRID].address))
    run(platform, run_id="again")
    assert states(platform)[-1] == ["current", "failed", "current"]


@pytest.mark.usefixtures("made")
def test_a_dataset_whose_files_are_damaged_is_so_and_built_again(platform):
    [entry] = platform.recipe.datasets
    built = build_dataset(platform, entry, run_id="run")
    folder = platform.store.path_of(built.artifact.address)
    (folder / "manifest.parquet").unlink()
    [cell] = cohort_status(platform).datasets
    assert (cell.state, cell.reason) == ("damaged", "artifact_corrupt")
    assert "manifest.parquet is gone" in cell.message
    again = build_dataset(platform, entry, run_id="again")
    assert again == built
    [cell] = cohort_status(platform).datasets
    assert cell.state == "current"


INSIDE = RECIPE.replace(
    "patch_px: 64,", "patch_px: 64, region: annotations, annotations: tumour,"
) + "annotations:\n  tumour:\n"  # fmt: skip


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(lose_folder, "artifact_missing"), (empty_manifest, "artifact_corrupt")],
)
def test_a_recorded_drawing_that_is_gone_says_to_record_it_again(
    reopen, make_slide, register, damage, reason
):
    platform = reopen(INSIDE)
    [planned] = register(platform, make_slide())
    box = (100.0, 100.0, 300.0, 300.0)
    drawn = record_boxes(platform, planned.slide_id, box).annotation
    run(platform)
    assert only(platform).annotations == {}
    damage(platform.store.path_of(annotation_address(drawn)))
    row = only(platform)
    assert [c.state for c in row.cells] == ["current"] * 3
    [lost] = row.damages
    assert row.annotations == {"tumour": lost}
    assert lost.reason == reason
    assert lost.remedy.startswith("Record it again: pathassets annotations set ")
    assert find_preview(platform, drawn) == b""
    shutil.rmtree(platform.store.path_of(row.planned.steps[GRID].address))
    run(platform, run_id="again")
    failure = only(platform).failure
    assert failure.reason == reason
    assert failure.remedy == lost.remedy
    assert record_boxes(platform, planned.slide_id, box).annotation == drawn
    run(platform, run_id="mended")
    row = only(platform)
    assert [c.state for c in row.cells] == ["current"] * 3
    assert row.damages == ()


def test_a_catalog_that_was_lost_beside_a_full_store_is_told(
    platform, get_ready, reopen, tmp_path, register
):
    [planned] = get_ready(platform, 1, is_run=True)
    (tmp_path / "empty" / STAGING).mkdir(parents=True)
    assert cohort_status(reopen(store=tmp_path / "empty")).n_slides == 1
    lost = reopen(catalog_url=f"sqlite:///{tmp_path / 'other.sqlite'}")
    with pytest.raises(CatalogError, match=r"knows no slide, and the store .* holds artif") as e:
        cohort_status(lost)
    assert "Restore it from its backup" in e.value.remedy
    register(lost, Path(planned.paths[0].path))
    [outcome] = run(lost)
    assert [s.state for s in outcome.steps] == ["current"] * 3
    assert states(lost) == [["current"] * 3]


def test_a_slide_without_files_keeps_what_was_made(platform, make_slide, register, slide):
    run(platform)
    register(platform, make_slide(slide.name, seed=1))
    assert states(platform) == [["current"] * 3, ["missing"] * 3]
    run(platform, run_id="again")
    assert states(platform) == [["current"] * 3] * 2


def test_refused_files_are_part_of_the_status(platform, tmp_path):
    (tmp_path / "text.svs").write_text("no slide")
    list(ingest(platform, [tmp_path / "text.svs"]))
    stand = cohort_status(platform)
    assert stand.n_slides == 0
    assert [r.reason for r in stand.rejected_files] == ["not_a_slide"]


@pytest.mark.usefixtures("made")
def test_slides_are_counted_by_state(platform, make_slide, register):
    register(platform, make_slide("b.svs", seed=1))
    assert cohort_status(platform).counts[STATS] == {"current": 1, "missing": 1}


@pytest.mark.usefixtures("made")
def test_a_dataset_is_missing_then_current_then_stale(platform, make_slide, register):
    [entry] = platform.recipe.datasets

    def cell():
        [found] = cohort_status(platform).datasets
        assert found.key == COHORT
        return found

    assert cell().state == "missing"
    built = build_dataset(platform, entry, run_id="run")
    assert cell().state == "current"
    assert cell().n_patches == built.artifact.facts["n_patches"]
    assert cell().digest == built.artifact.address.digest
    register(platform, make_slide("b.svs", seed=1))
    assert cell().state == "stale"


@pytest.mark.parametrize(
    ("cells", "retry", "expected"),
    [
        (["current"], False, False),
        (["current"], True, False),
        (["stale"], False, True),
        (["missing"], False, True),
        (["damaged"], False, True),
        (["failed"], False, True),
        (["current", "blocked"], False, True),
        (["final"], False, False),
        (["final"], True, True),
        (["final", "blocked"], False, False),
        (["final", "stale"], False, True),
        (["final", "damaged"], False, True),
    ],
)
@pytest.mark.usefixtures("registered")
def test_work_is_whatever_a_run_could_make(platform, cells, retry, expected):
    plan_id = refresh_wanted(platform)
    entries = [("features", f"f{i}") for i in range(len(cells))]
    [slide_id] = platform.catalog.unplanned(plan_id + 1)
    rows = [
        {
            "plan_id": plan_id, "slide_id": slide_id, "stage": stage, "name": name, "digest": "d",
            "lacks": "", "reason": "", "state": "failed" if state == "final" else state,
            "is_final": state == "final",
        }
        for (stage, name), state in zip(entries, cells, strict=True)
    ]  # fmt: skip
    with writing(platform.catalog._engine) as connection:
        connection.execute(insert(wanted), rows)

    def found(keys):
        return open_work(platform, plan_id, keys, retry=retry).slide_ids

    assert found(entries) == ({slide_id} if expected else set())
    assert found([*entries, MASK]) == {slide_id}
    assert found([]) == set()
