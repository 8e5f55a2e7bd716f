import shutil
from dataclasses import replace

import pytest

from pathassets.adapters.store import MANIFEST
from pathassets.adapters.tifffile import PyramidSpec, corrupt_tile
from pathassets.engine.batch import run_batch
from pathassets.engine.dataset import build_dataset
from pathassets.engine.ingest import ingest
from pathassets.engine.plan import plan_slides
from pathassets.engine.status import Cell, SlideStatus, cohort_status, needs_work
from tests.engine.conftest import RECIPE

pytestmark = pytest.mark.usefixtures("here")
MASK, GRID, STATS = ("tissue_mask", "otsu"), ("patch_locations", "grid"), ("features", "stats")
KEYS = {MASK, GRID, STATS}
COHORT = ("dataset", "cohort")


def run(platform, *, sections=(), run_id="run"):
    wanted = [e for e in platform.recipe.per_slide if not sections or e.section.name in sections]
    return list(run_batch(platform, plan_slides(platform), wanted, run_id=run_id))


def states(platform):
    return [[cell.state for cell in slide.cells] for slide in cohort_status(platform).slides]


def only(platform):
    [slide] = cohort_status(platform).slides
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
    assert needs_work(row, KEYS, retry=False)


@pytest.mark.usefixtures("registered")
def test_a_made_slide_is_current_and_tells_its_numbers(platform):
    [outcome] = run(platform)
    row = only(platform)
    assert [c.state for c in row.cells] == ["current"] * 3
    assert row.cells[0].tissue_mm2 == outcome.steps[0].artifact.facts["tissue_mm2"]
    assert row.cells[1].n_patches == row.cells[2].n_patches >= 30
    assert [c.digest for c in row.cells] == [s.step.address.digest for s in outcome.steps]
    assert not needs_work(row, KEYS, retry=False)
    assert not needs_work(row, KEYS, retry=True)


@pytest.mark.usefixtures("registered")
def test_what_was_not_asked_for_is_missing(platform):
    run(platform, sections=["tissue_mask"])
    row = only(platform)
    assert [c.state for c in row.cells] == ["current", "missing", "missing"]
    assert not needs_work(row, {MASK}, retry=False)
    assert needs_work(row, {MASK, GRID}, retry=False)


@pytest.mark.usefixtures("made")
def test_an_mpp_override_makes_all_stale_and_back_again_current(platform):
    slide_id = only(platform).planned.slide_id
    platform.catalog.override_mpp(slide_id, 0.4, who="me", why="log")
    assert states(platform) == [["stale"] * 3]
    assert needs_work(only(platform), KEYS, retry=False)
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
    assert needs_work(row, KEYS, retry=False)


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
    assert not needs_work(row, KEYS, retry=False)
    assert needs_work(row, KEYS, retry=True)
    platform.catalog.override_mpp(row.planned.slide_id, 0.5, who="me", why="known")
    row = only(platform)
    assert [c.state for c in row.cells] == ["missing"] * 3
    assert needs_work(row, KEYS, retry=False)


def test_beside_a_final_failure_what_is_missing_is_still_work(
    platform, make_slide, register, reopen
):
    path = make_slide()
    corrupt_tile(path, level=0, tile_index=34)
    register(platform, path)
    run(platform)
    assert states(platform) == [["current", "current", "failed"]]
    assert not needs_work(only(platform), KEYS, retry=False)
    more = reopen(
        RECIPE.replace("dataset:", "  more: {patch_locations: grid, encoder: resnet18}\ndataset:")
    )
    row = only(more)
    assert [c.state for c in row.cells] == ["current", "current", "failed", "missing"]
    assert needs_work(row, {*KEYS, ("features", "more")}, retry=False)
    assert not needs_work(row, KEYS, retry=False)


@pytest.mark.usefixtures("made")
def test_a_damaged_artifact_is_failed_though_it_was_made_once(platform):
    folder = platform.store.path_of(only(platform).planned.steps[GRID].address)
    (folder / MANIFEST).write_text("{")
    run(platform, run_id="again")
    row = only(platform)
    assert [c.state for c in row.cells] == ["current", "failed", "current"]
    assert row.failure.reason == "artifact_corrupt"
    assert needs_work(row, KEYS, retry=False)
    shutil.rmtree(folder)
    run(platform, run_id="mended")
    assert states(platform) == [["current"] * 3]


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
    assert stand.slides == ()
    assert [r.reason for r in stand.refusals] == ["not_a_slide"]


@pytest.mark.usefixtures("made")
def test_slides_are_counted_by_state(platform, make_slide, register):
    register(platform, make_slide("b.svs", seed=1))
    counts = cohort_status(platform).counts(STATS)
    assert dict(counts) == {"current": 1, "missing": 1}
    assert counts["failed"] == 0


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


def cell(state, *, is_final=False, key=STATS):
    return Cell(key=key, state=state, digest="d", is_final=is_final)


@pytest.mark.parametrize(
    ("cells", "retry", "expected"),
    [
        (["current"], False, False),
        (["current"], True, False),
        (["stale"], False, True),
        (["missing"], False, True),
        (["failed"], False, True),
        (["current", "blocked"], False, True),
        (["final"], False, False),
        (["final"], True, True),
        (["final", "blocked"], False, False),
        (["final", "stale"], False, True),
    ],
)
@pytest.mark.usefixtures("registered")
def test_work_is_whatever_a_run_could_make(platform, cells, retry, expected):
    row = SlideStatus(
        planned=plan_slides(platform)[0],
        cells=tuple(
            cell("failed", is_final=True) if state == "final" else cell(state) for state in cells
        ),
    )
    assert needs_work(row, {STATS}, retry=retry) is expected
    others = replace(row, cells=(cell("missing", key=MASK), *row.cells))
    assert needs_work(others, {STATS}, retry=retry) is expected
    assert needs_work(row, set(), retry=retry) is False
