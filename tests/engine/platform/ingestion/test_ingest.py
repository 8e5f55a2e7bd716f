import hashlib
import logging
import os
import shutil
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from pathassets.adapters.files import stamp_of
from pathassets.adapters.tifffile import PyramidSpec, corrupt_tile
from pathassets.catalog.records import ChangedBy, CohortFacts
from pathassets.core.slides.slide import resolution_error
from pathassets.engine.platform.ingestion.cohort_table import Cohort, CohortRow, read_cohort
from pathassets.engine.platform.ingestion.ingest import find_files, ingest
from pathassets.engine.platform.plan import plan_slides, recorded_stamp
from pathassets.engine.workers import calls
from pathassets.errors import CatalogError, SpecError
from tests.engine.pool_tasks import workers_now
from tests.engine.workers_here import workers_here

HUGE_BYTES = 2**38


def register(platform, *paths, rows=(), scheme="stem"):
    cohort = Cohort(tuple(rows), str(platform.settings.home / "cohort.csv"))
    return list(ingest(platform, list(paths), cohort=cohort, scheme=scheme))


@pytest.fixture
def no_workers(monkeypatch):
    """Let nothing start a worker."""

    def start_none(*_args, **_how):
        pytest.fail("a worker is started")

    @contextmanager
    def forbidding():
        with monkeypatch.context() as patch:
            patch.setattr(calls, "start_worker", start_none)
            yield

    return forbidding


@pytest.fixture
def make_huge(make_slide):
    """A slide that takes minutes to hash and no room: the zeros behind it are not stored."""

    def make(name):
        path = make_slide(name, seed=99)
        os.truncate(path, path.stat().st_size + HUGE_BYTES)
        return path

    return make


def kill_reader(path, within_s=60):
    """Kill the worker that has a file open."""
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        for worker in workers_now():
            if any(str(path) == file.path for file in worker.open_files()):
                worker.kill()
                return
        time.sleep(0.02)


def states(found):
    return [one.state for one in found]


def paths_of(platform, slide_id):
    return {p.path for p in platform.catalog.paths(slide_id)}


def test_a_new_slide_is_registered_with_its_facts(platform, make_slide):
    path = make_slide("S 12.svs")
    [found] = register(platform, path)
    assert (found.state, found.path, found.error) == ("new", path, None)
    record = platform.catalog.slide(found.slide_id)
    assert found.slide_id == f"S_12-{record.fingerprint[:10]}"
    assert (record.width_px0, record.height_px0, record.n_levels) == (600, 500, 2)
    assert (record.mpp, record.vendor, record.objective_power) == (0.5, "aperio", 20)
    assert record.size_bytes == path.stat().st_size
    assert platform.catalog.find_thumbnail(found.slide_id).startswith(b"\xff\xd8")
    assert paths_of(platform, found.slide_id) == {str(path)}


def test_registrations_come_in_the_order_of_the_files(platform, make_slide, tmp_path):
    (tmp_path / "text.svs").write_text("no slide")
    paths = [make_slide("b.svs"), tmp_path / "text.svs", make_slide("a.svs", seed=1)]
    found = register(platform, *paths)
    assert [one.path for one in found] == paths
    assert states(found) == ["new", "refused", "new"]


@pytest.mark.usefixtures("here")
def test_doing_it_again_changes_nothing(platform, make_slide):
    [first] = register(platform, make_slide())
    before = (platform.catalog.slides(), platform.catalog.all_paths())
    [again] = register(platform, first.path)
    assert (again.state, again.slide_id) == ("known", first.slide_id)
    assert (platform.catalog.slides(), platform.catalog.all_paths()) == before


def test_files_that_look_as_before_are_not_read_again_and_start_no_worker(
    platform, make_slide, no_workers
):
    paths = [make_slide("a.svs"), make_slide("b.svs", seed=1)]
    with workers_here():
        first = register(platform, *paths)
    with no_workers():
        again = register(platform, *paths)
    assert states(again) == ["known"] * 2
    assert [one.slide_id for one in again] == [one.slide_id for one in first]


