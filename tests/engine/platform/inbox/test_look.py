from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.inbox import InboxClock, Sighting, TakenTable
from pathassets.catalog.records import RejectedFile
from pathassets.engine.platform.inbox.look import (
    EMPTY,
    Look,
    advanced,
    ask_together,
    look_into,
    note_look,
)
from pathassets.engine.platform.platform import Platform
from tests.catalog.hostile_words import path_of, slide_of

STABLE_S = 60.0


@dataclass
class Watched:
    """A folder that is looked into as a sensor does, under clocks that a test sets."""

    catalog: Catalog
    folders: Sequence[Path]
    wall_s: float = 1_000_000.0
    monotonic_s: float = 500.0
    last: Look = field(default_factory=lambda: Look(now_s=0, seen={}))

    def look(self, after_s: float = 0.0, *, wall_step_s: float = 0.0) -> list[str]:
        """Look some time later; returns the names of files that are whole."""
        self.wall_s += after_s + wall_step_s
        self.monotonic_s += after_s
        clock = advanced(
            self.catalog.inbox_clock(), wall_s=self.wall_s, monotonic_s=self.monotonic_s
        )
        self.last = look_into(self.catalog, self.folders, clock)
        note_look(self.catalog, self.last, clock)
        return [Path(path).name for path in self.last.whole(STABLE_S)]

    def lacks(self, path: Path) -> str:
        return self.last.seen[str(path)].lacks


@pytest.fixture
def inbox(platform: Platform) -> Path:
    (folder,) = platform.settings.inboxes
    folder.mkdir()
    return folder


@pytest.fixture
def watched(inbox: Path, platform: Platform) -> Watched:
    return Watched(platform.catalog, [inbox])


def grow(path: Path, data: bytes = b"x", mtime_s: int | None = None) -> Path:
    with path.open("ab") as file:
        file.write(data)
    if mtime_s is not None:
        os.utime(path, (mtime_s, mtime_s))
    return path


def test_a_file_is_whole_once_size_and_time_were_still_for_long_enough(
    inbox: Path, watched: Watched
) -> None:
    path = grow(inbox / "a.svs", mtime_s=4_000_000_000)  # of the future, as a wrong clock writes it
    for _ in range(10):
        grow(path, mtime_s=4_000_000_000)
        assert watched.look(50) == []
    os.utime(path, (501, 501))
    assert watched.look(50) == []
    assert watched.look(59) == []
    assert watched.look(1) == ["a.svs"]
    assert watched.look(1000) == ["a.svs"]
    (inbox / "a.svs").unlink()
    assert watched.look(1000) == []
    assert watched.catalog.sightings() == {}


def test_a_clock_that_is_set_ends_no_wait_and_begins_none(inbox: Path, watched: Watched) -> None:
    grow(inbox / "a.svs")
    watched.look()
    assert watched.look(10, wall_step_s=86_400) == []
    assert watched.look(10, wall_step_s=-86_400) == []
    watched.monotonic_s = 3.0  # the machine was started again
    assert watched.look(10) == []
    assert watched.look(49) == []
    assert watched.look(1) == ["a.svs"]


def test_an_empty_file_is_never_whole_and_copies_under_other_names_are_not_seen(
    inbox: Path, watched: Watched
) -> None:
    (inbox / "a.svs").touch()
    for name in (".b.svs.Xy12", "b.svs.part", "b.svs.tmp", "b.svs.crdownload", "~b.svs", "b.svs~"):
        grow(inbox / name)
    grow(inbox / "~$table.xlsx")
    watched.look()
    assert watched.look(9000) == []
    assert {*watched.last.seen} == {str(inbox / "a.svs")}
    assert watched.lacks(inbox / "a.svs") == EMPTY
    (inbox / "b.svs.part").rename(inbox / "b.svs")
    assert watched.look() == []
    assert watched.look(60) == ["b.svs"]


def test_a_link_to_nothing_or_in_a_circle_is_whole_as_it_is_until_it_leads_somewhere(
    inbox: Path, watched: Watched
) -> None:
    names = ("a.svs", "b.mrxs", "c.csv", "d.dcm")
    scans = inbox.parent / "scans"
    for name in names:
        (inbox / name).symlink_to(scans / name)
    (inbox / "e.svs").symlink_to("e.svs")
    (inbox / "other.txt").symlink_to("nowhere")
    (inbox / "folder.svs").symlink_to(inbox)
    watched.look()
    assert watched.look(60) == [*names, "e.svs"]
    assert watched.lacks(inbox / "a.svs") == ""
    for name in (*names, "e.svs"):
        watched.catalog.refuse(
            RejectedFile(
                path=str(inbox / name), reason="dangling_link", message="", remedy="",
                size_bytes=0, mtime_ns=0,
            )
        )  # fmt: skip
    assert watched.look(60) == []
    assert watched.last.seen == {}
    grow(scans)  # they lead through a file now
    assert watched.look(60) == []
    assert watched.last.seen == {}
    scans.unlink()
    scans.mkdir()
    grow(scans / "a.svs")
    assert watched.look() == []
    assert watched.look(60) == ["a.svs"]


