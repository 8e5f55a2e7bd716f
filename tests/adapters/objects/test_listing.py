"""A listing that goes on past keys that no file can have."""

from __future__ import annotations

import os
from collections.abc import Iterator

import boto3
import pytest

from pathassets.adapters.objects import listing as module
from pathassets.adapters.objects.listing import Listing, list_past_odd_keys
from pathassets.adapters.objects.place import ObjectPlace, StoredObject, open_place
from pathassets.errors import KeyUnreadable, ObjectMissing
from tests.s3_server import N_LISTED


def put(bucket: str, *keys: str, body: bytes = b"x") -> None:
    """Write objects whatever their keys are, as only a foreign client does."""
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    for key in keys:
        client.put_object(Bucket=bucket.removeprefix("s3://"), Key=key, Body=body)


def keys_of(listing: Listing) -> list[str]:
    return sorted(one.key for one in listing.objects)


@pytest.mark.parametrize(
    "odd", ["in/b//x.svs", "in/b/../x.svs", "in/b/x\t.svs", "in/b/\x1b[1m.svs"]
)
def test_an_odd_key_hides_only_what_is_before_it_in_its_folder(
    bucket: str, odd: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = ["0.svs", "a/1.svs", "a/deep/2.svs", "b/y.svs", "b/z/3.svs", "b.svs", "c/4.svs", "d.svs"]
    put(bucket, odd, "inside.svs", *(f"in/{key}" for key in good))
    for _ in range(2):
        found = list_past_odd_keys(open_place(f"{bucket}/in"))
        assert keys_of(found) == sorted(good)
        assert not found.is_whole
    passed, hidden = (record.getMessage() for record in caplog.records)
    assert f"{bucket}/in/b/" in passed
    assert "rename or remove the object" in passed
    assert "before it in the order of names, cannot be seen" in hidden
    assert passed.isprintable()


def test_what_is_before_an_odd_key_in_its_folder_is_said_to_be_unseen(bucket: str) -> None:
    put(bucket, "a.svs", "b\t.svs", "c.svs", "c/d.svs")
    found = list_past_odd_keys(open_place(bucket))
    assert (keys_of(found), found.is_whole) == (["c.svs", "c/d.svs"], False)


def test_many_pages_and_many_odd_keys_are_passed(bucket: str) -> None:
    good = [f"{n // 50:02}/{n:04}.svs" for n in range(3 * N_LISTED)]
    odd = ["00//a.svs", "01/\t1.svs", "01/\x072.svs", "02/./a.svs", "zz//a.svs"]
    put(bucket, *good, *odd)
    found = list_past_odd_keys(open_place(bucket))
    assert set(keys_of(found)) == {*good}
    put(bucket, "\x01.svs")
    assert set(keys_of(list_past_odd_keys(open_place(bucket)))) == {*good}


def test_folders_that_were_listed_before_an_odd_key_are_not_listed_again(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = [f"{n:03}/a.svs" for n in range(5 * N_LISTED)]
    put(bucket, *good, "zz//a.svs")
    asked: list[str] = []
    ask = ObjectPlace.objects

    def noted(place: ObjectPlace, folder: str, *, after: str) -> Iterator[StoredObject]:
        asked.append(folder)
        return ask(place, folder, after=after)

    monkeypatch.setattr(ObjectPlace, "objects", noted)
    assert keys_of(list_past_odd_keys(open_place(bucket))) == good
    assert len(asked) < 3 * N_LISTED


def test_a_listing_without_odd_keys_is_asked_once_and_whole(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bucket, "a.svs", "b/c.svs")
    monkeypatch.setattr(ObjectPlace, "inside", None)
    found = list_past_odd_keys(open_place(bucket))
    assert (keys_of(found), found.is_whole) == (["a.svs", "b/c.svs"], True)
    with pytest.raises(ObjectMissing, match="no such bucket"):
        list_past_odd_keys(open_place(f"{bucket}-not"))


def test_too_many_odd_keys_and_a_storage_that_cannot_go_on_are_refused(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bucket, *(f"{n}//a.svs" for n in range(5)))
    put(bucket, "/".join("a" * 20) + "//b.svs")
    monkeypatch.setattr(module, "_N_ODD", 4)
    with pytest.raises(KeyUnreadable, match="Rename or remove that object"):
        list_past_odd_keys(open_place(bucket))
    monkeypatch.setattr(module, "_N_ODD", 100)
    ask = ObjectPlace.objects
    monkeypatch.setattr(ObjectPlace, "objects", lambda place, folder, **_: ask(place, folder))
    with pytest.raises(KeyUnreadable, match="Rename or remove that object"):
        list_past_odd_keys(open_place(bucket))
