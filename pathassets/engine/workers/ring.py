"""Pixels from a worker process to its parent, through slots of shared memory.

    worker: allocate ─▶ decode into a slot ─▶ describe it ══ pipe ══▶ parent: lend it to the
                ▲                                                     receiver, or copy it out
                └───────────── number of the slot ◀══ pipe ═══════════ once nobody looks at it

A ring has no lock and no counter: whoever owns a slot has been told so through the pipe. A worker
without a free slot waits, and so reads no further ahead than its slots: that is the back-pressure.

No wait is for ever. The worker decodes into less than half of the slots (`n_lent`), the receiver
holds as many at most; of the others, two or more, each is free, or on its way. A batch that was
decoded into private memory needs one free slot to be copied into; if there is none now, all those
others are on their way to the parent, which copies out whatever it is told of while the receiver
holds his share, and gives it back at once. It always can: at most `n_slots` descriptions and as
many numbers are under way at any time, some kB, which the pipe holds whether anyone reads or not.

A segment has a name for some microseconds, from its making to the taking away of its name; the
worker inherits it as a file. Python's resource tracker, a process of its own, knows the name before
the segment is made, and takes it away where this process is killed in between.
"""

from __future__ import annotations

import errno
import math
import mmap
import os
import secrets
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np

from pathassets.engine.workers.buffers import Buffers
from pathassets.errors import PathAssetsError

SLOT_BYTES = 32 * 256 * 256 * 3
"""A batch: 6 MB, some 7 ms of decoding. Half as much costs 5 % more, for twice the messages."""
SMALL_SLOT_BYTES = SLOT_BYTES // 2
"""Where there is little shared memory: containers have 64 MB, of which two workers take half."""
N_SLOTS = 8
"""Most of them, and fewer than 256."""
MIN_SLOTS = 2
FOLDER = Path("/dev/shm")  # noqa: S108 - where Linux keeps shared memory; nothing is written by name


@dataclass(frozen=True, slots=True, kw_only=True)
class RingShape:
    """How large the ring of one worker is."""

    n_slots: int
    slot_bytes: int

    @property
    def n_bytes(self) -> int:
        """Of all slots."""
        return self.n_slots * self.slot_bytes


