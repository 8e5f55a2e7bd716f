"""What every store does, be it a folder or a bucket."""

from __future__ import annotations

from pathlib import Path

import pytest

from pathassets.adapters.store.damage import MANIFEST
from pathassets.adapters.store.folder_store import FolderStore
from pathassets.adapters.store.opening import store_at, upkeep_of
from pathassets.adapters.store.partial import hold_partials, sweep_partials
from pathassets.adapters.store.store import Store, read_copy
from pathassets.adapters.store.upkeep import Stray
from pathassets.core.address import Address
from pathassets.errors import ArtifactCorrupt, ArtifactMissing, StoreError
from tests.adapters.store.test_store import ADDRESS, draft, fill, full_disk, publish

FILES = {"x.bin": b"1234", "f.zarr/c/0": b"56", "empty": b""}
STAGES = ["tissue_mask", "features"]


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    is_folder = request.param == "folder"
    where = str(tmp_path / "store") if is_folder else f"{request.getfixturevalue('bucket')}/a/store"
    opened = store_at(where, tmp_path / "work")
    opened.open()
    return opened


def key_of(store: Store, path: str = MANIFEST, address: Address = ADDRESS) -> str:
    """Key of an artifact's file in its bucket."""
    (key,) = (one.key for one in store.place.objects(str(address)) if one.key.endswith(f"/{path}"))
    return key


def overwrite(store: Store, path: str, data: bytes) -> None:
    """Write over a file that was published, as somebody might."""
    if isinstance(store, FolderStore):
        (store.path_of(ADDRESS) / path).write_bytes(data)
    else:
        store.place.put(key_of(store, path), data)


def remove(store: Store, path: str) -> None:
    if isinstance(store, FolderStore):
        (store.path_of(ADDRESS) / path).unlink()
    else:
        store.place.delete([key_of(store, path)])


