"""Variables that say where the server of object storage is, checked before a client is made.

obstore reads them itself, and of one that is no URL it makes a panic, which no `except Exception`
stops, at the first request.
"""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from pathassets.errors import SpecError

_OF_SCHEME = {
    "s3": ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_URL = re.compile(r"https?://[a-z0-9.:\[\]_-]+(/[!-~]*)?", re.IGNORECASE)


def check_endpoints(scheme: str) -> None:
    """Refuse variables of a storage that are no URL; one that is empty counts as not set.

    Raises:
        SpecError: one is none.
    """
    for name in _OF_SCHEME.get(scheme, ()):
        said = os.environ.get(name)
        if said == "":
            del os.environ[name]  # obstore would take it for a URL
        elif said is not None and not _is_url(said):
            shown = "it" if "@" in said else ascii(said)  # that may be a password
            raise SpecError(
                f"{name}: {shown} is no URL", remedy="Write it as http://host:port, or unset it"
            )


def _is_url(said: str) -> bool:
    try:
        parts = urlsplit(said)
        return bool(_URL.fullmatch(said) and parts.hostname) and parts.port != 0
    except ValueError:  # of the port, or of brackets
        return False
