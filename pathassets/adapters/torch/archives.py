"""A program's file ─▶ its members, and ─▶ an archive of these members alone.

What torch opens is the archive that is written here: never the file, which may change after it was
looked at, and which torch's reader of zip files may read in another way than Python's.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from dataclasses import dataclass

PACKED_BYTES = 64 * 2**20
"""Of all members that are packed, unpacked: TorchScript packs its code, and nothing else."""
FOLDER = "program"
STORED_AS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_NAME = re.compile(r"[\w.+-]+(?:/[\w.+-]+)*", re.ASCII)


class Unfit(ValueError):
    """What of a program is not as torch writes it; never leaves this package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """The members of a zip file, each read once."""

    has_folder: bool
    """Whether all are in one folder, which torch calls after the file."""
    members: dict[str, bytes]
    """By their names, without the folder."""

    def rebuilt(self) -> io.BytesIO:
        """A zip file of these members, which are gone then: they may be gigabytes."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as target:
            for name in list(self.members):
                path = f"{FOLDER}/{name}" if self.has_folder else name
                target.writestr(path, self.members.pop(name))
        buffer.seek(0)
        return buffer


def archive_of(data: bytes, *, may_be_packed: bool = False) -> Archive:
    """Read all members of a zip file, no more of them than it has bytes for.

    Raises:
        Unfit: it is damaged, or made to mislead: a name twice, members within each other.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as source:
            infos = [info for info in source.infolist() if not info.is_dir()]
            _check_sizes(infos, len(data), may_be_packed=may_be_packed)
            names = [info.filename for info in infos]
            has_folder = len({name.partition("/")[0] for name in names}) == 1
            if has_folder:
                names = [name.partition("/")[2] for name in names]
            _check_names(names)
            members = {n: source.read(i) for n, i in zip(names, infos, strict=True)}
    except (
        zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError,
    ) as error:  # fmt: skip
        raise Unfit(f"is damaged, or no archive of torch: {error}") from error
    return Archive(has_folder=has_folder, members=members)


def _check_sizes(infos: list[zipfile.ZipInfo], n_bytes: int, *, may_be_packed: bool) -> None:
    packed = [info for info in infos if info.compress_type != zipfile.ZIP_STORED]
    if packed and not may_be_packed:
        raise Unfit(f"its member {packed[0].filename!r} is packed, which torch does not do")
    if any(info.compress_type not in STORED_AS for info in packed):
        raise Unfit("a member is packed in a way that torch does not use")
    n_unpacked = sum(info.file_size for info in packed)
    if n_unpacked > PACKED_BYTES or sum(info.compress_size for info in infos) > n_bytes:
        raise Unfit("its members say that they are larger than the file")


def _check_names(names: list[str]) -> None:
    for name in names:
        if not _NAME.fullmatch(name) or ".." in name.split("/"):
            raise Unfit(f"has a member called {name!r}")
    if len(set(names)) < len(names):
        raise Unfit("has two members of one name")
