"""Spec -> digest and seeds: the same request is the same artifact, everywhere.

A spec is a frozen pydantic dataclass beside the function it steers. It is validated once, where it
is made; nothing downstream asks again. Its digest, together with the code version and the data
versions of what it is made from, is the identity of the artifact.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)
"""Every spec refuses unknown keys, non-finite numbers, and values of another type.

Without `strict`, pydantic takes YAML's `patch_px: yes` for 1.
"""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
"""A part of a whole, in [0, 1]."""
Mpp = Annotated[float, Field(gt=0.0, le=1000.0)]
"""Micrometres per pixel."""
EntryName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
"""A recipe entry's name: it becomes part of an asset key and of a folder's name."""

DIGEST_CHARS = 16
"""Hex characters of a digest: 64 bits tell the artifacts of one slide apart."""


def canonical_json(value: Any) -> str:
    """Write `value` in the one way that equal values share: sorted keys, no spaces.

    >>> canonical_json({"b": 1.0, "a": (2, None)})
    '{"a":[2,null],"b":1.0}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain, allow_nan=False)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} has no canonical form")


def digest_of(value: Any) -> str:
    """Name `value` by its content: the first 16 hex characters of the SHA-256 of its JSON.

    >>> digest_of({"mpp": 0.5}) == digest_of({"mpp": 0.50})
    True
    """
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:DIGEST_CHARS]


def digests_by(key: str, constant: Mapping[str, Any]) -> Callable[[Any], str]:
    """Name mappings that differ at one key alone: what is the same in all is written once.

    >>> digests_by("b", {"a": 1, "c": 3})([2]) == digest_of({"a": 1, "b": [2], "c": 3})
    True
    """
    digest = digests_by_text(key, constant)
    return lambda value: digest([canonical_json(value)])


def digests_by_text(key: str, constant: Mapping[str, Any]) -> Callable[[Iterable[str]], str]:
    """The same from the value's JSON as `canonical_json` writes it, be it in pieces.

    >>> digests_by_text("b", {"a": 1})(["[1,", "2]"]) == digest_of({"a": 1, "b": [1, 2]})
    True
    """
    before = canonical_json({name: value for name, value in constant.items() if name < key})[:-1]
    behind = canonical_json({name: value for name, value in constant.items() if name > key})[1:]
    head = hashlib.sha256(f"{before}{',' * (before != '{')}{json.dumps(key)}:".encode())
    tail = f"{',' * (behind != '}')}{behind}".encode()

    def digest(pieces: Iterable[str]) -> str:
        """First hex characters of the SHA-256 of the whole mapping's JSON."""
        sha256 = head.copy()
        for piece in pieces:
            sha256.update(piece.encode())
        sha256.update(tail)
        return sha256.hexdigest()[:DIGEST_CHARS]

    return digest


def texts_json(texts: Iterable[Iterable[str]]) -> Iterator[str]:
    """JSON of a list of texts, of which each is given in pieces: none need be held whole.

    >>> "".join(texts_json([['a"', "b"], ["c"]])) == canonical_json(['a"b', "c"])
    True
    """
    opening = "["
    for pieces in texts:
        yield f'{opening}"'
        yield from (json.dumps(piece)[1:-1] for piece in pieces)
        yield '"'
        opening = ","
    yield "[]" if opening == "[" else "]"


def seed_of(*parts: object) -> int:
    """Derive a 64-bit seed from what the draw belongs to, such as (spec digest, slide id)."""
    text = canonical_json([str(part) for part in parts])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
