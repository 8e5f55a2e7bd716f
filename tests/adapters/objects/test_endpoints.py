"""Variables that name the server of object storage, checked before obstore reads them."""

from __future__ import annotations

import os

import pytest

from pathassets.adapters.objects.place import open_place
from pathassets.errors import SpecError

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
