"""The `artifact.json` of a bucket -> what it says, and the token that the files are under.

It is whatever somebody put there: a name that leads out of the artifact's folder is refused.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from pathassets.adapters.objects.place import ObjectPlace, StoredObject
from pathassets.adapters.objects.urls import is_key
from pathassets.adapters.store.damage import MANIFEST
from pathassets.adapters.store.store import UNPARSED, Artifact, corrupt, missing, parse
from pathassets.core.address import Address
from pathassets.errors import ObjectMissing

TOKEN = re.compile(r"[0-9a-f]{32}")
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