def test_folders_are_searched_through_once_and_never_in_circles(
    inbox: Path, watched: Watched
) -> None:
    deep = inbox / "2024" / "May"
    deep.mkdir(parents=True)
    (deep / "up").symlink_to(inbox)
    other = inbox.parent / "other"
    other.mkdir()
    (inbox.parent / "link").symlink_to(other)
    grow(deep / "a.svs")
    grow(other / "b.svs")
    watched.folders = [inbox, deep, other, inbox.parent / "link", inbox.parent / "none"]
    watched.look()
    assert {*watched.last.seen} == {str(deep / "a.svs"), str(other / "b.svs")}
    watched.folders = [other]  # as somebody does who watches one folder beside the sensor
    (other / "b.svs").unlink()
    watched.look()
    assert {*watched.catalog.sightings()} == {str(deep / "a.svs")}


INI = """\
[GENERAL]
SLIDE_ID = 5
[HIERARCHICAL]
INDEXFILE = Index.dat
[DATAFILE]
FILE_COUNT = 2
FILE_0 = Data0000.dat
FILE_1 = ../Data0001.dat
"""


def test_an_mrxs_set_that_comes_in_parts_waits_until_it_is_complete(
    inbox: Path, watched: Watched
) -> None:
    index = grow(inbox / "a.mrxs", mtime_s=500)
    watched.look()
    assert watched.look(600) == []
    assert watched.lacks(index) == "its folder a is not there yet"
    folder = inbox / "a"
    folder.mkdir()
    watched.look(600)
    assert watched.lacks(index) == "a/Slidedat.ini is not there yet"
    ini = folder / "Slidedat.ini"
    ini.write_text("\ufeff" + INI.partition("FILE_1")[0])
    grow(folder / "Index.dat")
    assert watched.look(600) == []
    assert watched.lacks(index) == "a/Slidedat.ini names 1 of its 2 files so far"
    ini.write_text("\ufeff" + INI)  # a name that leads elsewhere is none of its files
    assert watched.look(600) == []
    assert watched.lacks(index) == "1 of 2 files are not there yet, such as Data0000.dat"
    ini.write_text("\ufeff" + INI.replace("../", ""))
    (folder / "Data0000.dat").touch()
    watched.look(600)
    assert watched.lacks(index) == "2 of 3 files are not there yet, such as Data0000.dat"
    for name in ("Data0000.dat", "Data0001.dat"):
        grow(folder / name)
        assert watched.look(59) == []
    assert watched.look(60) == ["a.mrxs"]
    sighting = watched.last.seen[str(index)]
    assert sighting.size_bytes == 1 + sum(one.stat().st_size for one in folder.iterdir())


def test_a_vms_set_waits_for_the_pictures_that_its_index_names(
    inbox: Path, watched: Watched
) -> None:
    index = inbox / "a.vms"
    index.write_text(
        "[Virtual Microscope Specimen]\nImageFile=a.jpg\nImageFile(1,0)=b.jpg\nMacroImage= \n"
        "ImageFile(1,0,0)=of another focal plane.jpg\n"
    )
    grow(inbox / "a.jpg")
    watched.look()
    assert watched.lacks(index) == "1 of 2 files are not there yet, such as b.jpg"
    grow(inbox / "b.jpg")
    watched.look(600)
    assert watched.look(60) == ["a.vms"]


def test_a_dicom_series_is_one_slide_and_damaged_files_are_left_to_registration(
    inbox: Path, watched: Watched, shared: Path
) -> None:
    for name in ("a.dcm", "b.dcm"):
        shutil.copyfile(shared / "slides" / "camelyon_jpeg.dcm", inbox / name)
    grow(inbox / "c.dcm", b"no slide")
    watched.look()
    assert watched.look(60) == ["a.dcm", "c.dcm"]
    sighting = watched.last.seen[str(inbox / "a.dcm")]
    assert sighting.size_bytes == 2 * (inbox / "a.dcm").stat().st_size

    (inbox / "a.dcm").write_bytes(with_count((inbox / "a.dcm").read_bytes(), 4))
    watched.look()
    assert watched.look(60) == ["c.dcm"]
    assert watched.lacks(inbox / "a.dcm") == "3 of 4 files of the series are there"
    grow(inbox / "d.dcm", b"a label")
    watched.look()
    assert watched.look(60) == ["a.dcm", "c.dcm", "d.dcm"]


FRAME_OF_REFERENCE = b"\x20\x00\x52\x00UI"


