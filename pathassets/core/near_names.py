"""A name that is none -> those that may be meant, as a person is asked back for them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence


def near_names(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """Names that may be meant, whatever their case, the nearest first."""
    folded = {one.casefold(): one for one in known}
    return [folded[one] for one in difflib.get_close_matches(name.casefold(), folded, n=n)]


def perhaps(near: Sequence[str], shown: Callable[[str], str] = repr) -> str:
    """Ask back for names that may be meant, as they can be typed; empty where none may.

    >>> perhaps(["luad", "lusc"]), perhaps([])
    ("Did you mean 'luad' or 'lusc'? ", '')
    """
    return f"Did you mean {' or '.join(map(shown, near))}? " if near else ""


def closest(name: str, known: Iterable[str]) -> str:
    """The name that is meant, whatever its case; empty where none is like it."""
    return next(iter(near_names(name, known, n=1)), "")


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "Known are") -> str:
    """A remedy for a name that is none: the closest of those there are, else all of them.

    >>> did_you_mean("Tissue_Maks", ["tissue_mask", "features"])
    "Did you mean 'tissue_mask'?"
    >>> did_you_mean("x", ["tissue_mask", "features"])
    'Known are tissue_mask, features'
    """
    listed = list(known)
    close = closest(name, listed)
    return f"Did you mean {close!r}?" if close else f"{otherwise} {', '.join(listed)}".rstrip()
