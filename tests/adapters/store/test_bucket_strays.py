"""What lies in a bucket's store and nobody published: folders of consoles, files in the way."""

from __future__ import annotations

import os

import boto3
import pytest

from pathassets.adapters.store.opening import store_at, upkeep_of
from pathassets.adapters.store.upkeep import NO_FOLDER, NO_STAGE, Stray
from pathassets.core.address import Address
from pathassets.core.recipe import STAGES
from pathassets.errors import ObjectMissing
from tests.adapters.store.test_store import ADDRESS, draft, publish

OTHER = Address("features", "stats", "other", "0")


@pytest.fixture
def store(bucket, tmp_path):
    opened = store_at(f"{bucket}/labs/store", tmp_path / "work")
    opened.open()
    for address in (ADDRESS, OTHER):
        publish(opened, draft(address))
    return opened


def put_folder(store, folder):
    """Put an empty object where consoles put one, to show a folder."""
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    key = f"{store.place.url.prefix}/{folder}".rstrip("/") + "/"
    client.put_object(Bucket=store.place.url.host, Key=key, Body=b"")


def strays_of(store):
    return [one for one in upkeep_of(store).survey(STAGES) if isinstance(one, Stray)]


def put_aside(store, stray):
    return upkeep_of(store).put_aside(stray.place, "today", is_file=stray.is_file)


def test_folders_that_consoles_show_are_no_strays(store):
    made = store.read(ADDRESS)
    parts = str(ADDRESS).split("/")
    token = next(iter(store.place.folders(str(ADDRESS))))
    within = [f"{ADDRESS}/{token}", f"{ADDRESS}/{token}/f.zarr", f"{ADDRESS}/{token}/none"]
    above = ["/".join(parts[:n]) for n in range(len(parts) + 1)]
    for folder in (*above, *within, "annotations", "holiday", f"{ADDRESS}/{'a' * 32}"):
        put_folder(store, folder)
    upkeep = upkeep_of(store)
    assert set(upkeep.survey(STAGES)) == {ADDRESS, OTHER}
    assert list(upkeep.find_unlisted(made)) == []
    assert list(upkeep.find_leftovers()) == []
    assert store.check_sizes(ADDRESS, made.files) is None
    assert all(store.is_intact(address) for address in (ADDRESS, OTHER))


def test_an_address_with_nothing_but_such_a_folder_is_bare(store):
    none = Address("features", "stats", "none", "0")
    put_folder(store, str(none))
    assert upkeep_of(store).is_bare(none)


@pytest.mark.parametrize("n_parts", [1, 2, 3, 4])
def test_of_a_file_in_the_way_of_a_folder_it_alone_is_put_aside(store, n_parts):
    key = "/".join(str(ADDRESS).split("/")[:n_parts])
    store.place.put(key, b"in the way")
    put_folder(store, key)
    assert strays_of(store) == [Stray(store.place.url_of(key), NO_FOLDER)]
    (stray,) = strays_of(store)
    aside = put_aside(store, stray)
    assert aside == f"{store.where}/.aside/today/{key}"
    assert [one.key for one in store.place.objects(".aside")] == [f".aside/today/{key}"]
    assert set(upkeep_of(store).survey(STAGES)) == {ADDRESS, OTHER}
    assert store.is_intact(ADDRESS)


def test_nothing_below_a_file_that_is_gone_is_put_aside(store):
    store.place.put("features", b"in the way")
    (stray,) = strays_of(store)
    store.place.delete(["features"])
    with pytest.raises(ObjectMissing, match="is not there"):
        put_aside(store, stray)
    assert store.is_intact(ADDRESS)
    assert list(store.place.objects(".aside")) == []


def test_a_folder_and_a_file_of_one_name_are_put_aside_each(store):
    for key in ("holiday", "holiday/a.jpg"):
        store.place.put(key, b"x")
    strays = strays_of(store)
    assert [one.what for one in strays] == [NO_FOLDER, NO_STAGE]
    for stray in strays:
        put_aside(store, stray)
    assert [one.key for one in store.place.objects(".aside")] == [
        ".aside/today/holiday",
        ".aside/today/holiday.1/a.jpg",
    ]
    assert strays_of(store) == []
