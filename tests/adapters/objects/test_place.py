"""A place of objects, on an S3 server; in memory and in a folder what they can do as well."""

from __future__ import annotations

import os
import re
import ssl
import threading
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from urllib.request import Request, urlopen

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from obstore.store import LocalStore, MemoryStore

from pathassets.adapters.objects import place as module
from pathassets.adapters.objects.place import ObjectPlace, open_place
from pathassets.adapters.objects.remote_file import RemoteFile, place_of
from pathassets.adapters.objects.remote_slides import look_at, slides_below
from pathassets.adapters.objects.urls import parse_url
from pathassets.errors import (
    ObjectMissing,
    SpecError,
    StorageUnavailable,
    StoreError,
    is_passing,
)
from tests.s3_server import KEY_ID, N_LISTED, SECRET, environment_for

SMALL, LARGE = b"0123456789", bytes(range(256)) * 40_960  # 10 MiB


@pytest.fixture(params=["s3", "memory", "folder"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectPlace:
    """An empty place below a bucket, each kind of storage that is here."""
    if request.param == "s3":
        return open_place(f"{request.getfixturevalue('bucket')}/a folder/of ours")
    store = MemoryStore() if request.param == "memory" else LocalStore(tmp_path)
    return ObjectPlace(parse_url("s3://simulated/a folder/of ours"), store)


class CannedServer:
    """A server that answers whatever it is asked as it was told to."""

    def __init__(self, port: int = 0, status: int = 500) -> None:
        self._status, self._body = status, b""
        canned = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(canned._status)
                self.send_header("Content-Length", str(len(canned._body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(canned._body)

            do_HEAD = do_PUT = do_POST = do_GET  # noqa: N815 - as the library calls them

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, status: int, body: str) -> None:
        self._status, self._body = status, body.encode()

    def speak_tls(self, certificate: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.server.handle_error = lambda *_: None  # of who does not trust it


def own_certificate(path: Path) -> Path:
    """A key, and a certificate for this machine that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(here, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


@pytest.fixture
def canned_server() -> Iterator[CannedServer]:
    canned = CannedServer()
    os.environ.update(environment_for(f"http://127.0.0.1:{canned.server.server_port}"))
    yield canned
    canned.stop()


@pytest.fixture
def on_s3(bucket: str) -> ObjectPlace:
    return open_place(bucket)


def test_what_is_put_is_read_and_said(place: ObjectPlace):
    place.put("slides/ä b%20.svs", SMALL)
    known = place.head("slides/ä b%20.svs")
    assert (known.key, known.size_bytes) == ("slides/ä b%20.svs", 10)
    assert known.etag
    assert known.modified_s > 1.7e9
    assert place.read(known.key) == SMALL
    assert list(place.objects()) == list(place.objects("slides")) == [known]
    assert place.url_of(known.key) == f"{place.url}/slides/ä b%20.svs"


def test_ranges_are_read_and_end_where_the_object_ends(place: ObjectPlace):
    place.put("a", SMALL)
    assert place.read("a", start=2, end=5) == b"234"
    assert place.read("a", start=7) == b"789"
    assert place.read("a", start=7, end=99) == b"789"


def test_a_large_file_goes_up_and_down_in_parts(
    place: ObjectPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "PART_BYTES", 3 * 1024 * 1024)
    (tmp_path / "up").write_bytes(LARGE)
    place.put_file("large", tmp_path / "up")
    known = place.head("large")
    assert known.size_bytes == len(LARGE)
    assert [len(part) for part in place.read_parts(known)] == [3 << 20, 3 << 20, 3 << 20, 1 << 20]
    place.download(known, tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == LARGE
    with pytest.raises(FileExistsError):
        place.download(known, tmp_path / "down")


def test_an_object_that_changes_while_it_is_read_is_not_mixed(
    on_s3: ObjectPlace, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "PART_BYTES", 4)
    on_s3.put("a", SMALL)
    parts = on_s3.read_parts(on_s3.head("a"))
    assert next(parts) == b"0123"
    on_s3.put("a", SMALL[::-1])
    with pytest.raises(StoreError, match="was changed while it was read"):
        next(parts)


def test_only_the_first_puts_what_is_to_be_absent(place: ObjectPlace):
    assert place.put_if_absent("once", b"first")
    assert not place.put_if_absent("once", b"second")
    assert place.read("once") == b"first"


def test_a_folder_is_listed_to_its_end_and_nothing_beside_it(place: ObjectPlace):
    keys = [f"in/{n // 80}/{n:04}" for n in range(2 * N_LISTED + 1)]
    for key in (*keys, "inside", "in.txt"):
        place.put(key, b"")
    assert sorted(one.key for one in place.objects("in")) == keys
    assert place.folders("in") == ["0", "1"]
    assert place.folders() == ["in"]
    assert list(place.objects("nowhere")) == place.folders("nowhere") == []
    place.delete(keys)
    assert sorted(one.key for one in place.objects()) == ["in.txt", "inside"]


def test_what_is_gone_can_be_removed_again(place: ObjectPlace):
    for key in ("a", "b"):
        place.put(key, b"")
    place.delete(["gone", "a", "gone too", "b"])
    assert list(place.objects()) == []


def test_what_is_not_there_is_missing(place: ObjectPlace):
    for ask in (place.head, place.read):
        with pytest.raises(ObjectMissing, match="/nothing: is not there") as caught:
            ask("nothing")
        assert isinstance(caught.value, FileNotFoundError)
        assert not is_passing(caught.value)


@pytest.mark.parametrize("key", ["", "../a", "a//b", "/a", "a/.", "a\nb", "a\x1b[1m"])
def test_a_key_that_is_no_path_is_refused(on_s3: ObjectPlace, key: str):
    with pytest.raises(SpecError, match="is no key"):
        on_s3.put(key, b"") if key else on_s3.delete([key])


@pytest.mark.parametrize("key", ["odd//x.svs", "odd/../x.svs", "odd/./\x1b.svs"])
def test_an_object_that_stops_a_listing_is_named(bucket: str, key: str):
    put = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).put_object
    for one in ("odd/good.svs", key):
        put(Bucket=bucket.removeprefix("s3://"), Key=one, Body=b"x")
    with pytest.raises(StoreError, match="Rename or remove that object") as told:
        list(open_place(f"{bucket}/odd").objects())
    assert str(told.value).isprintable()
    assert key.split("/", 1)[1].split("\x1b", maxsplit=1)[0] in str(told.value)


def test_no_bucket_is_told_whatever_is_asked(bucket: str):
    place = open_place(f"{bucket}-not/below")
    with pytest.raises(ObjectMissing, match="there is no such bucket"):
        list(place.objects())
    for ask in (place.read, lambda key: place.put(key, b""), lambda key: place.delete([key])):
        with pytest.raises(ObjectMissing, match=rf"^{bucket}-not: there is no such bucket"):
            ask("a")


def test_a_server_that_is_not_there_may_come_back(bucket: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setitem(module._RETRIES, "max_retries", 1)
    with pytest.raises(StorageUnavailable, match="does not answer") as caught:
        open_place(bucket).head("a")
    assert is_passing(caught.value)
    assert "AWS_ENDPOINT_URL" in caught.value.remedy


def test_a_server_without_tls_is_told(canned_server: CannedServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(module._RETRIES, "max_retries", 0)
    port = canned_server.server.server_address[1]
    with pytest.raises(StoreError, match="the server does not speak TLS there") as caught:
        open_place(f"https://127.0.0.1:{port}").head("a")
    assert "Write http://" in caught.value.remedy


def test_a_certificate_that_nobody_vouches_for_is_told(
    canned_server: CannedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(module._RETRIES, "max_retries", 0)
    canned_server.answer(200, "")
    canned_server.speak_tls(own_certificate(tmp_path / "own.pem"))
    place = f"https://127.0.0.1:{canned_server.server.server_address[1]}"
    with pytest.raises(StoreError, match="certificate is not one that this machine trusts"):
        open_place(place).head("a")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
    assert open_place(place).head("a").size_bytes == 0


# What servers answer, as AWS documents it: an answer echoes ids and what was signed.
REFUSED = {
    (403, "AccessDenied"): (StoreError, "refuses this to these credentials"),
    (403, "InvalidAccessKeyId"): (StoreError, "does not know these credentials"),
    (403, "SignatureDoesNotMatch"): (StoreError, "does not know these credentials"),
    (400, "ExpiredToken"): (StoreError, "does not know these credentials"),
    (403, "InvalidObjectState"): (StoreError, r"s3://bucket/x/a: lies in an archive \(Inv"),
    (409, "BlobArchived"): (StoreError, "lies in an archive"),
    (403, "RequestTimeTooSkewed"): (StoreError, "takes the clock of .* for wrong"),
    (401, ""): (StoreError, "does not know these credentials"),
    (301, "PermanentRedirect"): (StoreError, "is in another region"),
    (429, "SlowDown"): (StorageUnavailable, "answered 429"),
    (503, "SlowDown"): (StorageUnavailable, r"answered 503 \(SlowDown\)"),
    (400, "EntityTooLarge"): (StoreError, r"answered 400 \(EntityTooLarge\)"),
    (404, "NoSuchKey"): (ObjectMissing, "is not there"),
}


@pytest.mark.parametrize(("status", "code"), REFUSED)
def test_no_error_says_a_secret(
    canned_server: CannedServer, status: int, code: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(module._RETRIES, "max_retries", 0)
    kind, words = REFUSED[status, code]
    canned_server.answer(
        status, f"<Error><Code>{code}</Code><Echo>{KEY_ID} {SECRET}</Echo></Error>"
    )
    with pytest.raises(kind, match=words) as caught:
        open_place("s3://bucket/x").read("a")
    assert type(caught.value) is kind
    assert caught.value.remedy
    said = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__dict__)
    assert not re.search(rf"{KEY_ID}|{re.escape(SECRET)}|Echo|127\.0\.0\.1", said)
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize(("status", "told"), [(403, "refuses this"), (400, "answered 400")])
def test_keys_that_are_wrong_or_expired_may_be_why_a_server_refuses_without_a_word(
    canned_server: CannedServer, status: int, told: str
):
    canned_server.answer(status, "<Error><Code>InvalidAccessKeyId</Code></Error>")
    with pytest.raises(StoreError, match="does not know these credentials"):
        open_place("s3://bucket/x").read("a")
    with pytest.raises(StoreError, match=told) as caught:
        open_place("s3://bucket/x").head("a")  # the answer to which has no body
    assert "expired" in caught.value.remedy
    canned_server.answer(403, "<Error><Code>AccessDenied</Code></Error>")
    with pytest.raises(StoreError, match="AccessDenied") as caught:
        open_place("s3://bucket/x").read("a")
    assert caught.value.remedy.startswith("Grant these credentials what they need")


# As S3 answers a request to remove several: 200, and what is wrong with each.
UNREMOVED = (
    "<DeleteResult><Error><Key>x/a</Key><Code>{code}</Code>"
    "<Message>no (code: Other)</Message></Error></DeleteResult>"
)


def test_a_right_to_delete_that_is_missing_is_told(canned_server: CannedServer):
    canned_server.answer(200, UNREMOVED.format(code="AccessDenied"))
    with pytest.raises(StoreError) as told:
        open_place("s3://bucket/x").delete(["a"])
    assert str(told.value) == (
        "s3://bucket: lets these credentials remove nothing (AccessDenied). "
        "Grant these credentials what they need there (read, list, write and delete)"
    )
    assert not is_passing(told.value)


def test_what_else_an_object_is_kept_for_is_told_by_its_code(
    canned_server: CannedServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(module._RETRIES, "max_retries", 0)
    place = open_place("s3://bucket/x")
    canned_server.answer(200, UNREMOVED.format(code="InvalidObjectState"))
    with pytest.raises(StoreError, match=r"^s3://bucket/x/a: .* InvalidObjectState\.") as told:
        place.delete(["a"])
    assert not is_passing(told.value)
    canned_server.answer(200, UNREMOVED.format(code="InternalError"))
    with pytest.raises(StorageUnavailable, match="answered InternalError, tried several times"):
        place.delete(["a"])
    canned_server.answer(200, UNREMOVED.format(code="NoSuchKey"))
    place.delete(["a"])


@pytest.mark.parametrize(
    ("status", "code"), [(501, "NotImplemented"), (501, ""), (505, ""), (400, "NotImplemented")]
)
def test_a_storage_that_cannot_do_what_is_needed_is_not_asked_again(
    canned_server: CannedServer, status: int, code: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(module._RETRIES, "max_retries", 0)
    canned_server.answer(status, f"<Error><Code>{code}</Code></Error>")
    with pytest.raises(StoreError, match=rf"lacks what this needs.* answered {status}") as told:
        open_place("s3://bucket/x").put_if_absent("a", b"")
    assert not is_passing(told.value)
    assert "Use another storage" in told.value.remedy


def test_slides_need_no_right_to_write(canned_server: CannedServer):
    canned_server.answer(403, "<Error><Code>AccessDenied</Code></Error>")
    slide = place_of("s3://bucket/x/a.svs")
    assert isinstance(slide, RemoteFile)
    with pytest.raises(StoreError, match=r"refuses this.* need there \(read and list\)$"):
        look_at(slide)
    with pytest.raises(StoreError, match=r"need there \(read and list\)$"):
        slides_below(slide)
    with pytest.raises(StoreError, match=r"need there \(read, list, write and delete\)$"):
        open_place("s3://bucket/store").read("a")


def test_a_server_that_begins_again_within_seconds_is_waited_for(canned_server: CannedServer):
    canned_server.stop()
    begun: list[CannedServer] = []
    port = canned_server.server.server_port
    threading.Timer(3.0, lambda: begun.append(CannedServer(port, status=404))).start()
    with pytest.raises(ObjectMissing, match="is not there"):
        open_place("s3://bucket/x").read("a")
    begun[0].stop()


@pytest.mark.parametrize(
    "url",
    [
        f"s3://{KEY_ID}:{SECRET}@bucket/x",
        f"https://lab.example/a.svs?X-Amz-Signature={SECRET}",
        f"az://box/x?sig={SECRET}",
        f"https://lab.example/a#{SECRET}",
        f"http://{KEY_ID}:{SECRET}@lab.example/a.svs",
        f"http://lab.example:x/a.svs?token={SECRET}",
    ],
)
def test_a_url_with_a_secret_is_refused_without_it(url: str):
    with pytest.raises(SpecError) as caught:
        open_place(url)
    assert SECRET not in str(caught.value)
    is_web = url.startswith("http")
    assert ("has to answer without a login" in caught.value.remedy) is is_web
    assert ("environment" in caught.value.remedy) is not is_web


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:///x",
        "s3://b/../x",
        "s3://b:80/x",
        "ftp://lab.example/x",
        "/a",
        "s3://b c/x",
        "gs://bücket",
    ],
)
def test_what_is_no_place_is_refused(url: str):
    with pytest.raises(SpecError):
        open_place(url)


def test_what_names_no_place_is_repeated_without_a_secret():
    for typed in ("s3://slides/../host", "s3:///x"):
        with pytest.raises(SpecError, match=re.escape(f"'{typed}': names no bucket and folder")):
            parse_url(typed)
    with pytest.raises(SpecError, match="names no bucket") as told:
        parse_url(f"s3:///{KEY_ID}:{SECRET}@bucket/x")
    assert SECRET not in str(told.value)


@pytest.mark.parametrize("url", ["s3://slides/x/hash#frag.svs", "s3://slides/x/what?.svs"])
def test_a_name_that_a_url_cuts_off_is_to_be_renamed(url: str):
    with pytest.raises(SpecError) as told:
        parse_url(url)
    assert "'#' and '?' cannot stand in a name" in told.value.remedy
    assert "renamed" in told.value.remedy


@pytest.mark.parametrize(
    ("status", "said"), [(401, "asks for a login (401)"), (403, "refuses it (403)")]
)
def test_a_web_server_that_wants_a_login_is_given_no_credentials(
    canned_server: CannedServer, status: int, said: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(module._RETRIES, "max_retries", 0)
    canned_server.answer(status, "")
    folder = f"{os.environ['AWS_ENDPOINT_URL']}/scans"
    with pytest.raises(StoreError) as told:
        open_place(folder).read("a credential.svs")
    assert str(told.value) == (
        f"{folder}/a credential.svs: the server {said}. "
        "Copy the file here, or serve it without a login"
    )


def test_a_web_server_without_ranges_is_told_what_it_lacks(canned_server: CannedServer):
    canned_server.answer(200, "0123456789")
    folder = os.environ["AWS_ENDPOINT_URL"]
    with pytest.raises(StoreError, match=r"does not send parts of a file \(HTTP ranges\)") as told:
        open_place(folder).read("a.svs", start=2, end=4)
    assert "Copy the file here" in told.value.remedy


def test_a_web_server_that_is_not_there_is_looked_for_by_its_url(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(module._RETRIES, "max_retries", 0)
    with pytest.raises(StorageUnavailable) as told:
        open_place("http://127.0.0.1:9/scans").head("a.svs")
    assert told.value.remedy == "Look at the network and the URL, and run it again"


def test_a_web_name_that_no_url_can_keep_is_told_by_what_is_in_it() -> None:
    for typed, sign in (("a%23b.svs", "#"), ("a%3Fsig=SECRET", "?"), ("a%25b.svs", "%")):
        with pytest.raises(SpecError) as told:
            place_of(f"https://lab.example/scans/{typed}")
        assert "'https://lab.example/scans/a' …" in str(told.value)
        assert f"goes on with '{sign}'" in str(told.value)
        assert "SECRET" not in str(told.value)
        assert "rename it on the server" in told.value.remedy
    with pytest.raises(SpecError, match=r"'https://lab.example/%2e%2e/a.svs': names no file"):
        place_of("https://lab.example/%2e%2e/a.svs")


def test_a_web_server_is_read_from_and_not_written_to(bucket: str):
    folder = f"{os.environ['AWS_ENDPOINT_URL']}/{bucket.removeprefix('s3://')}/a"
    public = {"x-amz-acl": "public-read", "Content-Type": "image/tiff"}
    urlopen(Request(f"{folder}/b", SMALL, public, method="PUT")).close()  # noqa: S310 - our server
    web = open_place(folder)
    assert web.read("b", start=2, end=4) == b"23"
    assert web.head("b").size_bytes == 10
    for write in (lambda: web.put("c", b""), lambda: web.delete(["b"])):
        with pytest.raises(StoreError, match="only read from"):
            write()


def test_without_an_account_azure_is_told_what_to_set():
    with pytest.raises(StoreError, match=r"az://box: there are no credentials") as caught:
        open_place("az://box/x")
    assert "AZURE_STORAGE_ACCOUNT_NAME" in caught.value.remedy
