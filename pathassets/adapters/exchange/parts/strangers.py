"""Files of strangers -> files that may be read: plain ones, of the folder that was named.

What a file leads to, what it claims to hold and what opens it are not ours. A link or a pipe is
refused before it is opened; whatever a reader raises of the rest becomes one error.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pathassets.errors import PathAssetsError, StoreError

MAX_CHUNK_BYTES = 256 * 2**20
"""Of an array's chunk in memory: a reader takes it whole for each of its rows."""
_STEP_BYTES = 2**20


def own_file(path: Path, folder: Path) -> Path:
    """Let a plain file through that lies in a folder, not only its name.

    Raises:
        StoreError: it is a link that leads out of the folder, a pipe, a device or nothing.
    """
    real = path.resolve()
    if not real.is_relative_to(folder.resolve()):
        raise StoreError(
            path, f"leads out of the folder, to {real}: copy it, or import from where it lies"
        )
    if not real.is_file():
        raise StoreError(path, "is no file")
    return path


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Tell in one way what any reader says of a stranger's file.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        yield
    except PathAssetsError:
        raise
    except Exception as error:
        said = str(error) or type(error).__name__
        raise StoreError(path, f"cannot be read as {what}: {said}") from error


def refuse_large(path: Path, name: str, n_bytes: int) -> None:
    """Refuse a chunk that fills a memory.

    Raises:
        StoreError: it is larger than any tool writes one.
    """
    if n_bytes > MAX_CHUNK_BYTES:
        raise StoreError(
            path, f"keeps {name} in chunks of {n_bytes:,} bytes, more than {MAX_CHUNK_BYTES:,}"
        )


def refuse_bomb(path: Path, name: str, deflated: bytes, n_bytes: int) -> None:
    """Refuse compressed bytes that become more than they should, without keeping what they become.

    Raises:
        StoreError: they become more than `n_bytes`.
        zlib.error: they are damaged.
    """
    inflater, rest, n_seen = zlib.decompressobj(), deflated, 0
    while rest and n_seen <= n_bytes:
        n_seen += len(inflater.decompress(rest, _STEP_BYTES))
        rest = inflater.unconsumed_tail
    if n_seen > n_bytes:
        raise StoreError(path, f"{name}: a chunk of {n_bytes:,} bytes becomes more than that")