@pytest.mark.usefixtures("here")
def test_other_content_under_the_old_time_is_noticed(platform, make_slide):
    path = make_slide()
    [old] = register(platform, path)
    stat = path.stat()
    corrupt_tile(path, level=0, tile_index=34)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    [new] = register(platform, path)
    assert new.state == "new"
    assert new.slide_id != old.slide_id


def test_a_file_whose_permissions_changed_is_looked_at_once_more(platform, make_slide, no_workers):
    path = make_slide()
    with workers_here():
        [first] = register(platform, path)
    path.chmod(0o600)
    for context in (workers_here(), no_workers()):
        with context:
            [again] = register(platform, path)
        assert (again.state, again.slide_id) == ("known", first.slide_id)
    assert recorded_stamp(platform.catalog.find_path(str(path))) == stamp_of([path])


@pytest.mark.usefixtures("here")
def test_the_same_content_under_two_names_is_one_slide_with_two_paths(platform, make_slide):
    path = make_slide("a.svs")
    copy = Path(shutil.copyfile(path, path.with_name("other.svs")))
    found = register(platform, path, copy)
    assert states(found) == ["new", "known"]
    assert found[0].slide_id == found[1].slide_id
    assert paths_of(platform, found[0].slide_id) == {str(path), str(copy)}
    assert len(platform.catalog.slides()) == 1


@pytest.mark.usefixtures("here")
def test_two_files_of_the_same_name_are_two_slides(platform, make_slide):
    found = register(platform, make_slide("one/x.svs"), make_slide("two/x.svs", seed=1))
    assert states(found) == ["new", "new"]
    assert len({one.slide_id for one in found}) == 2
    assert all(one.slide_id.startswith("x-") for one in found)


@pytest.mark.usefixtures("here")
def test_a_file_whose_content_changed_is_another_slide(platform, make_slide):
    [old] = register(platform, make_slide(seed=0))
    [new] = register(platform, make_slide(seed=1))
    assert new.state == "new"
    assert new.slide_id != old.slide_id
    assert paths_of(platform, old.slide_id) == set()
    assert paths_of(platform, new.slide_id) == {str(new.path)}
    planned = {p.slide_id: p for p in plan_slides(platform)}
    assert planned[old.slide_id].paths == ()


@pytest.mark.usefixtures("here")
def test_a_file_that_was_only_touched_stays_the_slide_it_was(platform, make_slide):
    path = make_slide()
    [old] = register(platform, path)
    os.utime(path, (5, 5))
    [new] = register(platform, path)
    assert (new.state, new.slide_id) == ("known", old.slide_id)
    assert platform.catalog.find_path(str(path)).mtime_ns == 5 * 10**9


@pytest.mark.usefixtures("here")
def test_a_slide_that_lost_its_file_gets_it_back_under_another_name(platform, make_slide):
    path = make_slide()
    [old] = register(platform, path)
    moved = path.rename(path.with_name("moved.svs"))
    [new] = register(platform, moved)
    assert (new.state, new.slide_id) == ("known", old.slide_id)
    assert paths_of(platform, old.slide_id) == {str(path), str(moved)}


@pytest.mark.usefixtures("here")
def test_a_slide_without_a_resolution_is_registered_and_says_so(platform, make_slide, caplog):
    [found] = register(platform, make_slide(spec=PyramidSpec(mpp=None)))
    record = platform.catalog.slide(found.slide_id)
    assert (found.state, record.mpp) == ("new", None)
    assert record.resolution_reason == "resolution_missing"
    assert "no micrometres per pixel" in record.resolution_message
    error = resolution_error(found.slide_id, record.resolution_reason, record.resolution_message)
    command = error.remedy.removeprefix("State it once you know it: ")
    assert command.startswith(f"pathassets mpp set {found.slide_id} MPP --who ")
    assert caplog.messages[-1].endswith(command)  # what a run says, too


@pytest.mark.usefixtures("here")
def test_a_slide_with_a_corrupt_tile_is_registered_without_a_picture(platform, make_slide, caplog):
    path = make_slide()
    [found] = register(platform, path)
    picture = platform.catalog.find_thumbnail(found.slide_id)
    assert picture
    bad = make_slide("bad.svs", seed=1)
    corrupt_tile(bad, level=0, tile_index=34)
    with caplog.at_level(logging.WARNING):
        [found_bad] = register(platform, bad)
    assert found_bad.state == "new"
    assert platform.catalog.find_thumbnail(found_bad.slide_id) is None
    assert "no thumbnail" in caplog.text


