"""The promise of `tests.bad_slides.CASES`, end to end."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import openslide
import pytest

from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.ingestion.ingest import Registration, find_files, ingest
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.platform import open_platform
from pathassets.engine.settings import Settings
from pathassets.engine.slides.inspect_files import InspectionTask, NoSlide, inspect_file
from pathassets.engine.slides.open import open_slide
from pathassets.engine.stages.outcomes import SlideOutcome
from pathassets.engine.workers.pool import LocalWorkers
from pathassets.errors import PathAssetsError, SlideUnreadable, SpecError, TileUnreadable
from tests.bad_slides import BAD_TILE, CASES, DEEP, GOOD, MADE, READ, Case, good, write_corpus
from tests.engine.bad_slide_tasks import REGION, Found, Visit, visit
from tests.engine.conftest import RECIPE

NOBODY = 65534
MAKES_MASKS = ("tile_bytecount0.svs",)
"""Its hole is drawn from nothing in the coarser level, too, of which the mask is made."""


@dataclass(frozen=True, kw_only=True)
class Ingested:
    """What became of one path that was given to `pathassets ingest`."""

    refused: str
    """What the request as a whole was refused for."""
    found: tuple[Registration, ...]


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A corpus that went through ingest and a run."""

    ingested: dict[str, Ingested]
    """By the case's name."""
    outcomes: dict[str, SlideOutcome]
    """By slide id."""
    good_id: str


def idfn(case: Case) -> str:
    return "deep" if case.name == DEEP else ascii(case.name)[1:25]


each_case = pytest.mark.parametrize("case", CASES, ids=idfn)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    write_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def visits(corpus):
    return visit_all(corpus, [case.name for case in CASES])


@pytest.fixture(scope="module")
def passage(corpus, tmp_path_factory):
    return pass_through(corpus, [case.name for case in CASES], tmp_path_factory.mktemp("home"))


def visit_all(folder: Path, names: list[str]) -> dict[str, Found]:
    """Visit one after the other in one worker process; what is left of it reads the good slide."""
    tasks = [Visit(path=folder / name, good=folder / GOOD) for name in names]
    workers = LocalWorkers(n_workers=1, timeout_s=60)
    found = {task.path: result for task, result in workers.imap(visit, tasks)}
    return {name: found[folder / name] for name in names}


def pass_through(folder: Path, names: list[str], home: Path) -> Passage:
    (home / "recipe.yaml").write_text(RECIPE)
    settings = Settings(
        home=home, store=home / "store", catalog_url=f"sqlite:///{home / 'c.sqlite'}",
        recipe=home / "recipe.yaml", inboxes=(home / "inbox",), inbox_stable_s=60.0, n_workers=1,
        read_threads=1, slide_timeout_s=60.0, device="cpu", verify="stamp", scratch=None,
        scratch_bytes=10**9,
        dagster_home=home / ".dagster",
    )  # fmt: skip
    with open_platform(settings) as platform:
        first, ingested = ingest_all(platform, folder / GOOD, names)
        planned = plan_slides(platform)
        outcomes = run_batch(platform, planned, platform.recipe.per_slide, run_id="run")
        return Passage(
            ingested=ingested,
            outcomes={outcome.slide_id: outcome for outcome in outcomes},
            good_id=first.slide_id,
        )


def ingest_all(platform, good: Path, names: list[str]) -> tuple[Registration, dict[str, Ingested]]:
    """Look for each by itself, and register all after the good one: workers start once."""
    ingested, files = {}, {}
    for name in names:
        try:
            files[name] = find_files([good.parent / name])
        except SpecError as error:
            ingested[name] = Ingested(refused=error.reason if error.remedy else "", found=())
    registered = iter(
        ingest(platform, [good, *(file for found in files.values() for file in found)])
    )
    first = next(registered)
    for name, found in files.items():
        ingested[name] = Ingested(refused="", found=tuple(islice(registered, len(found))))
    return first, ingested


def region_by_openslide(path: Path) -> np.ndarray:
    with openslide.OpenSlide(path) as slide:
        point, size = (REGION["x_px0"], REGION["y_px0"]), (REGION["width_px"], REGION["height_px"])
        return np.asarray(slide.read_region(point, 0, size))[..., :3]


def skip_as_root(case: Case) -> None:
    if case.for_others and os.geteuid() == 0:
        pytest.skip("root may read everything")