class TestStore:
    """One contract."""

    def test_what_was_never_published_is_missing(self, store):
        assert not store.has(ADDRESS)
        assert not store.holds_any()
        assert not store.is_intact(ADDRESS)
        for read in (store.read, store.read_whole, store.read_checked):
            with pytest.raises(ArtifactMissing, match="is not here") as caught:
                read(ADDRESS)
            assert caught.value.uri == store.uri_of(ADDRESS)
        damage = store.check_sizes(ADDRESS, ())
        assert damage is not None
        assert damage.is_gone

    def test_what_is_published_is_read_and_fetched(self, store):
        made = publish(store, files=FILES)
        assert store.has(ADDRESS)
        assert store.holds_any()
        assert store.is_intact(ADDRESS)
        for read in (store.read, store.read_whole, store.read_checked):
            assert read(ADDRESS) == made
        folder = store.fetch(ADDRESS)
        assert {file.path: (folder / file.path).read_bytes() for file in made.files} == FILES
        assert read_copy(folder) == made
        for file in made.files:
            assert store.read_file(made, file) == FILES[file.path]

    def test_the_same_bytes_have_the_same_content_wherever_they_are(self, store, tmp_path):
        elsewhere = FolderStore(tmp_path / "other")
        elsewhere.open()
        made = publish(store, files=FILES)
        assert publish(elsewhere, files=FILES) == made
        manifest = (store.fetch(ADDRESS) / MANIFEST).read_bytes()
        assert manifest == (elsewhere.path_of(ADDRESS) / MANIFEST).read_bytes()

    def test_what_is_there_and_whole_is_kept(self, store):
        first = publish(store, files=FILES)
        again = publish(store, draft(facts={"other": 1}), files={"x.bin": b"other bytes"})
        assert again == first == store.read_checked(ADDRESS)

    def test_what_a_publishing_that_was_killed_has_written_is_no_file_of_the_next(self, store):
        made = publish(store, files={**FILES, MANIFEST: b"{\n}\n"})
        assert {file.path for file in made.files} == {*FILES}
        assert store.read_checked(ADDRESS) == made

    def test_nothing_is_left_of_publishing(self, store):
        for facts in ({}, {"other": 1}):
            publish(store, draft(facts=facts), files=FILES)
        assert list(upkeep_of(store).find_leftovers()) == []
        assert list(upkeep_of(store).survey(STAGES)) == [ADDRESS]

    @pytest.mark.parametrize(
        ("act", "said"),
        [
            (lambda store: remove(store, "x.bin"), "x.bin is gone"),
            (lambda store: overwrite(store, "x.bin", b"12"), "x.bin has 2 bytes, 4 were published"),
            (lambda store: remove(store, MANIFEST), "artifact.json is gone"),
            (lambda store: overwrite(store, MANIFEST, b""), "artifact.json is"),
        ],
        ids=["gone", "shorter", "unnamed", "emptied"],
    )
    def test_files_that_are_lacking_are_seen_by_their_sizes(self, store, act, said):
        made = publish(store)
        act(store)
        assert str(store.check_sizes(ADDRESS, made.files)).startswith(said)
        ((address, damage),) = store.look_over([(ADDRESS, made.files)])
        assert address == ADDRESS
        assert str(damage).startswith(said)
        assert not store.is_intact(ADDRESS)

    @pytest.mark.parametrize("data", [b"4321", b"{}", b"\xff", b"[" * 5000])
    def test_a_manifest_that_is_none_is_corrupt(self, store, data):
        made = publish(store)
        overwrite(store, MANIFEST, data)
        with pytest.raises(ArtifactCorrupt, match="cannot be read"):
            store.read(ADDRESS)
        ((_, damage),) = store.find_damaged_bytes([(ADDRESS, made.files)], n_threads=2)
        assert damage.path == MANIFEST

    def test_other_bytes_are_found_by_reading_all(self, store):
        made = publish(store)
        overwrite(store, "x.bin", b"4321")
        assert store.check_sizes(ADDRESS, made.files) is None
        damage = store.check_bytes(ADDRESS, made.files)
        assert str(damage) == "x.bin has other bytes than were published"
        assert dict(store.find_damaged_bytes([(ADDRESS, made.files)], n_threads=2)) == {
            ADDRESS: damage
        }
        with pytest.raises(ArtifactCorrupt, match=r"x\.bin: has other bytes"):
            store.read_file(made, next(file for file in made.files if file.path == "x.bin"))

    @pytest.mark.parametrize("data", [None, b"4321", b"12", b"12345"])
    def test_what_is_damaged_is_replaced_by_what_is_published(self, store, data):
        made = publish(store, files={"x.bin": b"1234"})
        if data is None:
            remove(store, "x.bin")
        else:
            overwrite(store, "x.bin", data)
        assert publish(store, files={"x.bin": b"1234"}) == made
        assert store.is_intact(ADDRESS)
        assert store.read_checked(ADDRESS) == made
        assert list(upkeep_of(store).find_leftovers()) == []
        assert list(upkeep_of(store).find_unlisted(made)) == []

    def test_a_manifest_that_is_none_is_replaced(self, store):
        publish(store)
        overwrite(store, MANIFEST, b"{}")
        made = publish(store)
        assert store.read_checked(ADDRESS) == made

    def test_a_link_is_not_published(self, store, tmp_path):
        (tmp_path / "secret").write_text("x")
        with store.staging("run") as staging:
            folder = fill(staging)
            (folder / "link").symlink_to(tmp_path / "secret")
            with pytest.raises(StoreError, match="is a link"):
                store.publish(draft(), folder)
        assert not store.has(ADDRESS)

    def test_a_full_disk_is_told_with_the_artifact(self, store):
        with (
            pytest.raises(StoreError, match="File too large"),
            store.staging("run") as staging,
            store.writing(ADDRESS),
            full_disk(),
        ):
            fill(staging, files={"x.bin": b"123456789"})

    def test_what_is_begun_is_worked_on_here_and_swept_once_it_is_done(self, store):
        with hold_partials(store, [ADDRESS]) as [partial]:
            assert partial.folder.is_relative_to(store.work)
            fill(partial.folder, "files")
            store.publish(draft(), partial.files)
            partial.begin()
            (partial.files / "more").write_bytes(b"1")
        assert sweep_partials(store) == 1

    def test_paths_and_urls_are_told_from_those_elsewhere(self, store, tmp_path):
        assert store.place_of(store.uri_of(ADDRESS)) == str(ADDRESS)
        assert store.place_of(str(tmp_path / "x")) is None
        assert store.place_of(f"{store.where}-other/x") is None

    def test_another_process_opens_it_by_a_word(self, store, tmp_path):
        made = publish(store)
        assert store_at(store.where, tmp_path / "other").read_checked(ADDRESS) == made


