"""Slides in a bucket: registered, found again, refused, copied, and what is left of that."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import numpy as np
import pytest
from click.testing import CliRunner

from pathassets.adapters.files import fingerprint_of
from pathassets.adapters.objects.place import ObjectPlace, StoredObject, open_place
from pathassets.adapters.objects.remote_file import RemoteFile, place_of
from pathassets.adapters.objects.remote_slides import (
    RemoteSlide,
    is_of_slide,
    look_at,
    slides_below,
)
from pathassets.adapters.openslide.members import members_of
from pathassets.adapters.tifffile import corrupt_tile
from pathassets.cli import main
from pathassets.cli.options import PLACE
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.exchange.bags import look_at as look_at_slide
from pathassets.engine.platform.inbox.taking import PASSING
from pathassets.engine.platform.ingestion import replaced
from pathassets.engine.platform.ingestion.ingest import (
    Registration,
    check_file_name,
    find_files,
    ingest,
)
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.provenance.origin import find_origin
from pathassets.engine.platform.upkeep.slide_files import check_slides
from pathassets.engine.slides.remote import ranged
from pathassets.engine.slides.remote.whole import copy_of_slide
from pathassets.engine.slides.scratch import open_scratch
from pathassets.engine.slides.tile_check import CheckTask, check_slide
from pathassets.errors import (
    CatalogError,
    SlideUnreadable,
    SpecError,
    StorageUnavailable,
    StoreError,
)
from tests.bounded_slides import write_mrxs
from tests.s3_server import KEY_ID, SECRET


def at(url: str) -> RemoteFile:
    place = place_of(url)
    assert isinstance(place, RemoteFile)
    return place


def put(bucket: str, key: str, file: Path) -> str:
    open_place(bucket).put_file(key, file)
    return f"{bucket}/{key}"


def ingested(platform: Platform, *urls: str) -> list[Registration]:
    return list(ingest(platform, find_files([place_of(url) for url in urls])))


def run_all(platform: Platform, run_id: str = "run-1") -> list[str]:
    planned = plan_slides(platform)
    outcomes = list(run_batch(platform, planned, platform.recipe.per_slide, run_id=run_id))
    return [str(one.failure) for one in outcomes if one.failure is not None]


def bytes_of(platform: Platform) -> dict[str, str]:
    """What every file of every artifact holds."""
    found = {}
    for manifest in platform.store.root.glob("*/*/*/*/artifact.json"):
        for file in json.loads(manifest.read_bytes())["files"]:
            found[f"{manifest.parent.relative_to(platform.store.root)}/{file['path']}"] = file[
                "sha256"
            ]
    return found


@pytest.mark.usefixtures("here")
def test_a_slide_of_a_bucket_is_what_its_content_is(
    platform: Platform, bucket: str, make_slide: Callable[..., Path]
) -> None:
    local = make_slide("a.svs")
    url = put(bucket, "site 1/a.svs", local)
    (new,) = ingested(platform, bucket)
    assert (new.state, str(new.path)) == ("new", url)
    record = platform.catalog.slide(new.slide_id)
    assert record.fingerprint == fingerprint_of([local])
    (seen,) = platform.catalog.paths(new.slide_id)
    head = open_place(bucket).head("site 1/a.svs")
    assert (seen.path, seen.size_bytes, seen.etag) == (url, head.size_bytes, head.etag)
    assert [one.state for one in ingested(platform, f"{bucket}/site 1", url)] == ["known"]
    here = list(ingest(platform, find_files([local])))
    assert [(one.state, one.slide_id) for one in here] == [("known", new.slide_id)]
    assert not [*(platform.settings.home / "scratch").glob("[!.]*")]


@pytest.mark.parametrize(
    "least_bytes",
    [
        pytest.param(0, id="by parts"),
        pytest.param(ranged.LEAST_BYTES, id="whole", marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("here")
def test_artifacts_of_a_bucket_are_those_of_a_disk(
    platform: Platform,
    bucket: str,
    make_slide: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    least_bytes: int,
) -> None:
    monkeypatch.setattr(ranged, "LEAST_BYTES", least_bytes)
    local = make_slide("a.svs")
    url = put(bucket, "a.svs", local)
    ingested(platform, url)
    assert run_all(platform) == []
    remote = bytes_of(platform)
    assert len(remote) > 4
    assert not [*(platform.settings.home / "scratch").glob("[!.]*")]
    shutil.rmtree(platform.store.root / "features")
    shutil.rmtree(platform.store.root / "patch_locations")
    shutil.rmtree(platform.store.root / "tissue_mask")
    list(ingest(platform, find_files([local])))
    open_place(bucket).delete(["a.svs"])
    assert run_all(platform, "run-2") == []
    assert bytes_of(platform) == remote


@pytest.mark.usefixtures("here")
def test_an_object_that_is_overwritten_is_another_slide_or_the_same(
    platform: Platform, bucket: str, make_slide: Callable[..., Path]
) -> None:
    url = put(bucket, "a.svs", make_slide("a.svs"))
    (first,) = ingested(platform, url)
    (before,) = platform.catalog.paths(first.slide_id)
    platform.catalog.confirm_path(replace(before, etag='"of an earlier upload"'))
    assert run_all(platform) == []
    assert platform.catalog.paths(first.slide_id) == [before]  # the same bytes, and verified
    put(bucket, "a.svs", make_slide("b.svs", seed=1))
    shutil.rmtree(platform.store.root / "features")
    (said,) = run_all(platform, "run-2")
    assert url in said
    assert "its content is not the registered one" in said
    (second,) = ingested(platform, url)
    assert (second.state, second.slide_id != first.slide_id) == ("new", True)


@pytest.mark.usefixtures("here")
def test_what_is_gone_or_no_slide_is_refused_by_its_url(
    platform: Platform, bucket: str, make_slide: Callable[..., Path], tmp_path: Path
) -> None:
    put(bucket, "good.svs", make_slide("a.svs"))
    open_place(bucket).put("page.svs", b"<!DOCTYPE html><html>Log in</html>")
    open_place(bucket).put("empty.tif", b"")
    found = {Path(str(one.path)).name: one for one in ingested(platform, bucket)}
    assert {name: one.state for name, one in found.items()} == {
        "good.svs": "new", "page.svs": "refused", "empty.tif": "refused",
    }  # fmt: skip
    refused = {one.path: (one.reason, one.etag) for one in platform.catalog.rejected_files()}
    etag = open_place(bucket).head("page.svs").etag
    assert refused[f"{bucket}/page.svs"] == ("html_page", etag)
    assert refused[f"{bucket}/empty.tif"][0] == "empty_file"
    assert str(tmp_path) not in str(found["page.svs"].error)
    with pytest.raises(SpecError, match=r"s3://.*/none: no slides are there"):
        find_files([place_of(f"{bucket}/none")])
    open_place(bucket).delete(["good.svs"])
    (said,) = run_all(platform)
    assert f"{bucket}/good.svs" in said
    assert "no such object" in said


@pytest.mark.usefixtures("here")
def test_without_room_the_slide_the_cause_and_the_remedy_are_named(
    platform: Platform, bucket: str, make_slide: Callable[..., Path]
) -> None:
    url = put(bucket, "a.svs", make_slide("a.svs"))
    small = replace(platform, settings=replace(platform.settings, scratch_bytes=1000))
    (one,) = ingested(small, url)
    assert one.error is not None
    assert (one.state, one.error.reason) == ("refused", "resources_short")
    said = str(one.error)
    assert f"{url}: there is no room for the copy" in said
    assert "PATHASSETS_SCRATCH_GB" in said
    ingested(platform, url)
    (failure,) = run_all(small)
    assert url in failure


@pytest.mark.usefixtures("here")
def test_slides_of_several_objects_are_copied_together(
    platform: Platform, bucket: str, make_slide: Callable[..., Path]
) -> None:
    place = open_place(bucket)
    put(bucket, "x/a.svs", make_slide("a.svs"))
    for key in ("x/m.mrxs", "x/m/Slidedat.ini", "x/m/deep/Data0000.dat", "x/m2/Other.dat"):
        place.put(key, key.encode())
    place.put("d/1.dcm", b"one")
    place.put("d/2.dcm", b"two")
    place.put("v/i.vms", b"[Virtual Microscope Specimen]\nImageFile=p.jpg\nMapFile=../secret\n")
    place.put("v/p.jpg", b"jpg")
    listed = {str(one.file).removeprefix(f"{bucket}/"): one for one in slides_below(at(bucket))}
    members = {name: sorted(m.key for m in one.members) for name, one in listed.items()}
    assert members == {
        "x/a.svs": ["a.svs"],
        "x/m.mrxs": ["m.mrxs", "m/Slidedat.ini", "m/deep/Data0000.dat"],
        "d/1.dcm": ["1.dcm", "2.dcm"],
        "v/i.vms": ["i.vms", "p.jpg"],
    }
    for name, one in listed.items():  # asked for by name they are the same
        assert look_at(at(f"{bucket}/{name}")).stamp == one.stamp
    with open_scratch(platform.settings.home / "scratch", 10**6) as scratch:
        assert scratch is not None
        with closing(copy_of_slide(listed["x/m.mrxs"], scratch)) as copy:
            assert [one.read_bytes() for one in copy.members] == [
                b"x/m.mrxs", b"x/m/Slidedat.ini", b"x/m/deep/Data0000.dat"
            ]  # fmt: skip
            assert copy.path.name == "m.mrxs"
            assert copy.fingerprint == fingerprint_of(copy.members)
    before = listed["x/m.mrxs"].stamp
    place.put("x/m/deep/Data0000.dat", b"x/m/deep/Data0001.dat")
    assert look_at(at(f"{bucket}/x/m.mrxs")).stamp.etag != before.etag


def test_hidden_names_and_hostile_keys_are_no_slides(
    bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    place = open_place(bucket)
    for key in ("a.svs", ".b.svs", "~c.svs", ".part/d.svs", "e.svs.part", "notes.txt", "f#1.svs"):
        place.put(key, b"x")
    (found,) = find_files([place_of(bucket)])
    assert (found.name, place_of(str(found))) == ("a.svs", found)
    for key in ("../up.svs", "x/../../up.svs", "a\nb.svs", "a\x1b[31m.svs", "a?b.svs"):
        assert not is_of_slide(key, bucket)
    assert "\x1b" not in caplog.text
    assert "\n" not in caplog.records[-1].getMessage()


def test_a_url_with_a_secret_is_refused_and_not_repeated() -> None:
    for url in (
        f"s3://{KEY_ID}:{SECRET}@bucket/a.svs",
        f"https://lab.example/a.svs?X-Amz-Signature={SECRET}",
        "https://lab.example/%2e%2e/a.svs",
        "https://lab.example/a%0a.svs",
        "https://lab.example/a%23.svs",
        "https://lab.example/a%2520b.svs",
    ):
        with pytest.raises(SpecError) as refused:
            place_of(url)
        assert SECRET not in str(refused.value)
    assert str(place_of("s3://bucket/a/x.svs/")) == "s3://bucket/a/x.svs"


def test_a_url_that_lacks_a_part_is_a_file_only_where_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("s3:bucket/a.svs", "s3//bucket/a.svs", "https:a.svs", "GS:12.svs"):
        with pytest.raises(SpecError, match="of a URL"):
            PLACE.convert(text, None, None)
        assert place_of(text) == Path(text)  # what the catalog says is a path
        path = tmp_path / text
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        assert PLACE.convert(text, None, None) == Path(text)


def test_a_name_that_no_copy_could_have_is_refused() -> None:
    with pytest.raises(SlideUnreadable, match="longer than 255 bytes"):
        check_file_name(at(f"s3://bucket/{'ä' * 130}.svs"))


@pytest.mark.usefixtures("here")
def test_ingest_of_a_prefix_with_an_odd_key_takes_the_others_and_fails(
    platform: Platform,
    bucket: str,
    make_slide: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATHASSETS_HOME", str(platform.settings.home))
    url = put(bucket, "host/a.svs", make_slide("a.svs"))
    put_object = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).put_object
    put_object(Bucket=bucket.removeprefix("s3://"), Key="host/a//b.svs", Body=b"x")
    done = CliRunner().invoke(main, ["ingest", f"{bucket}/host/"])
    assert (done.exit_code, "1 new slide, 0 known, 0 refused" in done.output) == (1, True)
    assert [path for path, *_ in platform.catalog.newest_below([bucket], 9)] == [url]


@pytest.mark.usefixtures("here")
def test_commands_take_a_slide_of_a_bucket_as_any_other(
    platform: Platform,
    bucket: str,
    make_slide: Callable[..., Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    local = make_slide("a.svs")
    corrupt_tile(local, level=0, tile_index=30)
    url = put(bucket, "a.svs", local)
    (one,) = ingested(platform, url)
    assert f"no thumbnail: {url}: level 0, tile 30" in caplog.text
    with open_scratch(platform.settings.home / "scratch", 10**9) as scratch:
        task = CheckTask(path=at(url), fingerprint="", n_threads=2, scratch=scratch)
        checked = check_slide(task)
        near = check_slide(replace(task, path=local))
        assert (checked.path, checked.faults, checked.info) == (at(url), near.faults, near.info)
        assert len(checked.faults) == 1
        changed = check_slide(replace(task, fingerprint="0" * 64)).error
        assert f"{url}: its content is not the registered one" in str(changed)
    assert look_at_slide(platform, one.slide_id) == near.info
    assert find_origin(platform, url).address.partition_key == one.slide_id
    with pytest.raises(CatalogError, match=r"other.svs: not in the catalog"):
        find_origin(platform, f"{bucket}/other.svs")


@pytest.mark.usefixtures("here")
def test_doctor_tells_what_a_bucket_lacks(
    platform: Platform, bucket: str, make_slide: Callable[..., Path]
) -> None:
    url = put(bucket, "a.svs", make_slide("a.svs"))
    (one,) = ingested(platform, url)
    assert [*check_slides(platform)] == []
    put(bucket, "a.svs", make_slide("b.svs", seed=1))
    (changed,) = check_slides(platform)
    assert (changed.kind, changed.subject) == ("slide_changed", one.slide_id)
    open_place(bucket).delete(["a.svs"])
    (gone,) = check_slides(platform)
    assert (gone.kind, url in gone.evidence) == ("slide_gone", True)
    assert gone.remedy == (
        "Put the object back, or ingest it where it is now: pathassets ingest URL"
    )
    s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    s3.delete_bucket(Bucket=bucket.removeprefix("s3://"))
    (unknown,) = check_slides(platform)
    assert (unknown.kind, unknown.subject) == ("slide_unknown", bucket)
    assert unknown.evidence == (
        f"there is no such bucket; nobody could look at 1 slide, {one.slide_id} the first"
    )
    assert unknown.remedy == "Make it, or mend its name or the endpoint"


@pytest.fixture
def three_slides(platform: Platform, bucket: str, make_slide: Callable[..., Path]) -> list[str]:
    urls = [put(bucket, f"{n}.svs", make_slide(f"{n}.svs", seed=n)) for n in range(3)]
    return [one.slide_id for one in ingested(platform, *urls)]


@pytest.mark.usefixtures("here")
def test_doctor_asks_a_bucket_that_does_not_answer_once_and_blames_no_slide(
    platform: Platform, bucket: str, three_slides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def look(file: RemoteFile) -> RemoteSlide:
        asked.append(file.name)
        return look_at(file)

    monkeypatch.setattr(replaced, "look_at", look)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("pathassets.adapters.objects.place._RETRIES", {"max_retries": 0})
    (unknown,) = check_slides(platform)
    assert len(asked) == 1
    assert (unknown.kind, unknown.subject, unknown.is_note) == ("slide_unknown", bucket, False)
    assert unknown.evidence == (
        "the server does not answer, tried several times; nobody could look at 3 slides, "
        f"{min(three_slides)} the first"
    )
    assert "AWS_ENDPOINT_URL" in unknown.remedy


@pytest.mark.usefixtures("here")
def test_doctor_goes_on_where_a_bucket_answers_for_other_objects(
    platform: Platform, bucket: str, three_slides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(file: RemoteFile) -> RemoteSlide:
        if file.name == "1.svs":
            return look_at(file)
        kind = StoreError if file.name == "0.svs" else StorageUnavailable
        raise kind(bucket if kind is StoreError else file, f"fails as {file.name}", remedy="Wait")

    monkeypatch.setattr(replaced, "look_at", look)
    found = [*check_slides(platform)]
    assert {(one.kind, one.subject) for one in found} == {("slide_unknown", bucket)}
    assert sorted(one.evidence for one in found) == [
        f"fails as {n}.svs; nobody could look at 1 slide, {three_slides[n]} the first"
        for n in (0, 2)
    ]


class WebServer(ThreadingHTTPServer):
    """One that knows ranges and weak ETags, and lists nothing."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.files = files


