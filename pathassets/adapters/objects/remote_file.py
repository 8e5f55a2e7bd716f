"""Text -> where a slide's file is: a path of this machine, or the URL of an object.

`Path("s3://bucket/x.svs")` is `s3:/bucket/x.svs`, which is nowhere. So text of people, tables and
the catalog is taken apart here, once, and what it stands for is a value of one of two types from
then on, with the same words for name, ending and folder.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from pathassets.adapters.files import FileStamp
from pathassets.adapters.objects.urls import (
    WEB,
    ObjectUrl,
    is_key,
    is_meant_for_url,
    is_url,
    parse_url,
)
from pathassets.core.text import quoted
from pathassets.errors import SpecError


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """An object that is, or should be, a slide's file; or the folder of some."""

    url: ObjectUrl
    seen: FileStamp | None = field(default=None, compare=False, repr=False)
    """How the slide looked when it was listed; None where nobody listed it."""

    def __str__(self) -> str:
        return str(self.url)

    @property
    def name(self) -> str:
        """Last part of its key; empty of a whole bucket."""
        return PurePosixPath(self.url.prefix).name

    @property
    def stem(self) -> str:
        """Name without its ending."""
        return PurePosixPath(self.url.prefix).stem

    @property
    def suffix(self) -> str:
        """Ending of its name."""
        return PurePosixPath(self.url.prefix).suffix

    @property
    def parent(self) -> RemoteFile:
        """The folder that it is in.

        >>> str(place_of("s3://bucket/a/x.svs").parent), str(place_of("s3://bucket/x.svs").parent)
        ('s3://bucket/a', 's3://bucket')
        """
        return RemoteFile(replace(self.url, prefix=self.url.prefix.rpartition("/")[0]))

    def below(self, key: str, seen: FileStamp | None = None) -> RemoteFile:
        """An object in this folder."""
        prefix = f"{self.url.prefix}/{key}".strip("/")
        return RemoteFile(replace(self.url, prefix=prefix), seen)


_OF_URLS = frozenset("?#%")
"""What a URL that is written out would be taken for something else by."""
_MAY_BE_SECRET = frozenset("?#@")
"""What stands beside a signature or a password."""
_ESCAPED = re.compile(r"%(?:23|25|3[fF]|(?![0-9a-fA-F]{2}))")
"""How they are typed in a URL."""
_URL_CHARS = 200
FilePlace = Path | RemoteFile
"""Where a slide's file is."""


def place_of(text: str) -> FilePlace:
    """What a text names: an object, where it begins as a URL does, else a path.

    People copy URLs of web servers as browsers write them, `a%20b.svs`; keys of buckets are taken
    as they stand.

    >>> place_of("s3://bucket/a/x.svs").name, place_of("/a/x.svs").name
    ('x.svs', 'x.svs')

    Raises:
        SpecError: it is a URL of no storage that is known, or one that holds a secret.
    """
    if not is_url(text):
        return Path(text)
    url = parse_url(text)
    return RemoteFile(_unquoted(url) if url.scheme in WEB else url)


def typed_place(text: str) -> FilePlace:
    """What a person typed as the place of a slide: as `place_of`, with slips refused.

    A file that is called like a URL that lacks a part is taken for a file.

    Raises:
        SpecError: it is a URL of no storage that is known, lacks a part, or holds a secret.
    """
    is_slip = is_meant_for_url(text) and not is_url(text) and not os.path.lexists(text)
    return RemoteFile(parse_url(text)) if is_slip else place_of(text)


def on_disk(typed: str | os.PathLike[str], *, is_read: bool = False) -> Path:
    """What a person typed as a place on a disk; a folder `s3:` would be made of a URL's path.

    Args:
        typed: A path.
        is_read: Whether something is read there, and nothing written.

    Raises:
        SpecError: it is a URL, or lacks a part of one.
    """
    text = os.fspath(typed)
    # A `Path` lost what tells: `./s3:x` is `s3:x` in it.
    is_told = isinstance(typed, str) and not is_url(text)
    is_slip = is_told and is_meant_for_url(text) and not os.path.lexists(text)
    if not (is_url(text) or is_slip):
        return Path(typed)
    told = f"{text.partition(':')[0]}:…" if _MAY_BE_SECRET & {*text} else quoted(text, _URL_CHARS)
    if is_read:
        fact = "this is read from a disk"
        remedy = "Copy it to a disk with your storage's own tool, and give its path there"
    else:
        fact = "this is written to a disk"
        remedy = "Give a path, then copy what is there with your storage's own tool"
    if text.startswith("file:"):
        remedy = "Leave out file://"
    if is_slip:
        remedy += "; a path of that name begins with ./"
    raise SpecError(f"{told}: is a URL, and {fact}", remedy=remedy)


def _unquoted(url: ObjectUrl) -> ObjectUrl:
    """The URL as it is kept: read again it is the same one."""
    prefix = unquote(url.prefix)
    if (odd := _ESCAPED.search(url.prefix)) is not None:
        before = quoted(f"{url.root}/{url.prefix[: odd.start()]}", _URL_CHARS)
        raise SpecError(  # what follows may be a signature
            f"{before} …: goes on with '{unquote(odd[0])}', and no name with '#', '?' or '%' in it "
            "can be kept as a URL",
            remedy="Copy the file here, or rename it on the server",
        )
    if prefix and not (is_key(prefix) and _OF_URLS.isdisjoint(prefix)):
        raise SpecError(
            f"{quoted(str(url), _URL_CHARS)}: names no file",
            remedy="For example https://lab.example/scans/a.svs",
        )
    return replace(url, prefix=prefix)