@pytest.mark.usefixtures("here")
def test_what_is_no_slide_is_refused_with_its_reason(platform, tmp_path):
    (tmp_path / "text.svs").write_text("no slide")
    (tmp_path / "empty.svs").touch()
    (tmp_path / "link.svs").symlink_to(tmp_path / "nowhere.svs")
    os.mkfifo(tmp_path / "pipe.svs")
    (tmp_path / "a.dcm").write_bytes(bytes(128) + b"DICM")
    found = register(platform, *find_files([tmp_path]))
    reasons = {one.path.name: one.error.reason for one in found}
    assert states(found) == ["refused"] * 5
    assert reasons == {
        "a.dcm": "pipe_beside",
        "empty.svs": "empty_file",
        "link.svs": "dangling_link",
        "pipe.svs": "not_a_file",
        "text.svs": "not_a_slide",
    }
    assert {Path(r.path).name: r.reason for r in platform.catalog.rejected_files()} == reasons
    assert all(r.remedy for r in platform.catalog.rejected_files())
    assert platform.catalog.slides() == []


@pytest.mark.usefixtures("here")
def test_a_refusal_is_forgotten_once_the_file_is_mended(platform, make_slide):
    path = make_slide()
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert states(register(platform, path)) == ["refused"]
    path.write_bytes(whole)
    assert states(register(platform, path)) == ["new"]
    assert platform.catalog.rejected_files() == []


@pytest.mark.usefixtures("here")
def test_a_refusal_is_forgotten_once_a_known_file_is_back(platform, make_slide):
    path = make_slide()
    link = path.with_name("link.svs")
    link.symlink_to(path)
    assert states(register(platform, link)) == ["new"]
    path.rename(path.with_name("away.svs"))
    assert states(register(platform, link)) == ["refused"]
    assert [r.reason for r in platform.catalog.rejected_files()] == ["dangling_link"]
    path.with_name("away.svs").rename(path)
    assert states(register(platform, link)) == ["known"]
    assert platform.catalog.rejected_files() == []


def test_a_name_that_is_not_utf_8_is_refused_and_can_be_shown(platform, make_slide):
    path = make_slide()
    odd = path.rename(path.with_name(os.fsdecode(b"pr\xe4parat.svs")))
    [found] = register(platform, *find_files([odd.parent]))
    assert (found.state, found.error.reason) == ("refused", "bad_name")
    assert str(found.path).endswith("pr\\xe4parat.svs")
    assert str(found.error).encode()
    assert [r.path for r in platform.catalog.rejected_files()] == [str(found.path)]


def test_a_file_whose_look_dies_is_refused_and_the_next_are_registered(
    reopen, make_slide, make_huge
):
    platform = reopen(n_workers=1)
    deadly = make_huge("deadly.svs")
    killer = threading.Thread(target=kill_reader, args=(deadly,))
    killer.start()
    found = register(platform, deadly, make_slide("a.svs"), make_slide("b.svs", seed=1))
    killer.join()
    assert states(found) == ["refused", "new", "new"]
    assert_lost(platform, found[0], "worker process ended with code -9")


@pytest.mark.slow
def test_a_file_whose_look_takes_too_long_is_refused_until_it_does_not(
    reopen, make_slide, make_huge
):
    platform = reopen(n_workers=1, slide_timeout_s=10.0)  # within which a worker has to start, too
    long = make_huge("long.svs")
    found = register(platform, long, make_slide("a.svs"))
    assert states(found) == ["refused", "new"]
    assert_lost(platform, found[0], "no result within 10 s")
    os.truncate(long, long.stat().st_size % HUGE_BYTES)
    with workers_here():
        assert states(register(platform, long)) == ["new"]
    assert platform.catalog.rejected_files() == []


def assert_lost(platform, found, said):
    assert found.error.message == f"{found.path}: {said}"
    [kept] = platform.catalog.rejected_files()
    assert (Path(kept.path), kept.reason) == (found.path, "worker_lost")
    assert (kept.message, kept.remedy) == (found.error.message, found.error.remedy)
    assert kept.size_bytes == found.path.stat().st_size
    assert kept.remedy
    assert workers_now() == []


