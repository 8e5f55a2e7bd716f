"""A catalog's URL -> what people may see of it. The one door of whatever could show its password.

A password stands before the '@', or in the query (`?password=`, `?sslpassword=`), as it is or in
percent signs. Of the URL messages show scheme, user, host, port and database; what a driver says is
shown without the words that are secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from pathassets.errors import CatalogError

URL_REMEDY = (
    "Write it as sqlite:////absolute/path/catalog.db "
    "or postgresql+psycopg2://user@host/database in PATHASSETS_CATALOG."
)
HIDDEN = "***"

_SECRET_KEY = re.compile(r"pass|pwd|secret|token|key", re.IGNORECASE)
_PLACE = ("host", "port", "dbname")
"""Parts of a query that say which catalog it is."""
_KEY = re.compile(r"[A-Za-z_]+=")


def parse_url(text: str) -> URL:
    """Read a URL.

    Raises:
        CatalogError: it is none, or an '@' in it could be in a password, of which a part would be
            taken for the server's name, and shown.
    """
    # Without the text, and `from None`: what cannot be parsed may still hold a password.
    try:
        url = make_url(text)
    except ArgumentError:
        raise CatalogError("catalog URL: is not the URL of a database", remedy=URL_REMEDY) from None
    except ValueError:
        raise CatalogError("catalog URL: its port is not a number", remedy=URL_REMEDY) from None
    if url.get_backend_name() != "sqlite" and _has_loose_at(text):
        raise CatalogError(
            "catalog URL: it has more than one '@'",
            remedy="Write an '@' in a name or password as %40, '/' as %2F, '?' as %3F. "
            + URL_REMEDY,
        )
    return url


def name_of(url: URL) -> str:
    """Name a catalog for people: the file, or the server without its password."""
    if url.get_backend_name() == "sqlite":
        return f"catalog {url.database}"
    place = {key: value for key, value in url.query.items() if key in _PLACE}
    shown = url.set(query=place, password=HIDDEN if url.password else None)
    return f"catalog {shown.render_as_string(hide_password=True)}"


def without_secrets(text: str, url: URL) -> str:
    """Repeat what somebody says of a catalog, with its passwords hidden."""
    for secret in sorted(_secrets(url), key=len, reverse=True):
        # As a word of its own: the password "a" is not to be read off the gaps in other words.
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text)
    return text


def _has_loose_at(text: str) -> bool:
    """Whether a second '@' is where none belongs: outside of the query's values."""
    _, _, behind = text.partition("@")
    place, _, query = behind.partition("?")
    return "@" in place or any("@" in one and not _KEY.match(one) for one in query.split("&"))


def _secrets(url: URL) -> set[str]:
    """Every spelling of every password."""
    values: list[str] = [url.password] if url.password else []
    for key, value in url.query.items():
        if _SECRET_KEY.search(key):
            values += [value] if isinstance(value, str) else value
    return {spelling for value in values if value for spelling in _spellings(value)}


def _spellings(secret: str) -> Iterable[str]:
    return secret, quote(secret, safe=""), quote_plus(secret), quote(secret, safe=" +")