class _Answers(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self.wfile.write(self._answer())

    def _answer(self) -> bytes:
        assert isinstance(self.server, WebServer)
        body = self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return b""
        said = self.headers.get("Range")
        first, last = 0, len(body) - 1
        if said:
            first, last = (int(one) for one in said.removeprefix("bytes=").split("-"))
        part = body[first : last + 1]
        self.send_response(206 if said else 200)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", f'W/"{len(body)}"')
        self.send_header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
        self.end_headers()
        return part

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(files: dict[str, bytes]) -> Iterator[str]:
    server = WebServer(files)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.usefixtures("here")
def test_a_web_server_gives_a_slide_by_its_name_and_no_list(
    platform: Platform, make_slide: Callable[..., Path]
) -> None:
    local = make_slide("a.svs")
    with served({"/scans/a%20b.svs": local.read_bytes()}) as root:
        (one,) = ingested(platform, f"{root}/scans/a%20b.svs")
        assert str(one.path) == f"{root}/scans/a b.svs"
        assert (one.state, platform.catalog.slide(one.slide_id).fingerprint) == (
            "new", fingerprint_of([local]),
        )  # fmt: skip
        assert run_all(platform) == []
        with pytest.raises(SpecError, match="a web server lists none"):
            find_files([place_of(f"{root}/scans")])
        (gone,) = ingested_anyhow(platform, f"{root}/b.svs")
        assert gone.error is not None
        assert gone.error.reason == "file_missing"


@pytest.mark.parametrize("status", [405, 200])
@pytest.mark.usefixtures("here")
def test_a_web_server_that_says_nothing_to_head_is_asked_for_a_byte(
    platform: Platform,
    make_slide: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:
    def refuse(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)  # and no size
        request.end_headers()

    monkeypatch.setattr(_Answers, "do_HEAD", refuse)
    local = make_slide("a.svs")
    with served({"/a.svs": local.read_bytes()}) as root:
        (one,) = ingested_anyhow(platform, f"{root}/a.svs")
        (seen,) = platform.catalog.paths(one.slide_id)
        assert (one.state, seen.size_bytes) == ("new", local.stat().st_size)
        (gone,) = ingested_anyhow(platform, f"{root}/b.svs")
        assert gone.error is not None
        assert gone.error.reason == "file_missing"


@pytest.mark.usefixtures("here")
def test_a_slide_that_is_replaced_between_two_requests_of_its_copy_is_none(
    platform: Platform, make_slide: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_slide("a.svs").read_bytes()
    files = {"/a.svs": first}
    read = ObjectPlace.read_of

    def read_and_replace(place: ObjectPlace, known: StoredObject, *, start: int, end: int) -> bytes:
        part = read(place, known, start=start, end=end)
        files["/a.svs"] = bytes(len(first)) + b"another, and larger"
        return part

    monkeypatch.setattr(ObjectPlace, "read_of", read_and_replace)
    monkeypatch.setattr("pathassets.adapters.objects.place.PART_BYTES", len(first) - 100)
    with served(files) as root:
        (one,) = ingested_anyhow(platform, f"{root}/a.svs")
        assert one.error is not None
        assert (one.state, one.error.reason) == ("refused", "slide_changed")
        assert one.error.remedy == (
            f"Once it is whole, register it: pathassets ingest {root}/a.svs"
        )
        assert not [*(platform.settings.home / "scratch").glob("[!.]*")]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("changed", ["m/Data0000.dat", "m/Slidedat.ini"])
def test_a_slide_of_which_an_object_comes_while_it_is_copied_is_none_yet(
    platform: Platform, bucket: str, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    place = open_place(bucket)
    for key in ("m.mrxs", "m/Slidedat.ini"):
        place.put(key, b"x")
    read = ObjectPlace.read_of

    def read_and_add(place: ObjectPlace, known: StoredObject, *, start: int, end: int) -> bytes:
        place.put(changed, b"yy")
        return read(place, known, start=start, end=end)

    monkeypatch.setattr(ObjectPlace, "read_of", read_and_add)
    (one,) = ingested(platform, f"{bucket}/m.mrxs")
    assert one.error is not None
    assert one.error.reason == "slide_changed"


@pytest.mark.usefixtures("here")
def test_an_mrxs_that_is_being_uploaded_is_no_slide_of_its_own(
    platform: Platform, bucket: str, tmp_path: Path
) -> None:
    scan = np.full((1024, 1024, 3), 240, np.uint8)
    scan[200:800, 200:800] = 150, 60, 120
    local = write_mrxs(tmp_path / "up" / "m.mrxs", scan, (6, 6), (1, 1))
    late = local.with_suffix("") / "Data0000.dat"
    for file in members_of(local):
        if file != late:
            put(bucket, str(file.relative_to(local.parent)), file)
    (early,) = ingested(platform, f"{bucket}/m.mrxs")
    assert early.error is not None
    assert early.error.message == (
        f"{bucket}/m.mrxs: 1 of 2 files are not there yet, such as Data0000.dat"
    )
    assert early.error.reason in PASSING
    put(bucket, "m/Data0000.dat", late)
    (whole,) = ingested(platform, f"{bucket}/m.mrxs")
    assert whole.state == "new"
    assert platform.catalog.slide(whole.slide_id).fingerprint == fingerprint_of(members_of(local))
    assert list(platform.catalog.rejected_files()) == []
    open_place(bucket).put("alone.mrxs", b"\xff\xd8\xff a preview")
    (alone,) = ingested(platform, f"{bucket}/alone.mrxs")
    assert alone.error is not None
    assert alone.error.reason == "incomplete_mrxs"


def ingested_anyhow(platform: Platform, url: str) -> list[Registration]:
    return list(ingest(platform, [place_of(url)]))
