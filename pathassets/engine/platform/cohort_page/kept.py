"""What was read of slides for the page, kept in the home: no slide is read twice for it.

    fingerprint ─▶ HOME/cache/page/NAME: a picture, or measures

It is no artifact: nothing is made from it, and whoever deletes the folder loses a few minutes.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pathassets.adapters.files import keep_private
from pathassets.core.quality.slide_measures import SlideMeasures
from pathassets.errors import StoreError

logger = logging.getLogger(__name__)

KEPT_IN = "cache/page"
"""Folder of the home."""
PICTURES_VERSION, MEASURES_VERSION = 1, 2
"""Of how they are made: those of another are not looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSize:
    """How large a picture of a slide may be."""

    side_px: int
    """Of its longer side."""
    max_bytes: int


LARGE = PictureSize(side_px=1600, max_bytes=96_000)
SIZES = (LARGE, PictureSize(side_px=1280, max_bytes=48_000),
         PictureSize(side_px=1024, max_bytes=19_500))  # fmt: skip
"""Best first: a page takes the first of which all its slides fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The folder."""

    folder: Path

    @classmethod
    def of(cls, home: Path) -> Self:
        """That of a home."""
        return cls(folder=home / KEPT_IN)

    def forget(self, fingerprint: str) -> None:
        """Remove all that is kept of a slide.

        Raises:
            StoreError: the folder cannot be written.
        """
        try:
            for path in self.folder.glob(f"*{fingerprint}.*"):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                self.folder, f"cannot be written: {error.strerror}", remedy="Remove the folder"
            ) from error

    def picture(self, fingerprint: str, size: PictureSize) -> bytes | None:
        """A picture of a slide, WebP; None where none is kept."""
        return self._read(_picture_name(fingerprint, size))

    def keep_picture(self, fingerprint: str, size: PictureSize, data: bytes) -> None:
        """Keep one."""
        self._write(_picture_name(fingerprint, size), data)

    def measures(self, fingerprint: str, made_from: str) -> SlideMeasures | None:
        """What was measured where the tissue was such; None where none is kept."""
        data = self._read(_measures_name(fingerprint, made_from))
        try:
            said = json.loads(data or b"")
            return SlideMeasures(
                **{name: None if value is None else float(value) for name, value in said.items()}
            )
        except (ValueError, AttributeError, TypeError):
            return None

    def keep_measures(self, fingerprint: str, made_from: str, found: SlideMeasures) -> None:
        """Keep them."""
        self._write(_measures_name(fingerprint, made_from), json.dumps(found.facts).encode())

    def _read(self, name: str) -> bytes | None:
        try:
            return (self.folder / name).read_bytes()
        except OSError:
            return None

    def _write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all; where that cannot be, it is made again next time."""
        part = self.folder / f".{name}.{os.getpid()}.part"
        try:
            keep_private(self.folder)
            part.write_bytes(data)
            part.replace(self.folder / name)
        except OSError as error:
            logger.info("%s: cannot be kept: %s", self.folder / name, error.strerror)
            part.unlink(missing_ok=True)


def _picture_name(fingerprint: str, size: PictureSize) -> str:
    return f"{fingerprint}.v{PICTURES_VERSION}.{size.side_px}px.webp"


def _measures_name(fingerprint: str, made_from: str) -> str:
    return f"{fingerprint}.v{MEASURES_VERSION}.{made_from}.json"
