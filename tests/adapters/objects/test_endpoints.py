"""Variables that say where object storage is, and who asks, checked before obstore reads them."""

from __future__ import annotations

import os
import platform
from contextlib import suppress

import pytest
from obstore.store import S3Store

from pathassets.adapters.objects.place import ObjectPlace, open_place
from pathassets.adapters.objects.urls import parse_url
from pathassets.errors import SpecError, StoreError

NAMES = {
    "AWS_ENDPOINT_URL": "s3://bucket",
    "AWS_ENDPOINT_URL_S3": "s3://bucket",
    "AWS_ENDPOINT": "s3://bucket",
    "GOOGLE_BASE_URL": "gs://bucket",
    "AZURE_STORAGE_ENDPOINT": "az://box",
    "AZURE_ENDPOINT": "az://box",
}
NO_URLS = [
    "127.0.0.1:5555",
    "localhost",
    "localhost:5555",
    "//127.0.0.1:9",
    "ftp://127.0.0.1",
    "http://",
    "http://:9",
    "http://lab.example x",
    "http://127.0.0.1:99999",
    "http://127.0.0.1:port",
    "http://[::1",
    " http://127.0.0.1:9",
    "http://127.0.0.1:9\n",
    "http://127.0.0.1/a b",
    "http://127.0.0.1/ü",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_server_without_a_scheme_is_refused_by_the_name_of_its_variable(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(name, "127.0.0.1:5555")
    with pytest.raises(SpecError) as caught:
        open_place(NAMES[name])
    assert caught.value.message == f"{name}: '127.0.0.1:5555' is no URL"
    assert caught.value.remedy == "Write it as http://host:port, or unset it"
    open_place("https://lab.example/slides")  # which asks no such variable


@pytest.mark.parametrize("said", NO_URLS)
def test_what_obstore_would_panic_at_is_refused(said: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", said)
    with pytest.raises(SpecError, match="is no URL") as caught:
        open_place("s3://bucket")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "said",
    ["http://127.0.0.1:9", "https://s3.example/a/b", "HTTP://[::1]:9/", "http://my_own.example"],
)
def test_urls_are_taken(said: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", said)
    open_place("s3://bucket")


@pytest.mark.parametrize(
    "name",
    [
        *("AWS_REGION", "AWS_DEFAULT_REGION"),
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    ],
)
def test_a_word_that_no_request_can_hold_is_refused_and_not_repeated(
    bucket: str, name: str, monkeypatch: pytest.MonkeyPatch
):
    for said in ("SeCrEt\n", "SeC rEt", "SeCrEtü"):
        monkeypatch.setenv(name, said)
        with pytest.raises(SpecError, match=f"^{name}: has a blank") as caught:
            open_place(bucket)
        assert "SeC" not in str(caught.value)
    monkeypatch.setenv(name, "")
    with suppress(StoreError):
        open_place(bucket)
    assert name not in os.environ


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_of_a_pair_of_keys_is_none(bucket: str, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(name)
    with pytest.raises(StoreError, match="there are no credentials for it") as caught:
        open_place(bucket)
    assert f" on {platform.node()}" in caught.value.message  # of a cluster, on which node
    assert name in caught.value.remedy


def test_a_panic_of_obstore_is_an_error_like_others():
    store = S3Store("bucket", endpoint="localhost", access_key_id="a", secret_access_key="b")  # noqa: S106
    place = ObjectPlace(parse_url("s3://bucket"), store)
    for ask in (lambda: place.head("a"), lambda: list(place.objects())):
        with pytest.raises(StoreError, match=r"^s3://bucket: cannot be asked"):
            ask()


def test_a_password_in_one_is_not_repeated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://me.example:SeCrEt@127.0.0.1:9")
    with pytest.raises(SpecError, match=r"^AWS_ENDPOINT_URL: it is no URL") as caught:
        open_place("s3://bucket")
    assert "SeCrEt" not in str(caught.value)


@pytest.mark.parametrize("name", ["AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3"])
def test_an_empty_one_counts_as_not_set(bucket: str, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, "")
    place = open_place(bucket)
    place.put("a", b"1")
    assert place.read("a") == b"1"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    open_place(bucket)
    assert not os.environ.get("AWS_ENDPOINT_URL")
