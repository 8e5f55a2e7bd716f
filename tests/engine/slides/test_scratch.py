import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import pytest

from pathassets.adapters.files import fingerprint_of
from pathassets.engine.slides import scratch_copy
from pathassets.engine.slides.scratch import LOCK, RUN, NoRoom, is_elsewhere, open_scratch
from pathassets.engine.slides.scratch_copy import CARD, FILES, PART, Borrowed, LocalOriginal
from pathassets.errors import SlideChanged, SlideUnreadable, StoreError

KB = 1000
BORROW = """
import sys, time
from pathlib import Path
from pathassets.adapters.files import fingerprint_of
from pathassets.engine.slides import scratch, scratch_copy
root, path, slowness_s = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])

def slowly(source, real=scratch_copy._chunks):
    for chunk in real(source):
        yield chunk
        print("copied", flush=True)
        time.sleep(slowness_s)

scratch_copy._chunks = slowly
with scratch.open_scratch(root, 10**9) as opened:
    borrowed = opened.borrow(scratch_copy.LocalOriginal(path, [path]), fingerprint_of([path]))
    print("new" if borrowed.is_new else "old", flush=True)
    assert borrowed.path.read_bytes() == path.read_bytes()
    sys.stdin.readline()
    borrowed.close()
"""
FULL = """
import sys
from pathlib import Path
from pathassets.adapters.files import fingerprint_of
from pathassets.engine.slides.scratch import open_scratch
from pathassets.engine.slides.scratch_copy import LocalOriginal
root, path = Path(sys.argv[1]), Path(sys.argv[2])
with open_scratch(root, 10**9) as opened:
    print(opened.borrow(LocalOriginal(path, [path]), fingerprint_of([path])).why)
    print(sorted(p.name for p in root.iterdir() if not p.name.endswith(".run")))
"""


@pytest.fixture
def root(tmp_path):
    return tmp_path / "scratch"


@pytest.fixture
def scratch(root):
    with open_scratch(root, 100 * KB) as opened:
        yield opened


@pytest.fixture
def make_file(tmp_path):
    def make(name, n_bytes=40 * KB, seed=None):
        path = tmp_path / "far" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([ord((seed or name)[0])]) * n_bytes)
        return path

    return make


def borrow(scratch, path, *others):
    members = [path, *others]
    return scratch.borrow(LocalOriginal(path, members), fingerprint_of(members))


def copies(root):
    return {p.name: p for p in root.iterdir() if p.name != LOCK and not p.name.endswith(RUN)}


def names(root):
    return sorted(p.name for p in root.glob(f"*/{FILES}/*"))


def wait_until(is_so, within_s=30):
    until_s = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < until_s
        time.sleep(0.02)


def test_a_slide_is_copied_once_and_borrowed_again(scratch, root, make_file):
    path = make_file("a.svs")
    first = borrow(scratch, path)
    assert first.is_new
    assert first.path == first.members[0]
    assert first.path.name == "a.svs"
    assert root in first.path.parents
    assert first.path.read_bytes() == path.read_bytes()
    second = borrow(scratch, path)
    assert (second.path, second.is_new) == (first.path, False)
    first.close()
    second.close()
    assert list(copies(root)) == [f"{fingerprint_of([path])}-{40 * KB}"]


def test_the_files_of_a_slide_lie_to_each_other_as_they_did(scratch, make_file):
    index = make_file("s/a.mrxs", 10)
    data = [make_file(f"s/a/{name}", 20) for name in ("Data0000.dat", "Slidedat.ini", "deep/x.dat")]
    borrowed = borrow(scratch, index, *data)
    assert borrowed.path.name == "a.mrxs"
    top = borrowed.path.parent
    assert [str(p.relative_to(top)) for p in borrowed.members] == [
        "a.mrxs", "a/Data0000.dat", "a/Slidedat.ini", "a/deep/x.dat",
    ]  # fmt: skip
    assert [p.read_bytes() for p in borrowed.members] == [p.read_bytes() for p in [index, *data]]
    borrowed.close()


