from pathassets.adapters.store.folder_store import FolderStore
from pathassets.adapters.store.partial import PARTIAL, hold_partials, sweep_partials
from pathassets.adapters.store.store import Artifact
from pathassets.core.address import Address
from tests.adapters.store.test_store import open_store


def test_what_nobody_here_has_made_is_left_where_it_is(tmp_path):
    store = FolderStore(tmp_path)
    (tmp_path / PARTIAL / "notes").mkdir(parents=True)
    (tmp_path / PARTIAL / "notes/mine.txt").write_text("x")
    assert sweep_partials(store) == 0
    assert (tmp_path / PARTIAL / "notes/mine.txt").exists()


def test_one_that_is_asked_for_twice_is_held_once(tmp_path):
    address = Address("features", "one", "a", "0")
    with hold_partials(FolderStore(tmp_path), [address, address]) as partials:
        assert partials[0].folder == partials[1].folder


def test_what_is_begun_again_of_a_damaged_artifact_is_not_swept(tmp_path):
    store = open_store(tmp_path)
    address = Address("features", "one", "a", "0")
    draft = Artifact(
        address=address, spec={}, code_version="1", weights_sha256="", parents=(), facts={},
        software={},
    )  # fmt: skip
    with store.staging("run") as staging:
        (staging / "x").mkdir()
        (staging / "x" / "a.bin").write_bytes(b"1234")
        store.publish(draft, staging / "x")
    with hold_partials(store, [address]) as [partial]:
        (partial.files / "a.bin").write_bytes(b"12")
    (store.path_of(address) / "a.bin").unlink()
    assert sweep_partials(store) == 0
    assert (partial.files / "a.bin").read_bytes() == b"12"
    (store.path_of(address) / "a.bin").write_bytes(b"1234")
    assert sweep_partials(store) == 1


def test_a_link_in_the_place_of_what_is_begun_is_not_worked_in(tmp_path):
    address = Address("features", "one", "a", "0")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "store" / PARTIAL).mkdir(parents=True)
    (tmp_path / "store" / PARTIAL / "features-one-a-0").symlink_to(tmp_path / "elsewhere")
    with hold_partials(FolderStore(tmp_path / "store"), [address]) as [partial]:
        (partial.files / "a.bin").write_bytes(b"12")
    assert list((tmp_path / "elsewhere").iterdir()) == []
