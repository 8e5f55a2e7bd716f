"""An inbox that is a prefix of a bucket: what waits there, and when it is whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from pathassets.adapters.objects.place import ObjectPlace, StoredObject, open_place
from pathassets.adapters.objects.remote_file import place_of
from pathassets.engine.platform.inbox import buckets
from pathassets.engine.platform.inbox.buckets import NO_TABLE, UNREAD
from pathassets.engine.platform.inbox.look import EMPTY, Look, advanced, look_into, note_look
from pathassets.engine.platform.inbox.overview import overview, retry
from pathassets.engine.platform.inbox.taking import forget_gone, take
from pathassets.engine.platform.ingestion.ingest import Registration
from pathassets.engine.platform.platform import Platform
from pathassets.engine.settings import read_settings
from pathassets.errors import SpecError, StorageUnavailable

pytestmark = pytest.mark.usefixtures("here")
STABLE_S = 60.0
SLIDEDAT = """\
[HIERARCHICAL]
INDEXFILE = Index.dat
[DATAFILE]
FILE_COUNT = 1
FILE_0 = Data0000.dat
"""


@pytest.fixture
def watching(platform: Platform, bucket: str) -> Platform:
    """A platform whose inbox is a folder of a bucket."""
    inboxes = (place_of(f"{bucket}/in"),)
    return replace(platform, settings=replace(platform.settings, inboxes=inboxes))


@pytest.fixture
def look(watching: Platform) -> Callable[[float], Look]:
    """Look into it some time after the last look, as a sensor does."""
    times = [1_000.0]

    def look(after_s: float) -> Look:
        times[0] += after_s
        catalog = watching.catalog
        clock = advanced(catalog.inbox_clock(), wall_s=times[0], monotonic_s=times[0])
        found = look_into(catalog, watching.settings.inboxes, clock)
        note_look(catalog, found, clock)
        return found

    return look


def test_an_object_is_taken_once_it_is_still(
    watching: Platform, bucket: str, make_slide: Callable[..., Path], look: Callable[[float], Look]
) -> None:
    place = open_place(f"{bucket}/in")
    place.put_file("x/a.svs", make_slide("a.svs"))
    place.put("bad.svs", b"no slide at all")
    place.put("empty.svs", b"")
    place.put("cohort.csv", b"file,label\na.svs,x\n")
    place.put("m.mrxs", b"preview")
    place.put(".hidden.svs", b"x")
    url, bad = f"{bucket}/in/x/a.svs", f"{bucket}/in/bad.svs"
    assert look(0).whole(STABLE_S) == []
    place.put_file("x/a.svs", make_slide("b.svs", seed=1))
    assert look(70).whole(STABLE_S) == [bad]
    found = look(70)
    assert found.whole(STABLE_S) == [bad, url]
    assert {path.rpartition("/")[2]: one.lacks for path, one in found.seen.items()} == {
        "a.svs": "", "bad.svs": "", "empty.svs": EMPTY, "cohort.csv": NO_TABLE,
        "m.mrxs": "m/Slidedat.ini is not there yet",
    }  # fmt: skip
    taken = [one for one in take(watching, found.whole(STABLE_S)) if isinstance(one, Registration)]
    assert {str(one.path): one.state for one in taken} == {bad: "refused", url: "new"}
    assert {url, bad}.isdisjoint(look(10).seen)
    said = overview(watching)
    assert [(one.path, one.reason) for one in said.refused] == [(bad, "not_a_slide")]
    assert [one.path for one in said.slides] == [url]
    assert NO_TABLE in [one.why for one in said.waiting]
    assert retry(watching, place_of(bad)) == bad
    assert bad in look(70).seen
    list(take(watching, [bad]))
    assert forget_gone(watching) == 0
    place.delete(["bad.svs"])
    assert forget_gone(watching) == 1


def test_a_listing_is_asked_once_a_look_and_no_object(
    bucket: str, look: Callable[[float], Look], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = open_place(f"{bucket}/in")
    for number in range(105):  # of which the server lists 100 a page
        place.put(f"{number:03}.svs", b"x")
    asked: list[str] = []
    for name in ("head", "read", "read_of"):
        monkeypatch.setattr(ObjectPlace, name, lambda *_, name=name, **__: asked.append(name))
    assert len(look(0).seen) == 105
    assert asked == []


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys that were read of."""
    read, keys = ObjectPlace.read_of, list[str]()

    def noted(place: ObjectPlace, known: StoredObject, *, start: int, end: int) -> bytes:
        keys.append(known.key)
        return read(place, known, start=start, end=end)

    monkeypatch.setattr(ObjectPlace, "read_of", noted)
    return keys


