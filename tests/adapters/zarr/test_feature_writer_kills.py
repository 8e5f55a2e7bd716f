import errno
import json
import os
import shutil
import signal
import subprocess

import numpy as np
import pytest

from pathassets.adapters.zarr import feature_writer
from pathassets.adapters.zarr.feature_writer import CHUNK_ROWS, is_finished
from pathassets.errors import StoreError
from tests.adapters.feature_files import (
    DIM,
    boxes_of,
    hashes_of,
    open_writer,
    rows_of,
    write_on,
)


@pytest.mark.parametrize(
    "changes",
    [{"shape": (DIM + 1,)}, {"attributes": {"encoder": "f"}},
     {"boxes": {"coordinates": boxes_of(2500)}},
     {"boxes": {"coordinates": boxes_of(2500), "coordinates_px0": boxes_of(2500)}}],
)  # fmt: skip
def test_what_was_begun_for_something_else_is_begun_afresh(tmp_path, changes):
    write_on(tmp_path / "f.zarr", 2500, stop_at=2100)
    shape = changes.get("shape", (DIM,))
    with open_writer(tmp_path / "f.zarr", 2500, **changes) as writer:
        assert writer.n_done == 0
        writer.write(rows_of(2500, shape))
        writer.finish()
    with open_writer(tmp_path / "once", 2500, **changes) as writer:
        writer.write(rows_of(2500, shape))
        writer.finish()
    assert hashes_of(tmp_path / "f.zarr") == hashes_of(tmp_path / "once")


def test_a_journal_cut_at_any_byte_is_continued_from_the_last_whole_line(tmp_path):
    write_on(tmp_path / "once", 3100, left_out=(5, 2000))
    write_on(tmp_path / "begun", 3100, left_out=(5, 2000), stop_at=3090)
    whole = (tmp_path / "begun/journal").read_bytes()
    ends = np.cumsum([len(line) for line in whole.splitlines(keepends=True)]).tolist()
    known = [0, 0, 1025, 2050, 3074]
    for n_bytes in range(len(whole) + 1):
        path = tmp_path / "f.zarr"
        shutil.copytree(tmp_path / "begun", path)
        (path / "journal").write_bytes(whole[:n_bytes])
        n_done = open_writer(path, 3100).n_done
        assert n_done == known[sum(end <= n_bytes for end in ends)]
        if n_bytes in (0, 30, *ends, *(end + 7 for end in ends)):
            write_on(path, 3100, left_out=(5, 2000))
            assert hashes_of(path) == hashes_of(tmp_path / "once")
        shutil.rmtree(path)


def test_no_flipped_bit_of_the_journal_passes(tmp_path):
    write_on(tmp_path / "f.zarr", 2500, left_out=(5,), stop_at=2100)
    journal = tmp_path / "f.zarr/journal"
    whole = journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    chunk = (tmp_path / "f.zarr/features/c/1/0").read_bytes()
    for place in range(len(lines[0]), len(whole)):
        (tmp_path / "f.zarr/features/c/1").mkdir(exist_ok=True, parents=True)
        (tmp_path / "f.zarr/features/c/1/0").write_bytes(chunk)
        if not (tmp_path / "f.zarr/features/c/0/0").exists():
            (tmp_path / "f.zarr/features/c/0").mkdir(exist_ok=True)
            (tmp_path / "f.zarr/features/c/0/0").write_bytes(
                np.delete(rows_of(2500), 5, axis=0)[:1024].tobytes()
            )
        journal.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        n_done = open_writer(tmp_path / "f.zarr", 2500).n_done
        assert n_done == (0 if place < len(lines[0] + lines[1]) else 1025)


def cut(file):
    file.write_bytes(file.read_bytes()[:-1])


def grow(file):
    file.write_bytes(file.read_bytes() + b"\0")


def flip(file):
    data = bytearray(file.read_bytes())
    data[7777] ^= 1
    file.write_bytes(data)