def test_files_beside_and_above_an_index_keep_their_places(scratch, make_file):
    index, beside = make_file("s/in/a.vms", 10), make_file("s/a_1.jpg", 20)
    above = index.parent / ".." / beside.name
    borrowed = borrow(scratch, index, above)
    assert (borrowed.path.parent / ".." / "a_1.jpg").read_bytes() == beside.read_bytes()
    borrowed.close()


def test_a_copy_that_was_made_under_another_name_serves_too(scratch, make_file):
    one = [make_file("a.mrxs", 10, "i"), make_file("a/Data.dat", 20, "d")]
    other = [make_file("b.mrxs", 10, "i"), make_file("b/Data.dat", 20, "d")]
    borrow(scratch, *one).close()
    borrowed = borrow(scratch, *other)
    assert not borrowed.is_new
    assert borrowed.path.name == "a.mrxs"
    assert all(member.is_file() for member in borrowed.members)
    borrowed.close()


def test_nobody_else_may_look_into_a_copy(scratch, make_file):
    borrowed = borrow(scratch, make_file("a.svs"))
    assert borrowed.path.parent.parent.stat().st_mode & 0o777 == 0o700
    borrowed.close()


def test_other_content_is_found_out_while_it_is_copied_and_leaves_nothing(scratch, root, make_file):
    path, other = make_file("a.svs"), make_file("b.svs")
    with pytest.raises(SlideChanged, match=r"a\.svs: its content is not the registered one"):
        scratch.borrow(LocalOriginal(path, [path]), fingerprint_of([other]))
    assert copies(root) == {}


def test_a_file_that_is_gone_is_missing_and_leaves_nothing(scratch, root, make_file):
    path, gone = make_file("a.mrxs"), make_file("a/Data.dat")
    fingerprint = fingerprint_of([path, gone])
    gone.unlink()
    with pytest.raises(SlideUnreadable, match="no such file"):
        scratch.borrow(LocalOriginal(path, [path, gone]), fingerprint)
    assert copies(root) == {}


def test_room_is_made_by_the_copy_that_was_used_last_longest_ago(scratch, root, make_file):
    paths = [make_file(name) for name in ("a.svs", "b.svs", "c.svs")]
    borrow(scratch, paths[0]).close()
    borrow(scratch, paths[1]).close()
    borrow(scratch, paths[0]).close()
    borrow(scratch, paths[2]).close()
    assert names(root) == ["a.svs", "c.svs"]


def test_a_copy_that_is_being_read_is_kept_and_the_slide_that_does_not_fit_is_read_in_place(
    scratch, root, make_file
):
    with ExitStack() as held:
        for name in ("a.svs", "b.svs"):
            held.callback(borrow(scratch, make_file(name)).close)
        refused = borrow(scratch, make_file("c.svs"))
        assert isinstance(refused, NoRoom)
        assert "being read" in refused.why
        assert names(root) == ["a.svs", "b.svs"]
    borrowed = borrow(scratch, make_file("c.svs"))
    assert isinstance(borrowed, Borrowed)
    borrowed.close()


def test_nothing_is_removed_for_a_slide_that_does_not_fit_all_the_same(scratch, root, make_file):
    borrow(scratch, make_file("a.svs", 10 * KB)).close()
    held = borrow(scratch, make_file("b.svs", 60 * KB))
    for n_bytes in (50 * KB, 101 * KB):
        assert isinstance(borrow(scratch, make_file("c.svs", n_bytes)), NoRoom)
        assert names(root) == ["a.svs", "b.svs"]
    held.close()


def test_a_slide_above_the_limit_names_the_setting_and_both_sizes(scratch, root, make_file):
    refused = borrow(scratch, make_file("a.svs", 101 * KB))
    setting = "PATHASSETS_SCRATCH_GB"
    assert refused.why == f"101 kB are more than {setting} lets {root} hold, 100 kB"
    assert not refused.is_for_now
    nearly = borrow(scratch, make_file("b.svs", 100 * KB + 1))
    assert nearly.why.startswith("100,001 bytes are more than ")
    assert nearly.why.endswith(" hold, 100,000 bytes")


