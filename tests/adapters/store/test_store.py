import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pytest

from pathassets.adapters.store.damage import MANIFEST, look_over
from pathassets.adapters.store.folder_store import FolderStore
from pathassets.adapters.store.staging import REPLACE_LOCK, STAGING, SWEEP_LOCK
from pathassets.adapters.store.store import Artifact
from pathassets.core.address import Address
from pathassets.errors import ArtifactCorrupt, ArtifactMissing, StoreError

N_ARTIFACTS = 50
ADDRESS = Address("features", "stats", "a-0123456789", "89abcdef01234567")

PUBLISHER = """
import os, sys
from pathlib import Path
from pathassets.adapters.store.folder_store import FolderStore
from pathassets.adapters.store.store import Artifact
from pathassets.core.address import Address

root, n_artifacts = Path(sys.argv[1]), int(sys.argv[2])
for line in sys.stdin:  # in forks, where imports are paid for
    child = os.fork()
    if not child:
        break
    print(os.waitpid(child, 0)[1], flush=True)
else:
    sys.exit()
store = FolderStore(root)
store.open()
with store.staging(line.strip()) as staging:
    print(os.getpid(), flush=True)
    sys.stdin.readline() or sys.exit()
    for i in range(n_artifacts):
        folder = staging / f"{i}"
        (folder / "f.zarr" / "c").mkdir(parents=True)
        for name in ("a.bin", "f.zarr/zarr.json", "f.zarr/c/0"):
            (folder / name).write_bytes(f"{i} {name}".encode() * 5000)
        store.publish(
            Artifact(
                address=Address("features", "stats", f"s{i}", "0"), spec={"i": i}, code_version="1",
                weights_sha256="", parents=(), facts={}, software={},
            ),
            folder,
        )
"""


MENDERS = """
import os, sys
from pathlib import Path
from tests.adapters.store.test_store import ADDRESS, draft, fill, open_store
store = open_store(Path(sys.argv[1]))
for _ in range(3):
    if not os.fork():
        for i in range(int(sys.argv[2])):
            (store.path_of(ADDRESS) / "x.bin").unlink(missing_ok=True)
            with store.staging(f"run-{os.getpid()}-{i}") as staging:
                store.publish(draft(), fill(staging))
        os._exit(0)
print([os.wait()[1] for _ in range(3)])
"""


KILLED_MENDER = """
import os, sys
from pathlib import Path
from pathassets.adapters.store import folder_store as module
from tests.adapters.store.test_store import ADDRESS, draft, fill, open_store
store, rename = open_store(Path(sys.argv[1])), module._take_name
def rename_or_die(folder, target):
    return rename(folder, target) if target.exists() else os._exit(9)
module._take_name = rename_or_die
with store.staging("run") as staging:
    store.publish(draft(), fill(staging))
"""


def open_store(root):
    store = FolderStore(root)
    store.open()
    return store


def skip_if_allowed(path, mode):
    if os.access(path, mode):
        pytest.skip("root may read and write everything")


def draft(address=ADDRESS, **changes):
    made = Artifact(
        address=address,
        spec={"encoder": "stats"},
        code_version="1",
        weights_sha256="",
        parents=(Address.of_slide("a-0123456789", "00"),),
        facts={"n_patches": 3, "mpp": 0.5},
        software={"numpy": "2"},
    )
    return replace(made, **changes)


