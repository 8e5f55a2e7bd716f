"""What storages say of objects, said in one way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pathassets.adapters.objects.spellings import etag_said, with_next
from pathassets.errors import StoreError

if TYPE_CHECKING:
    from obstore import ObjectMeta


def meta(path: str) -> ObjectMeta:
    now = datetime.now(UTC)
    return {"path": path, "last_modified": now, "size": 0, "e_tag": None, "version": None}


@pytest.mark.parametrize("etag", ['"a"', 'W/"a"', None])
def test_an_etag_as_headers_have_it_stays_as_it_is(etag: str | None) -> None:
    assert etag_said(etag, "az") == etag


@pytest.mark.parametrize("scheme", ["az", "https"])
def test_an_etag_of_which_nothing_is_said_is_none(scheme: str) -> None:
    assert etag_said("", scheme) is None


def test_a_web_server_is_asked_by_the_etag_that_it_gave() -> None:
    assert (etag_said("a", "https"), etag_said("a", "s3")) == ("a", '"a"')


def test_what_was_listed_before_a_fault_comes_before_it() -> None:
    def listed() -> Iterator[ObjectMeta]:
        yield from (meta("a"), meta("a/b"))
        raise StoreError("s3://bucket", "does not answer")

    found = with_next(listed())
    assert [(one["path"], following) for one, following in (next(found), next(found))] == [
        ("a", "a/b"), ("a/b", "")
    ]  # fmt: skip
    with pytest.raises(StoreError):
        next(found)
    assert list(with_next([])) == []