def test_who_may_wait_for_room_gets_it_once_another_gives_it_back(scratch, make_file):
    patient = replace(scratch, patience_s=60)
    held = borrow(scratch, make_file("a.svs", 60 * KB))
    path = make_file("b.svs", 60 * KB)
    assert borrow(scratch, path).is_for_now
    giving_back = threading.Timer(0.5, held.close)
    giving_back.start()
    got = patient.borrow_in_time(LocalOriginal(path, [path]))
    giving_back.join()
    assert isinstance(got, Borrowed)
    got.close()


def test_who_waits_for_room_is_told_in_time_that_there_is_none(scratch, make_file):
    held = borrow(scratch, make_file("a.svs", 60 * KB))
    path, large = make_file("b.svs", 60 * KB), make_file("c.svs", 101 * KB)
    patient = replace(scratch, patience_s=0.5)
    assert isinstance(patient.borrow_in_time(LocalOriginal(path, [path])), NoRoom)
    began_s = time.monotonic()
    never = replace(scratch, patience_s=600)
    assert isinstance(never.borrow_in_time(LocalOriginal(large, [large])), NoRoom)
    assert time.monotonic() - began_s < 60
    held.close()


def test_what_is_not_a_copy_is_left_alone(root, make_file):
    root.mkdir()
    (root / "mine.svs").write_bytes(b"1")
    (root / ("f" * 64)).mkdir()
    with open_scratch(root, 50 * KB) as scratch:
        borrow(scratch, make_file("a.svs")).close()
        borrow(scratch, make_file("b.svs")).close()
    assert sorted(p.name for p in root.iterdir()) == [LOCK, "f" * 64, "mine.svs"]


def test_the_copies_of_a_batch_go_with_it(root, make_file):
    with open_scratch(root, 100 * KB) as scratch:
        borrow(scratch, make_file("a.svs")).close()
        assert names(root) == ["a.svs"]
    assert [p.name for p in root.iterdir()] == [LOCK]


def test_what_another_batch_made_or_reads_stays_until_that_ends(root, make_file):
    with open_scratch(root, 200 * KB) as one, open_scratch(root, 200 * KB) as other:
        borrow(other, make_file("others.svs")).close()
        with open_scratch(root, 200 * KB) as third:
            borrow(third, make_file("free.svs")).close()
            borrow(third, make_file("shared.svs")).close()
            held = borrow(one, make_file("shared.svs"))
            assert not held.is_new
        assert names(root) == ["others.svs", "shared.svs"]
        held.close()
    assert [p.name for p in root.iterdir()] == [LOCK]


def test_without_a_folder_there_is_no_scratch():
    with open_scratch(None, 1) as scratch:
        assert scratch is None


def test_a_folder_that_cannot_be_made_names_the_setting(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(StoreError, match="scratch folder cannot be used") as e,
        open_scratch(tmp_path / "file" / "x", 1),
    ):
        pass
    assert "PATHASSETS_SCRATCH" in e.value.remedy


def test_a_folder_that_is_lost_meanwhile_names_the_setting_and_ends_no_batch(
    root, make_file, caplog
):
    with open_scratch(root, 100 * KB) as scratch:
        shutil.rmtree(root)
        root.touch()
        with pytest.raises(StoreError, match="scratch folder cannot be used"):
            borrow(scratch, make_file("a.svs"))
    assert f"{root}: copies are left in it" in caplog.text


def test_a_file_is_elsewhere_when_it_is_on_another_file_system(far_folder, tmp_path):
    (far_folder / "a").touch()
    (tmp_path / "a").touch()
    (tmp_path / "link").symlink_to(far_folder / "a")
    assert is_elsewhere(far_folder / "a", tmp_path)
    assert is_elsewhere(tmp_path / "link", tmp_path)
    assert not is_elsewhere(tmp_path / "a", tmp_path)
    with pytest.raises(SlideUnreadable):
        is_elsewhere(tmp_path / "none", tmp_path)
    with pytest.raises(StoreError):
        is_elsewhere(tmp_path / "a", tmp_path / "none")