@pytest.mark.usefixtures("here")
def test_the_cohort_table_gives_patient_label_and_mpp(platform, make_slide):
    row = CohortRow(file="a.svs", patient="p1", label="tumour", mpp=0.25)
    [found] = register(platform, make_slide(), rows=[row])
    record = platform.catalog.slide(found.slide_id)
    assert (record.patient, record.label) == ("p1", "tumour")
    assert platform.catalog.overrides()[found.slide_id].mpp == 0.25
    table = str(platform.settings.home / "cohort.csv")
    assert platform.catalog.overrides()[found.slide_id].why == table
    assert plan_slides(platform)[0].slide_mpp == 0.25


@pytest.mark.usefixtures("here")
@pytest.mark.usefixtures("here")
def test_what_the_cohort_table_says_goes_into_the_history_with_the_file(platform, make_slide):
    path = make_slide("a.svs")
    table = platform.settings.home / "cohort.csv"
    table.write_text("file,patient,label,mpp\na.svs,P1,x,0.25\n")
    for _ in range(2):
        [found] = ingest(platform, [path], cohort=read_cohort(table))
    history = platform.catalog.cohort_history(found.slide_id)
    said = {(one.change.field, one.change.old, one.change.new) for one in history}
    assert said == {("patient", None, "P1"), ("label", None, "x"), ("mpp", "0.5", "0.25")}
    sha256 = hashlib.sha256(table.read_bytes()).hexdigest()
    by = ChangedBy(who="cohort table", file=str(table), sha256=sha256)
    assert [one.by for one in history] == [by] * 3


def test_a_slide_s_scanner_is_what_its_file_says(platform, shared):
    [found] = register(platform, shared / "slides" / "CMU-1-Small-Region.svs")
    record = platform.catalog.slide(found.slide_id)
    assert (record.scanner, record.stain) == ("Aperio CPAPERIOCS", None)


def test_the_cohort_table_may_come_later_and_erases_nothing(platform, make_slide):
    [found] = register(platform, make_slide())
    register(platform, found.path, rows=[CohortRow(file="a.svs", patient="p1", mpp=0.25)])
    [again] = register(platform, found.path, rows=[CohortRow(file="a.svs", label="tumour")])
    record = platform.catalog.slide(found.slide_id)
    assert again.state == "known"
    assert (record.patient, record.label) == ("p1", "tumour")
    assert platform.catalog.overrides()[found.slide_id].mpp == 0.25


@pytest.mark.usefixtures("here")
def test_the_same_mpp_is_stated_once_and_another_one_again(platform, make_slide):
    path = make_slide()
    for mpp in (0.25, 0.25, 0.3):
        [found] = register(platform, path, rows=[CohortRow(file="a.svs", mpp=mpp)])
    assert [o.mpp for o in platform.catalog.mpp_history(found.slide_id)] == [0.3, 0.25]


@pytest.mark.usefixtures("here")
def test_one_line_never_labels_two_slides(platform, make_slide):
    paths = [make_slide("one/x.svs"), make_slide("two/x.svs", seed=1)]
    with pytest.raises(SpecError, match=r"cohort\.csv: x\.svs fits two slides") as e:
        register(platform, *paths, rows=[CohortRow(file="x.svs", label="tumour")])
    assert "more of the path" in e.value.remedy
    rows = [CohortRow(file="one/x.svs", label="1"), CohortRow(file="two/x.svs", label="2")]
    found = register(platform, *paths, rows=rows)
    assert [platform.catalog.slide(one.slide_id).label for one in found] == ["1", "2"]


@pytest.mark.usefixtures("here")
def test_one_line_may_fit_two_copies_of_a_slide(platform, make_slide):
    path = make_slide("one/x.svs")
    (path.parent.parent / "two").mkdir()
    copy = Path(shutil.copyfile(path, path.parent.parent / "two" / "x.svs"))
    found = register(platform, path, copy, rows=[CohortRow(file="x.svs", label="tumour")])
    assert states(found) == ["new", "known"]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("changed", [{"patient": "p2"}, {"label": "normal"}, {"mpp": 0.3}])
