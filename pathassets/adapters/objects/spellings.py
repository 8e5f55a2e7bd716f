"""What storages say of objects, each in its own way -> said in one way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pathassets.adapters.objects.urls import BUCKETS
from pathassets.errors import PathAssetsError

if TYPE_CHECKING:  # of obstore's stubs alone
    from obstore import ObjectMeta

_AS_HEADERS_HAVE_THEM = ('"', "W/")
_NO_HEAD = ("status code: 405", "MissingContentLength")
"""As obstore tells them: the first it takes for an object that is not there."""


def etag_said(etag: str | None, scheme: str) -> str | None:
    """An ETag with its quotation marks, as headers have it: Azure lists it without.

    A web server lists nothing, and takes in a request what it said, be that against the rules.

    Source: RFC 9110, 8.8.3; Azure, REST API, List Blobs and Get Blob Properties

    >>> etag_said("0x8CBFF45D8A29A19", "az"), etag_said('"0x8CBFF45D8A29A19"', "az")
    ('"0x8CBFF45D8A29A19"', '"0x8CBFF45D8A29A19"')
    """
    if not etag or scheme not in BUCKETS or etag.startswith(_AS_HEADERS_HAVE_THEM):
        return etag or None
    return f'"{etag}"'


def is_without_head(error: Exception) -> bool:
    """Whether it may be only to HEAD that a server gives no answer, or none that says a size."""
    said = str(error)
    return any(one in said for one in _NO_HEAD)


def with_next(listed: Iterable[ObjectMeta]) -> Iterator[tuple[ObjectMeta, str]]:
    """Objects of a listing, each with the key that follows, of the last with none.

    A fault comes behind all that was listed before it.
    """
    before: ObjectMeta | None = None
    try:
        for one in listed:
            if before is not None:
                yield before, one["path"]
            before = one
    except PathAssetsError:
        if before is not None:
            yield before, ""
        raise
    if before is not None:
        yield before, ""
