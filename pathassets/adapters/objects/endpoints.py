"""Variables that say where the server of object storage is, and who asks, checked before that.

obstore reads them itself. Where it can make no request of one it panics, which no `except
Exception` stops.
"""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from pathassets.errors import SpecError

_SERVERS = {
    "s3": ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_WORDS = {
    "s3": (
        *("AWS_REGION", "AWS_DEFAULT_REGION"),
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    ),
}
_URL = re.compile(r"https?://[a-z0-9.:\[\]_-]+(/[!-~]*)?", re.IGNORECASE)
_WORD = re.compile(r"[!-~]+")


def check_endpoints(scheme: str) -> None:
    """Refuse variables of a storage that no request can hold; an empty one counts as not set.

    Raises:
        SpecError: one of a server is no URL, or one of a region or key holds a blank or the like.
    """
    for name in _SERVERS.get(scheme, ()):
        said = _value_of(name)
        if said is not None and not _is_url(said):
            shown = "it" if "@" in said else ascii(said)  # that may be a password
            raise SpecError(
                f"{name}: {shown} is no URL", remedy="Write it as http://host:port, or unset it"
            )
    for name in _WORDS.get(scheme, ()):
        said = _value_of(name)
        if said is not None and _WORD.fullmatch(said) is None:
            raise SpecError(
                f"{name}: has a blank, the end of a line, or a letter that none can have",
                remedy="Set it without, or unset it",
            )


def _value_of(name: str) -> str | None:
    said = os.environ.get(name)
    if said == "":
        del os.environ[name]  # obstore would take it for one
        return None
    return said


def _is_url(said: str) -> bool:
    try:
        parts = urlsplit(said)
        return bool(_URL.fullmatch(said) and parts.hostname) and parts.port != 0
    except ValueError:  # of the port, or of brackets
        return False