def test_two_lines_about_copies_of_one_slide_do_not_contradict_each_other(
    platform, make_slide, changed
):
    path = make_slide()
    paths = [path, *(Path(shutil.copyfile(path, path.with_name(f"{i}.svs"))) for i in range(2))]
    rows = [CohortRow(file="0.svs"), CohortRow(file="a.svs", patient="p1", label="x", mpp=0.25)]
    last = {"patient": "p1", "label": "x", "mpp": 0.25}
    register(platform, *paths, rows=[*rows, CohortRow(file="1.svs", **last)])
    said = rf"cohort\.csv: 1\.svs has the same content as a\.svs, and another {next(iter(changed))}"
    with pytest.raises(SpecError, match=said):
        register(platform, *paths, rows=[*rows, CohortRow(file="1.svs", **last | changed)])


@pytest.fixture
def unfit(settings):
    """Where lines that fit no file are written."""
    return settings.home / "cohort.unfit.csv"


@pytest.mark.usefixtures("here")
def test_a_line_may_leave_out_the_suffix_where_it_fits_one_slide(platform, make_slide):
    paths = [make_slide("a.svs"), make_slide("b.svs", seed=1), make_slide("b.tif", seed=2)]
    [found, _, _] = register(platform, *paths, rows=[CohortRow(file="a", patient="p1")])
    assert platform.catalog.slide(found.slide_id).patient == "p1"
    with pytest.raises(SpecError, match=r"cohort\.csv: b fits two slides") as e:
        register(platform, *paths, rows=[CohortRow(file="b", patient="p2")])
    assert "its suffix" in e.value.remedy


@pytest.mark.usefixtures("here")
def test_lines_that_fit_no_file_are_told_a_few_in_the_log_and_all_in_a_file(
    platform, make_slide, unfit, caplog
):
    path = make_slide()
    fitting = CohortRow(file="a.svs")
    rows = [CohortRow(file=f"no {i}.svs", label="x,y", line=i) for i in range(2, 45)]
    with caplog.at_level(logging.WARNING):
        register(platform, path, rows=[fitting, *rows])
    assert (
        "lines fit none of the files given, and no known one: 'no 2.svs', 'no 3.svs'" in caplog.text
    )
    assert f"'no 6.svs', …; all of them: {unfit}" in caplog.text
    lines = unfit.read_text().splitlines()
    assert lines[0] == "line,file,patient,label,mpp,slide_id"
    assert lines[1:] == [f'{i},no {i}.svs,,"x,y",,' for i in range(2, 45)]
    assert unfit.stat().st_mode & 0o077 == 0
    assert read_cohort(unfit).rows == tuple(rows)
    register(platform, path, rows=[fitting])
    assert not unfit.exists()


@pytest.mark.usefixtures("here")
def test_a_line_that_another_says_more_of_is_told_with_it_and_is_not_called_unfit(
    platform, make_slide, unfit, caplog
):
    rows = [
        CohortRow(file="a.svs", patient="p1", line=2),
        CohortRow(file="a", patient="p2", line=3),
    ]
    register(platform, make_slide(), rows=rows)
    assert "'a' is passed over: 'a.svs', in line 2, says more of the same file" in caplog.text
    assert "fit none" not in caplog.text
    assert not unfit.exists()
    assert [record.patient for record in platform.catalog.slides()] == ["p1"]


@pytest.mark.usefixtures("here")
def test_a_link_or_a_file_of_somebody_in_the_place_of_the_list_is_let_be(
    platform, make_slide, unfit, tmp_path
):
    path = make_slide()
    own = tmp_path / "own.csv"
    own.write_text("mine")
    unfit.symlink_to(own)
    register(platform, path, rows=[CohortRow(file="a.svs")])
    assert unfit.is_symlink()
    register(platform, path, rows=[CohortRow(file="a.svs"), CohortRow(file="no.svs")])
    assert not unfit.is_symlink()
    assert own.read_text() == "mine"
    unfit.write_text("mine")
    register(platform, path, rows=[CohortRow(file="a.svs")])
    assert unfit.read_text() == "mine"


