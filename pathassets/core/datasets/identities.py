"""Patients' names -> those that are one name in two spellings.

    >>> key_of("P-007") == key_of(" p 7"), key_of("P-1-12") == key_of("P-11-2")
    (True, False)

Names are codes, in which one character tells two people apart (TCGA-A1-A0SB and TCGA-A1-A0SD), so
that how far two are apart says nothing. What is forgiven is what people and spreadsheets do to a
code: case, blanks, punctuation, leading zeros, accents, and letters that look alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

NameKey = tuple[str, ...]

_ALIKE = str.maketrans(
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0430"
    "\u0441\u0435\u043e\u0440\u0445\u0443\u0456\u0458\u0391\u0392\u0395\u0396\u0397"
    "\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf",
    "ABEKMHOPCTYXaceopxyijABEZHIKMNOPTYXo",
)
"""Cyrillic and Greek letters that are drawn like Latin ones."""
_RUN = re.compile(r"[0-9]+|[^0-9]+")


def key_of(name: str) -> NameKey:
    """What the spellings of a name share: its runs of letters and of digits, in order."""
    text = unicodedata.normalize("NFKD", name.translate(_ALIKE)).casefold()
    words = re.findall(r"[^\W_]+", "".join(c for c in text if not unicodedata.combining(c)))
    found: list[str] = []
    for word in words:
        for run in _RUN.findall(word):
            if found and not found[-1].isdigit() and not run.isdigit():
                found[-1] += run  # "van dyk", "Vandyk": blanks between letters say nothing
            else:
                found.append(run.lstrip("0") or "0" if run.isdigit() else run)
    return tuple(found)


def spelt_differently(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Names that are one, each list sorted; a name of no letter or digit is like no other."""
    found: defaultdict[NameKey, set[str]] = defaultdict(set)
    for name in names:
        if key := key_of(name):
            found[key].add(name)
    return sorted(tuple(sorted(alike)) for alike in found.values() if len(alike) > 1)