class TestUpkeep:
    """The same of how it is tidied."""

    def test_stages_are_looked_through_in_their_order(self, store):
        masks = [Address("tissue_mask", "otsu", f"s-{n}", "0") for n in (2, 1)]
        for address in (ADDRESS, *masks):
            publish(store, draft(address))
        assert list(upkeep_of(store).survey(STAGES)) == [*sorted(masks), ADDRESS]

    def test_strays_are_told_and_put_aside(self, store):
        made = publish(store)
        for place in ("loose.txt", "features/loose", "holiday/a/b.jpg", f"{ADDRESS}/notes"):
            put_stray(store, place)
        upkeep = upkeep_of(store)
        strays = [one for one in upkeep.survey(STAGES) if isinstance(one, Stray)]
        strays += [one for one in upkeep.find_unlisted(made) if one not in strays]
        assert sorted(store.place_of(one.place) for one in strays) == sorted(
            ["loose.txt", "features/loose", "holiday", f"{ADDRESS}/notes"]
        )
        aside = [upkeep.put_aside(one.place, "2026-01-01", is_file=one.is_file) for one in strays]
        assert all(f"{store.where}/.aside/2026-01-01/" in one for one in aside)
        assert list(upkeep.survey(STAGES)) == [ADDRESS]
        assert store.is_intact(ADDRESS)

    def test_what_is_put_aside_twice_gets_another_name(self, store):
        upkeep = upkeep_of(store)
        names = []
        for _ in range(2):
            put_stray(store, "holiday/a.jpg")
            names.append(upkeep.put_aside(f"{store.where}/holiday", "today", is_file=False))
        assert names == [f"{store.where}/.aside/today/holiday{end}" for end in ("", ".1")]

    def test_an_artifact_is_removed_once_and_again(self, store):
        other = Address("features", "stats", "b", "1")
        publish(store)
        publish(store, draft(other))
        upkeep = upkeep_of(store)
        assert not upkeep.is_bare(ADDRESS)
        for _ in range(2):
            with store.staging("bin") as bin_:
                upkeep.remove(ADDRESS, bin_)
            assert not store.has(ADDRESS)
            assert upkeep.is_bare(ADDRESS)
        assert list(upkeep.survey(STAGES)) == [other]

    def test_all_of_a_slide_is_removed_and_nothing_of_another(self, store):
        mine = [Address(s, "one", "mine", d) for s in STAGES for d in ("0", "1")]
        other = Address("features", "one", "mine-too", "0")
        for address in (*mine, other):
            publish(store, draft(address))
        put_stray(store, ".aside/2026-01-01/features/one/mine/2/x")
        store.fetch(other)
        with hold_partials(store, [Address("features", "one", "mine", "3")]) as [partial]:
            (partial.files / "x").write_bytes(b"1")
        with store.staging("bin") as bin_:
            upkeep_of(store).remove_slides(["mine"], bin_)
        assert list(upkeep_of(store).survey(STAGES)) == [other]
        assert not [path for path in store.work.rglob("*") if "-mine-3" in path.name]
        assert not [path for path in store.work.rglob(MANIFEST) if is_of_mine(path)]
        assert store.read_checked(other).address == other

    def test_what_is_newer_than_a_run_is_told_from_what_is_older(self, store):
        publish(store)
        upkeep = upkeep_of(store)
        assert upkeep.is_newer(ADDRESS, 0.0)
        assert not upkeep.is_newer(ADDRESS, 1e11)
        assert upkeep.is_newer(Address("features", "stats", "none", "0"), 1e11)

    def test_catalogs_that_use_it_are_known_by_what_they_said_last(self, store):
        upkeep = upkeep_of(store)
        assert upkeep.find_catalogs() == {}
        for said in b"first", b"last":
            upkeep.note_catalog("b" * 32, said)
        upkeep.note_catalog("a" * 32, b"x" * 10_000)
        found = upkeep.find_catalogs()
        assert {name: data for name, (_, data) in found.items()} == {
            "a" * 32: b"x" * 4096, "b" * 32: b"last",
        }  # fmt: skip
        assert found["a" * 32][0] == f"{store.where}/.catalogs/{'a' * 32}.json"
        upkeep.note_catalog("c" * 32, b"")
        put_stray(store, ".catalogs/notes.txt")
        for _ in range(2):
            upkeep.drop_catalog("a" * 32)
        assert [upkeep.has_catalog(name * 32) for name in "abc"] == [False, True, True]
        said = {name: data for name, (_, data) in upkeep.find_catalogs().items()}
        assert said == {"b" * 32: b"last", "c" * 32: b""}
        assert list(upkeep.survey(STAGES)) == []


def put_stray(store: Store, place: str) -> None:
    if isinstance(store, FolderStore):
        path = store.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    else:
        store.place.put(place, b"x")


def is_of_mine(path: Path) -> bool:
    return read_copy(path.parent).address.partition_key == "mine"
