from __future__ import annotations

import traceback

import pytest
from sqlalchemy import make_url

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.database.urls import name_of, without_secrets
from pathassets.errors import CatalogError

SECRET = "sw0rdfish"  # noqa: S105 - of nothing


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2://ann:sw0rdfish@/db?host={tmp}",
        "postgresql+psycopg2://ann@/db?host={tmp}&password=sw0rdfish&application_name=x",
        "postgresql+psycopg2://ann@/db?host={tmp}&sslpassword=sw0rdfish",
        "postgresql+psycopg2://ann@/db?host={tmp}&nosuchoption=1&password=sw0rdfish",
        "postgresql+psycopg2://ann:%73w0rdfish@/db?host={tmp}",
        "postgresql+psycopg2://ann:x@sw0rdfish@/db?host={tmp}",
        "postgresql+psycopg2://ann:x@sw0rdfish@nohost.invalid:5/db",
        "postgresql+psycopg2://ann:x@y?sw0rdfish@nohost.invalid:5/db",
        "postgresql+psycopg2://ann:x@/sw0rdfish@/db",
        "postgresql+psycopg2://ann:x/sw0rdfish@/db?host={tmp}",
        "postgresql+psycopg2://ann:x?sw0rdfish@/db?host={tmp}",
        "postgresql+psycopg2://ann:x@host:sw0rdfish@host/db",
        "postgresql+psycopg2://ann@host:sw0rdfish/db",
        "postgresql+nosuch://ann:sw0rdfish@host/db",
        "mysql://ann:sw0rdfish@host/db",
        "mysql://ann@host/db?password=sw0rdfish",
        "ann:sw0rdfish@host/db",
        "sqlite://ann:sw0rdfish@host/db",
    ],
)
def test_no_form_of_a_password_is_shown_even_in_a_traceback(tmp_path, url) -> None:
    with pytest.raises(CatalogError) as caught:
        Catalog.open(url.format(tmp=tmp_path))
    said = "".join(traceback.format_exception(caught.value))
    assert SECRET not in said


def test_a_password_that_the_driver_repeats_is_hidden_in_every_spelling() -> None:
    url = make_url("postgresql+psycopg2://ann:p%40ss%2Fw@host/db?sslpassword=second+one")
    said = 'FATAL: "p@ss/w", p%40ss%2Fw, second one, second%20one; p@ss/words stay'
    assert without_secrets(said, url) == 'FATAL: "***", ***, ***, ***; p@ss/words stay'


def test_a_short_password_is_not_read_off_the_gaps_in_other_words() -> None:
    url = make_url("postgresql+psycopg2://ann:a@host/db")
    assert without_secrets("what a failure at all", url) == "what *** failure at all"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sqlite:////data/catalog.sqlite?timeout=5", "catalog /data/catalog.sqlite"),
        ("postgresql://ann@host:5/db", "catalog postgresql://ann@host:5/db"),
        (
            "postgresql://ann:x@/db?host=/run&password=x&options=-cx",
            "catalog postgresql://ann:***@/db?host=%2Frun",
        ),
    ],
)
def test_a_catalog_is_named_by_its_place_alone(url, name) -> None:
    assert name_of(make_url(url)) == name


def test_a_real_server_with_the_password_in_the_query_opens_and_its_errors_hide_it(
    make_schema,
) -> None:
    url = f"{make_schema()}&password={SECRET}"
    with Catalog.open(url) as catalog:
        assert SECRET not in repr(catalog)
        with pytest.raises(CatalogError) as caught:
            catalog.find_path("\0")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_an_at_sign_in_a_password_is_written_in_percent_signs(tmp_path) -> None:
    with pytest.raises(CatalogError, match="more than one '@'") as caught:
        Catalog.open("postgresql+psycopg2://ann:x@y@host/db")
    assert "%40" in caught.value.remedy
    with pytest.raises(CatalogError, match="server does not answer"):
        Catalog.open(f"postgresql+psycopg2://ann:x%40y@/db?host={tmp_path}&options=a@b")