def n_lent(n_slots: int) -> int:
    """Slots that may be decoded into at once, and slots that a receiver may hold.

    >>> [n_lent(n) for n in (2, 3, 4, 8)]
    [0, 0, 1, 3]
    """
    return max(0, n_slots // 2 - 1)


def shape_ring(*, n_workers: int, patch_bytes: int) -> RingShape:
    """Choose a ring: fewer slots than `N_SLOTS` where patches are large or memory is short.

    How many slots there are decides how fast it is, never what comes.
    """
    room_bytes = math.inf
    with suppress(OSError):  # where there is no such folder, the making will tell
        there = os.statvfs(FOLDER)
        room_bytes = there.f_bavail * there.f_frsize // 2 // n_workers
    is_large = room_bytes >= N_SLOTS * SLOT_BYTES
    usual_bytes = SLOT_BYTES if is_large else SMALL_SLOT_BYTES
    slot_bytes = max(usual_bytes, patch_bytes)
    n_slots = int(min(N_SLOTS * usual_bytes, room_bytes) // slot_bytes)
    return RingShape(n_slots=max(MIN_SLOTS, n_slots), slot_bytes=slot_bytes)


def make_ring(shape: RingShape) -> tuple[np.ndarray, int]:
    """Make the memory of a ring: uint8 (slot, byte), and the file that a worker inherits.

    The file is the caller's to close, once the worker has it. The memory is given back when both
    have let go of it, however they end.

    Raises:
        PathAssetsError: there is not so much shared memory.
    """
    name = f"psm_{secrets.token_hex(8)}"
    resource_tracker.register(f"/{name}", "shared_memory")
    try:
        segment = SharedMemory(name, create=True, size=shape.n_bytes)
    except OSError as error:
        resource_tracker.unregister(f"/{name}", "shared_memory")
        raise _too_little(shape, error) from error
    try:
        fd = os.dup(segment._fd)  # type: ignore[attr-defined]  # noqa: SLF001 - it offers no other
    finally:
        segment.unlink()
        segment.close()
    try:
        os.posix_fallocate(fd, 0, shape.n_bytes)  # or too little memory would kill us, later
        return map_ring(fd, shape), fd
    except OSError as error:
        os.close(fd)
        raise _too_little(shape, error) from error


def _too_little(shape: RingShape, error: OSError) -> PathAssetsError:
    fact = "no room" if error.errno == errno.ENOSPC else str(error)
    problem = PathAssetsError(
        f"shared memory: {shape.n_bytes / 2**20:.0f} MB for a worker cannot be had: {fact}",
        remedy=f"Give fewer processes, or more memory to {FOLDER} (docker run --shm-size=1g)",
    )
    problem.reason = "shared_memory_missing"
    return problem


def map_ring(fd: int, shape: RingShape) -> np.ndarray:
    """The memory behind a file, as uint8 (slot, byte)."""
    memory = mmap.mmap(fd, shape.n_bytes)
    return np.frombuffer(memory, np.uint8).reshape(shape.n_slots, shape.slot_bytes)


class Outlet:
    """The worker's side of a ring: gives out memory for batches, and sends them off.

    All of it belongs to the thread that reads the pipe.
    """

    def __init__(self, ring: np.ndarray, pipe: Connection) -> None:
        self._ring = ring
        self._pipe = pipe
        self._free = list(range(len(ring)))
        self._lent: set[int] = set()
        """Slots that are being decoded into."""
        self._private = Buffers()

    def allocate(self, *shape: int) -> np.ndarray:
        """Memory for a batch: a slot while another is free, else private memory.

        Where tiles are large and patches small, hundreds of
        batches are begun at once, and would hold all slots until their turn comes.
        """
        n_bytes = math.prod(shape)
        while self._pipe.poll():  # the slot that came back last is still in the cache
            self._hear()
        is_lent = len(self._lent) < n_lent(len(self._ring)) and len(self._free) > 1
        if is_lent and n_bytes <= self._ring.shape[1]:
            slot = self._free.pop()
            self._lent.add(slot)
            return np.asarray(self._ring[slot, :n_bytes].reshape(shape))
        return self._private.take(*shape)

    def hand_over(self, pixels: np.ndarray) -> int:
        """The slot that holds these pixels from its first byte on; waits for one to copy them to.

        The slot is the parent's from then on: tell it, or it is lost.
        """
        slot = self._lent_at(pixels)
        if slot is not None:
            self._lent.remove(slot)
            return slot
        while not self._free:
            self._hear()
        slot = self._free.pop()
        self._ring[slot, : pixels.nbytes].reshape(pixels.shape)[:] = pixels
        return slot

    def _lent_at(self, pixels: np.ndarray) -> int | None:
        """The lent slot at whose first byte an array begins that has no gaps."""
        offset = _address_of(pixels) - _address_of(self._ring)
        slot, rest = divmod(offset, self._ring.shape[1])
        is_slot = rest == 0 and slot in self._lent and pixels.flags.c_contiguous
        return slot if is_slot else None

    def _hear(self) -> None:
        self.give_back(self._pipe.recv_bytes())

    def give_back(self, message: bytes) -> None:
        """Take a slot that the parent has emptied: one byte, its number."""
        self._free += message

    def reclaim(self) -> None:
        """Take back what was lent and not handed over, once nobody decodes into it any more."""
        self._free += sorted(self._lent)
        self._lent.clear()


class Held:
    """The parent's side of a ring: slots that receivers look at, until they let go of them."""

    def __init__(self, ring: np.ndarray) -> None:
        self._ring = ring
        self._returned: deque[int] = deque()
        """Filled by whatever thread lets go of an array last."""
        self._n_held = 0

    @property
    def has_room(self) -> bool:
        """Whether one more may be lent."""
        return self._n_held < n_lent(len(self._ring))

    def lend(self, slot: int, n_bytes: int) -> np.ndarray:
        """The first bytes of a slot, left as they are while the array or a view of it lives."""
        self._n_held += 1
        # Views of an array keep it alive, not what it is a view of: so it must be of no other.
        pixels = np.frombuffer(memoryview(self._ring[slot])[:n_bytes], np.uint8)
        weakref.finalize(pixels, self._returned.append, slot).atexit = False
        return pixels

    def returned(self) -> Iterator[int]:
        """Slots that nobody looks at any more, each once."""
        while self._returned:
            self._n_held -= 1
            yield self._returned.popleft()


def _address_of(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])
