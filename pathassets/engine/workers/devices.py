"""A line that is to encode -> the device it may use, one line at a time on each GPU.

    assigned by a scheduler ─▶ the first that is seen     it is ours alone, or a share of it
    else                    ─▶ the first whose lock is free, or becomes so

A lock bears the card's UUID and is shared by every process of the machine, whoever's it is: two
batches never load two models onto one GPU, and processes that see different cards, each as
`cuda:0`, do not wait for each other. A slice of a card (MIG) is a device with a UUID of its own.

It is an address in the abstract namespace of Linux, which one process can have at a time, and which
the system gives back when its holder dies. A file would have to lie in a folder that all share:
services and schedulers' jobs have temporary folders of their own, and where everybody may write,
the system lets nobody open another's file to make it (`fs.protected_regular`).
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path

from pathassets.engine.settings import visible_gpus
from pathassets.errors import SpecError

_POLL_S = 0.2
_ADDRESS = b"\0pathassets/device/"
_N_BYTES = 80
"""Of a UUID; an address may have 107 bytes."""
_SLICE = "MIG-"
"""How the name of a slice begins, where a process is given one."""
_DEVICE_FILES = ("nvidia[0-9]*", "dxg", "kfd")
"""What the drivers of GPUs, NVIDIA's, the one in WSL and AMD's, have in /dev."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A device that is held."""

    device: str
    """`cpu`, or as torch calls it here, such as `cuda:0`."""
    n_devices: int
    """GPUs that are seen, or 0."""


def may_have_gpu() -> bool:
    """Whether it is worth the seconds that torch takes to say for certain."""
    return any(any(Path("/dev").glob(name)) for name in _DEVICE_FILES)


def require_gpu(wanted: str) -> None:
    """Refuse before work begins what each line would: `cuda`, where no driver of a GPU is.

    Torch is asked then, for there may be drivers that have other files; with these files the lines
    find out.

    Raises:
        SpecError: `cuda` was asked for and there is none.
    """
    if wanted == "cuda" and not may_have_gpu():
        _gpus(wanted)


@contextmanager
def lease_device(
    wanted: str, *, is_assigned: bool = False, on_wait: Callable[[], None] = lambda: None
) -> Iterator[Lease]:
    """Hold the CPU, or wait for the first free GPU.

    `auto` takes a GPU where the machine has one. A scheduler that started this process with a GPU
    for it alone, or for others, too, has decided already: `is_assigned` takes it without a lock.
    While it waits, `on_wait` is called.

    Raises:
        SpecError: `cuda` was asked for and there is none.
    """
    gpus = _gpus(wanted)
    if not gpus or is_assigned:
        yield Lease(device=next(iter(gpus), "cpu"), n_devices=len(gpus))
        return
    device, lock = _acquire(gpus, on_wait)
    with lock:
        yield Lease(device=device, n_devices=len(gpus))


def _gpus(wanted: str) -> Mapping[str, str]:
    """UUID of each GPU or slice of one that is seen, by torch's name for it."""
    if wanted == "cpu" or (wanted == "auto" and not may_have_gpu()):
        return {}
    from pathassets.adapters.torch import cuda_uuids  # noqa: PLC0415 - torch takes seconds

    gpus = cuda_uuids()
    if wanted == "cuda" and not gpus:
        raise SpecError(
            "device cuda: torch sees no GPU", remedy="Use PATHASSETS_DEVICE=auto or cpu"
        )
    named = chain(visible_gpus(), repeat(""))
    return {gpu: _identity(uuid, name) for (gpu, uuid), name in zip(gpus.items(), named)}  # noqa: B905 - names have no end


def _identity(uuid: str, name: str) -> str:
    """UUID of a device that this process was given under a name: of a slice, the slice's.

    What CUDA tells of a slice is its card's UUID in some versions, which its neighbours share.
    """
    return name.removeprefix(_SLICE) if name.startswith(_SLICE) else uuid


def _acquire(gpus: Mapping[str, str], on_wait: Callable[[], None]) -> tuple[str, socket.socket]:
    while True:
        for device, uuid in gpus.items():
            if (lock := try_lock(uuid)) is not None:
                return device, lock
        on_wait()
        time.sleep(_POLL_S)


def try_lock(uuid: str) -> socket.socket | None:
    """What is held until it is closed, for a device of this UUID; None where another holds it."""
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(_ADDRESS + uuid.encode()[-_N_BYTES:])
    except OSError as error:
        lock.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return lock
