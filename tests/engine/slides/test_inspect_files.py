import logging
from contextlib import closing

import pytest

from pathassets.adapters.files import fingerprint_of, stamp_of
from pathassets.adapters.tifffile import corrupt_tile
from pathassets.engine.slides import inspect_files as inspect_module
from pathassets.engine.slides.inspect_files import (
    FileInspection,
    InspectionTask,
    NoSlide,
    inspect_file,
    inspect_files,
)
from pathassets.engine.workers.pool import LocalWorkers
from pathassets.errors import WorkerLost
from tests.engine.look_tasks import note
from tests.engine.pool_tasks import workers_now


def files_in(folder, *names):
    return [folder / name for name in names]


def answer_none(_path):
    return None


def noted(files, answer=answer_none, n_workers=2):
    workers = LocalWorkers(n_workers=n_workers, timeout_s=60)
    return inspect_files(workers, files, answer, look=note)


def n_seen_by(found):
    return int(found.fact)


def test_a_look_tells_what_a_slide_is(make_slide):
    path = make_slide()
    found = inspect_file(InspectionTask(place=0, path=path))
    assert isinstance(found, FileInspection)
    assert found.stamp == stamp_of([path])
    assert found.fingerprint == fingerprint_of([path])
    assert (found.info.width_px0, found.info.height_px0, found.info.audit.mpp) == (600, 500, 0.5)
    assert found.thumbnail.startswith(b"\xff\xd8")
    assert found.thumbnail_problem == ""


def test_a_look_at_what_is_no_slide_tells_why(tmp_path):
    path = tmp_path / "text.svs"
    path.write_text("no slide")
    found = inspect_file(InspectionTask(place=0, path=path))
    assert isinstance(found, NoSlide)
    assert found.error.reason == "not_a_slide"


def test_a_slide_whose_picture_cannot_be_made_is_a_slide(make_slide):
    path = make_slide()
    corrupt_tile(path, level=0, tile_index=34)
    found = inspect_file(InspectionTask(place=0, path=path))
    assert found.thumbnail is None
    assert str(path) in found.thumbnail_problem


def test_a_file_that_changes_while_it_is_read_is_no_slide_yet(make_slide, monkeypatch):
    path = make_slide()
    real = inspect_module.fingerprint_of

    def read_and_disturb(members):
        found = real(members)
        with path.open("ab") as file:
            file.write(b"more")
        return found

    monkeypatch.setattr(inspect_module, "fingerprint_of", read_and_disturb)
    found = inspect_file(InspectionTask(place=0, path=path))
    assert found.error.reason == "slide_changed"
    assert "once it is whole" in found.error.remedy


def test_a_slow_file_holds_back_none_of_the_next_that_there_is_memory_for(tmp_path, monkeypatch):
    monkeypatch.setattr(inspect_module, "AHEAD", 4)
    files = files_in(tmp_path, "slow", *"abcdefgh")
    found = list(noted(files))
    assert [path for path, _ in found] == files
    assert 4 <= n_seen_by(found[0][1]) <= 4 + 2


def test_what_is_known_is_not_looked_at_and_what_is_given_twice_has_two_places(tmp_path):
    files = files_in(tmp_path, *"abcdefgh", "b")
    known = {path: path.name.upper() for path in files[:8:2]}
    found = list(noted(files, known.get, n_workers=1))
    assert [path for path, _ in found] == files
    assert [said for _, said in found[:8:2]] == list("ACEG")
    assert sorted(p.stem for p in tmp_path.glob("*.seen")) == list("bdfh")


def test_where_all_is_known_no_worker_is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(inspect_module, "AHEAD", 3)
    files = files_in(tmp_path, *"abcdefgh")
    asked = []

    class Idle:
        def imap(self, fn, items, **_):
            asked.extend((fn, item) for item in items)
            yield from ()

    found = list(inspect_files(Idle(), files, lambda path: path.name))
    assert found == [(path, path.name) for path in files]
    assert asked == []


def test_files_are_asked_about_as_they_are_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(inspect_module, "AHEAD", 4)
    files = files_in(tmp_path, *(str(i) for i in range(100)))
    asked = []
    with closing(noted(files, lambda path: asked.append(path) or "known")) as found:
        next(found)
    assert len(asked) <= 4


@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_look_that_kills_its_worker_or_raises_costs_that_file_alone(tmp_path, n_workers, caplog):
    files = files_in(tmp_path, "a", "dies", "b", "raises", "c")
    with caplog.at_level(logging.ERROR):
        found = dict(noted(files, n_workers=n_workers))
    assert list(found) == files
    lost, fault = found.pop(tmp_path / "dies"), found.pop(tmp_path / "raises")
    assert isinstance(lost, WorkerLost)
    assert lost.message == f"{tmp_path / 'dies'}: worker process ended with code -9"
    assert lost.remedy
    assert fault.reason == "unexpected"
    assert fault.message == f"{tmp_path / 'raises'}: ZeroDivisionError: by zero"
    assert "report it" in fault.remedy
    assert "by zero" in caplog.text
    assert "Traceback" in caplog.text
    assert [said.path for said in found.values()] == [str(path) for path in found]
    assert all(n_seen_by(said) >= 1 for said in found.values())


@pytest.mark.timeout(60)
def test_closing_it_ends_the_workers(tmp_path):
    files = files_in(tmp_path, "a", "slow", *"bcdefgh")
    found = noted(files, n_workers=1)
    assert next(found)[0].name == "a"
    workers = workers_now()
    assert workers
    for worker in workers:
        worker.suspend()  # it would never finish what it does
    found.close()
    assert workers_now() == []
