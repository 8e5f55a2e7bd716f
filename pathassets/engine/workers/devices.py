"""A slide that is to be encoded -> the device it may use, one at a time on each GPU.

A lease is a lock file for each device, shared by every process of the machine: two batch runs never
load two models onto one GPU. It is given back by the system when its holder dies.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pathassets.errors import SpecError

_POLL_S = 0.2


@contextmanager
def lease_device(wanted: str) -> Iterator[str]:
    """Hold `cpu`, or wait for the first free GPU, such as `cuda:0`.

    `auto` takes a GPU where the machine has one.

    Raises:
        SpecError: `cuda` was asked for and there is none.
    """
    gpus = _gpus(wanted)
    if not gpus:
        yield "cpu"
        return
    device, lock = _acquire(gpus)
    try:
        yield device
    finally:
        lock.release()


def _gpus(wanted: str) -> tuple[str, ...]:
    if wanted == "cpu":
        return ()
    from pathassets.adapters.torch import cuda_devices  # noqa: PLC0415 - torch takes seconds

    gpus = cuda_devices()
    if wanted == "cuda" and not gpus:
        raise SpecError(
            "device cuda: torch sees no GPU", remedy="Use PATHASSETS_DEVICE=auto or cpu"
        )
    return gpus


def _acquire(gpus: tuple[str, ...]) -> tuple[str, FileLock]:
    folder = Path(tempfile.gettempdir()) / "pathassets-devices"
    folder.mkdir(exist_ok=True)
    with suppress(PermissionError):  # it is another user's, who opened it to all
        folder.chmod(0o1777)
    while True:
        for device in gpus:
            lock = FileLock(folder / f"{device.replace(':', '-')}.lock", mode=0o666)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            return device, lock
        time.sleep(_POLL_S)
