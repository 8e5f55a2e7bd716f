"""What only a bucket does: tokens, copies on this machine, writers that die or race."""

from __future__ import annotations

import hashlib
import json
import os

import boto3
import pytest

from pathassets.adapters.objects.place import ObjectPlace
from pathassets.adapters.store import bucket_store, bucket_upkeep
from pathassets.adapters.store.bucket_manifest import manifest_key, read_said
from pathassets.adapters.store.damage import MANIFEST
from pathassets.adapters.store.opening import store_at, upkeep_of
from pathassets.core.address import Address
from pathassets.errors import ArtifactCorrupt, ObjectMissing, StorageUnavailable, StoreError
from tests.adapters.store.test_store import ADDRESS, draft, publish


@pytest.fixture
def store(bucket, tmp_path):
    opened = store_at(f"{bucket}/store", tmp_path / "work")
    opened.open()
    return opened


def keys(store):
    return sorted(one.key for one in store.place.objects(str(ADDRESS)))


def manifest_of(store):
    return json.loads(store.place.read(manifest_key(ADDRESS)))


def write_manifest(store, **changes):
    store.place.put(manifest_key(ADDRESS), json.dumps(manifest_of(store) | changes).encode())


def other_machine(store, tmp_path, name="other", cache_bytes=10**9):
    return store_at(store.where, tmp_path / name, cache_bytes)


def test_files_lie_under_a_token_that_the_manifest_names(store):
    publish(store)
    token = manifest_of(store)["token"]
    assert keys(store) == sorted(
        [f"{ADDRESS}/{MANIFEST}", f"{ADDRESS}/{token}/f.zarr/c/0", f"{ADDRESS}/{token}/x.bin"]
    )


def test_what_names_the_files_goes_up_last(store, monkeypatch):
    put = []
    for name in ("put", "put_if_absent"):
        act = getattr(type(store.place), name)
        monkeypatch.setattr(
            type(store.place), name, lambda *a, act=act: (put.append(a[1]), act(*a))[1]
        )
    publish(store)
    assert put[-1] == manifest_key(ADDRESS)
    assert len(put) == 3


def test_a_second_writer_with_other_bytes_leaves_the_first_and_nothing_of_its_own(
    store, tmp_path, monkeypatch
):
    """The race: the first names its files after the second's are up, and before it names them."""
    other = other_machine(store, tmp_path)
    name_token = bucket_store.BucketStore._name_token

    def late(self, artifact, token):
        monkeypatch.setattr(bucket_store.BucketStore, "_name_token", name_token)
        publish(other, draft(facts={"by": "other"}), files={"x.bin": b"theirs"})
        return name_token(self, artifact, token)

    monkeypatch.setattr(bucket_store.BucketStore, "_name_token", late)
    mine = publish(store, draft(facts={"by": "me"}), files={"x.bin": b"mine"})
    assert mine.facts == {"by": "other"} == store.read_checked(ADDRESS).facts
    assert (store.fetch(ADDRESS) / "x.bin").read_bytes() == b"theirs"
    assert len(keys(store)) == 2
    assert list(upkeep_of(store).find_leftovers()) == []


def test_an_answer_that_is_lost_is_no_loss(store, monkeypatch):
    """The manifest was written, and the server's word of it never came."""
    put_if_absent = type(store.place).put_if_absent

    def lost(place, key, data):
        put_if_absent(place, key, data)
        return False

    monkeypatch.setattr(type(store.place), "put_if_absent", lost)
    made = publish(store)
    assert store.read_checked(ADDRESS) == made
    assert len(keys(store)) == 3


def test_of_two_that_mend_one_artifact_the_later_keeps_the_earlier_s(store, tmp_path, monkeypatch):
    publish(store)
    store.place.delete([f"{read_said(store.place, ADDRESS).folder}/x.bin"])
    other = other_machine(store, tmp_path)
    put_instead = type(store.place).put_instead

    def late(place, known, data):
        monkeypatch.setattr(type(store.place), "put_instead", put_instead)
        publish(other, draft(facts={"by": "other"}))
        return put_instead(place, known, data)

    monkeypatch.setattr(type(store.place), "put_instead", late)
    assert publish(store, draft(facts={"by": "me"})).facts == {"by": "other"}
    assert store.is_intact(ADDRESS)
    assert len(keys(store)) == 3


