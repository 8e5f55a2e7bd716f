"""URLs of object storage -> their parts; what holds a secret, or is no place, is refused.

    s3://BUCKET/PREFIX      gs://BUCKET/PREFIX      az://CONTAINER/PREFIX      https://lab.example/FOLDER

Credentials are the environment's. A URL that holds any is refused, and no error repeats it: it
would stand in the catalog, in events and in logs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from pathassets.core.text import quoted
from pathassets.errors import SpecError

BUCKETS = frozenset({"s3", "gs", "az"})
"""Schemes of object storage."""
WEB = frozenset({"https", "http"})
"""Schemes of servers that are read from only."""
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://|(s3|gs|az|https?):/", re.IGNORECASE)
"""The second way is of what is meant for a URL and lacks a slash: no folder is called so."""
_BUCKET = re.compile(r"[A-Za-z0-9._$-]+")
_SLIP = re.compile(r"(s3|gs|az|https?)(:|//)", re.IGNORECASE)
_FOR_EXAMPLE = "For example s3://bucket/folder"
_LEAVE_OUT = (
    f"{_FOR_EXAMPLE}; credentials are taken from the environment, such as AWS_ACCESS_KEY_ID"
)
_LEAVE_OUT_WEB = (
    "For example https://lab.example/scans/a.svs; a web server has to answer without a login: copy "
    "the file here, or serve it without one"
)
"""Of what is asked without credentials, and so never with those of the environment."""
_IN_NAMES = (
    "'#' and '?' cannot stand in a name: a file or object of such a name has to be renamed first"
)
_END_OF_NAME = re.compile(r"[^=&]*\.[A-Za-z0-9]{1,5}")
"""As a name ends, and no signature."""
_TYPED_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectUrl:
    """Where objects are."""

    scheme: str
    host: str
    """Bucket, container, or host with its port."""
    prefix: str
    """Folder or key in it, without slashes around it; empty for all of it."""

    def __str__(self) -> str:
        return f"{self.root}/{self.prefix}".rstrip("/")

    @property
    def root(self) -> str:
        """The bucket, or the host, alone."""
        return f"{self.scheme}://{self.host}"


def is_url(text: str) -> bool:
    """Whether a text is a URL of some kind, and not the path of a file.

    One that lacks a slash, which `parse_url` refuses, is a URL, too: no folder of its name is made.

    >>> is_url("s3://bucket/slides"), is_url("/data/slides"), is_url("C:/slides")
    (True, False, False)
    >>> is_url("s3:/bucket"), is_url("GS:12")
    (True, False)
    """
    return _SCHEME.match(text) is not None


def is_meant_for_url(text: str) -> bool:
    """Whether what a person typed as a place is a URL, or lacks a slash or the colon of one.

    Names of slides and patients may look like that, and files may be called so.

    >>> [is_meant_for_url(text) for text in ("s3:bucket/slides", "s3//bucket", "s3/slides")]
    [True, True, False]
    """
    return is_url(text) or _SLIP.match(text) is not None


def parse_url(text: str) -> ObjectUrl:
    """Take a URL of objects apart.

    >>> parse_url("s3://bucket/a/b/").prefix
    'a/b'

    Raises:
        SpecError: it is none, its scheme isn't known, or it holds a password or a signature.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise SpecError("the URL of objects cannot be read", remedy=_leave_out(text)) from None
    if "@" in parts.netloc or parts.query or parts.fragment:
        is_name = "@" not in parts.netloc and _END_OF_NAME.fullmatch(parts.fragment or parts.query)
        raise SpecError(
            f"{parts.scheme}://{parts.hostname or ''}/…: the URL holds a password, a signature or "
            "something else after its path",
            remedy=_IN_NAMES if is_name else _leave_out(text),
        )
    if "://" not in text:
        raise _lacking(text)
    if parts.scheme not in BUCKETS | WEB:
        raise SpecError(
            f"{parts.scheme}://: is no URL of object storage",
            remedy="Use s3://, gs://, az:// or https://",
        )
    prefix = parts.path.strip("/")
    if not parts.hostname or not text.isprintable() or (prefix and not is_key(prefix)):
        said = f"{parts.scheme}://…" if "@" in text else quoted(text, _TYPED_CHARS)
        raise SpecError(
            f"{said}: names no bucket and folder",
            remedy=f"{_FOR_EXAMPLE}, without an empty part, . and ..",
        )
    if parts.scheme in BUCKETS and port is not None:
        raise SpecError(
            f"{parts.scheme}://{parts.netloc}: a bucket has no port",
            remedy="Name the server by AWS_ENDPOINT_URL",
        )
    if parts.scheme in BUCKETS and _BUCKET.fullmatch(parts.netloc) is None:
        raise SpecError(f"{parts.scheme}://…: no bucket is called so", remedy=_FOR_EXAMPLE)
    return ObjectUrl(scheme=parts.scheme, host=parts.netloc, prefix=prefix)


def _leave_out(text: str) -> str:
    return _LEAVE_OUT_WEB if text.partition(":")[0].lower() in WEB else _LEAVE_OUT


def _lacking(text: str) -> SpecError:
    found = _SLIP.match(text)
    if found is None:
        return SpecError("no URL of objects begins so", remedy=_FOR_EXAMPLE)
    scheme, mark = found[1].lower(), found[2]
    what = "two slashes" if mark == ":" else "colon"
    example = "bucket/folder" if scheme in BUCKETS else "lab.example/folder"
    return SpecError(
        f"{scheme}{mark}…: lacks the {what} of a URL",
        remedy=f"For example {scheme}://{example}; a path of that name begins with ./",
    )


def is_key(key: str) -> bool:
    """Whether a key is a path below a place, which no tool takes for another.

    >>> [is_key(key) for key in ("a/b.svs", "a//b", "../b", "a/./b", "/a", "a/", "", "a" + chr(10))]
    [True, False, False, False, False, False, False, False]
    """
    return key.isprintable() and all(part not in {"", ".", ".."} for part in key.split("/"))


def require_key(key: str) -> None:
    """Refuse what is no key of an object.

    Raises:
        SpecError: it is empty, or leads out of its place.
    """
    if not is_key(key):
        raise SpecError(f"{key!a}: is no key of an object", remedy="Use a path without . and ..")
