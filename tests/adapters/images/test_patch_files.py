import errno
import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pathassets.adapters.images.patch_files import (
    PatchFiles,
    has_size,
    hold_journal,
    is_whole,
    remove_parts,
)
from pathassets.core.patches.patch_set import row_of
from pathassets.errors import StoreError
from tests.adapters.encoded_patches import encoded

HOLD = """
import sys, time
from pathlib import Path
from pathassets.adapters.images.patch_files import hold_journal
with hold_journal(Path(sys.argv[1]), "abc") as journal:
    journal.note({"rows": [1]})
    print("held", flush=True)
    sys.stdin.read()
"""


def files_in(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_images_written_by_many_threads_are_all_there_and_nothing_else(tmp_path):
    files = PatchFiles(tmp_path, output_id="abc")
    patches = [encoded(n, label=f"l{n % 3}") for n in range(60)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(files.store, patches))
    rows = files.write(patches)
    files.close()
    assert files_in(tmp_path) == sorted(row["file"] for row in rows)
    assert all((tmp_path / patch.path).read_bytes() == patch.data for patch in patches)


def test_a_manifest_may_call_files_by_a_folder_further_up(tmp_path):
    files = PatchFiles(tmp_path / "images", output_id="abc", below="images/")
    files.store(encoded(1))
    (row,) = files.write([encoded(1)])
    assert (tmp_path / row["file"]).is_file()


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path):
    files = PatchFiles(tmp_path, output_id="abc")
    with files.whole(tmp_path / "a") as part:
        part.write_bytes(b"half")
        assert files_in(tmp_path) == [part.name]
        assert part.name.startswith(".abc.")
        assert part.name.endswith(".part")
    assert files_in(tmp_path) == ["a"]


def test_what_fails_leaves_the_old_file_and_no_part(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    whole = PatchFiles(tmp_path, output_id="abc").whole(tmp_path / "a")
    whole.__enter__().write_bytes(b"half")
    assert not whole.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert files_in(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_is_told_with_the_file(tmp_path, number):
    files = PatchFiles(tmp_path, output_id="abc")
    with (
        pytest.raises(StoreError, match=r"/a: cannot be written") as e,
        files.whole(tmp_path / "a"),
    ):
        raise OSError(number, os.strerror(number))
    assert e.value.remedy
    assert files_in(tmp_path) == []


def test_a_name_that_is_taken_by_something_else_is_told(tmp_path):
    (tmp_path / "none").write_bytes(b"a file where a folder should be")
    with pytest.raises(StoreError, match="cannot be written"):
        PatchFiles(tmp_path, output_id="abc").store(encoded(1))
    (tmp_path / "T" / "1_0.png").mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot be written"):
        PatchFiles(tmp_path, output_id="abc").store(encoded(1, label="T"))
    assert files_in(tmp_path) == ["none"]


def test_only_parts_of_this_output_are_removed(tmp_path):
    kept = ["a.png", ".abc.png", ".abd.1.part", "abc.1.part", ".abc.journal", ".part", "abc.part"]
    for name in [*kept, ".abc.0.part", ".abc.17.part"]:
        (tmp_path / name).touch()
    assert remove_parts([tmp_path, tmp_path / "nowhere", tmp_path / "a.png"], "abc") == 2
    assert files_in(tmp_path) == sorted(kept)


@pytest.mark.parametrize("change", ["none", "gone", "short", "long", "flipped", "folder"])
def test_an_image_is_known_by_size_and_by_content(tmp_path, change):
    files, patch = PatchFiles(tmp_path, output_id="abc"), encoded(1)
    files.store(patch)
    path, row = tmp_path / patch.path, row_of(patch, files.write([patch])[0])
    data = patch.data
    if change in {"gone", "folder"}:
        path.unlink()
    if change == "folder":
        path.mkdir()
    changed = {"short": data[:-1], "long": data + b"\0", "flipped": bytes([data[0] ^ 1]) + data[1:]}
    if change in changed:
        path.write_bytes(changed[change])
    assert is_whole(tmp_path, row) == (change == "none")
    assert has_size(tmp_path, row) == (change in {"none", "flipped"})


def test_a_journal_tells_what_earlier_processes_noted(tmp_path):
    with hold_journal(tmp_path / "m", "abc") as journal:
        assert journal.is_new
        assert journal.entries == []
        journal.note({"rows": [1]})
        journal.note({"rows": [2]})
    with hold_journal(tmp_path / "m", "abc") as journal:
        assert not journal.is_new
        assert journal.entries == [{"rows": [1]}, {"rows": [2]}]
        journal.note({"rows": [3]})
        journal.remove()
    assert files_in(tmp_path) == []
    with hold_journal(tmp_path / "m", "abc") as journal:
        assert journal.is_new


@pytest.mark.parametrize(
    "torn", [b'{"rows": [9', b'{"rows": [9]}', b"\0" * 4096, b"\0\0\n\0", b"\n"]
)
def test_a_torn_line_ends_a_journal_and_what_is_noted_after_is_read(tmp_path, torn):
    with hold_journal(tmp_path, "abc") as journal:
        journal.note({"rows": [1]})
    with (tmp_path / ".abc.journal").open("ab") as file:
        file.write(torn)
    with hold_journal(tmp_path, "abc") as journal:
        assert journal.entries == [{"rows": [1]}]
        journal.note({"rows": [2]})
    lines = (tmp_path / ".abc.journal").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"rows": [1]}, {"rows": [2]}]


def test_who_wants_a_journal_that_is_held_waits_and_gets_a_new_one(tmp_path):
    got = threading.Event()

    def hold():
        with hold_journal(tmp_path, "abc") as journal:
            assert journal.is_new
            assert (tmp_path / ".abc.journal").is_file()
            got.set()

    with ThreadPoolExecutor(1) as pool:
        with hold_journal(tmp_path, "abc") as journal:
            journal.note({"rows": [1]})
            waiting = pool.submit(hold)
            assert not got.wait(0.2)
            journal.remove()
        waiting.result(10)


@pytest.mark.timeout(60)
def test_a_killed_process_lets_go_of_its_journal(tmp_path, start_python):
    holder = start_python(HOLD, tmp_path)
    assert holder.stdout.readline() == "held\n"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with hold_journal(tmp_path, "abc") as journal:
        assert journal.entries == [{"rows": [1]}]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "m").touch()
    with pytest.raises(StoreError, match="cannot be written"), hold_journal(tmp_path / "m", "abc"):
        pass
    assert Path(tmp_path / "m").is_file()
