"""A machine with two GPUs, one of them cut into two slices, as torch and CUDA would show it.

None is here, so that it is made up: what stands for `pathassets.adapters.torch` in the process of
a line sees what `CUDA_VISIBLE_DEVICES` lets it see, the first as `cuda:0`. Of a slice it tells the
UUID of its card, as CUDA did before 11.4.
"""

import hashlib
import os
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from pathassets.engine.workers import devices

MACHINE = "SIMULATED_MACHINE"
"""Names what stands for a machine of a test's own, on which no other test holds a device."""
CARDS = {"0": "GPU-a", "1": "GPU-b"}
SLICES = {"MIG-b1": "GPU-b", "MIG-b2": "GPU-b"}
"""Each with its card."""


def cuda_uuids() -> dict[str, str]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(CARDS)).split(",")
    if named[0] in SLICES:  # of slices a process sees one
        return {"cuda:0": SLICES[named[0]]}
    uuids = [CARDS.get(name, name) for name in named]
    return {f"cuda:{i}": uuid for i, uuid in enumerate(uuids) if uuid in CARDS.values()}


def move_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process, and the simulated ones that it starts, be on a machine of their own."""
    monkeypatch.setenv(MACHINE, hashlib.sha256(bytes(folder)).hexdigest()[:12])
    monkeypatch.setattr(devices, "_ADDRESS", address())


def address() -> bytes:
    """Where the locks of that machine are."""
    return f"\0{os.environ.get(MACHINE, '')}/".encode()


def stay() -> None:
    """Let a process that was started be on the machine of the test that started it."""
    devices._ADDRESS = address()


def install() -> None:
    """Let this process see those cards."""
    torch = ModuleType("pathassets.adapters.torch")
    torch.cuda_uuids = cuda_uuids  # type: ignore[attr-defined]
    sys.modules[torch.__name__] = torch
    stay()


if any("engine/workers/worker.py" in part for part in sys.orig_argv):  # and not in the test
    install()


def meet(end):
    """Hold a device until another process holds one, too, for so long at most; whether it did."""
    for number, (folder, within_s) in end.items():
        own = folder / str(os.getpid())
        own.touch()
        until_s = time.monotonic() + within_s
        while not (is_met := len(list(folder.iterdir())) > 1) and time.monotonic() < until_s:
            time.sleep(0.02)
        if not is_met:
            own.unlink()
        end.done(number, (end.device, is_met))


def tell_threads(end):
    for number, item in end.items():
        end.done(number, (item, end.device, end.n_threads))
