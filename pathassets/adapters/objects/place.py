"""A place of objects: the only door to obstore.

    open_place(url) ─▶ ObjectPlace ─▶ head, read, read_parts, download      an object, or a part
                                      put, put_file, put_if_absent, …       whole, or not at all
                                      objects, folders, delete

Keys are paths below the place's URL. The empty objects `folder/`, by which consoles show a folder,
are passed over. Errors are those of `errors`, with no word of the foreign ones: these hold
signatures and key ids. Credentials, region and endpoint are what obstore finds in the environment,
or what a cloud gives its machines. Nothing here outlives a fork: a process opens its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import AzureStore, GCSStore, HTTPStore, S3Store

from pathassets.adapters.objects.endpoints import check_endpoints
from pathassets.adapters.objects.spellings import etag_said, is_without_head, with_next
from pathassets.adapters.objects.troubles import FOREIGN, changed, is_panic, trouble_of, unaskable
from pathassets.adapters.objects.urls import WEB, ObjectUrl, is_key, parse_url, require_key
from pathassets.errors import ObjectMissing, StoreError

if TYPE_CHECKING:  # of obstore's stubs alone
    from obstore import GetOptions, ObjectMeta, UpdateVersion
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

PART_BYTES = 32 * 1024 * 1024
"""What is asked for at once of a large object: lost connections cost one part."""
_UPLOAD_BYTES = 8 * 1024 * 1024
"""Parts of a large upload; S3 takes 10,000 of them: 80 GB."""
_N_UPLOADS = 4
N_LISTED = 1000
"""Keys that S3 lists, and deletes, by one request."""
_CLIENT: ClientConfig = {
    "allow_http": True,  # an endpoint or URL that says http:// is meant so
    "connect_timeout": "10s",
    "read_timeout": "60s",
    "timeout": "300s",
    "user_agent": "pathassets",
}
_RETRIES: RetryConfig = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=120),
    "backoff": {
        "init_backoff": timedelta(seconds=1),
        "max_backoff": timedelta(seconds=8),
        "base": 2,
    },
}
"""Of each request: lost connections and answers 5xx, after 1 s, then 1 to 2, 4 and 8 s by chance: a
server that begins again is waited for 4 s at least, and one that is gone for good 15 at most."""

_KINDS = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """What the storage says of an object."""

    key: str
    """Below the place."""
    size_bytes: int
    etag: str | None
    """Another one: other bytes, or written again."""
    modified_s: float
    """Seconds since 1970, on the storage's clock."""
    version: str | None = None
    """What Google's storage calls these bytes under this key."""