@pytest.mark.usefixtures("here")
def test_the_list_is_in_the_home_where_nothing_can_be_written_beside_the_table(
    platform, make_slide, unfit, caplog
):
    cohort = Cohort((CohortRow(file="a.svs"), CohortRow(file="no.svs")), "/proc/cohort.csv")
    with caplog.at_level(logging.WARNING):
        list(ingest(platform, [make_slide()], cohort=cohort))
    assert f"all of them: {unfit}" in caplog.text
    assert "no.svs" in unfit.read_text()


def test_a_table_of_which_no_line_fits_is_refused_before_a_file_is_looked_at(
    platform, make_slide, no_workers
):
    with (
        no_workers(),
        pytest.raises(
            SpecError, match=r"none of its lines fits a file, such as 'b\.svs'; .*a\.svs"
        ),
    ):
        register(platform, make_slide(), rows=[CohortRow(file="b.svs")])
    assert platform.catalog.slides() == []


@pytest.mark.usefixtures("here")
def test_a_line_about_a_file_that_is_refused_is_not_called_unfit(
    platform, make_slide, tmp_path, unfit, caplog
):
    (tmp_path / "text.svs").write_text("no slide")
    rows = [CohortRow(file="a.svs"), CohortRow(file="text.svs", patient="p2")]
    found = register(platform, make_slide(), tmp_path / "text.svs", rows=rows)
    assert states(found) == ["new", "refused"]
    assert "fit none" not in caplog.text
    assert not unfit.exists()


@pytest.mark.usefixtures("here")
def test_a_line_about_a_file_that_was_registered_or_refused_before_is_not_called_unfit(
    platform, make_slide, tmp_path, unfit, caplog
):
    (tmp_path / "text.svs").write_text("no slide")
    register(platform, make_slide("a.svs"), tmp_path / "text.svs")
    caplog.clear()
    rows = [CohortRow(file=name) for name in ("a.svs", "text.svs", "b.svs", "c.svs")]
    register(platform, make_slide("b.svs", seed=1), rows=rows)
    assert "1 of 4 lines fit none of the files given, and no known one: 'c.svs'" in caplog.text
    assert [row.file for row in read_cohort(unfit).rows] == ["c.svs"]


@pytest.mark.usefixtures("here")
def test_a_patient_that_an_earlier_table_wrote_in_another_way_is_told(platform, make_slide, caplog):
    paths = [make_slide("a.svs"), make_slide("b.svs", seed=1)]
    register(platform, *paths, rows=[CohortRow(file="a.svs", patient="P1", label="x")])
    caplog.clear()
    register(platform, *paths, rows=[CohortRow(file="b.svs", patient="p 1", label="x")])
    said = "patient 'p 1' is taken as another one than 'P1', which is in the catalog"
    assert said in caplog.text
    caplog.clear()
    [a, _] = register(platform, *paths)
    platform.catalog.set_cohort_facts([CohortFacts(slide_id=a.slide_id, patient="p 1", label=None)])
    rows = [CohortRow(file=name, patient="p 1") for name in ("a.svs", "b.svs")]
    register(platform, *paths, rows=rows)
    assert caplog.text == ""


@pytest.mark.usefixtures("here")
def test_a_file_that_was_only_touched_is_no_other_file_of_its_slide(platform, make_slide):
    path = make_slide("a.svs")
    copy = Path(shutil.copy(path, path.with_name("copy.svs")))
    [one] = register(platform, path)
    path.touch()
    seen = [*register(platform, path), *register(platform, copy)]
    assert states(seen) == ["known", "known"]
    assert [one.note for one in seen] == ["", f"known, another file of {one.slide_id}"]


def note_each(registrations, seen):
    """Note them up to what is raised."""
    for one in registrations:
        seen.append(one)