def fill(staging, name="work", files=None):
    folder = staging / name
    for path, data in (files or {"x.bin": b"1234", "f.zarr/c/0": b"56"}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def publish(store, made=None, files=None):
    with store.staging("run") as staging:
        return store.publish(made or draft(), fill(staging, files=files))


@contextmanager
def full_disk():
    """Let no file grow beyond a few bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def left_in(store):
    return {p.name for p in (store.root / STAGING).iterdir()} - {SWEEP_LOCK, REPLACE_LOCK}


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "store")


@dataclass(frozen=True)
class Publisher:
    """A process that publishes in forks of itself, one at a time."""

    process: subprocess.Popen[str]

    def begin(self, run: str) -> int:
        """Let a fork begin a run, which waits for `go` then; its process id."""
        self.say(run)
        return int(self.process.stdout.readline())

    def say(self, line: str) -> None:
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def end(self) -> int:
        """Wait for the fork's end: its status as of `os.waitpid`."""
        return int(self.process.stdout.readline())

    def kill(self, pid: int) -> bool:
        """Kill the fork; whether it had not ended by then."""
        os.kill(pid, signal.SIGKILL)
        return self.end() == signal.SIGKILL


@pytest.fixture
def start(store, start_python):
    return lambda: Publisher(start_python(PUBLISHER, store.root, N_ARTIFACTS))


def test_what_is_published_is_read_back(store):
    made = publish(store)
    assert store.has(ADDRESS)
    assert store.read(ADDRESS) == store.read_checked(ADDRESS) == made
    assert made.parents == draft().parents
    assert [f.path for f in made.files] == ["f.zarr/c/0", "x.bin"]
    assert made.size_bytes == 6
    assert (store.path_of(ADDRESS) / "x.bin").read_bytes() == b"1234"
    assert store.read_file(made, made.files[1]) == b"1234"
    assert left_in(store) == set()


def test_the_content_hash_is_that_of_sha256sum(store):
    made = publish(store)
    lines = subprocess.run(
        ["/usr/bin/env", "sha256sum", "f.zarr/c/0", "x.bin"],
        cwd=store.path_of(ADDRESS),
        capture_output=True,
        check=True,
    ).stdout.splitlines(keepends=True)
    assert hashlib.sha256(b"".join(sorted(lines))).hexdigest() == made.content_sha256


def test_equal_work_gives_equal_bytes_in_two_stores(tmp_path):
    stores = [open_store(tmp_path / name) for name in ("a", "b")]
    for store in stores:
        publish(store)
    one, other = ((s.path_of(ADDRESS) / MANIFEST).read_bytes() for s in stores)
    assert one == other


def test_an_artifact_that_is_there_is_kept(store):
    first = publish(store)
    again = publish(store, draft(facts={"n_patches": 4}), files={"x.bin": b"other"})
    assert again == first == store.read_checked(ADDRESS)
    assert left_in(store) == set()


def test_nothing_is_there_before_it_is_published(store):
    with store.staging("run") as staging:
        fill(staging)
        assert not store.has(ADDRESS)
    assert not store.has(ADDRESS)
    with pytest.raises(ArtifactMissing, match="features/stats of a-0123456789 is not here") as e:
        store.read(ADDRESS)
    assert isinstance(e.value, FileNotFoundError)
    assert e.value.remedy == "pathassets run makes it, and what it is made from"


def test_a_full_disk_is_a_store_error_and_publishes_nothing(store):
    with store.staging("run") as staging:
        folder = fill(staging)
        with full_disk(), pytest.raises(StoreError, match="cannot be published: File too") as e:
            store.publish(draft(), folder)
    assert e.value.remedy == "Free or mend the disk"
    assert not store.has(ADDRESS)
    assert left_in(store) == set()


def test_a_link_among_the_files_is_not_published(store, tmp_path):
    (tmp_path / "secret").write_text("of somebody else")
    with store.staging("run") as staging:
        folder = fill(staging)
        (folder / "y.bin").symlink_to(tmp_path / "secret")
        with pytest.raises(StoreError, match=r"y\.bin: is a link, which is not followed"):
            store.publish(draft(), folder)
    assert not store.has(ADDRESS)


def lose_manifest(folder):
    (folder / MANIFEST).unlink()


def empty_manifest(folder):
    (folder / MANIFEST).write_bytes(b"")


def lose_file(folder):
    (folder / "f.zarr" / "c" / "0").unlink()


def flip_bit(folder):
    (folder / "x.bin").write_bytes(b"1235")


def lose_all(folder):
    shutil.rmtree(folder)


def be_a_file(folder):
    shutil.rmtree(folder)
    folder.write_text("in the way")


def be_a_link(folder):
    shutil.move(folder, folder.parent.parent / "elsewhere")
    folder.symlink_to(folder.parent.parent / "elsewhere")


DAMAGES = [lose_manifest, empty_manifest, lose_file, flip_bit, lose_all, be_a_file, be_a_link]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_replace_by_what_is_published_in_its_place(store, damage):
    made = publish(store)
    damage(store.path_of(ADDRESS))
    assert not store.is_intact(ADDRESS)
    assert publish(store) == made == store.read_checked(ADDRESS)
    assert not store.path_of(ADDRESS).is_symlink()
    assert left_in(store) == set()


def test_what_a_link_in_an_artifacts_place_leads_to_is_left_alone(store):
    publish(store)
    be_a_link(store.path_of(ADDRESS))
    publish(store)
    assert (store.path_of(ADDRESS).parent.parent / "elsewhere" / "x.bin").read_bytes() == b"1234"


def test_a_link_above_an_artifacts_place_is_refused_with_what_to_do(store, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (store.root / "features").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="features: is a link, which is not followed") as e:
        publish(store)
    assert e.value.remedy.startswith(f"Remove it (rm {store.root / 'features'})")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_by_the_files_that_somebody_else_lists(store, damage):
    files = publish(store).files
    assert store.check_sizes(ADDRESS, files) is None
    assert store.check_bytes(ADDRESS, files) is None
    damage(store.path_of(ADDRESS))
    assert (store.check_sizes(ADDRESS, files) is None) is (damage is flip_bit)
    found = store.check_bytes(ADDRESS, files)
    assert found.is_gone is (damage is lose_all)
    assert (
        str(found)
        == {
            lose_manifest: "artifact.json is gone",
            empty_manifest: "artifact.json is empty",
            lose_file: "f.zarr/c/0 is gone",
            flip_bit: "x.bin has other bytes than were published",
            lose_all: "its folder is gone",
            be_a_file: "its folder is something else now",
            be_a_link: "its folder is a link, which is not followed",
        }[damage]
    )


def test_a_survey_gives_what_is_not_whole_in_the_order_asked(store):
    addresses = [replace(ADDRESS, partition_key=f"s{i}") for i in range(600)]
    files = publish(store, draft(addresses[0])).files
    for address in addresses[1:]:
        shutil.copytree(store.path_of(addresses[0]), store.path_of(address))
    lost = [addresses[7], addresses[300], addresses[599]]
    for address in lost:
        lose_file(store.path_of(address))
    looks = list(store.look_over((address, files) for address in addresses))
    assert [address for address, _ in looks] == addresses
    found = [(address, damage) for address, damage in looks if damage is not None]
    assert [address for address, _ in found] == lost
    assert {str(damage) for _, damage in found} == {"f.zarr/c/0 is gone"}
    # Every byte is read, so that of all copies the manifest names another artifact.
    deep = list(store.find_damaged_bytes(((a, files) for a in addresses[:3]), n_threads=2))
    assert [address for address, _ in deep] == addresses[1:3]


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "5", "{}", '{"content_sha256": ""}', b"\xff\xfe"],
)
def test_a_damaged_manifest_is_corrupt_and_says_what_to_delete(store, text):
    publish(store)
    path = store.path_of(ADDRESS) / MANIFEST
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ArtifactCorrupt, match=r"artifact\.json: cannot be read") as e:
        store.read(ADDRESS)
    assert e.value.remedy.startswith("pathassets doctor --bytes notes what is damaged; ")