@dataclass(frozen=True, slots=True)
class ObjectPlace:
    """A bucket, or a folder of one, or of a web server."""

    url: ObjectUrl
    _store: ObjectStore
    is_only_read: bool = False
    """Whether nothing is ever written there, as to slides: who is refused needs no more."""

    def url_of(self, key: str) -> str:
        """URL of an object, as people are told it."""
        return f"{self.url}/{key}".rstrip("/")

    def head(self, key: str) -> StoredObject:
        """Ask what an object is.

        Raises:
            ObjectMissing: there is none, or no bucket.
            StoreError: it cannot be asked for.
        """
        return self._stored(self._ask(key, lambda: self._head(key)))

    def _head(self, key: str) -> ObjectMeta:
        """What a server says of an object: where it gives no answer to HEAD, with a byte of it."""
        try:
            return obstore.head(self._store, key)
        except FOREIGN as error:
            if self.url.scheme not in WEB or not is_without_head(error):
                raise
        return obstore.get(self._store, key, options={"range": (0, 1)}).meta

    def read_known(self, key: str) -> tuple[StoredObject, bytes]:
        """Read a small object, and what it was when it was read.

        Raises:
            ObjectMissing: there is none, or no bucket.
            StoreError: it cannot be read.
        """
        found = self._ask(key, lambda: obstore.get(self._store, key))
        return self._stored(found.meta), self._ask(key, lambda: bytes(found.bytes()))

    def read(self, key: str, *, start: int = 0, end: int | None = None) -> bytes:
        """Read a small object, or bytes `start` up to `end` of one; fewer where it ends before.

        Raises:
            ObjectMissing: there is none, or no bucket.
            StoreError: it cannot be read.
        """
        if end is None and not start:
            return self._ask(key, lambda: bytes(obstore.get(self._store, key).bytes()))
        wanted: GetOptions = {"range": {"offset": start} if end is None else (start, end)}
        return self._ask(key, lambda: bytes(obstore.get(self._store, key, options=wanted).bytes()))

    def read_parts(self, known: StoredObject) -> Iterator[bytes]:
        """Read an object of any size, part by part; of another version than `known`, nothing.

        Raises:
            ObjectMissing: it is gone.
            ObjectChanged: it was written to meanwhile.
            StoreError: it cannot be read.
        """
        for start in range(0, known.size_bytes, PART_BYTES):
            yield self.read_of(known, start=start, end=min(start + PART_BYTES, known.size_bytes))

    def read_of(self, known: StoredObject, *, start: int, end: int) -> bytes:
        """Read bytes `start` up to `end` of an object; of another version than `known`, nothing.

        Raises:
            ObjectMissing: it is gone.
            ObjectChanged: it was written to meanwhile.
            StoreError: it cannot be read.
        """
        wanted: GetOptions = {"range": (start, end)}
        if known.etag is not None:
            wanted["if_match"] = known.etag
        part = self._ask(known.key, lambda: _read(self._store, known.key, wanted))
        if len(part) != end - start:
            raise changed(self.url_of(known.key))
        return part

    def download(self, known: StoredObject, path: Path) -> None:
        """Write an object to a new file, which is on the disk for certain then.

        Raises:
            ObjectMissing: it is gone.
            ObjectChanged: it was written to meanwhile.
            StoreError: it cannot be read.
            OSError: the file is there, or cannot be written.
        """
        with path.open("xb") as file:
            for part in self.read_parts(known):
                file.write(part)
            file.flush()
            os.fsync(file.fileno())

    def put(self, key: str, data: bytes) -> None:
        """Write an object, whatever was there.

        Raises:
            StoreError: it cannot be written.
        """
        self._write(key, lambda: obstore.put(self._store, key, data, use_multipart=False))

    def put_file(self, key: str, path: Path) -> None:
        """Write a file as an object, a large one in parts, whatever was there; whole or not at all.

        Raises:
            StoreError: it cannot be written.
            OSError: the file cannot be read.
        """
        with path.open("rb") as file:  # its own errors are told as they are
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes <= _UPLOAD_BYTES:
                self.put(key, file.read())
                return
            self._write(
                key,
                lambda: obstore.put(
                    self._store, key, file, chunk_size=_UPLOAD_BYTES, max_concurrency=_N_UPLOADS
                ),
            )

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object where none is; returns whether it did.

        False may also mean that it did, and the answer was lost: who must know reads it.

        Raises:
            StoreError: it cannot be written.
        """

        def act() -> bool:
            try:
                obstore.put(self._store, key, data, mode="create")
            except AlreadyExistsError:
                return False
            return True

        return self._write(key, act)

    def put_instead(self, known: StoredObject, data: bytes) -> bool:
        """Write an object where it still is the one that is known; returns whether it did.

        False may also mean that it did, and the answer was lost: who must know reads it.

        Raises:
            StoreError: it cannot be written.
        """
        mode: UpdateVersion = {"e_tag": known.etag}
        if known.version is not None:
            mode["version"] = known.version

        def act() -> bool:
            try:
                obstore.put(self._store, known.key, data, mode=mode)
            except (PreconditionError, FileNotFoundError):
                return False
            return True

        return self._write(known.key, act)

    def move(self, key: str, to: str) -> None:
        """Give an object another key, below the same place; killed in between, it has both.

        Raises:
            ObjectMissing: there is none, or no bucket.
            StoreError: it cannot be written.
        """
        require_key(to)
        self._write(key, lambda: obstore.copy(self._store, key, to))
        self.delete([key])

    def objects(self, folder: str = "", *, after: str = "") -> Iterator[StoredObject]:
        """Give the objects below a folder, at any depth, as the storage orders them.

        Args:
            folder: Of this place.
            after: Only those whose keys come after it.

        Raises:
            ObjectMissing: there is no bucket.
            KeyUnreadable: a key stands in the way that no file can have.
            StoreError: it cannot be listed.
        """
        require_key(folder or "all")
        # By ones, which costs no more: a fault drops what waits for a larger part to be full.
        parts = iter(obstore.list(self._store, folder or None, chunk_size=1, offset=after or None))
        listed = iter(lambda: self._ask(folder, lambda: next(parts, None)), None)
        yield from self._files_of(one for part in listed for one in part)

    def folders(self, folder: str = "") -> list[str]:
        """Names of the folders in a folder; what it raises is that of `inside`."""
        return self.inside(folder)[1]

    def files(self, folder: str = "") -> list[StoredObject]:
        """Objects in a folder, and in none below it; what it raises is that of `inside`."""
        return self.inside(folder)[0]

    def inside(self, folder: str = "") -> tuple[list[StoredObject], list[str]]:
        """Objects in a folder, and names of the folders in it.

        Raises:
            ObjectMissing: there is no bucket.
            KeyUnreadable: a name stands in the way that no file can have.
            StoreError: it cannot be listed.
        """
        require_key(folder or "all")
        found = self._ask(folder, lambda: obstore.list_with_delimiter(self._store, folder or None))
        names = (one.rstrip("/").rpartition("/")[2] for one in found["common_prefixes"])
        return list(self._files_of(found["objects"])), sorted(names)

    def _files_of(self, listed: Iterable[ObjectMeta]) -> Iterator[StoredObject]:
        """Objects of a listing that are files: obstore gives an empty `folder/` as `folder`.

        What the next one is below is a folder. Of another empty object it is asked, by a request
        for each: by the name that is given, none is there.
        """
        for meta, following in with_next(listed):
            one = self._stored(meta)
            if not one.key or (not one.size_bytes and following.startswith(f"{one.key}/")):
                continue
            if one.size_bytes or not is_key(one.key) or self._is_empty(one.key):
                yield one

    def _is_empty(self, key: str) -> bool:
        try:
            return not self.head(key).size_bytes
        except ObjectMissing as error:
            if error.uri == self.url.root:
                raise
            return False

    def _stored(self, meta: ObjectMeta) -> StoredObject:
        return StoredObject(
            key=meta["path"],
            size_bytes=meta["size"],
            etag=etag_said(meta["e_tag"], self.url.scheme),
            modified_s=meta["last_modified"].timestamp(),
            version=meta["version"],
        )

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; one that isn't there is no fault.

        Raises:
            StoreError: one cannot be removed.
        """
        waiting = iter(keys)
        while batch := list(islice(waiting, N_LISTED)):
            for key in batch:
                require_key(key)
            try:
                self._write(batch[0], lambda: obstore.delete(self._store, batch))
            except ObjectMissing:
                self._delete_each(batch)

    def _delete_each(self, keys: Iterable[str]) -> None:
        """Remove objects one by one, where a storage stops at the first that isn't there."""
        for key in keys:
            try:
                self._write(key, lambda: obstore.delete(self._store, key))  # noqa: B023
            except ObjectMissing as error:
                if error.uri == self.url.root:
                    raise

    def _write(self, key: str, act: Callable[[], Answer]) -> Answer:
        if self.url.scheme in WEB:
            raise StoreError(
                self.url_of(key),
                "a web server is only read from",
                remedy="Name a bucket (s3://, gs:// or az://)",
            )
        return self._ask(key, act)

    def _ask(self, key: str, act: Callable[[], Answer]) -> Answer:
        """Do something; what obstore raises becomes ours, and stays in no chain of causes."""
        if key:
            require_key(key)
        try:
            return act()
        except FOREIGN as error:
            where, root = self.url_of(key), self.url.root
            trouble = trouble_of(error, where, root, is_only_read=self.is_only_read)
        except BaseException as error:
            if not is_panic(error):
                raise
            trouble = unaskable(self.url.root)
        raise trouble


def open_place(url: str, *, is_only_read: bool = False) -> ObjectPlace:
    """Open a place of objects; nothing is asked of it yet.

    Raises:
        SpecError: it is no URL of one, or the environment says what no request can hold.
        StoreError: the environment says something else of it that cannot be.
    """
    parts = parse_url(url)
    check_endpoints(parts.scheme)
    try:
        return ObjectPlace(parts, _open(parts), is_only_read)
    except FOREIGN as error:
        trouble = trouble_of(error, str(parts), parts.root)
    raise trouble


def _open(url: ObjectUrl) -> ObjectStore:
    if url.scheme in WEB:
        return HTTPStore.from_url(str(url), client_options=_CLIENT, retry_config=_RETRIES)
    kind: type[S3Store | GCSStore | AzureStore] = _KINDS[url.scheme]
    return kind(url.host, prefix=url.prefix or None, client_options=_CLIENT, retry_config=_RETRIES)


def _read(store: ObjectStore, key: str, wanted: GetOptions) -> bytes:
    return bytes(obstore.get(store, key, options=wanted).bytes())