def test_a_storage_that_fails_while_files_go_up_leaves_none(store, monkeypatch):
    put_file = type(store.place).put_file

    def broken(place, key, path):
        if key.endswith("x.bin"):
            raise StorageUnavailable(key, "does not answer")
        put_file(place, key, path)

    with monkeypatch.context() as patched:
        patched.setattr(type(store.place), "put_file", broken)
        with pytest.raises(StorageUnavailable):
            publish(store)
    assert keys(store) == []
    assert publish(store) == store.read_checked(ADDRESS)


def test_files_stay_once_they_were_to_be_named_and_no_answer_came(store, monkeypatch):
    """The request may be done a moment later: it must not name files that were taken away."""
    put_if_absent = type(store.place).put_if_absent

    def lost(place, key, data):
        put_if_absent(place, key, data)
        raise StorageUnavailable(key, "does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(type(store.place), "put_if_absent", lost)
        with pytest.raises(StorageUnavailable):
            publish(store)
    assert store.is_intact(ADDRESS)
    assert publish(store) == store.read_checked(ADDRESS)
    assert len(keys(store)) == 3


def test_a_storage_that_does_not_answer_is_no_damage(store, monkeypatch):
    made = publish(store)

    def silent(*_):
        raise StorageUnavailable(store.where, "does not answer")

    store.place.put(f"{ADDRESS}/{'0' * 32}/x.bin", b"")
    monkeypatch.setattr(type(store.place), "read_known", silent)
    with pytest.raises(StorageUnavailable):  # which of two tokens counts, nobody can be asked
        store.check_sizes(ADDRESS, made.files)
    for name in ("head", "objects"):
        monkeypatch.setattr(type(store.place), name, silent)
    for ask in (store.is_intact, store.has, store.read_whole, store.fetch):
        with pytest.raises(StorageUnavailable):
            ask(ADDRESS)
    for check in (store.check_sizes, store.check_bytes):
        with pytest.raises(StorageUnavailable):
            check(ADDRESS, made.files)


def test_files_that_nothing_names_go_once_they_are_a_day_old(store, monkeypatch):
    made = publish(store)
    left = [f"{ADDRESS}/{'a' * 32}/x.bin", f"features/stats/b/0/{'b' * 32}/f.zarr/c/0"]
    for key in left:
        store.place.put(key, b"1234")
    upkeep = upkeep_of(store)
    assert list(upkeep.find_leftovers()) == []
    upkeep.sweep()
    assert len(keys(store)) == 4
    monkeypatch.setattr(bucket_upkeep, "KEPT_S", -60.0)
    found = [store.place_of(one.place) for one in upkeep.find_leftovers()]
    assert found == [key.split("/x.bin")[0].split("/f.zarr")[0] for key in left]
    upkeep.sweep()
    assert list(upkeep.find_leftovers()) == []
    assert store.is_intact(ADDRESS)
    assert store.check_sizes(ADDRESS, made.files) is None


def test_a_writer_that_is_not_done_is_no_finding(store):
    store.place.put(f"{ADDRESS}/{'a' * 32}/x.bin", b"1234")
    assert list(upkeep_of(store).survey(["features"])) == []


def test_files_that_took_too_long_to_go_up_are_not_named(store, monkeypatch):
    monkeypatch.setattr(bucket_store, "_UPLOAD_S", -1.0)
    with pytest.raises(StoreError, match="took hours"):
        publish(store)
    assert keys(store) == []


def test_sizes_are_those_of_the_token_that_counts(store):
    made = publish(store)
    store.place.put(f"{ADDRESS}/{'0' * 32}/x.bin", b"")
    assert store.check_sizes(ADDRESS, made.files) is None
    store.place.delete([f"{read_said(store.place, ADDRESS).folder}/x.bin"])
    store.place.put(f"{ADDRESS}/{'0' * 32}/x.bin", b"1234")
    assert str(store.check_sizes(ADDRESS, made.files)) == "x.bin is gone"


def truncated(text):
    return text[: len(text) // 2]


def without_its_last_byte(text):
    return text[:-1]


def of_another_artifact(text):
    return text.replace(b'"stats"', b'"other_stats"')


@pytest.mark.parametrize("change", [truncated, without_its_last_byte, of_another_artifact])
def test_a_manifest_of_another_length_than_was_written_is_seen_by_a_listing(
    store, monkeypatch, change
):
    made = publish(store)
    text = store.place.read(manifest_key(ADDRESS))
    store.place.put(manifest_key(ADDRESS), change(text))
    with monkeypatch.context() as patched:
        for name in ("read", "read_known", "head"):
            patched.delattr(type(store.place), name)
        damage = store.check_sizes(ADDRESS, made.files)
    assert str(damage) == "artifact.json is not what was written"
    with pytest.raises(ArtifactCorrupt):
        store.read(ADDRESS)
    assert publish(store) == store.read_checked(ADDRESS)
    assert store.check_sizes(ADDRESS, made.files) is None


def test_a_manifest_that_was_written_anew_in_another_form_is_replaced(store):
    made = publish(store)
    write_manifest(store)
    with pytest.raises(ArtifactCorrupt, match="is not what was written"):
        store.read(ADDRESS)
    publish(store)
    assert store.check_sizes(ADDRESS, made.files) is None


def test_an_artifact_of_before_whose_token_says_no_length_is_whole(store):
    made = publish(store)
    said, token = read_said(store.place, ADDRESS), "0123456789ab4def8123456789abcdef"
    for file in made.files:
        data = store.place.read(f"{said.folder}/{file.path}")
        store.place.put(f"{ADDRESS}/{token}/{file.path}", data)
    store.place.delete([f"{said.folder}/{file.path}" for file in made.files])
    write_manifest(store, token=token)
    assert store.check_sizes(ADDRESS, made.files) is None
    assert store.read_proved(ADDRESS) == made


HOSTILE = {
    "a path that leads out": {"files": [{"path": "../../x", "size_bytes": 1, "sha256": "0"}]},
    "a path from the root": {"files": [{"path": "/etc/x", "size_bytes": 1, "sha256": "0"}]},
    "the manifest itself": {"files": [{"path": MANIFEST, "size_bytes": 1, "sha256": "0"}]},
    "less than nothing": {"files": [{"path": "x.bin", "size_bytes": -1, "sha256": "0"}]},
    "a token that leads out": {"token": "../../other/place"},
    "no token": {"token": None},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_manifest_is_corrupt_and_writes_nothing(store, tmp_path, case):
    publish(store)
    changes = HOSTILE[case]
    if "files" in changes:  # its sum is right, too
        lines = "".join(sorted(f"{f['sha256']}  {f['path']}\n" for f in changes["files"]))
        changes = changes | {"content_sha256": hashlib.sha256(lines.encode()).hexdigest()}
    write_manifest(store, **changes)
    before = set(tmp_path.rglob("*"))
    other = other_machine(store, tmp_path)
    for read in (other.read, other.fetch, other.read_checked):
        with pytest.raises(ArtifactCorrupt, match="cannot be read"):
            read(ADDRESS)
    assert set(tmp_path.rglob("*")) == before


def test_a_copy_is_made_once_and_every_byte_of_it_checked(store, tmp_path, monkeypatch):
    made = publish(store)
    other = other_machine(store, tmp_path)
    read = []
    read_parts = type(store.place).read_parts
    monkeypatch.setattr(
        type(store.place), "read_parts", lambda p, k: (read.append(k.key), read_parts(p, k))[1]
    )
    folder = other.fetch(ADDRESS)
    assert len(read) == len(made.files)
    assert other.fetch(ADDRESS) == folder
    assert other.read_checked(ADDRESS) == made
    assert len(read) == len(made.files)
    store.place.put(f"{read_said(store.place, ADDRESS).folder}/x.bin", b"4321")
    with pytest.raises(ArtifactCorrupt, match="has other bytes"):
        other_machine(store, tmp_path, "third").fetch(ADDRESS)
    assert not list((tmp_path / "third" / "cache").iterdir())


def test_a_copy_that_was_changed_here_is_made_anew(store):
    made = publish(store)
    folder = store.fetch(ADDRESS)
    (folder / "x.bin").write_bytes(b"4321")
    assert store.fetch(ADDRESS) == folder  # by its sizes
    assert store.read_checked(ADDRESS) == made
    assert (store.fetch(ADDRESS) / "x.bin").read_bytes() == b"1234"


def test_what_is_doubted_is_read_where_it_is_kept_and_not_from_a_copy(store):
    publish(store)
    store.place.put(f"{read_said(store.place, ADDRESS).folder}/x.bin", b"4321")
    assert (store.fetch(ADDRESS) / "x.bin").read_bytes() == b"1234"
    with pytest.raises(ArtifactCorrupt, match="has other bytes"):
        store.read_proved(ADDRESS)


def test_a_link_in_a_copy_is_not_followed(store, tmp_path):
    publish(store)
    (tmp_path / "planted").write_bytes(b"1234")
    folder = store.fetch(ADDRESS)
    (folder / "x.bin").unlink()
    (folder / "x.bin").symlink_to(tmp_path / "planted")
    assert not (store.fetch(ADDRESS) / "x.bin").is_symlink()


def test_the_copy_is_that_of_what_was_published_last(store, tmp_path):
    publish(store)
    other = other_machine(store, tmp_path)
    other.fetch(ADDRESS)
    store.place.delete([f"{read_said(store.place, ADDRESS).folder}/x.bin"])
    made = publish(store, draft(facts={"new": 1}), files={"x.bin": b"new!"})
    assert other.read_checked(ADDRESS) == made
    assert (other.fetch(ADDRESS) / "x.bin").read_bytes() == b"new!"


def test_copies_are_bounded_and_the_longest_unused_goes_first(store, tmp_path, start_python):
    addresses = [Address("features", "stats", f"s-{n}", "0") for n in range(4)]
    for address in addresses:
        publish(store, draft(address), files={"x.bin": b"1234" * 10})
    reader = start_python(COPIES, store.where, tmp_path / "small", 100)
    assert sorted(reader.communicate(timeout=60)[0].split()) == ["s-0", "s-3"]


COPIES = """
import sys, time
from pathlib import Path
from pathassets.adapters.store import cache
from pathassets.adapters.store.opening import store_at
from pathassets.adapters.store.store import read_copy
from pathassets.core.address import Address
cache.N_HELD = 0
store = store_at(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
for n in (0, 1, 2, 0, 3):
    store.fetch(Address("features", "stats", f"s-{n}", "0"))
    time.sleep(0.02)
for path in Path(sys.argv[2], "cache").iterdir():
    print(read_copy(path).address.partition_key)
"""


def test_a_copy_that_somebody_reads_is_not_removed(store, tmp_path):
    small = store_at(store.where, tmp_path / "small", 1)
    for n in range(3):
        address = Address("features", "stats", f"s-{n}", "0")
        publish(store, draft(address))
        assert (small.fetch(address) / "x.bin").read_bytes() == b"1234"
    small.cache.make_room()
    assert len(list((tmp_path / "small" / "cache").iterdir())) == 3


def test_what_a_killed_download_left_is_removed(store, tmp_path):
    left = tmp_path / "work" / "cache" / ".in-0"
    left.mkdir(parents=True)
    publish(store)
    assert not left.exists()


def test_a_storage_that_ignores_conditions_becomes_no_store(bucket, tmp_path, monkeypatch):
    def put_always(place, key, data):
        place.put(key, data)
        return True

    store = store_at(f"{bucket}/store", tmp_path / "work")
    with monkeypatch.context() as patched:
        patched.setattr(ObjectPlace, "put_if_absent", put_always)
        for _ in range(2):
            with pytest.raises(StoreError, match="writes over an object though"):
                store.open()
    assert not store.was_opened()
    store.open()
    assert store.was_opened()


def test_what_a_bucket_with_versions_keeps_of_what_was_removed_is_told(store):
    upkeep = upkeep_of(store)
    publish(store)
    assert upkeep.keeps_removed() == ""
    name, _, _ = store.where.removeprefix("s3://").partition("/")
    server = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    server.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    publish(store, draft(Address("features", "other", "b", "1")))
    assert upkeep.keeps_removed().startswith(f"{store.where} has versions: it keeps the bytes")


def test_a_store_is_marked_when_it_is_opened_and_no_bucket_is_told(bucket, tmp_path):
    with pytest.raises(ObjectMissing, match="there is no such bucket"):
        store_at(f"{bucket}-not/store", tmp_path / "work").open()
    store = store_at(bucket, tmp_path / "work")
    assert not store.was_opened()
    store.open()
    assert store.was_opened()