def test_several_processes_that_want_a_slide_copy_it_once(root, make_file, start_python):
    path = make_file("a.svs", 100 * KB)
    processes = [start_python(BORROW, root, path, 0.5) for _ in range(3)]
    said = [[]] * 3
    for i, process in enumerate(processes):
        lines = iter(process.stdout.readline, "")
        said[i] = next(line for line in lines if line in ("new\n", "old\n"))
    assert sorted(said) == ["new\n", "old\n", "old\n"]
    assert names(root) == ["a.svs"]
    for process in processes:
        assert process.communicate("done\n", timeout=60)[1] == ""
        assert process.returncode == 0
    assert [p.name for p in root.iterdir()] == [LOCK]


def test_what_a_killed_copy_left_is_made_anew_by_who_waited_for_it(root, make_file, start_python):
    path = make_file("a.svs", 100 * KB)
    process = start_python(BORROW, root, path, 600)
    assert process.stdout.readline() == "copied\n"
    [part] = copies(root).values()
    assert part.name.endswith(PART)
    waiting = start_python(BORROW, root, path, 0)
    wait_until(lambda: len(list(root.glob(f"*{RUN}"))) == 2)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    assert waiting.stdout.readline() == "copied\n"
    assert waiting.stdout.readline() == "new\n"
    assert waiting.communicate("done\n", timeout=60)[1] == ""
    assert [p.name for p in root.iterdir()] == [LOCK]


def test_what_killed_batches_left_is_removed_by_the_next(root, make_file, start_python):
    processes = [start_python(BORROW, root, make_file("whole.svs"), 0)]
    wait_until(lambda: names(root) == ["whole.svs"])
    assert [processes[0].stdout.readline() for _ in range(2)] == ["copied\n", "new\n"]
    processes.append(start_python(BORROW, root, make_file("half.svs"), 600))
    assert processes[1].stdout.readline() == "copied\n"
    for process in processes:
        process.kill()
        process.wait()
    (root / f"{'0' * 64}-1{PART}").mkdir()  # killed before it could say whose it is
    assert len(copies(root)) == 3
    with open_scratch(root, KB):
        assert copies(root) == {}
        assert len(list(root.glob(f"*{RUN}"))) == 1


def test_a_removal_that_was_killed_leaves_no_half_copy_to_be_read(root, make_file, monkeypatch):
    path = make_file("a.svs")
    with open_scratch(root, 100 * KB) as scratch:
        borrow(scratch, path).close()
        [whole] = copies(root).values()
        with monkeypatch.context() as patch:
            patch.setattr(scratch_copy.shutil, "rmtree", _be_killed)
            with scratch.alone(), pytest.raises(KeyboardInterrupt):
                scratch_copy.remove(whole, scratch_copy.lock(whole))
        (root / f"{whole.name}{PART}" / CARD).unlink()
        borrowed = borrow(scratch, path)
        assert borrowed.is_new
        assert borrowed.path.read_bytes() == path.read_bytes()
        borrowed.close()


def _be_killed(_path):
    raise KeyboardInterrupt


def test_a_disk_that_takes_no_file_of_that_size_leaves_the_slide_in_its_place(
    root, scratch, make_file
):
    path = make_file("a.svs", 90 * KB)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50 * KB, hard))
    try:
        refused = borrow(scratch, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(refused, NoRoom)
    assert os.strerror(errno.EFBIG) in refused.why
    assert copies(root) == {}


def test_a_full_disk_leaves_the_slide_in_its_place(root, make_file):
    root.mkdir()
    mount = f'mount -t tmpfs -o size=1m none {root} && exec "$@"'
    inside = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, "sh"]
    run = partial(subprocess.run, capture_output=True, text=True, check=False)
    if shutil.which("unshare") is None or run([*inside, "true"]).returncode:
        pytest.skip("needs a mount of its own")
    python = [sys.executable, "-W", "error", "-c", FULL, str(root), str(make_file("a", 10**7))]
    said = run([*inside, *python])
    assert said.stdout.splitlines() == [
        f"{root} is full: {os.strerror(errno.ENOSPC)}",
        f"['{LOCK}']",
    ]


def test_a_copy_says_who_made_it(scratch, root, make_file):
    borrow(scratch, make_file("a.svs")).close()
    [copy] = copies(root).values()
    card = {"batch": scratch.batch, "path": "a.svs", "members": ["a.svs"]}
    assert json.loads((copy / CARD).read_bytes()) == card