def test_a_manifest_that_was_tampered_with_is_corrupt(store):
    publish(store)
    path = store.path_of(ADDRESS) / MANIFEST
    data = json.loads(path.read_text())
    data["files"][0]["sha256"] = "0" * 64
    path.write_text(json.dumps(data))
    with pytest.raises(ArtifactCorrupt, match="contradicts itself"):
        store.read(ADDRESS)


def test_an_artifact_whose_address_is_in_the_words_of_0_1_0_is_read(store):
    artifact = publish(store)
    path = store.path_of(ADDRESS) / "artifact.json"
    for new, old in (("stage", "section"), ("partition_key", "subject")):
        path.write_text(path.read_text().replace(f'"{new}"', f'"{old}"'))
    assert '"section"' in path.read_text()
    assert store.read(ADDRESS) == artifact
    assert store.check_sizes(ADDRESS, artifact.files) is None


def test_an_artifact_at_another_ones_place_is_corrupt(store):
    publish(store)
    other = replace(ADDRESS, partition_key="b-0123456789")
    shutil.copytree(store.path_of(ADDRESS), store.path_of(other))
    with pytest.raises(ArtifactCorrupt, match="its place"):
        store.read(other)


def lose(path):
    path.unlink()


def change(path):
    path.write_bytes(b"1235")


