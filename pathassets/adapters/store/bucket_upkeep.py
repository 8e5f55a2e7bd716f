"""The upkeep of a store in a bucket.

    <stage>/<name>/<partition key>/<digest>/artifact.json    an artifact, by its key
                                           /<token>/…        its files, or of a writer that died
    .aside/<when>/<key>                                      what was put aside
    anything else, but for names that begin with a dot       a stray

An object whose key is a folder's name, without a slash, is a stray, too, and what is below that
name is none of it. Keys are listed by the thousand, in their order. Files of a token that no
`artifact.json` names are left alone for a day: their writer may be about to name it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, count, groupby, islice
from pathlib import Path, PurePosixPath

from pathassets.adapters.objects.place import StoredObject
from pathassets.adapters.store.bucket_manifest import (
    TOKEN,
    find_object,
    manifest_key,
    read_said,
)
from pathassets.adapters.store.bucket_store import KEPT_S, MARK, BucketStore
from pathassets.adapters.store.damage import MANIFEST
from pathassets.adapters.store.folders import remove
from pathassets.adapters.store.partial import PARTIAL, partition_of
from pathassets.adapters.store.store import Artifact
from pathassets.adapters.store.upkeep import (
    ASIDE,
    CATALOGS,
    MARK_BYTES,
    N_PARTS,
    NO_FOLDER,
    NO_STAGE,
    NOT_LISTED,
    Stray,
    Upkeep,
)
from pathassets.core.address import Address
from pathassets.errors import ObjectMissing, StoreError

_VERSIONS_STAY = (
    "it keeps the bytes that were removed as older versions; remove these with the storage's own "
    "tool, or by a lifecycle rule for versions that are not current"
)
_SKEW_S = 300.0
"""How far this machine's clock and the storage's may be apart."""


@dataclass(frozen=True, slots=True)
class BucketUpkeep(Upkeep):
    """How a bucket is looked through and tidied."""

    bucket: BucketStore

    @property
    def store(self) -> BucketStore:
        """Which one."""
        return self.bucket

    def survey(self, stages: Sequence[str]) -> Iterator[Address | Stray]:
        """Give what lies in the bucket, stages in the order given, the rest by key."""
        place = self.store.place
        for one in place.files():
            if not one.key.startswith("."):
                yield Stray(place.url_of(one.key), NO_FOLDER)
        found = [one for one in place.folders() if not one.startswith(".")]
        for stage in (*(one for one in stages if one in found), *sorted(set(found) - set(stages))):
            if stage not in stages:
                if next(place.objects(stage), None) is not None:
                    yield Stray(place.url_of(stage), NO_STAGE)
                continue
            for address, objects in _by_address(place.objects(stage)):
                yield from self._at(address, objects)

    def _at(self, address: str, objects: list[StoredObject]) -> Iterator[Address | Stray]:
        """The artifact that is there, if it was published, and what beside it is no file of one."""
        place = self.store.place
        parts = address.split("/")
        if any(one.key == address for one in objects):
            yield Stray(place.url_of(address), NO_FOLDER)
        if len(parts) < N_PARTS:
            return  # nothing else is as short
        if any(one.key == f"{address}/{MANIFEST}" for one in objects):
            yield Address(*parts)
        for one in objects:
            within = one.key.removeprefix(f"{address}/")
            if (
                within not in {MANIFEST, address}
                and TOKEN.fullmatch(within.partition("/")[0]) is None
            ):
                yield Stray(place.url_of(one.key), NOT_LISTED)

    def find_unlisted(self, artifact: Artifact) -> Iterator[Stray]:
        """Give what lies beside an artifact's files under its token."""
        folder = read_said(self.store.place, artifact.address).folder
        listed = {f"{folder}/{file.path}" for file in artifact.files}
        for one in self.store.place.objects(folder):
            if one.key not in listed:
                yield Stray(self.store.place.url_of(one.key), NOT_LISTED)

    def note_catalog(self, name: str, said: bytes) -> bool:
        """Keep what a catalog that uses the bucket says of itself, in the place of what it said.

        Whether it is kept: who may only read there makes nothing that would have to stay.
        """
        try:
            self.store.place.put(f"{CATALOGS}/{name}.json", said)
        except StoreError:
            return False
        return True

    def find_catalogs(self) -> dict[str, tuple[str, bytes]]:
        """Catalogs that use the bucket, by name: URL of what each says, and that."""
        marks = [one for one in self.store.place.objects(CATALOGS) if one.key.endswith(".json")]
        said = ((one.key, self._start_of(one)) for one in marks)
        return {
            PurePosixPath(key).stem: (self.store.place.url_of(key), data)
            for key, data in said
            if data is not None
        }

    def _start_of(self, mark: StoredObject) -> bytes | None:
        """What is read of a mark; None where it is gone."""
        if not mark.size_bytes:
            return b""
        try:
            return self.store.place.read(mark.key, end=MARK_BYTES)
        except ObjectMissing:
            return None

    def has_catalog(self, name: str) -> bool:
        """Whether a catalog says there that it uses the bucket."""
        return find_object(self.store.place, f"{CATALOGS}/{name}.json") is not None

    def drop_catalog(self, name: str) -> None:
        """Remove what a catalog said that is no more; one that is gone is no fault.

        Raises:
            StoreError: the bucket is not writable.
        """
        self.store.place.delete([f"{CATALOGS}/{name}.json"])

    def is_newer(self, address: Address, since_s: float) -> bool:
        """Whether it was published since, by clocks that need not agree, or is gone."""
        known = find_object(self.store.place, manifest_key(address))
        return known is None or known.modified_s >= since_s - _SKEW_S

    def is_bare(self, address: Address) -> bool:
        """Whether nothing lies there."""
        return next(self.store.place.objects(str(address)), None) is None

    def put_aside(self, place: str, when: str, *, is_file: bool) -> str:
        """Move the object at a URL aside, or all that is below it, and never the other.

        Raises:
            StoreError: the bucket is not writable, or the object is gone.
        """
        bucket, key = self.store.place, self.store.place_of(place) or place
        target = next(
            free for free in _names(f"{ASIDE}/{when}/{key}")
            if find_object(bucket, free) is None and next(bucket.objects(free), None) is None
        )  # fmt: skip
        found = [key] if is_file else [one.key for one in bucket.objects(key)]
        for one in sorted(found, key=_manifest_first):
            bucket.move(one, f"{target}{one.removeprefix(key)}")
        return bucket.url_of(target)

    def remove(self, address: Address, bin_: Path) -> None:  # noqa: ARG002 - of folders alone
        """Remove an artifact, what names its files first: no reader sees half of it."""
        self._delete(self.store.place.objects(str(address)))

    def remove_slides(self, slide_ids: Sequence[str], bin_: Path) -> None:  # noqa: ARG002 - as above
        """Remove all that is of slides in the bucket, and on this machine."""
        place = self.store.place
        aside = [f"{ASIDE}/{when}" for when in place.folders(ASIDE)]
        for root in ("", *(f"{one}/" for one in aside)):
            stages = [one for one in place.folders(root.rstrip("/")) if not one.startswith(".")]
            for entry in [
                f"{root}{s}/{name}" for s in stages for name in place.folders(f"{root}{s}")
            ]:
                for slide_id in slide_ids:
                    self._delete(place.objects(f"{entry}/{slide_id}"))
        for path in (self.store.work / PARTIAL).glob("*"):
            if partition_of(path) in slide_ids:
                remove(path)
        self.store.cache.drop_of(slide_ids)

    def keeps_removed(self) -> str:
        """What older versions of objects the bucket keeps, by what it says of some that it has.

        Google's storage names a version of each object, be older ones kept or not.
        """
        place = self.store.place
        stages = (one for one in place.folders() if not one.startswith("."))
        some = chain([MARK], (one.key for s in stages for one in islice(place.objects(s), 1)))
        if not any(found and found.version for found in map(partial(find_object, place), some)):
            return ""
        where = f"{place.url} has versions: " if place.url.scheme != "gs" else (
            f"if {place.url} has versions, or soft delete: "
        )  # fmt: skip
        return f"{where}{_VERSIONS_STAY}"

    def find_leftovers(self) -> Iterator[Stray]:
        """Give what runs that have ended left unfinished here, and writers in the bucket."""
        yield from Upkeep.find_leftovers(self)
        for folder, _ in self._unnamed():
            url = self.store.place.url_of(folder)
            yield Stray(url, "went up for an artifact that was never published")

    def sweep_unnamed(self) -> None:
        """Remove files that went up for an artifact that was never published.

        Raises:
            StoreError: the bucket is not writable.
        """
        for _, objects in self._unnamed():
            self._delete(objects)

    def _unnamed(self) -> Iterator[tuple[str, list[StoredObject]]]:
        """Folders of tokens that no `artifact.json` names, and what is in them, a day old."""
        young_s = time.time() - KEPT_S
        for stage in self.store.place.folders():
            if stage.startswith("."):
                continue
            for address, objects in _by_address(self.store.place.objects(stage)):
                for token, files in _unnamed_at(self.store, address, objects).items():
                    if all(one.modified_s < young_s for one in files):
                        yield f"{address}/{token}", files

    def _delete(self, objects: Iterable[StoredObject]) -> None:
        self.store.place.delete(sorted((one.key for one in objects), key=_manifest_first))