@each_case
def test_what_is_opened_and_what_is_not(case, visits, corpus):
    skip_as_root(case)
    found = visits[case.name]
    assert isinstance(found, Found)
    assert found.opened == case.opened
    if case.opened != READ:
        assert found.message.startswith(f"{corpus / case.name}: ")
        assert re.search(case.says, found.message)
        assert found.remedy
        assert found.path == str(corpus / case.name)


@each_case
def test_pixels_are_read_or_refused_and_never_made_up(case, visits, corpus):
    skip_as_root(case)
    found = visits[case.name]
    expected = case.run if case.run == "tile_unreadable" else READ
    assert found.pixels == (expected if case.opened == READ else "")
    if found.pixels == "tile_unreadable":
        tile = 0 if case.name == "tile_wrong.svs" else BAD_TILE  # of the two that share bytes
        assert found.message.startswith(f"{corpus / case.name}: level 0, tile {tile} ")
        assert re.search(case.says, found.message)
        assert "pathassets check" in found.remedy


def test_after_each_of_them_the_same_process_reads_the_good_slide_right(visits, corpus):
    expected = region_by_openslide(corpus / GOOD)
    assert expected.std() > 10
    assert len({found.pid for found in visits.values()}) == 1
    for name, found in visits.items():
        assert np.array_equal(found.after, expected), name


@each_case
def test_what_is_registered_and_what_is_refused(case, passage):
    skip_as_root(case)
    ingested = passage.ingested[case.name]
    if case.registered == "spec_error":
        assert (ingested.refused, ingested.found) == ("spec_error", ())
        return
    assert ingested.refused == ""
    if case.name == "sub/parent":
        assert len(ingested.found) > len(CASES) / 2
        return
    [found] = ingested.found
    if case.registered == READ:
        assert found.error is None
        assert (found.slide_id == passage.good_id) == case.is_good
        assert (found.state == "known") == case.is_good
        return
    assert (found.state, found.error.reason) == ("refused", case.registered)
    assert re.search(case.says, found.error.message)
    assert found.error.message.startswith(f"{found.path}: ")
    assert found.error.remedy


@each_case
def test_what_a_run_makes_of_those_that_are_registered(case, passage):
    if not case.run:
        return
    [found] = passage.ingested[case.name].found
    outcome = passage.outcomes[found.slide_id]
    if case.run == MADE:
        assert [step.state for step in outcome.steps] == ["made"] * 3
        return
    failure = outcome.failure
    assert failure.reason == case.run
    assert failure.is_final
    assert found.slide_id in failure.message
    assert re.search(case.says, failure.message)
    assert failure.remedy
    n_made = [step.state for step in outcome.steps].count("made")
    is_late = case.run == "tile_unreadable" and case.name not in MAKES_MASKS
    assert n_made == (2 if is_late else 0)
    if case.run != "tile_unreadable":
        assert f"pathassets mpp set {found.slide_id} " in failure.remedy


def test_no_two_contents_are_one_slide(passage):
    ids = [
        passage.ingested[case.name].found[0].slide_id
        for case in CASES
        if case.registered == READ and case.run and not case.is_good
    ]
    assert len(set(ids)) == len(ids)


def test_white_glass_has_no_patches_and_is_no_failure(passage):
    [found] = passage.ingested["white.svs"].found
    facts = [step.artifact.facts for step in passage.outcomes[found.slide_id].steps]
    assert facts[0]["tissue_mm2"] == 0
    assert facts[2]["n_patches"] == 0


def test_a_scan_of_the_whole_folder_ends_and_lists_every_slide_once(corpus):
    found = find_files([corpus])
    assert len(set(found)) == len(found)
    expected = {
        corpus / case.name
        for case in CASES
        if case.name not in {"sub/parent", "folder_link", "folder.svs", "noext", ".hidden.svs"}
    }
    assert expected <= set(found)
    assert not [path for path in found if "parent" in path.parts]


@pytest.mark.usefixtures("here")
def test_a_slide_without_a_resolution_is_flagged_as_it_is_registered(platform, tmp_path, caplog):
    paths = {case.name: tmp_path / case.name for case in CASES if case.name.startswith("mpp_v")}
    [(name, path)] = paths.items()
    next(case for case in CASES if case.name == name).make(path)
    with caplog.at_level(logging.WARNING):
        [found] = ingest(platform, [path])
        assert found.state == "new"
        assert f"{path}: micrometres per pixel does not fit objective power 2 (" in caplog.text
        assert f"pathassets mpp set {found.slide_id}" in caplog.text
        caplog.clear()
        path.touch()
        [again] = ingest(platform, [path])
    assert again.state == "known"
    assert caplog.text == ""


