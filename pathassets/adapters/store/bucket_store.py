"""A store in a bucket: an artifact is there once its `artifact.json` is, and whole.

    <bucket>/<stage>/<name>/<partition key>/<digest>/<token>/…      its files, first
                                                    /artifact.json  last, where none is

It names the token, which says how long it is: a listing tells whether it is whole. Each who
publishes has one of its own, so that no writer ever writes over another's files: of two, the
storage lets one `artifact.json` be the first, and the other takes its files away again. Whoever is
killed leaves files of a token that nothing names, which upkeep removes once they are a day old.
What is damaged is replaced, if it still is the same, by another `artifact.json`.

Files are read from copies on this machine (cache.py), every byte of them checked when they came.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pathassets.adapters.objects.place import ObjectPlace, StoredObject
from pathassets.adapters.store.bucket_manifest import (
    Said,
    begin_store,
    find_object,
    is_manifest,
    manifest_key,
    read_said,
    size_told_by,
    token_for,
)
from pathassets.adapters.store.cache import CopyCache
from pathassets.adapters.store.damage import (
    MANIFEST,
    NOT_AS_WRITTEN,
    Damage,
    Expected,
    ListedFile,
    Look,
    check_bytes,
    check_sizes,
    look_over_side_by_side,
)
from pathassets.adapters.store.folder_store import plain_files
from pathassets.adapters.store.staging import Staging
from pathassets.adapters.store.store import (
    Artifact,
    Store,
    StoredFile,
    corrupt,
    dump,
    not_published,
)
from pathassets.core.address import Address
from pathassets.errors import (
    ArtifactCorrupt,
    ArtifactMissing,
    ObjectChanged,
    ObjectMissing,
    StoreError,
)

KEPT_S = 86400.0
"""Age at which files that no `artifact.json` names are left over."""
_UPLOAD_S = KEPT_S / 4
"""Longest that files may take to go up: those of a longer one may have been taken for left over."""
_N_AT_ONCE = 8
"""Files that go up or come down at once."""
_N_LOOKING = 32
"""Artifacts that are looked at at once: each waits for a round trip of 10 to 100 ms."""
MARK = ".store.json"
_CHANGED = "has other bytes than were published"


@dataclass(frozen=True, slots=True)
class BucketStore(Store):
    """The bucket, or folder of one, that all artifacts are in."""

    place: ObjectPlace
    work_folder: Path
    cache: CopyCache

    @property
    def where(self) -> str:
        """Its URL."""
        return str(self.place.url)

    @property
    def work(self) -> Path:
        """Folder of this machine for what is not published yet."""
        return self.work_folder

    @property
    def mark(self) -> str:
        """An object by which this is a store, whatever it says, as one puts it there."""
        return f"put an object, be it empty, at {self.place.url_of(MARK)}"

    def was_opened(self) -> bool:
        """Whether it has the mark.

        Raises:
            ObjectMissing: there is no bucket, which no answer to HEAD says.
        """
        try:
            self.place.read(MARK)
        except ObjectMissing as error:
            if error.uri == self.place.url.root:
                raise
            return False
        return True

    def open(self) -> None:
        """Make sure that the bucket and this machine's folder can be written.

        Raises:
            StoreError: one cannot, or the storage keeps no promise of a write where nothing is.
        """
        Staging(self.work).open()
        if not self.was_opened():
            begin_store(self.place, MARK)

    def uri_of(self, address: Address) -> str:
        """URL where the artifact is, or would be."""
        return self.place.url_of(str(address))

    def place_of(self, named: str) -> str | None:
        """What a URL is called from the store's root on; None where it is elsewhere."""
        inside = named.startswith(f"{self.where}/")
        return named.removeprefix(f"{self.where}/").strip("/") if inside else None

    def has(self, address: Address) -> bool:
        """Whether the artifact was published. One request."""
        return find_object(self.place, manifest_key(address)) is not None

    def holds_any(self) -> bool:
        """Whether anything was ever published here."""
        return any(is_manifest(one.key) for one in self.place.objects())

    def read(self, address: Address) -> Artifact:
        """Read what an artifact says of itself.

        Raises:
            ArtifactMissing: it was never published.
            ArtifactCorrupt: its `artifact.json` is not what was written.
        """
        return read_said(self.place, address).artifact

    def read_checked(self, address: Address) -> Artifact:
        """Read what an artifact says of itself, once all its files are here with their hashes.

        Raises:
            ArtifactMissing: it was never published, or is gone.
            ArtifactCorrupt: a file is gone or has other bytes.
        """
        return self._copied(address, check_bytes)[0]

    def fetch(self, address: Address) -> Path:
        """A copy on this machine, which has the sizes that were published, and had the bytes.

        Raises:
            ArtifactMissing: it was never published, or is gone.
            ArtifactCorrupt: a file is gone or has other bytes.
        """
        return self._copied(address, check_sizes)[1]

    def read_file(self, artifact: Artifact, file: StoredFile) -> bytes:
        """Read a small file of an artifact whole.

        Raises:
            ArtifactCorrupt: it is gone or has other bytes than were published.
        """
        path = f"{read_said(self.place, artifact.address).folder}/{file.path}"
        try:
            data = self.place.read(path)
        except ObjectMissing as error:
            raise corrupt(self.place.url_of(path), "is gone") from error
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise corrupt(self.place.url_of(path), _CHANGED)
        return data

    def check_sizes(self, address: Address, files: Iterable[ListedFile]) -> Damage | None:
        """Whether these files, and what names them, are there with their sizes: one listing.

        Where files of several tokens lie there, `artifact.json` is asked which counts. A token of
        before says no size: what names it is only not empty then.
        """
        found = {one.key: one.size_bytes for one in self.place.objects(str(address))}
        if not found:
            return Damage(path="", fact="is gone")
        size_bytes = found.get(manifest_key(address))
        if not size_bytes:
            return Damage(path=MANIFEST, fact="is gone, or empty")
        tokens = {key.removeprefix(f"{address}/").partition("/")[0] for key in found} - {MANIFEST}
        token = next(iter(tokens), "")
        if len(tokens) != 1:
            try:
                token = read_said(self.place, address).token
            except (ArtifactCorrupt, ArtifactMissing) as error:
                return Damage(path=MANIFEST, fact=f"is damaged: {error.message}")
        elif size_told_by(token) not in {None, size_bytes}:
            return Damage(path=MANIFEST, fact=NOT_AS_WRITTEN)
        return _first_fault(files, lambda file: found.get(f"{address}/{token}/{file.path}"))

    def check_bytes(self, address: Address, files: Iterable[ListedFile]) -> Damage | None:
        """Whether these files have the bytes that they had, and what names them can be read.

        Every byte comes from the bucket; no copy is asked, and none is made.
        """
        try:
            said = read_said(self.place, address)
        except ArtifactMissing:
            return self.check_sizes(address, ()) or Damage(path=MANIFEST, fact="is gone")
        except ArtifactCorrupt as error:
            return Damage(path=MANIFEST, fact=f"is damaged: {error.message}")
        for file in files:
            fault = self._fault_of(f"{said.folder}/{file.path}", file)
            if fault:
                return Damage(path=file.path, fact=fault)
        return None

    def look_over(self, expected: Expected) -> Iterator[Look]:
        """Check many artifacts by their sizes; give each, and why it is not whole, in order."""
        return look_over_side_by_side(
            self.check_sizes, expected, n_threads=_N_LOOKING, n_batch=_N_AT_ONCE
        )

    def publish(self, draft: Artifact, folder: Path) -> Artifact:
        """Put a finished folder's files into the bucket, then `artifact.json`, where none is.

        Killed before that, nothing was published. The folder becomes the copy of this machine.

        Raises:
            StoreError: it cannot be written, took hours, or a link is in the folder.
        """
        began_s = time.monotonic()
        try:
            files = tuple(map(partial(_listed, folder), plain_files(folder)))
            artifact = replace(draft, files=files)
            token = token_for(artifact)
            with self._taken_back(draft.address, token):
                self._upload(artifact, token, folder)
                if time.monotonic() - began_s > _UPLOAD_S:
                    where = self.uri_of(draft.address)
                    raise StoreError(where, "took hours to go up", remedy="Run it again")
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise not_published(self.uri_of(draft.address), error) from error
        whole = self._name_token(artifact, token)
        if whole is not None:
            self._remove_token(artifact.address, token)
            shutil.rmtree(folder, ignore_errors=True)
            return whole
        with suppress(OSError):  # it is published; a disk that is full only costs a copy
            (folder / MANIFEST).write_bytes(dump(artifact))
            self.cache.keep(folder, token, artifact.size_bytes)
        return artifact

    @contextmanager
    def _taken_back(self, address: Address, token: str) -> Iterator[None]:
        """Remove files that went up for nothing, where the storage still lets us.

        Not once they were to be named: what got no answer may be done a moment later.
        """
        try:
            yield
        except (OSError, StoreError):
            with suppress(StoreError):
                self._remove_token(address, token)
            raise

    def _upload(self, artifact: Artifact, token: str, folder: Path) -> None:
        keys = {f"{artifact.address}/{token}/{file.path}": file.path for file in artifact.files}
        with ThreadPoolExecutor(_N_AT_ONCE) as pool:
            for done in [
                pool.submit(self.place.put_file, key, folder / path) for key, path in keys.items()
            ]:
                done.result()

    def _name_token(self, artifact: Artifact, token: str) -> Artifact | None:
        """Write `artifact.json`; what is there instead, where that is whole and another's."""
        address, text = artifact.address, dump(artifact, token=token)
        while not self.place.put_if_absent(manifest_key(address), text):
            try:
                said = read_said(self.place, address)
            except ArtifactMissing:
                continue  # removed since
            except ArtifactCorrupt:
                said = None
            if said is not None and said.token == token:
                break  # ours, whose answer was lost
            if said is not None and self.check_bytes(address, said.artifact.files) is None:
                return said.artifact
            known = find_object(self.place, manifest_key(address)) if said is None else said.known
            if known is not None and self.place.put_instead(known, text):
                if said is not None:
                    self._remove_token(address, said.token)
                break
        return None

    def _remove_token(self, address: Address, token: str) -> None:
        self.place.delete([one.key for one in self.place.objects(f"{address}/{token}")])

    def _fault_of(self, key: str, file: ListedFile) -> str:
        """What is wrong with the bytes of a file; empty where nothing is."""
        try:
            known = self.place.head(key)
            if known.size_bytes != file.size_bytes:
                return _of_size(known.size_bytes, file)
            found = hashlib.sha256()
            for part in self.place.read_parts(known):
                found.update(part)
        except ObjectMissing:
            return "is gone"
        return "" if found.hexdigest() == file.sha256 else _CHANGED

    def _copied(
        self, address: Address, check: Callable[..., Damage | None]
    ) -> tuple[Artifact, Path]:
        """An artifact and its copy, which passes a check; made where there is none, or it fails."""
        said = read_said(self.place, address)
        copy = self.cache.find(said.token, said.artifact.size_bytes)
        if copy is not None:
            if check(copy, said.artifact.files) is None:
                return said.artifact, copy
            self.cache.drop(said.token, said.artifact.size_bytes)
        try:
            with self.writing(address):
                return said.artifact, self._download(said)
        except ArtifactCorrupt:
            now = read_said(self.place, address)
            if now.token == said.token:
                raise
        return self._copied(address, check)  # it was replaced meanwhile

    def _download(self, said: Said) -> Path:
        artifact = said.artifact
        with self.cache.making() as folder:
            with ThreadPoolExecutor(_N_AT_ONCE) as pool:
                for done in [
                    pool.submit(self._download_file, said, file, folder) for file in artifact.files
                ]:
                    done.result()
            (folder / MANIFEST).write_bytes(dump(artifact))
            return self.cache.keep(folder, said.token, artifact.size_bytes)

    def _download_file(self, said: Said, file: StoredFile, folder: Path) -> None:
        key = f"{said.folder}/{file.path}"
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        found = hashlib.sha256()
        try:
            with path.open("xb") as copy:
                for part in self.place.read_parts(_stated(key, file)):
                    found.update(part)
                    copy.write(part)
        except ObjectMissing as error:
            raise corrupt(self.place.url_of(key), "is gone") from error
        except ObjectChanged as error:
            raise corrupt(self.place.url_of(key), _CHANGED) from error
        if found.hexdigest() != file.sha256:
            raise corrupt(self.place.url_of(key), _CHANGED)


def _stated(key: str, file: StoredFile) -> StoredObject:
    """A file as it is listed: of a longer one, no more than that is read, and hashed."""
    return StoredObject(key=key, size_bytes=file.size_bytes, etag=None, modified_s=0.0)


def _first_fault(
    files: Iterable[ListedFile], size_of: Callable[[ListedFile], int | None]
) -> Damage | None:
    for file in files:
        size_bytes = size_of(file)
        if size_bytes != file.size_bytes:
            return Damage(path=file.path, fact=_of_size(size_bytes, file))
    return None


def _of_size(size_bytes: int | None, file: ListedFile) -> str:
    if size_bytes is None:
        return "is gone"
    return f"has {size_bytes} bytes, {file.size_bytes} were published"


def _listed(folder: Path, path: Path) -> StoredFile:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return StoredFile(
        path=path.relative_to(folder).as_posix(), size_bytes=path.stat().st_size, sha256=sha256
    )
