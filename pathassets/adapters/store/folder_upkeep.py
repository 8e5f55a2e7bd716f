"""The upkeep of a store in a folder.

    <store>/<stage>/<name>/<partition key>/<digest>/    an artifact, by its place
    <store>/.aside/<when>/<as it lay in the store>      what was put aside
    <store>/.…                                          our own areas
    anything else, be it a link                         a stray

One folder is listed at a time. No link is followed. Putting aside is a rename, which either
happened or did not.
"""

from __future__ import annotations

import itertools
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathassets.adapters.store.damage import LINKED, MANIFEST
from pathassets.adapters.store.folder_store import FolderStore
from pathassets.adapters.store.folders import make_own_folder, remove, write_synced
from pathassets.adapters.store.partial import PARTIAL, partition_of
from pathassets.adapters.store.staging import not_writable
from pathassets.adapters.store.store import Artifact
from pathassets.adapters.store.upkeep import (
    ASIDE,
    CATALOG,
    CATALOGS,
    MARK_BYTES,
    N_PARTS,
    NO_FOLDER,
    NO_STAGE,
    NOT_LISTED,
    Stray,
    Upkeep,
    entries_of,
)
from pathassets.core.address import Address


@dataclass(frozen=True, slots=True)
class FolderUpkeep(Upkeep):
    """How a folder is looked through and tidied."""

    folder: FolderStore

    @property
    def store(self) -> FolderStore:
        """Which one."""
        return self.folder

    def survey(self, stages: Sequence[str]) -> Iterator[Address | Stray]:
        """Give what lies in the store, stages in the order given, the rest of a folder by name."""
        rank = {stage: n for n, stage in enumerate(stages)}
        found = entries_of(self.store.root)
        for entry in sorted(found, key=lambda e: (rank.get(e.name, len(rank)), e.name)):
            if entry.name.startswith(".") or entry.name in CATALOG:
                continue
            if entry.name not in rank and entry.is_dir(follow_symlinks=False):
                yield Stray(entry.path, NO_STAGE)
            else:
                yield from _below(entry, ())

    def find_unlisted(self, artifact: Artifact) -> Iterator[Stray]:
        """Give what lies in an artifact's folder and is none of its files."""
        folder = self.store.path_of(artifact.address)
        listed = {MANIFEST, *(file.path for file in artifact.files)}
        for place, folders, files in os.walk(folder):
            for name in sorted((*files, *(f for f in folders if Path(place, f).is_symlink()))):
                path = Path(place, name)
                if path.is_symlink() or path.relative_to(folder).as_posix() not in listed:
                    yield Stray(str(path), NOT_LISTED)

    def note_catalog(self, name: str, said: bytes) -> bool:
        """Keep what a catalog that uses the store says of itself, in the place of what it said.

        Whether it is kept, as it always is.

        Raises:
            StoreError: the store is not writable, or a link is in the place of the folder.
        """
        mark = self.store.root / CATALOGS / f"{name}.json"
        with self.store.staging(f"catalog-{uuid.uuid4().hex}") as folder:
            try:
                make_own_folder(mark.parent)
                write_synced(folder / mark.name, said)
                (folder / mark.name).replace(mark)
            except OSError as error:
                raise not_writable(self.store.root, error) from error
        return True

    def has_catalog(self, name: str) -> bool:
        """Whether a catalog says there that it uses the store."""
        try:
            return (self.store.root / CATALOGS / f"{name}.json").is_file()
        except OSError:  # of another user, who lets nobody look
            return False

    def drop_catalog(self, name: str) -> None:
        """Remove what a catalog said that is no more; one that is gone is no fault.

        Raises:
            StoreError: the store is not writable.
        """
        try:
            (self.store.root / CATALOGS / f"{name}.json").unlink(missing_ok=True)
        except OSError as error:
            raise not_writable(self.store.root, error) from error

    def keeps_removed(self) -> str:
        """Nothing: what snapshots of a disk keep, only its owner knows."""
        return ""

    def find_catalogs(self) -> dict[str, tuple[str, bytes]]:
        """Catalogs that use the store, by name: path of what each says, and that."""
        marks = [e for e in entries_of(self.store.root / CATALOGS) if e.name.endswith(".json")]
        files = (Path(e.path) for e in marks if e.is_file(follow_symlinks=False))
        said = ((file, _start_of(file)) for file in files)
        return {file.stem: (str(file), data) for file, data in said if data is not None}

    def is_newer(self, address: Address, since_s: float) -> bool:
        """Whether the folder was written to since, or is gone."""
        try:
            return self.store.path_of(address).stat().st_ctime >= since_s
        except OSError:
            return True

    def is_bare(self, address: Address) -> bool:
        """Whether there is no folder, or nothing in it."""
        return not entries_of(self.store.path_of(address))

    def put_aside(self, place: str, when: str, *, is_file: bool) -> str:  # noqa: ARG002 - of buckets
        """Move a file, folder or link of the store aside, the link itself.

        Raises:
            StoreError: the store is not writable, or a link is in the place of the folder.
        """
        root, path = self.store.root, Path(place)
        target = root / ASIDE / when / path.relative_to(root)
        try:
            make_own_folder(root / ASIDE)
            target.parent.mkdir(parents=True, exist_ok=True)
            free = _free(target)
            path.rename(free)
        except OSError as error:
            raise not_writable(root, error) from error
        return str(free)

    def sweep_unnamed(self) -> None:
        """Nothing is there: an artifact's folder comes there whole."""

    def remove(self, address: Address, bin_: Path) -> None:
        """Remove an artifact by way of a folder of staging: no reader sees half of it."""
        folder = self.store.path_of(address)
        gone = bin_ / uuid.uuid4().hex
        try:
            folder.rename(gone)
        except FileNotFoundError:
            return
        shutil.rmtree(gone, ignore_errors=True)
        _drop_empty(folder.parent, self.store.root)

    def remove_slides(self, slide_ids: Sequence[str], bin_: Path) -> None:
        """Remove every folder of slides: published, begun, or put aside."""
        for folder in list(self._folders_of(slide_ids)):
            gone = bin_ / uuid.uuid4().hex
            folder.rename(gone)
            remove(gone)

    def _folders_of(self, slide_ids: Sequence[str]) -> Iterator[Path]:
        root = self.store.root
        for slide_id in slide_ids:
            yield from root.glob(f"[!.]*/*/{slide_id}")
            yield from root.glob(f"{ASIDE}/*/*/*/{slide_id}")
        yield from (path for path in root.glob(f"{PARTIAL}/*") if partition_of(path) in slide_ids)


def _below(entry: os.DirEntry[str], above: tuple[str, ...]) -> Iterator[Address | Stray]:
    parts = (*above, entry.name)
    if entry.is_symlink():
        yield Stray(entry.path, LINKED)
    elif not entry.is_dir():
        yield Stray(entry.path, NO_FOLDER)
    elif len(parts) == N_PARTS:
        yield Address(*parts)
    else:
        for one in sorted(entries_of(Path(entry.path)), key=lambda e: e.name):
            yield from _below(one, parts)


def _free(target: Path) -> Path:
    """A name that nothing has, be it a link that leads nowhere."""
    names = (target.with_name(f"{target.name}.{n}") for n in itertools.count(1))
    return next(one for one in itertools.chain([target], names) if not os.path.lexists(one))


def _drop_empty(folder: Path, root: Path) -> None:
    """Remove folders that hold nothing any more."""
    while folder != root:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def _start_of(mark: Path) -> bytes | None:
    """What is read of a mark: nothing where it cannot be, None where it is gone."""
    try:
        with mark.open("rb") as file:
            return file.read(MARK_BYTES)
    except FileNotFoundError:
        return None
    except OSError:
        return b""