@pytest.mark.parametrize("damage", [lose, change])
def test_a_file_that_is_lost_or_changed_is_found_by_a_checked_read(store, damage):
    publish(store)
    damage(store.path_of(ADDRESS) / "x.bin")
    store.read(ADDRESS)
    with pytest.raises(ArtifactCorrupt, match=r"x\.bin: ") as e:
        store.read_checked(ADDRESS)
    assert e.value.remedy.startswith("pathassets doctor --bytes notes what is damaged; ")


@pytest.mark.slow
def test_a_killed_publisher_leaves_whole_artifacts_and_sweepable_staging(store, start):
    rng = np.random.default_rng(0)
    addresses = [Address("features", "stats", f"s{k}", "0") for k in range(N_ARTIFACTS)]
    n_killed = 0
    publisher = start()
    for i in range(8):
        pid = publisher.begin(f"run{i}")
        publisher.say("go")
        awaited = addresses[rng.integers(N_ARTIFACTS - 10)]
        while not store.has(awaited):
            pass
        time.sleep(rng.uniform(0, 0.002))
        is_killed = publisher.kill(pid)
        for address in filter(store.has, addresses):
            made = store.read_checked(address)
            assert [f.path for f in made.files] == ["a.bin", "f.zarr/c/0", "f.zarr/zarr.json"]
        assert bool(left_in(store)) == is_killed
        assert store.sweep_staging() == is_killed
        assert left_in(store) == set()
        n_killed += is_killed
        shutil.rmtree(store.root / "features")
    assert n_killed > 0


def test_two_processes_may_publish_the_same_artifacts(store, start):
    publishers = [start(), start()]
    for publisher, run in zip(publishers, ("one", "two"), strict=True):
        publisher.begin(run)
    for publisher in publishers:
        publisher.say("go")
    assert [publisher.end() for publisher in publishers] == [0, 0]
    for k in range(N_ARTIFACTS):
        store.read_checked(Address("features", "stats", f"s{k}", "0"))
    assert left_in(store) == set()


def test_the_staging_of_a_live_run_is_not_swept(store, start):
    publisher = start()
    pid = publisher.begin("live")
    with store.staging("mine") as staging:
        assert store.sweep_staging() == 0
        assert staging.is_dir()
        assert (store.root / STAGING / "live").is_dir()
    assert publisher.kill(pid)
    assert store.sweep_staging() == 1
    assert left_in(store) == set()


def test_whatever_else_lies_in_staging_is_swept(store):
    staging = store.root / STAGING
    (staging / "no-lock" / "deep").mkdir(parents=True)
    (staging / "no-folder.lock").touch()
    (staging / "both").mkdir()
    (staging / "both.lock").touch()
    (staging / "a-file").write_text("x")
    assert store.sweep_staging() == 4
    assert left_in(store) == set()
    assert store.sweep_staging() == 0


@pytest.mark.parametrize("name", ["link", "link.lock", SWEEP_LOCK, REPLACE_LOCK])
@pytest.mark.parametrize("leads_to", ["folder", "file", "nothing"])
def test_a_link_in_staging_is_removed_and_never_followed(store, tmp_path, name, leads_to):
    (tmp_path / "folder").mkdir()
    for place in ("folder/kept", "file"):
        (tmp_path / place).write_text("kept")
    (store.root / STAGING / name).symlink_to(tmp_path / leads_to)
    store.sweep_staging()
    with store.staging("run"):
        pass
    publish(store)
    flip_bit(store.path_of(ADDRESS))
    assert publish(store) == store.read_checked(ADDRESS)
    assert left_in(store) == set()
    assert not (store.root / STAGING / name).is_symlink()
    assert (tmp_path / "folder" / "kept").read_text() == (tmp_path / "file").read_text() == "kept"
    assert not (tmp_path / "nothing").exists()