def with_count(dicom: bytes, n_instances: int) -> bytes:
    """Let a DICOM file say how many its series has: (0020,1209), in its place among the tags."""
    at = dicom.index(FRAME_OF_REFERENCE)
    (length,) = struct.unpack_from("<H", dicom, at + 6)
    end = at + 8 + length
    return dicom[:end] + b"\x20\x00\x09\x12IS\x02\x00%d " % n_instances + dicom[end:]


def test_a_pipe_and_a_name_that_is_no_text_are_whole_and_named_in_text(
    inbox: Path, watched: Watched
) -> None:
    os.mkfifo(inbox / "pipe.svs")
    os.mkfifo(inbox / "pipe.csv")
    grow(Path(os.fsdecode(bytes(inbox) + b"/\xff.svs")))
    watched.look()
    assert watched.look(60) == ["\\xff.svs", "pipe.csv", "pipe.svs"]


def test_a_slide_waits_while_a_pipe_lies_beside_it_also_if_it_was_refused_for_that(
    inbox: Path, watched: Watched
) -> None:
    path = inbox / "a.dcm"
    path.write_bytes(bytes(128) + b"DICM")
    os.mkfifo(inbox / "b")
    found = path.stat()
    watched.catalog.refuse(
        RejectedFile(
            path=str(path), reason="pipe_beside", message="", remedy="",
            size_bytes=found.st_size, mtime_ns=found.st_mtime_ns,
        )
    )  # fmt: skip
    watched.look()
    assert watched.look(60) == []
    assert f"{inbox / 'b'} is a named pipe" in watched.lacks(path)
    (inbox / "b").unlink()
    assert watched.look(60) == ["a.dcm"]


def test_what_is_known_is_not_remembered_until_it_is_another(inbox: Path, watched: Watched) -> None:
    catalog = watched.catalog
    path, refused, table = (inbox / name for name in ("a.svs", "b.svs", "c.csv"))
    for one in (path, refused, table):
        grow(one, mtime_s=1)
    look = {"size_bytes": 1, "mtime_ns": 10**9}
    catalog.register_slide(slide_of("a"), replace(path_of("a", str(path)), **look))
    catalog.refuse(RejectedFile(path=str(refused), reason="r", message="", remedy="", **look))
    catalog.enter_taken(
        TakenTable(path=str(table), sha256="s", n_lines=1, n_changes=0, open_lines=(), **look)
    )
    watched.look()
    assert watched.last.seen == {}
    assert catalog.inbox_clock() == InboxClock()  # where nothing waits, nothing is written
    for one in (path, refused, table):
        grow(one, mtime_s=1)
    watched.look()
    assert watched.look(60) == ["a.svs", "b.svs", "c.csv"]


def test_what_was_forbidden_is_looked_at_again_when_its_rights_change(
    inbox: Path, watched: Watched
) -> None:
    paths = {reason: grow(inbox / f"{reason}.svs") for reason in ("no_permission", "truncated")}
    for reason, path in paths.items():
        found = path.stat()
        watched.catalog.refuse(
            RejectedFile(
                path=str(path), reason=reason, message="", remedy="", size_bytes=found.st_size,
                mtime_ns=found.st_mtime_ns, ctime_ns=found.st_ctime_ns,
            )
        )  # fmt: skip
    assert watched.look() == []
    assert watched.last.seen == {}
    for path in paths.values():
        path.chmod(0o640)
        os.link(path, path.with_suffix(".kept"))
    watched.look()
    assert watched.look(60) == ["no_permission.svs"]


def test_a_table_waits_while_a_slide_below_its_folder_is_written(
    inbox: Path, watched: Watched
) -> None:
    for name in ("one", "two"):
        (inbox / name / "scans").mkdir(parents=True)
        grow(inbox / name / f"{name}.csv")
    growing = grow(inbox / "one" / "scans" / "a.svs")
    grow(inbox / "two" / "b.mrxs")  # which may never be complete
    watched.look()
    grow(growing)
    assert watched.look(60) == ["two.csv"]
    assert watched.look(60) == ["one.csv", "a.svs", "two.csv"]


def test_files_that_are_asked_for_together_stay_so() -> None:
    seen = {n: Sighting(path=n, size_bytes=1, mtime_ns=1, since_s=0.0) for n in "abcde"}
    first = ask_together(Look(now_s=0, seen=seen), ["a", "b", "c"], 2)
    asked = {name: one.asked for name, one in first.seen.items()}
    assert asked["a"] == asked["b"] != asked["c"]
    assert asked["a"].startswith("inbox:2:")
    assert asked["d"] == ""
    again = ask_together(Look(now_s=9, seen=seen), ["a", "b", "c"], 2)
    assert {name: one.asked for name, one in again.seen.items()} == asked