@contextmanager
def another_person():
    """Be someone who owns nothing, where the tests are run by root."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.fixture
def open_folder():
    """A folder that everybody may read."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / GOOD).write_bytes(good())
        (folder / GOOD).chmod(0o644)
        (folder / "forbidden.svs").write_bytes(good())
        (folder / "forbidden.svs").chmod(0)
        (folder / "closed").mkdir()
        (folder / "closed" / "a.svs").write_bytes(good())
        (folder / "closed").chmod(0)
        yield folder
        (folder / "closed").chmod(0o700)


@pytest.mark.parametrize("name", ["forbidden.svs", "closed/a.svs"])
def test_what_one_may_not_read_says_so(open_folder, name):
    path = open_folder / name
    with another_person():
        with open_slide(open_folder / GOOD) as slide:
            assert slide.info.width_px0
        with pytest.raises(SlideUnreadable, match="permission denied") as e:
            open_slide(path)
        assert e.value.reason == "no_permission"
        assert e.value.remedy
        assert find_files([path]) == [path]
        found = inspect_file(InspectionTask(place=0, path=path))
    assert isinstance(found, NoSlide)
    assert found.error.reason == "no_permission"


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    path = tmp_path / ("x" * 300 + ".svs")
    with pytest.raises(SlideUnreadable, match="name too long"):
        open_slide(path)
    assert isinstance(inspect_file(InspectionTask(place=0, path=path)), NoSlide)


def test_a_file_that_is_cut_while_it_is_open_reads_what_is_left(tmp_path):
    path = tmp_path / GOOD
    path.write_bytes(good())
    with open_slide(path) as slide:
        before = slide.read_region(0, 0, width_px=64, height_px=64)
        os.truncate(path, 60_000)
        assert np.array_equal(slide.read_region(0, 0, width_px=64, height_px=64), before)
        with pytest.raises(TileUnreadable, match="beyond the end of the file") as e:
            slide.read_region(0, 436, width_px=600, height_px=64)
        assert "cut short" in e.value.remedy
    with pytest.raises(SlideUnreadable) as cut:
        open_slide(path)
    assert cut.value.reason == "truncated"


def test_a_slide_may_be_replaced_by_a_pipe_between_two_looks(tmp_path):
    path = tmp_path / GOOD
    path.write_bytes(good())
    with open_slide(path) as slide:
        path.unlink()
        os.mkfifo(path)
        assert slide.read_region(**REGION).shape == (200, 300, 3)
    with pytest.raises(PathAssetsError) as e:
        open_slide(path)
    assert e.value.reason == "not_a_file"


@pytest.fixture(scope="module")
def their_corpus(shared, tmp_path_factory):
    """The slides of `make_bad.py`, of its own good one."""
    pytest.importorskip("scipy")
    folder = tmp_path_factory.mktemp("theirs")
    run_tool(shared / "tools" / "make_slide.py", folder / "a.svs", "--seed", "7", "--quiet")
    run_tool(shared / "tools" / "make_bad.py", folder / "a.svs", folder / "bad", "--fifo")
    return folder / "bad"


def run_tool(*words: object) -> None:
    subprocess.run([sys.executable, *map(str, words)], check=True, capture_output=True)  # noqa: S603


@pytest.mark.slow
def test_the_sixty_nine_slides_of_make_bad_end_as_ours_do(their_corpus, tmp_path):
    names = [row["name"] for row in json.loads((their_corpus / "manifest.json").read_text())]
    assert len(names) == 69
    cases = {case.name: case for case in CASES}
    names = [name for name in names if name in cases]
    assert len(names) == 68  # all but the good one
    expected = region_by_openslide(their_corpus / GOOD)
    visits = visit_all(their_corpus, names)
    passage = pass_through(their_corpus, names, tmp_path)
    for name in names:
        case = cases[name]
        if case.for_others and os.geteuid() == 0:
            continue
        found = visits[name]
        assert found.opened == case.opened, name
        assert bool(found.remedy) == (case.opened != READ or case.run == "tile_unreadable"), name
        assert np.array_equal(found.after, expected), name
        assert end_of(passage, name) == (case.registered, case.run), name


def end_of(passage: Passage, name: str) -> tuple[str, str]:
    """Reason of the refusal or `read`; reason of the run's failure or `made`."""
    ingested = passage.ingested[name]
    if ingested.refused:
        return ingested.refused, ""
    if len(ingested.found) > 1:
        return READ, ""
    [found] = ingested.found
    if found.error is not None:
        assert found.error.remedy
        return found.error.reason, ""
    failure = passage.outcomes[found.slide_id].failure
    return READ, failure.reason if failure else MADE