def be_a_folder(file):
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("damage", [cut, grow, flip, os.remove, be_a_folder])
@pytest.mark.parametrize("number", [0, 1])
def test_a_damaged_chunk_and_all_after_it_are_made_again(tmp_path, damage, number):
    write_on(tmp_path / "once", 2500)
    write_on(tmp_path / "f.zarr", 2500, stop_at=2100)
    damage(tmp_path / f"f.zarr/features/c/{number}/0")
    assert open_writer(tmp_path / "f.zarr", 2500).n_done == 1024 * number
    write_on(tmp_path / "f.zarr", 2500)
    assert hashes_of(tmp_path / "f.zarr") == hashes_of(tmp_path / "once")


KILLED_AT_EACH_CALL = """
import hashlib, os, signal, sys, threading
from pathlib import Path
import numpy as np
import zarr
from pathassets.adapters.zarr.feature_writer import FeatureWriter, is_finished

folder, n, n_ways = Path(sys.argv[1]), 2300, int(sys.argv[2])
rows = np.arange(n * 5, dtype=np.float32).reshape(n, 5)
boxes = np.arange(4 * n, dtype=np.int64).reshape(n, 4) - 5
left_out = (3, 1030, n - 1)
count = kill_at = 0
lock = threading.Lock()

def killing(call):
    def wrapped(*args, **kwargs):
        global count
        with lock:  # zarr writes from several threads
            count += 1
            mine = count
        if mine == kill_at:  # half of them before it happens, half after
            try:
                held = call(*args, **kwargs) if kill_at % 2 else None
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return wrapped

for name in ("fsync", "truncate"):
    setattr(os, name, killing(getattr(os, name)))
for name in ("replace", "mkdir", "unlink", "open"):
    setattr(Path, name, killing(getattr(Path, name)))

def write(path):
    with FeatureWriter(
        path, shape=(5,), boxes={"coordinates": boxes, "coordinates_px0": 2 * boxes},
        attributes={"encoder": "e"},
    ) as writer:
        for start in range(writer.n_done, n, 500):
            places = range(start, min(start + 500, n))
            writer.leave_out([p for p in places if p in left_out])
            writer.write(rows[[p for p in places if p not in left_out]])
        writer.finish(n_skipped=3)

def killed(path, at):  # in a fork, where imports are paid for
    global count, kill_at
    pid = os.fork()
    if not pid:
        count, kill_at = 0, at
        try:
            write(path)
            os._exit(count if at == 0 else 0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(255)
    status = os.waitpid(pid, 0)[1]
    if status == 255 << 8:
        sys.exit(f"killed at {at}: an error")
    return status

def content(path):
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return {str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).digest() for p in files}

n_calls = killed(folder / "once", 0) >> 8
assert n_calls > 40, n_calls
wanted = content(folder / "once")
assert len(wanted) == 13, sorted(wanted)
for at in range(1, n_calls + 1, -(-n_calls // n_ways)):
    path = folder / f"f{at}"
    # zarr makes a folder for several chunks at once: a few calls more or less
    assert killed(path, at) == signal.SIGKILL or at > n_calls - 9, f"{at} of {n_calls}"
    for again in (at // 2 + 5, 0):  # and once more while it goes on
        if not is_finished(path):
            killed(path, again)
    assert content(path) == wanted, f"killed at call {at}: {sorted(content(path))}"
"""


def test_killed_at_ten_calls_that_change_the_disk_it_ends_with_the_same_bytes(
    tmp_path, start_python
):
    assert wait_for(start_python(KILLED_AT_EACH_CALL, tmp_path, 10)) == 0


@pytest.mark.slow
def test_killed_at_any_call_that_changes_the_disk_it_ends_with_the_same_bytes(
    tmp_path, start_python
):
    assert wait_for(start_python(KILLED_AT_EACH_CALL, tmp_path, 1000)) == 0


def wait_for(process: subprocess.Popen[str]) -> int:
    _, said = process.communicate()
    assert process.returncode in (0, -9), said
    return process.returncode