@pytest.mark.usefixtures("here")
def test_a_table_moves_no_slide_to_another_patient_and_what_else_it_changes_is_told(
    platform, make_slide, tmp_path
):
    paths = [make_slide("a.svs"), make_slide("b.svs", seed=1)]
    rows = [CohortRow(file=name, patient="P1", label="x") for name in ("a.svs", "b.svs")]
    register(platform, *paths, rows=rows)
    table_file = tmp_path / "new table.csv"
    table_file.touch()
    table = Cohort(
        rows=(
            CohortRow(file="a.svs", patient="P9", label="y", line=2),
            CohortRow(file="b.svs", patient="P1", label="y", line=3),
            CohortRow(file="nowhere.svs", patient="P2", line=4),
        ),
        source=str(table_file),
    )
    seen = []
    with pytest.raises(
        SpecError, match=r"new table.csv:2: slide a-\w+ is of patient 'P1', and"
    ) as e:
        note_each(ingest(platform, paths, cohort=table), seen)
    assert f"pathassets cohort import '{table_file}' --move-patients" in e.value.remedy
    assert "nowhere.svs" in table_file.with_suffix(".unfit.csv").read_text()
    assert [one.note for one in seen] == [str(e.value), "label 'x' is 'y' now"]
    records = [platform.catalog.slide(one.slide_id) for one in seen]
    assert [(one.patient, one.label) for one in records] == [("P1", "x"), ("P1", "y")]


@pytest.mark.usefixtures("here")
def test_lines_that_contradict_each_other_state_nothing_and_all_files_are_registered(
    platform, make_slide
):
    paths = [make_slide("a.svs"), make_slide("b.svs"), make_slide("c.svs", seed=1)]
    table = Cohort(
        rows=tuple(
            CohortRow(file=f"{name}.svs", patient=f"P{name}", line=n)
            for n, name in enumerate("abc", 2)
        ),
        source="t.csv",
    )
    seen = []
    with pytest.raises(SpecError, match=r"t.csv:3: b.svs has the same content as a.svs"):
        note_each(ingest(platform, paths, cohort=table), seen)
    assert states(seen) == ["new", "known", "new"]
    assert platform.catalog.slide(seen[2].slide_id).patient == "Pc"


@pytest.mark.usefixtures("here")
def test_the_hash_scheme_keeps_file_names_out_of_ids(platform, make_slide):
    [found] = register(platform, make_slide("Doe_Jane.svs"), scheme="hash")
    assert found.slide_id == platform.catalog.slide(found.slide_id).fingerprint[:10]


@pytest.mark.usefixtures("here")
def test_the_manifest_scheme_takes_the_id_of_the_table(platform, make_slide):
    row = CohortRow(file="a.svs", slide_id="B12.3-HE")
    [found] = register(platform, make_slide(), rows=[row], scheme="manifest")
    assert found.slide_id == "B12.3-HE"


@pytest.mark.usefixtures("here")
def test_a_slide_that_the_table_gives_no_id_is_refused(platform, make_slide):
    with pytest.raises(SpecError, match=r"a\.svs: the cohort table gives no slide_id for it"):
        register(platform, make_slide(), rows=[CohortRow(file="a.svs")], scheme="manifest")


@pytest.mark.parametrize(
    "slide_id",
    ["-rf", "--help", "a/b", "..", "../x", ".hidden", "a b", "a\n", "\x1b[31m", "ü", "x" * 201],
)
def test_an_id_of_the_table_that_cannot_be_used_is_refused_with_its_line(
    platform, make_slide, no_workers, slide_id
):
    rows = [CohortRow(file="b.svs", slide_id="B1", line=2)]
    rows += [CohortRow(file="a.svs", slide_id=slide_id, line=3)]
    said = r"cohort\.csv:3: slide_id '.*' cannot name a folder"
    with no_workers(), pytest.raises(SpecError, match=said) as e:
        register(platform, make_slide(), make_slide("b.svs"), rows=rows, scheme="manifest")
    assert str(e.value).isprintable()
    assert e.value.remedy
    assert platform.catalog.slides() == []


@pytest.mark.usefixtures("here")
def test_one_id_is_never_given_to_two_slides(platform, make_slide):
    rows = [CohortRow(file="a.svs", slide_id="S1"), CohortRow(file="b.svs", slide_id="S1")]
    paths = [make_slide("a.svs"), make_slide("b.svs", seed=1)]
    with pytest.raises(CatalogError, match=rf"b\.svs: {paths[0]} has its id S1"):
        register(platform, *paths, rows=rows, scheme="manifest")
    assert paths_of(platform, "S1") == {str(paths[0])}


