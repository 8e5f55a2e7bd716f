"""A place that was never a store: a bucket beside a catalog that knows artifacts, or a slip."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pathassets.adapters.objects.place import open_place
from pathassets.catalog.catalog import Catalog
from pathassets.engine.platform.platform import open_platform, open_to_read
from pathassets.engine.settings import Settings, read_settings
from pathassets.errors import ObjectMissing, StoreError
from tests.s3_server import environment_for, make_bucket, reader_of, serve_s3


@pytest.fixture(autouse=True)
def _used_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    monkeypatch.setattr(Catalog, "has_artifacts", lambda _: True)


def test_to_look_into_a_folder_that_is_no_store_makes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = tmp_path / "tpyo" / "store"
    settings = settings_for(str(store), monkeypatch)
    with pytest.raises(StoreError, match=f"^PATHASSETS_STORE {store}: was never a store") as e:
        open_to_read(settings)
    assert e.value.remedy.endswith("to begin a store there: pathassets ingest PATH…")
    with pytest.raises(StoreError, match="was never a store"):
        open_platform(settings, is_beginning=False)
    assert not store.parent.exists()
    open_platform(settings).close()  # as whoever ingests
    open_to_read(settings).close()
    shutil.rmtree(store / ".staging")  # as a copy leaves out what is hidden
    open_to_read(settings).close()


def settings_for(store: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PATHASSETS_STORE", store)
    return read_settings()


@pytest.mark.parametrize("act", [open_to_read, open_platform])
def test_a_bucket_that_is_not_there_is_called_so(
    bucket: str, act: type, monkeypatch: pytest.MonkeyPatch
):
    settings = settings_for(f"{bucket}-not/one", monkeypatch)
    with pytest.raises(ObjectMissing, match=f"^{bucket}-not: there is no such bucket"):
        act(settings)


def test_a_bucket_that_was_no_store_becomes_one_by_an_empty_object(
    bucket: str, monkeypatch: pytest.MonkeyPatch
):
    settings = settings_for(f"{bucket}/one", monkeypatch)
    with pytest.raises(StoreError, match=f"^{bucket}/one: was never a store, and") as caught:
        open_platform(settings)
    assert caught.value.remedy == (
        "Look at PATHASSETS_STORE. To make everything again, here: "
        f"put an object, be it empty, at {bucket}/one/.store.json"
    )
    place = open_place(f"{bucket}/one")
    assert list(place.objects()) == []
    place.put(".store.json", b"")
    open_platform(settings).close()


def test_who_may_only_read_a_bucket_opens_it_and_leaves_no_mark(monkeypatch: pytest.MonkeyPatch):
    with serve_s3() as endpoint:
        for name, value in environment_for(endpoint).items():
            monkeypatch.setenv(name, value)
        place = open_place(f"{make_bucket(endpoint)}/one")
        settings = settings_for(str(place.url), monkeypatch)
        place.put(".store.json", b"")
        for name, value in reader_of(endpoint).items():
            monkeypatch.setenv(name, value)
        open_platform(settings).close()
        as_reader = open_place(str(place.url))
        with pytest.raises(StoreError, match="refuses this to these credentials"):
            as_reader.put("x", b"")
        assert [one.key for one in as_reader.objects()] == [".store.json"]