def _by_address(objects: Iterable[StoredObject]) -> Iterator[tuple[str, list[StoredObject]]]:
    """Objects that come in the order of their keys, with all of an address at once."""
    for address, found in groupby(objects, key=lambda one: "/".join(one.key.split("/")[:N_PARTS])):
        yield address, list(found)


def _unnamed_at(
    store: BucketStore, address: str, objects: list[StoredObject]
) -> dict[str, list[StoredObject]]:
    tokens: dict[str, list[StoredObject]] = {}
    for one in objects:
        token, _, path = one.key.removeprefix(f"{address}/").partition("/")
        if path and TOKEN.fullmatch(token):
            tokens.setdefault(token, []).append(one)
    where = Address.parse(address)
    if where is None or not tokens:
        return {}
    if any(one.key == f"{address}/{MANIFEST}" for one in objects):
        if len(tokens) == 1:
            return {}
        try:
            tokens.pop(read_said(store.place, where).token, None)
        except StoreError:
            return {}  # of a damaged one nobody knows which it named
    return tokens


def _manifest_first(key: str) -> tuple[bool, str]:
    return not key.endswith(f"/{MANIFEST}"), key


def _names(key: str) -> Iterator[str]:
    yield key
    yield from (f"{key}.{n}" for n in count(1))