@pytest.mark.usefixtures("here")
def test_a_file_that_is_replaced_keeps_the_id_of_the_table_and_becomes_stale(platform, make_slide):
    rows = [CohortRow(file="a.svs", slide_id="S1")]
    register(platform, make_slide(seed=0), rows=rows, scheme="manifest")
    before = plan_slides(platform)[0].version
    [found] = register(platform, make_slide(seed=1), rows=rows, scheme="manifest")
    assert (found.state, found.slide_id) == ("new", "S1")
    [planned] = plan_slides(platform)
    assert planned.version != before


@pytest.mark.usefixtures("here")
def test_a_known_slide_keeps_its_id_under_another_scheme(platform, make_slide):
    path = make_slide()
    [old] = register(platform, path)
    copy = Path(shutil.copyfile(path, path.with_name("copy.svs")))
    found = register(platform, path, copy, scheme="hash")
    assert {one.slide_id for one in found} == {old.slide_id}


def test_a_caller_that_stops_early_ends_the_workers(platform, make_slide, make_huge):
    found = ingest(platform, [make_slide(), make_huge("huge.svs"), make_slide("b.svs", seed=1)])
    assert next(found).state == "new"
    assert workers_now()
    found.close()
    assert workers_now() == []
    assert len(platform.catalog.slides()) == 1


def test_files_and_folders_are_searched_and_each_file_is_listed_once(make_slide):
    paths = [make_slide("b.svs"), make_slide("deep/a.svs")]
    folder = paths[0].parent
    assert find_files([folder, paths[0], folder / "deep"]) == paths
    assert find_files([folder / "deep" / ".." / "b.svs"]) == [paths[0]]
    assert find_files([paths[0]]) == [paths[0]]


def test_a_relative_path_becomes_absolute_and_a_link_keeps_its_name(make_slide, monkeypatch):
    path = make_slide()
    path.with_name("link.svs").symlink_to(path)
    monkeypatch.chdir(path.parent)
    assert find_files([Path("a.svs"), Path("link.svs")]) == [path, path.with_name("link.svs")]


@pytest.mark.usefixtures("here")
def test_a_dicom_series_is_one_slide(platform, tmp_path, shared):
    folder = tmp_path / "series"
    folder.mkdir()
    for name in ("a.dcm", "b.dcm"):
        shutil.copyfile(shared / "slides" / "camelyon_jpeg.dcm", folder / name)
    files = find_files([folder / "b.dcm", folder])
    assert files == [folder / "b.dcm"]
    [found] = register(platform, *files)
    assert found.state == "new"
    assert platform.catalog.slide(found.slide_id).size_bytes == sum(
        p.stat().st_size for p in folder.iterdir()
    )


@pytest.mark.parametrize(
    ("name", "said"), [("", "no slides in this folder"), ("none", "no such file or folder")]
)
def test_nothing_to_register_is_an_impossible_request(tmp_path, name, said):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SpecError, match=said) as e:
        find_files([tmp_path / name])
    assert e.value.remedy


def test_two_processes_may_register_the_same_files(platform, make_slide, start_python, settings):
    files = [make_slide(f"{i}.svs", seed=i) for i in range(4)]
    script = """
import os, sys
from pathlib import Path
from pathassets.engine.platform.ingestion.ingest import find_files, ingest
from pathassets.engine.platform.platform import open_platform
from pathassets.engine.settings import read_settings
from tests.engine.workers_here import workers_here

os.environ["PATHASSETS_HOME"], folder = sys.argv[1:]
with workers_here(), open_platform(read_settings()) as platform:
    print("ready", flush=True)
    for found in ingest(platform, find_files([Path(folder)])):
        assert found.state in ("new", "known"), found
"""
    other = start_python(script, settings.home, files[0].parent)
    said = other.stdout.readline()
    with workers_here():
        found = register(platform, *files)
    _, err = other.communicate(timeout=120)
    assert (said, other.returncode, err) == ("ready\n", 0, "")
    assert set(states(found)) <= {"new", "known"}
    assert len(platform.catalog.slides()) == 4
    assert platform.catalog.rejected_files() == []
