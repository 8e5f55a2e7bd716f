"""Where the cohort page is, on the port of `pathassets ui`."""

from __future__ import annotations

from urllib.parse import quote

COHORT = "/cohort"
"""Its path; what it asks for is below."""


def address_of(slide_id: str) -> str:
    """The page with one slide shown large, on whatever port it is served.

    >>> address_of("a b&c")
    '/cohort?slide=a%20b%26c'
    """
    return f"{COHORT}?slide={quote(slide_id, safe='')}"
