"""Slides -> where their features go, and whether they are there already.

    <save_dir>/<stem>.zarr                         an output; it is whole
    <save_dir>/<stem>-<hash>.zarr                  … where another slide has, or had, that stem
    <save_dir>/.<stem>-<hash>-<request>.part       … while it is written, or after a kill
    <save_dir>/.<stem>-<hash>.lock                 held meanwhile

An output is told by what it says of itself: the slide's SHA-256, and a digest of all that decides
the features. What a slide's output is called follows from the slide, from what is in the folder and
from the slides that it is given with, and not from their order.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from pathassets.adapters.zarr.feature_writer import METADATA, FeatureWriter, is_finished
from pathassets.core.slides.slide import FINGERPRINT_CHARS
from pathassets.errors import OutputExists, StoreError


class MemoryWriter(FeatureWriter):
    """Takes the place of a writer where the features are to stay in memory."""

    def __init__(self, n: int, shape: tuple[int, ...]) -> None:
        self.rows = np.empty((n, *shape), np.float32)
        self._n = 0

    @property
    def n_done(self) -> int:
        """Nothing is on a disk."""
        return 0

    def write(self, rows: np.ndarray) -> None:
        """Take the next rows."""
        self.rows[self._n : self._n + len(rows)] = rows
        self._n += len(rows)

    def leave_out(self, places: Any) -> None:
        """Nothing is left out: a bad tile fails its slide."""
        if len(places):
            raise ValueError("a patch was left out")

    def finish(self, **attributes: Any) -> None:
        """See that all are there."""
        del attributes
        if self._n != len(self.rows):
            raise ValueError(f"{self._n} rows written of {len(self.rows)}")

    def __exit__(self, *_: object) -> None:
        """There is nothing to let go of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one slide's output goes."""

    final: Path
    part: Path
    """What it is while it is written."""
    lock: FileLock
    fingerprint: str
    """SHA-256 of the slide."""
    request: str
    """Digest of all that decides the features."""

    def acquire(self) -> None:
        """Keep other processes from this slide's output.

        Raises:
            StoreError: another process is writing it, or the folder is not writable.
        """
        try:
            self.lock.acquire()
        except Timeout as error:
            raise StoreError(
                self.final, "another process is writing it", remedy="Wait for it, and run again"
            ) from error
        except OSError as error:
            raise unwritable(self.final, error) from error

    def release(self) -> None:
        """Let others have it; who has opened the file that goes here opens the next one."""
        Path(self.lock.lock_file).unlink(missing_ok=True)
        self.lock.release()

    def is_done(self, *, overwrite: bool) -> bool:
        """Whether the output is there, whole and of this request; never so with `overwrite`.

        Raises:
            OutputExists: something else is in its place, which must not be replaced.
        """
        record = stated(self.final)
        if overwrite:
            is_own = record.get("slide_sha256") in {None, self.fingerprint}
            if self.final.exists() and not (is_own and (self.final / METADATA).is_file()):
                raise OutputExists(
                    self.final, "is in the way, and is no output of this slide",
                    remedy="Move it away",
                )  # fmt: skip
            return False
        if is_whole(self.part, self.request) and not self.final.exists():
            self.publish(overwrite=False)  # a kill came just before
        if is_whole(self.final, self.request):
            return True
        if self.final.exists():
            raise OutputExists(
                self.final, "was made by another request, or by another program",
                remedy="Give another save_dir, or overwrite=True, which replaces this output alone",
            )  # fmt: skip
        return False

    def publish(self, *, overwrite: bool) -> None:
        """Give the output its name, and remove what other requests began of it.

        Raises:
            StoreError: it cannot be renamed, or another process was first.
        """
        publish(self.part, self.final, overwrite=overwrite)
        own = re.escape(self.part.name.removesuffix(f"{self.request}.part"))
        for path in self.part.parent.iterdir():
            if re.fullmatch(rf"{own}[^-]+\.part", path.name):  # else of another, which goes on
                shutil.rmtree(path, ignore_errors=True)


class OutputFolder:
    """Names the outputs of the slides of one run.

    A slide has the name of its stem, unless that is or will be another slide's. The same content
    under one stem twice is told apart by a number, in input order.
    """

    def __init__(self, root: Path, stems: Iterable[str], *, output_file: str | None = None) -> None:
        self._root, self._output_file = root, output_file
        self._stems = Counter(stem.casefold() for stem in stems)
        self._seen: Counter[tuple[str, str]] = Counter()

    def place_of(self, stem: str, fingerprint: str, request: str) -> Place:
        """Where the output of the next slide goes."""
        root, key = self._root, (stem.casefold(), fingerprint)
        self._seen[key] += 1
        number = "" if self._seen[key] == 1 else f"-{self._seen[key]}"
        tag = f"{stem}-{fingerprint[:FINGERPRINT_CHARS]}{number}"
        plain, tagged = root / f"{stem}.zarr", root / f"{tag}.zarr"
        if self._output_file:
            plain = root / f"{Path(self._output_file).stem}.zarr"
        owner = stated(plain).get("slide_sha256")
        is_own = owner == fingerprint and not number
        is_shared = self._stems[key[0]] > 1 or owner not in {None, fingerprint}
        return Place(
            final=tagged if not is_own and (is_shared or tagged.exists()) else plain,
            part=root / f".{tag}-{request}.part",
            lock=FileLock(root / f".{tag}.lock", timeout=0, thread_local=False),
            fingerprint=fingerprint, request=request,
        )  # fmt: skip


def stated(path: Path) -> dict[str, Any]:
    """The attributes of a group; none where there is no such group."""
    try:
        attributes = json.loads((path / METADATA).read_bytes())["attributes"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return attributes if isinstance(attributes, dict) else {}


def is_whole(path: Path, digest: str) -> bool:
    """Whether a group is finished, and of that request."""
    return is_finished(path) and stated(path).get("request") == digest


def publish(part: Path, final: Path, *, overwrite: bool = False) -> None:
    """Give a finished group its name; what is there is replaced, with `overwrite`.

    Raises:
        StoreError: it cannot be renamed, or another process was first.
    """
    old = final.with_name(f".{final.name}.old")
    try:
        if old.exists():  # a kill came between the two
            shutil.rmtree(old)
        if overwrite and final.exists():
            final.rename(old)
        part.rename(final)
        if old.exists():
            shutil.rmtree(old)
    except OSError as error:
        raise unwritable(final, error) from error


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Refuse a place that is taken.

    Raises:
        OutputExists: it is so.
    """
    if path.exists() and not overwrite:
        raise OutputExists(path, "is there already", remedy="Give another name, or overwrite=True")


def remove_part(part: Path) -> None:
    """Remove what an earlier run left of an output.

    Raises:
        StoreError: it cannot be removed.
    """
    try:
        if part.exists():
            shutil.rmtree(part)
    except OSError as error:
        raise unwritable(part, error) from error


def unwritable(path: Path, error: OSError) -> StoreError:
    """What the system says of an output."""
    return StoreError(
        path, f"cannot be written: {error.strerror or error}",
        remedy="Look at the disk and its permissions",
    )  # fmt: skip