def test_a_set_waits_for_what_its_index_names_which_is_read_once_as_it_is(
    bucket: str, look: Callable[[float], Look], reads: list[str]
) -> None:
    place = open_place(f"{bucket}/in")
    place.put("m.mrxs", b"preview")
    place.put("m/Index.dat", b"x")
    place.put("m/Slidedat.ini", SLIDEDAT.encode())
    place.put("v.vms", b"[Virtual Microscope Specimen]\nImageFile=v.jpg\nImageFile(1,0)=w.jpg\n")
    place.put("v.jpg", b"x")
    for _ in range(3):  # an upload in parts, which no list shows
        found = look(70)
        assert found.whole(STABLE_S) == []
        assert {path.rpartition("/")[2]: one.lacks for path, one in found.seen.items()} == {
            "m.mrxs": "1 of 2 files are not there yet, such as Data0000.dat",
            "v.vms": "1 of 2 files are not there yet, such as w.jpg",
        }
    assert reads == ["m/Slidedat.ini", "v.vms"]
    for key in ("m/Data0000.dat", "w.jpg"):
        place.put(key, b"")
    look(70)
    assert "not there yet" in look(70).seen[f"{bucket}/in/m.mrxs"].lacks  # it has nothing in it
    for key in ("m/Data0000.dat", "w.jpg"):
        place.put(key, b"x")
    assert look(1).whole(STABLE_S) == []
    assert look(70).whole(STABLE_S) == [f"{bucket}/in/m.mrxs", f"{bucket}/in/v.vms"]


def test_what_a_strangers_index_says_is_held_against_the_list_alone(
    bucket: str, look: Callable[[float], Look], reads: list[str]
) -> None:
    place = open_place(f"{bucket}/in")
    place.put("m.mrxs", b"preview")
    names = ("Index.dat", "../secret.svs", "/etc/passwd", "a\x1b[2J\0.dat", "x" * 9_000)
    lines = (f"FILE_{n} = {name}\n" for n, name in enumerate(names))
    place.put(
        "m/Slidedat.ini",
        b"\xef\xbb\xbf\xff\n[DATAFILE]\n"
        + "".join(lines).encode()
        + b"[OTHER]\nFILE_9 = elsewhere.dat\nFILE_COUNT = 99\n",
    )
    (said,) = (one.lacks for one in look(0).seen.values())
    assert said == "3 of 3 files are not there yet, such as Index.dat"
    place.put("m/Index.dat", b"x")
    (said,) = (one.lacks for one in look(0).seen.values())
    assert said == r"2 of 3 files are not there yet, such as a\x1b[2J\x00.dat"
    place.put("m/Slidedat.ini", f"[DATAFILE]\nFILE_0 = {'x' * 9_000}".encode())
    (said,) = (one.lacks for one in look(0).seen.values())
    assert len(said) < 400
    assert {*reads} == {"m/Slidedat.ini"}


def test_of_many_indexes_some_are_read_in_one_look_and_none_where_no_answer_comes(
    bucket: str, look: Callable[[float], Look], reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "_N_INDEXES", 2)
    place = open_place(f"{bucket}/in")
    for n in range(3):
        place.put(f"{n}.mrxs", b"preview")
        place.put(f"{n}/Slidedat.ini", SLIDEDAT.encode())
    assert [one.lacks == UNREAD for one in look(0).seen.values()] == [False, False, True]
    assert [one.lacks == UNREAD for one in look(70).seen.values()] == [False, False, False]
    assert len(reads) == 3

    def fail(_: ObjectPlace, known: StoredObject, **__: int) -> bytes:
        reads.append(known.key)
        raise StorageUnavailable(bucket, "the server does not answer")

    buckets._SAID.clear()  # another process, which asks for none of what was said before
    monkeypatch.setattr(ObjectPlace, "read_of", fail)
    assert UNREAD not in {one.lacks for one in look(70).seen.values()}
    assert len(reads) == 3
    for n in range(3):
        place.put(f"{n}/Slidedat.ini", f"{SLIDEDAT}\n".encode())
    assert [one.lacks for one in look(70).seen.values()] == [UNREAD] * 3
    assert len(reads) == 4


def put_odd(bucket: str, *keys: str, body: bytes = b"x") -> None:
    """Write objects with keys that `put` refuses."""
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    for key in keys:
        client.put_object(Bucket=bucket.removeprefix("s3://"), Key=key, Body=body)


