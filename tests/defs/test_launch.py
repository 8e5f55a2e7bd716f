from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from pathassets.defs.assets.batch import POOL
from pathassets.defs.current.choose import Wanted
from pathassets.defs.jobs import SHARD_SLIDES
from pathassets.defs.launch import build_datasets_here, run_slides_here
from pathassets.engine.platform.selections.entries import choose_entries
from pathassets.errors import CatalogError, SpecError, StoreError
from tests.defs.small_slides import write_slide
from tests.defs.workbench import Workbench


def wanted(
    bench: Workbench, *slide_ids: str, select: tuple[str, ...] = (), **given: bool
) -> Wanted:
    entries = choose_entries(bench.platform, select)
    return Wanted(slide_ids=frozenset(slide_ids), entries=entries, **given)


def launch(bench: Workbench, what: Wanted) -> int:
    return len(run_slides_here(bench.definitions, bench.instance, bench.platform, what))


def n_runs(bench: Workbench) -> int:
    return len(bench.instance.get_runs())


def test_a_name_stands_for_a_section_or_an_entry(bench: Workbench) -> None:
    def chosen(*select: str) -> list[str]:
        return ["/".join(entry.key) for entry in choose_entries(bench.platform, select)]

    every = ["tissue_mask/otsu", "patch_locations/grid", "features/colour", "dataset/cohort"]
    assert chosen() == every
    assert chosen("features", "tissue_mask/otsu") == [every[0], every[2]]
    with pytest.raises(SpecError, match=r"/nope: the recipe has no such entry. Did you mean 'fea"):
        chosen("features/nope")


def test_what_is_current_is_not_run_again(bench: Workbench, home: Path) -> None:
    a, b, c = bench.ingest(*(write_slide(home / f"{n}.svs", i) for i, n in enumerate("abc")))
    assert launch(bench, wanted(bench, b)) == 1
    (run,) = bench.instance.get_runs()
    name, _, host = run.tags["user"].partition("@")
    assert name  # of whoever launched it
    assert host
    # One current slide between two others does not cut the run.
    assert launch(bench, wanted(bench)) == 2
    assert n_runs(bench) == 2
    assert launch(bench, wanted(bench)) == 0
    assert n_runs(bench) == 2
    assert bench.health("features/colour") == {"green": sorted([a, b, c]), "red": []}


def test_a_shard_is_one_run_of_slides_that_are_no_neighbours_and_waits_for_no_other(
    bench: Workbench, home: Path
) -> None:
    a, b, c = bench.ingest(*(write_slide(home / f"{n}.svs", i) for i, n in enumerate("abc")))
    events = bench.instance.event_log_storage
    events.set_concurrency_slots(POOL, 1)
    events.claim_concurrency_slot(POOL, "another run", "its step")  # it holds the pool
    assert launch(bench, wanted(bench, a, c, is_shard=True)) == 2
    (run,) = bench.instance.get_runs()
    assert (run.job_name, run.status) == (SHARD_SLIDES, dg.DagsterRunStatus.SUCCESS)
    events.free_concurrency_slots_for_run("another run")
    assert bench.health("features/colour") == {"green": sorted([a, c]), "red": []}
    assert launch(bench, wanted(bench, is_shard=True)) == 1
    assert bench.health("features/colour")["green"] == sorted([a, b, c])


@pytest.mark.slow
def test_what_fails_by_its_content_is_not_tried_again_unless_asked(
    bench: Workbench, home: Path
) -> None:
    gone = write_slide(home / "b.svs", 2)
    no_mpp, lost = bench.ingest(write_slide(home / "a.svs", 1, mpp=None), gone)
    gone.unlink()
    assert launch(bench, wanted(bench)) == 2
    assert launch(bench, wanted(bench)) == 1  # a file may come back
    assert launch(bench, wanted(bench, retry=True)) == 2
    assert launch(bench, wanted(bench, no_mpp)) == 0
    bench.restate(no_mpp, 0.5)
    assert launch(bench, wanted(bench, no_mpp)) == 1
    assert bench.health("features/colour") == {"green": [no_mpp], "red": [lost]}

    first, last = bench.ingest(write_slide(home / "0.svs", 3), write_slide(home / "c.svs", 4))
    before = n_runs(bench)
    assert launch(bench, wanted(bench, first, last)) == 2  # one that failed lies between them
    assert n_runs(bench) == before + 1
    assert bench.health("features/colour") == {"green": [first, no_mpp, last], "red": [lost]}


def test_what_dagster_was_never_told_is_told_by_the_next_run(bench: Workbench, home: Path) -> None:
    (a,) = bench.ingest(write_slide(home / "a.svs", 1))
    launch(bench, wanted(bench))
    bench.instance.wipe_assets([dg.AssetKey(["features", "colour"])])
    assert bench.health("features/colour")["green"] == []
    assert launch(bench, wanted(bench)) == 1
    assert bench.health("features/colour") == {"green": [a], "red": []}


def test_an_unknown_slide_is_refused_before_anything_runs(bench: Workbench, home: Path) -> None:
    (a,) = bench.ingest(write_slide(home / "a.svs", 1))
    with pytest.raises(CatalogError, match="slide nope: not registered"):
        launch(bench, wanted(bench, a, "nope"))
    assert n_runs(bench) == 0


def test_what_goes_wrong_in_a_run_is_raised_as_what_it_is(
    bench: Workbench, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bench.ingest(write_slide(home / "a.svs", 1))
    staging = bench.platform.store.root / ".staging"
    for left in staging.iterdir():
        left.unlink()
    staging.rmdir()
    staging.write_text("in the way")
    with pytest.raises(StoreError, match="store is not writable"):
        launch(bench, wanted(bench))
    (run,) = bench.instance.get_runs()
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.slow
def test_a_dataset_is_built_where_it_would_be_another(bench: Workbench, home: Path) -> None:
    (a,) = bench.ingest(write_slide(home / "a.svs", 1))

    def build() -> int:
        at = bench.definitions, bench.instance, bench.platform
        return build_datasets_here(*at, wanted(bench)).n_built

    launch(bench, wanted(bench))
    assert build() == 1
    assert build() == 0
    bench.restate(a, 0.4)
    launch(bench, wanted(bench))
    assert build() == 1
