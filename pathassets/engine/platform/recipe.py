"""Settings -> Recipe, with the SHA-256 of every file with weights that it names.

A file is hashed once: what it looked like then, and its hash, are kept in the home. One of 4 GB
takes 10 s, and every command reads the recipe. Of one that is not there the recipe opens all the
same, as after a restore: the digest of its entry is unknown, and whatever asks for that says why.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from uuid import uuid4

from pathassets.adapters.files import FileStamp, fingerprint_of, stamp_of
from pathassets.adapters.yaml import load_recipe
from pathassets.core.recipe import Recipe
from pathassets.core.spec import digest_of
from pathassets.engine.settings import DEFAULT_RECIPE, Settings
from pathassets.errors import SlideError, SpecError

logger = logging.getLogger(__name__)

HASHES = ".weights"
"""Folder of the home with one small file for each file that was hashed."""
OTHER_NAME = "recipe.yml"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def open_recipe(settings: Settings) -> Recipe:
    """Read the recipe that the settings name.

    Raises:
        SpecError: with file, line and remedy.
    """
    other = settings.home / OTHER_NAME
    if settings.recipe == DEFAULT_RECIPE and other.exists():
        raise SpecError(
            f"{other}: is not read, a home's recipe is called recipe.yaml",
            remedy="Rename it, or point PATHASSETS_RECIPE at it",
        )
    hasher = WeightsHasher(folder=settings.recipe.parent, kept=settings.home / HASHES)
    return load_recipe(settings.recipe, hasher.hash_weights)


class WeightsHasher:
    """Hashes files with weights, each content once."""

    def __init__(self, *, folder: Path, kept: Path) -> None:
        """Relative paths are relative to `folder`; what was hashed is noted in `kept`."""
        self._folder = folder
        self._kept = kept

    def hash_weights(self, path: str) -> tuple[str, str]:
        """The whole path of a file or folder, and the SHA-256 of its content.

        Raises:
            SpecError: it is not there, or cannot be read.
        """
        found = (self._folder / Path(path).expanduser()).resolve()
        members = sorted(p for p in found.rglob("*") if p.is_file()) if found.is_dir() else [found]
        try:
            if not members:
                raise SpecError(f"{found}: an empty folder", remedy="Name one that has a model")
            return str(found), self._hash(found, members)
        except SlideError as error:
            raise SpecError(
                error.message,
                remedy="Put it there, or name another; a relative path begins at the recipe",
            ) from error

    def _hash(self, path: Path, members: list[Path]) -> str:
        stamp = stamp_of(members)
        note = self._kept / digest_of([str(path), _plain(stamp), len(members)])
        known = note.read_text(encoding="ascii") if note.is_file() else ""
        if _SHA256.fullmatch(known):
            return known
        sha256 = fingerprint_of(members)
        if stamp_of(members) == stamp:
            self._note(note, sha256)
        return sha256

    def _note(self, note: Path, sha256: str) -> None:
        """Keep a hash; where the home cannot be written, the next command hashes again."""
        aside = note.with_name(f"{note.name}.{uuid4().hex}")
        try:
            note.parent.mkdir(parents=True, exist_ok=True)
            aside.write_text(sha256, encoding="ascii")
            aside.replace(note)
        except OSError as error:
            logger.warning("%s: the hash of weights cannot be kept: %s", note, error.strerror)


def _plain(stamp: FileStamp) -> list[int]:
    return [stamp.size_bytes, stamp.mtime_ns, stamp.ctime_ns]