def test_of_what_stands_for_a_folder_no_object_is_asked(
    bucket: str, look: Callable[[float], Look], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_odd(bucket, "in/", "in/s1/", "in/s1/deep/", "in/s2/", "in/none.svs/", body=b"")
    put_odd(bucket, "in/s1/deep/a.svs", "in/s2/b.svs", "in/s2-c.svs")
    put_odd(bucket, "in/empty.svs", body=b"")
    asked: list[str] = []
    head = ObjectPlace.head

    def noted(place: ObjectPlace, key: str) -> StoredObject:
        asked.append(key)
        return head(place, key)

    monkeypatch.setattr(ObjectPlace, "head", noted)
    assert {path.removeprefix(f"{bucket}/in/") for path in look(0).seen} == {
        "empty.svs", "s1/deep/a.svs", "s2-c.svs", "s2/b.svs"
    }  # fmt: skip
    assert asked == ["empty.svs", "none.svs"]  # below which nothing is


def test_odd_keys_hold_up_no_slide_and_are_told_once(
    watching: Platform,
    bucket: str,
    make_slide: Callable[..., Path],
    look: Callable[[float], Look],
    caplog: pytest.LogCaptureFixture,
) -> None:
    open_place(f"{bucket}/in").put_file("host/a.svs", make_slide("a.svs"))
    put_odd(bucket, "in/x//b.svs", "in/y/b\t.svs", "in/q?.svs", "in/h#1.svs")
    put_odd(bucket, "in/", "in/sub/", "in/named.svs/", body=b"")
    open_place(f"{bucket}/in").put("named.svs/notes.txt", b"x")
    url = f"{bucket}/in/host/a.svs"
    for after_s in (0, 70, 70):
        assert {*look(after_s).seen} == {url}
    (taken,) = take(watching, look(1).whole(STABLE_S))
    assert isinstance(taken, Registration)
    assert (str(taken.path), taken.state) == (url, "new")
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == len({*said})
    about = {key: [one for one in said if f"'{bucket}/in/{key}'" in one] for key in (
        "x//b.svs", "y/b\\t.svs", "q?.svs", "h#1.svs"
    )}  # fmt: skip
    assert {key: len(ones) for key, ones in about.items()} == {
        "x//b.svs": 2, "y/b\\t.svs": 2, "q?.svs": 1, "h#1.svs": 1
    }  # fmt: skip
    assert sum(map(len, about.values())) == len(said)
    assert "rename the object" in about["q?.svs"][0]


def test_an_object_whose_key_ends_in_a_slash_is_refused_with_what_to_do(
    watching: Platform, bucket: str, look: Callable[[float], Look]
) -> None:
    put_odd(bucket, "in/x.svs/")
    look(0)
    whole = look(70).whole(STABLE_S)
    (one,) = take(watching, whole)
    assert isinstance(one, Registration)
    assert str(one.error).endswith(
        "its key ends in a slash, as no file's name can. Rename the object"
    )
    assert look(10).seen == {}
    assert [refused.reason for refused in overview(watching).refused] == ["bad_name"]
    assert forget_gone(watching) == 0


def test_why_a_bucket_cannot_be_listed_is_told_once_until_it_can(
    bucket: str,
    look: Callable[[float], Look],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise StorageUnavailable(bucket, "the server does not answer")

    for n_told in (1, 2):
        with monkeypatch.context() as patch:
            patch.setattr("pathassets.engine.platform.inbox.buckets.objects_in", fail)
            look(10)
            look(10)
        look(10)
        assert len(caplog.records) == n_told


def test_a_bucket_that_does_not_answer_has_lost_nothing(
    bucket: str, look: Callable[[float], Look], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_place(f"{bucket}/in").put("a.svs", b"x")
    look(0)

    def fail(*_: object) -> None:
        raise StorageUnavailable(bucket, "the server does not answer")

    with monkeypatch.context() as patch:
        patch.setattr("pathassets.engine.platform.inbox.buckets.objects_in", fail)
        assert look(30).folders == ()
    assert look(40).whole(STABLE_S) == [f"{bucket}/in/a.svs"]


def test_folders_and_prefixes_are_told_from_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATHASSETS_INBOX", "s3://bucket/in:/data/in:gs://other")
    assert [str(one) for one in read_settings().inboxes] == [
        "s3://bucket/in", "/data/in", "gs://other"
    ]  # fmt: skip
    monkeypatch.setenv("PATHASSETS_INBOX", "https://lab.example/in")
    with pytest.raises(SpecError, match=r"PATHASSETS_INBOX: https://lab.example/in is of a web"):
        read_settings()