def test_a_run_does_not_work_where_a_link_of_its_name_leads(store, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (store.root / STAGING / "run").symlink_to(tmp_path / "elsewhere")
    with store.staging("run") as folder:
        fill(folder)
        assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_staging_area_that_is_a_link_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / STAGING).symlink_to(tmp_path / "elsewhere")
    for act in (open_store, lambda root: FolderStore(root).sweep_staging()):
        with pytest.raises(StoreError, match="is a link, which is not followed") as e:
            act(tmp_path / "store")
        assert e.value.remedy.startswith("Remove it")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_cannot_be_swept_stops_nobody(store, caplog, monkeypatch):
    (store.root / STAGING / "left").mkdir()

    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", refuse)
        assert store.sweep_staging() == 0
    assert "left: is left over, and cannot be removed: Operation not permitted" in caplog.text
    assert store.sweep_staging() == 1


def test_a_kill_between_putting_aside_and_replacing_leaves_none_and_the_next_makes_it(
    store, start_python
):
    made = publish(store)
    flip_bit(store.path_of(ADDRESS))
    assert start_python(KILLED_MENDER, store.root).wait(60) == 9
    assert not store.path_of(ADDRESS).exists()
    assert store.sweep_staging() == 2  # the run, and what it put aside
    assert left_in(store) == set()
    assert publish(store) == made == store.read_checked(ADDRESS)


@pytest.mark.parametrize("n_tries", [20])
def test_processes_that_mend_one_artifact_at_once_leave_it_whole(store, start_python, n_tries):
    """None puts aside what another has just made whole, and none fails."""
    made = publish(store)
    menders = start_python(MENDERS, store.root, n_tries)
    assert menders.communicate(timeout=60) == ("[0, 0, 0]\n", "")
    assert store.read_checked(ADDRESS) == made
    assert left_in(store) == set()


def test_a_run_that_another_process_works_on_is_left_alone(store, start):
    publisher = start()
    pid = publisher.begin("run")
    with (
        pytest.raises(StoreError, match="another process works on this run"),
        store.staging("run"),
    ):
        pass
    assert {"run", "run.lock"} <= left_in(store)
    assert publisher.kill(pid)


def test_an_error_inside_staging_is_passed_on_and_leaves_nothing(store):
    with pytest.raises(FileExistsError, match="work"), store.staging("run") as staging:
        fill(staging).mkdir()
    assert left_in(store) == set()


@pytest.mark.parametrize("place", ["file/store", "/proc/pathassets"])
def test_a_place_that_cannot_be_written_is_a_store_error(tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="the store is not writable") as e:
        open_store(tmp_path / place)
    assert "PATHASSETS_STORE" in e.value.remedy
    unopened = FolderStore(tmp_path / place)
    with pytest.raises(StoreError, match="not writable"):
        unopened.sweep_staging()
    with pytest.raises(StoreError, match="not writable"), unopened.staging("run"):
        pass


def test_a_store_one_may_not_write_is_a_store_error(tmp_path):
    (tmp_path / "store").mkdir(mode=0o500)
    skip_if_allowed(tmp_path / "store", os.W_OK)
    with pytest.raises(StoreError, match="not writable: Permission denied"):
        open_store(tmp_path / "store")


def test_a_disk_that_answers_at_once_is_asked_by_one_thread_and_a_slow_one_by_several(monkeypatch):
    addresses = [replace(ADDRESS, partition_key=str(i)) for i in range(600)]
    expected = [(address, ()) for address in addresses]
    asked: set[int] = set()

    def ask(_address, _files):
        asked.add(threading.get_ident())

    with monkeypatch.context() as patch:
        patch.setattr(time, "perf_counter", time.thread_time)  # nobody else takes the core
        assert list(look_over(ask, expected)) == [(address, None) for address in addresses]
    assert asked == {threading.get_ident()}

    def ask_slowly(address, files):
        ask(address, files)
        time.sleep(0.001)  # without the interpreter's lock, as a share lets wait

    assert list(look_over(ask_slowly, expected)) == [(address, None) for address in addresses]
    assert len(asked) > 2