WRITES_SLOWLY = """
import os, sys, time
from pathlib import Path
import numpy as np
from pathassets.adapters.zarr.feature_writer import FeatureWriter, is_finished

path, n, pause_s = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
rows = np.arange(n * 5, dtype=np.float32).reshape(n, 5) + 0.25
boxes = np.arange(4 * n, dtype=np.int64).reshape(n, 4) - 5
for _ in sys.stdin:  # in forks, where imports are paid for
    child = os.fork()
    if not child:
        break
    print("gone", os.waitpid(child, 0)[1], flush=True)
else:
    sys.exit()
with FeatureWriter(
    path, shape=(5,), boxes={"coordinates": boxes, "coordinates_px0": 2 * boxes},
    attributes={"encoder": "e", "mpp": 0.5, "left": [1, 2]},
) as writer:
    print(os.getpid(), writer.n_done, flush=True)
    for start in range(writer.n_done, n, 128):
        writer.write(rows[start : start + 128])
        time.sleep(pause_s)
        print("at", start, flush=True)
    writer.finish(n_skipped=0)
"""


def test_killed_again_and_again_it_recomputes_at_most_a_chunk_and_ends_with_the_same_bytes(
    tmp_path, start_python
):
    n, path = 5000, tmp_path / "f.zarr"
    write_on(tmp_path / "once", n)
    process = start_python(WRITES_SLOWLY, path, n, 0.001)
    for n_lines in (12, 22, 4):
        process.stdin.write("again\n")
        process.stdin.flush()
        pid, reached = map(int, process.stdout.readline().split())
        for _ in range(n_lines - 1):
            reached = int(process.stdout.readline().split()[1])
        os.kill(pid, signal.SIGKILL)
        said = [
            line.split() for line in iter(process.stdout.readline, f"gone {signal.SIGKILL:d}\n")
        ]
        assert {line[0] for line in said} <= {"at"}
        assert open_writer(path, n).n_done > reached - CHUNK_ROWS
    write_on(path, n)
    assert hashes_of(path) == hashes_of(tmp_path / "once")


def test_a_kill_between_the_groups_metadata_and_the_journals_end_is_finished_once_more(
    tmp_path, monkeypatch
):
    write_on(tmp_path / "once", 1500)
    path = tmp_path / "f.zarr"
    unlink = type(path).unlink

    def die(self, **kwargs):
        if self.name == "journal":
            raise KeyboardInterrupt
        unlink(self, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(type(path), "unlink", die)
        with pytest.raises(KeyboardInterrupt):
            write_on(path, 1500)
    assert (path / "zarr.json").exists()
    assert not is_finished(path)
    with open_writer(path, 1500) as writer:
        assert writer.n_done == 1500
        writer.finish(n_skipped=0)
    assert hashes_of(path) == hashes_of(tmp_path / "once")


def test_a_full_disk_is_told_with_a_remedy_and_can_be_continued(tmp_path, monkeypatch):
    path = tmp_path / "f.zarr"

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with open_writer(path, 2500) as writer:
        writer.write(rows_of(1500))
        with monkeypatch.context() as patch:
            patch.setattr(feature_writer.os, "fsync", refuse)
            with pytest.raises(StoreError, match=r"No space left on device\. Free some space") as e:
                writer.write(rows_of(2500)[1500:])
    assert e.value.uri == str(path)
    assert open_writer(path, 2500).n_done == 1024
    write_on(path, 2500)
    write_on(tmp_path / "once", 2500)
    assert hashes_of(path) == hashes_of(tmp_path / "once")


def test_where_nothing_may_be_written_it_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be written: Not a directory\. Make it writable"):
        open_writer(tmp_path / "file" / "f.zarr", 10)
    with pytest.raises(StoreError, match="cannot be written"):
        open_writer(tmp_path / "file", 10)
    with pytest.raises(StoreError, match=r"/proc/self/f\.zarr: cannot be written"):
        open_writer(type(tmp_path)("/proc/self/f.zarr"), 10)


def test_two_runs_have_the_same_bytes_whatever_the_steps(tmp_path):
    write_on(tmp_path / "a", 2500, step=64)
    write_on(tmp_path / "b", 2500, step=1111)
    assert hashes_of(tmp_path / "a") == hashes_of(tmp_path / "b")
    attributes = json.loads((tmp_path / "a/zarr.json").read_text())["attributes"]
    assert attributes["is_complete"] is True
