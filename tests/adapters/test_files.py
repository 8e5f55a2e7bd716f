import hashlib
import os
import stat
import time

import pytest

from pathassets.adapters.files import (
    FileStamp,
    content_changed,
    fingerprint_from,
    fingerprint_of,
    keep_private,
    stamp_of,
)
from pathassets.errors import SlideUnreadable


def skip_if_allowed(path, mode):
    if os.access(path, mode):
        pytest.skip("root may read and write everything")


def write(path, data, mtime_s=1000):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (mtime_s, mtime_s))
    return path


def test_a_stamp_is_the_total_size_and_the_newest_changes(tmp_path):
    members = [write(tmp_path / "a", b"12", 2000), write(tmp_path / "b", b"345", 1000)]
    newest_ns = max(member.stat().st_ctime_ns for member in members)
    assert stamp_of(members) == FileStamp(size_bytes=5, mtime_ns=2000 * 10**9, ctime_ns=newest_ns)


def test_a_stamp_tells_a_write_whose_time_was_set_back(tmp_path):
    members = [write(tmp_path / "a", b"12"), write(tmp_path / "b", b"345")]
    before = stamp_of(members)
    until_s = time.monotonic() + 5
    while stamp_of([write(tmp_path / "b", b"346")]).ctime_ns == before.ctime_ns:
        assert time.monotonic() < until_s  # two writes within one tick of the kernel's clock
    after = stamp_of(members)
    assert (after.size_bytes, after.mtime_ns) == (before.size_bytes, before.mtime_ns)
    assert after.ctime_ns > before.ctime_ns


def test_the_fingerprint_of_one_file_is_its_sha256(tmp_path):
    path = write(tmp_path / "a", b"content")
    assert fingerprint_of([path]) == hashlib.sha256(b"content").hexdigest()


def test_the_fingerprint_of_several_files_does_not_know_their_names_or_order(tmp_path):
    one = [write(tmp_path / "a.mrxs", b"index"), write(tmp_path / "a" / "Data.dat", b"pixels")]
    other = [write(tmp_path / "b" / "Data.dat", b"pixels"), write(tmp_path / "b.mrxs", b"index")]
    assert fingerprint_of(one) == fingerprint_of(other)
    assert len(fingerprint_of(one)) == 64


def test_the_fingerprint_of_several_files_tells_every_byte(tmp_path):
    index, data = write(tmp_path / "a.mrxs", b"index"), write(tmp_path / "Data.dat", b"pixels")
    before = fingerprint_of([index, data])
    write(data, b"pixelz")
    assert fingerprint_of([index, data]) != before
    assert fingerprint_of([index]) != fingerprint_of([index, index])


def test_a_fingerprint_can_be_put_together_from_hashes_in_any_order(tmp_path):
    members = [write(tmp_path / "a", b"1"), write(tmp_path / "b", b"2")]
    hashes = [fingerprint_of([member]) for member in members]
    assert (
        fingerprint_from(iter(hashes)) == fingerprint_from(hashes[::-1]) == fingerprint_of(members)
    )
    assert fingerprint_from(hashes[:1]) == hashes[0]


def test_changed_content_comes_with_the_command_that_registers_it():
    error = content_changed("/scans/a.svs")
    assert error.reason == "slide_changed"
    assert "pathassets ingest /scans/a.svs" in error.remedy


def test_a_missing_file_is_named_though_it_is_not_the_first(tmp_path):
    members = [write(tmp_path / "a", b"1"), tmp_path / "gone"]
    for look in (stamp_of, fingerprint_of):
        with pytest.raises(SlideUnreadable, match="gone: no such file") as e:
            look(members)
        assert e.value.reason == "file_missing"
        assert "mount its disk" in e.value.remedy


def test_a_file_below_a_file_is_missing(tmp_path):
    with pytest.raises(SlideUnreadable) as e:
        stamp_of([write(tmp_path / "a", b"1") / "x.svs"])
    assert e.value.reason == "file_missing"


def test_a_file_that_cannot_be_read_says_what_the_system_says(tmp_path):
    with pytest.raises(SlideUnreadable, match="cannot be read: Is a directory"):
        fingerprint_of([tmp_path])


def test_a_forbidden_file_says_so(tmp_path):
    path = write(tmp_path / "a", b"1")
    path.chmod(0)
    skip_if_allowed(path, os.R_OK)
    with pytest.raises(SlideUnreadable, match="permission denied") as e:
        fingerprint_of([path])
    assert e.value.reason == "no_permission"


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_private_folder_is_made_for_its_owner_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        keep_private(tmp_path / "above" / "store")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "above" / "store") == 0o700


def test_an_open_folder_is_closed_and_that_is_told_once(tmp_path, caplog):
    folder = tmp_path / "store"
    folder.mkdir()
    folder.chmod(0o755)
    keep_private(folder)
    assert mode_of(folder) == 0o700
    assert f"{folder}: was open to other users, and is closed now; `chmod 2770`" in caplog.text
    caplog.clear()
    keep_private(folder)
    assert caplog.text == ""


def test_a_folder_that_hands_its_group_down_stays_open_to_it_and_to_nobody_else(tmp_path, caplog):
    folder = tmp_path / "store"
    folder.mkdir()
    folder.chmod(0o2775)
    keep_private(folder)
    assert mode_of(folder) == 0o2770
    caplog.clear()
    keep_private(folder)
    assert mode_of(folder) == 0o2770
    assert caplog.text == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_an_open_folder_of_another_owner_is_told_and_left(tmp_path, caplog):
    folder = tmp_path / "store"
    folder.mkdir()
    folder.chmod(0o755)
    os.chown(folder, 12345, -1)
    keep_private(folder)
    assert mode_of(folder) == 0o755
    assert f"{folder}: other users may enter it, and it has patients' names" in caplog.text
    caplog.clear()
    folder.chmod(0o750)
    keep_private(folder)
    assert caplog.text == ""


def test_a_file_in_the_place_of_a_private_folder_is_in_the_way(tmp_path):
    (tmp_path / "store").touch()
    with pytest.raises(FileExistsError):
        keep_private(tmp_path / "store")
