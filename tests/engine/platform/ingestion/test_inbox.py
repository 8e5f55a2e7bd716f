import os
import shutil

import pytest

from pathassets.engine.platform.ingestion.inbox import (
    Sighting,
    ask_together,
    dump_sightings,
    look_into,
    parse_sightings,
    stable_files,
)


@pytest.fixture
def inbox(tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def look(inbox, before, now_s, stable_s=60, known=frozenset()):
    """One tick of the sensor: its cursor, and the files that are whole."""
    seen = look_into(inbox, parse_sightings(before), known, now_s=now_s)
    return dump_sightings(seen), stable_files(seen, now_s=now_s, stable_s=stable_s)


def grow(path, data=b"x", mtime_s=None):
    with path.open("ab") as file:
        file.write(data)
    if mtime_s is not None:
        os.utime(path, (mtime_s, mtime_s))


def test_a_file_is_whole_once_it_was_still_for_long_enough(inbox):
    grow(inbox / "a.svs")
    cursor, whole = look(inbox, None, 1000)
    assert whole == []
    cursor, whole = look(inbox, cursor, 1059)
    assert whole == []
    cursor, whole = look(inbox, cursor, 1060)
    assert whole == [str(inbox / "a.svs")]
    assert look(inbox, cursor, 2000)[1] == whole


def test_a_slow_copy_is_not_whole_until_it_is_still(inbox):
    cursor = None
    for now_s in range(1000, 1600, 50):
        grow(inbox / "a.svs", mtime_s=now_s)
        cursor, whole = look(inbox, cursor, now_s)
        assert whole == []
    assert look(inbox, cursor, 1609)[1] == []
    assert look(inbox, cursor, 1610)[1] == [str(inbox / "a.svs")]


def test_a_change_of_time_or_of_size_alone_starts_the_wait_again(inbox):
    path = inbox / "a.svs"
    grow(path, mtime_s=500)
    cursor, _ = look(inbox, None, 1000)
    os.utime(path, (501, 501))
    cursor, whole = look(inbox, cursor, 1100)
    assert whole == []
    grow(path, mtime_s=501)
    cursor, whole = look(inbox, cursor, 1200)
    assert whole == []
    assert look(inbox, cursor, 1260)[1] == [str(path)]


def test_an_empty_file_is_never_whole(inbox):
    (inbox / "a.svs").touch()
    cursor, _ = look(inbox, None, 1000)
    assert look(inbox, cursor, 9000)[1] == []


def test_a_copy_under_a_hidden_name_is_not_seen_until_it_is_renamed(inbox):
    grow(inbox / ".a.svs.Xy12")
    grow(inbox / "b.svs.part")
    assert look(inbox, None, 1000) == ("{}", [])
    (inbox / "b.svs.part").rename(inbox / "b.svs")
    cursor, whole = look(inbox, None, 1001)
    assert whole == []
    assert look(inbox, cursor, 1061)[1] == [str(inbox / "b.svs")]


def test_a_file_that_is_taken_away_is_forgotten(inbox):
    grow(inbox / "a.svs")
    cursor, _ = look(inbox, None, 1000)
    (inbox / "a.svs").unlink()
    assert look(inbox, cursor, 1100) == ("{}", [])


def test_a_link_to_nowhere_is_passed_over(inbox):
    (inbox / "a.svs").symlink_to(inbox / "nowhere")
    assert look(inbox, None, 1000) == ("{}", [])


def test_a_slide_of_many_files_is_whole_when_all_of_them_are(inbox):
    grow(inbox / "a.mrxs", mtime_s=500)
    (inbox / "a").mkdir()
    cursor = None
    for now_s in (1000, 1100, 1200):
        grow(inbox / "a" / f"{now_s}.dat", mtime_s=400)
        cursor, whole = look(inbox, cursor, now_s)
        assert whole == []
    assert look(inbox, cursor, 1260)[1] == [str(inbox / "a.mrxs")]


def test_a_dicom_series_is_one_slide_and_damaged_files_are_left_to_registration(inbox, shared):
    for name in ("a.dcm", "b.dcm"):
        shutil.copyfile(shared / "slides" / "camelyon_jpeg.dcm", inbox / name)
    grow(inbox / "c.dcm", b"no slide")
    cursor, _ = look(inbox, None, 1000)
    assert look(inbox, cursor, 1060)[1] == [str(inbox / "a.dcm"), str(inbox / "c.dcm")]
    sighting = parse_sightings(cursor)[str(inbox / "a.dcm")]
    assert sighting.size_bytes == 2 * (inbox / "a.dcm").stat().st_size


def test_an_inbox_that_does_not_exist_is_empty(tmp_path):
    assert look(tmp_path / "none", None, 1000) == ("{}", [])


def test_sightings_come_back_from_a_cursor(inbox):
    seen = {str(inbox / "ä.svs"): Sighting(size_bytes=2**40, mtime_ns=2**62, since_s=1000.25)}
    assert parse_sightings(dump_sightings(seen)) == seen
    assert parse_sightings(None) == parse_sightings("") == {}


def test_a_file_that_is_known_is_not_remembered_until_it_is_another(inbox):
    path = inbox / "a.svs"
    grow(path, mtime_s=1)
    grow(inbox / "b.mrxs", mtime_s=1)
    known = {(str(path), 1, 10**9), (str(inbox / "b.mrxs"), 1, 10**9)}
    cursor, whole = look(inbox, None, 1000, known=known)
    assert (cursor, whole) == ("{}", [])
    grow(path, mtime_s=1)
    (inbox / "b").mkdir()
    grow(inbox / "b" / "Data0000.dat", mtime_s=1)
    cursor, _ = look(inbox, cursor, 1010, known=known)
    assert look(inbox, cursor, 1070, known=known)[1] == [str(path), str(inbox / "b.mrxs")]


def test_files_that_are_asked_for_together_stay_so():
    seen = {name: Sighting(size_bytes=1, mtime_ns=1, since_s=0.0) for name in "abcde"}
    first = ask_together(seen, ["a", "b", "c"], 2)
    assert first["a"].asked == first["b"].asked != first["c"].asked
    assert first["a"].asked.startswith("a:2:")
    assert first["d"].asked == ""
    then = ask_together(parse_sightings(dump_sightings(first)), ["a", "b", "c", "d", "e"], 9)
    assert [then[name].asked for name in "abc"] == [first[name].asked for name in "abc"]
    assert then["d"].asked == then["e"].asked
    assert len({one.asked for one in then.values()}) == 3


def test_a_cursor_of_an_earlier_version_is_read():
    assert parse_sightings('{"a": [1, 2, 3.0]}') == {
        "a": Sighting(size_bytes=1, mtime_ns=2, since_s=3.0)
    }
