"""The `artifact.json` of a bucket -> what it says, and the token that the files are under.

It is whatever somebody put there: a name that leads out of the artifact's folder is refused.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass

from pathassets.adapters.objects.place import ObjectPlace, StoredObject
from pathassets.adapters.objects.urls import is_key
from pathassets.adapters.store.damage import MANIFEST, NOT_AS_WRITTEN
from pathassets.adapters.store.store import UNPARSED, Artifact, corrupt, dump, missing, parse
from pathassets.core.address import Address
from pathassets.errors import ObjectMissing, StoreError

TOKEN = re.compile(r"[0-9a-f]{32}")
_N_SIZE, _OWN = 12, "8"
"""Digits of a token that say how long `artifact.json` is, and the one after them, by which they do:
that of a UUID's version, which is 4 in tokens of before."""
_N_PARTS = 4
"""Folders of an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An `artifact.json` of the bucket."""

    artifact: Artifact
    token: str
    known: StoredObject

    @property
    def folder(self) -> str:
        """Key of the folder that its files are in."""
        return f"{self.artifact.address}/{self.token}"


def manifest_key(address: Address) -> str:
    """Key of what names an artifact's files."""
    return f"{address}/{MANIFEST}"


def is_manifest(key: str) -> bool:
    """Whether a key is one of those."""
    return key.count("/") == _N_PARTS and key.endswith(f"/{MANIFEST}")


def read_said(place: ObjectPlace, address: Address) -> Said:
    """Read what an artifact says of itself.

    Raises:
        ArtifactMissing: it was never published.
        ArtifactCorrupt: it is not what was written.
        ObjectMissing: there is no bucket.
    """
    key = manifest_key(address)
    try:
        known, text = place.read_known(key)
    except ObjectMissing as error:
        if error.uri == place.url.root:
            raise
        raise missing(place.url_of(str(address)), address) from error
    try:
        token = _token_in(text)
        artifact = parse(text, address, ["token"])
        _require_keys(artifact)
    except UNPARSED as error:
        raise corrupt(place.url_of(key), f"cannot be read: {error}") from error
    if size_told_by(token) not in {None, len(text)}:
        raise corrupt(place.url_of(key), NOT_AS_WRITTEN)
    return Said(artifact=artifact, token=token, known=known)


def find_object(place: ObjectPlace, key: str) -> StoredObject | None:
    """What an object is; None where there is none.

    Raises:
        ObjectMissing: there is no bucket.
    """
    try:
        return place.head(key)
    except ObjectMissing as error:
        if error.uri == place.url.root:
            raise
        return None


def token_for(artifact: Artifact) -> str:
    """A new token for an artifact, which says how long the `artifact.json` is that names it.

    So a listing tells whether that is whole.
    """
    random = uuid.uuid4().hex
    size_bytes = len(dump(artifact, token=random))
    return f"{size_bytes:0{_N_SIZE}x}{_OWN}{random[_N_SIZE + 1 :]}"


def size_told_by(token: str) -> int | None:
    """How long the `artifact.json` is that names a token; None where it does not say."""
    says = TOKEN.fullmatch(token) is not None and token[_N_SIZE] == _OWN
    return int(token[:_N_SIZE], 16) if says else None


def _token_in(text: bytes) -> str:
    """Token that an `artifact.json` names.

    Raises:
        ValueError: it names none, or something that is none.
    """
    token = json.loads(text).get("token")
    if not isinstance(token, str) or TOKEN.fullmatch(token) is None:
        raise ValueError("it names no token")
    return token


def _require_keys(artifact: Artifact) -> None:
    """Refuse names of files that lead elsewhere.

    Raises:
        ValueError: there are any.
    """
    for file in artifact.files:
        if not is_key(file.path) or file.path == MANIFEST or file.size_bytes < 0:
            raise ValueError(f"it lists {file.path!a}")


def begin_store(place: ObjectPlace, mark: str) -> None:
    """Put the mark of a store, once it is proved that what is there stays there.

    Raises:
        StoreError: the storage writes over it, though it was asked to write only where nothing is.
    """
    said = b'{"what": "pathassets store"}\n'
    place.put_if_absent(mark, said)
    if place.put_if_absent(mark, said):
        place.delete([mark])
        raise StoreError(
            str(place.url),
            "writes over an object though it was asked to write only where there is none "
            "(If-None-Match): of two runs that make one artifact, neither would know which it is",
            remedy="Use a storage, or a version of it, that keeps to conditional writes",
        )
