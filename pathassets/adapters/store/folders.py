"""Folders and files that are on the disk for certain, and are no links.

A link that somebody planted is never followed: what we write would be written elsewhere, and what
we remove would be removed there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from pathassets.adapters.store.damage import LINKED
from pathassets.errors import StoreError


def make_own_folder(folder: Path) -> None:
    """Make a folder, and those above it.

    Raises:
        StoreError: a link is in its place.
        OSError: it cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    refuse_link(folder)


def refuse_link(folder: Path) -> None:
    """Refuse a link where a folder of ours should be.

    Raises:
        StoreError: there is one.
    """
    if folder.is_symlink():
        raise StoreError(
            folder, LINKED, remedy=f"Remove it (rm {folder}); a store is moved by PATHASSETS_STORE"
        )


def drop_link(path: Path) -> Path:
    """Remove a link, not what it leads to, from a place that is ours; returns the place."""
    if path.is_symlink():
        path.unlink(missing_ok=True)
    return path


def remove(path: Path) -> None:
    """Remove whatever is there: a folder with all it holds, a file, or a link by itself."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sha256_synced(path: Path) -> str:
    """SHA-256 of a file that is on the disk for certain."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_synced(path: Path, data: bytes) -> None:
    """Write a file that is on the disk for certain."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def make_synced(folder: Path, root: Path) -> None:
    """Make a folder and those above it up to a root, their names on the disk for certain.

    Raises:
        StoreError: one of them is a link.
    """
    if folder != root:
        refuse_link(folder)
        make_synced(folder.parent, root)
    if not folder.is_dir():
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folders(folder: Path) -> None:
    """Have a folder and all below it on the disk for certain."""
    for path in (*folder.rglob("*/"), folder):
        sync_folder(path)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk for certain."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
