"""A device that is not there: an encoder that takes as long as one would, and logs when it is busy.

A recipe names it `simulated_device:make`, with this folder where Python looks for modules:

    begin(n patches) ─▶ the device takes them once it is free, for n / rate seconds ─▶ wait()

As of a GPU, `begin` returns at once, and who waits sleeps, so that others have the interpreter.
When the device is free is reckoned, not waited for in a thread: with other work on the machine it
is as fast as without. All that open it in one folder share its devices, as processes share GPUs:
the first has the first, the second the second, and again from the first on.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pathassets.core.features.encoder import EncoderCard, check_batch

ROWS = 64
"""Patches in one pass, as on a GPU."""
DIM = 64
CARD = EncoderCard(
    name="simulated_device", version="1", dim=DIM, input_px=None, is_trained=False,
    precision="float32", weights_sha256="", licence="none needed: no weights",
    description="Some pixels of each patch, after the time that a device would take.",
    can_use_gpu=True,
)  # fmt: skip
_TIME = struct.Struct("d")


class SimulatedDevice:
    """An encoder that keeps a device busy for 1 / `rate` seconds a patch."""

    card = CARD
    rows = ROWS

    def __init__(self, rate: float, folder: Path, device: int, log: Path) -> None:
        self._pass_s = 1 / rate
        self._free_at = folder / f"{device}.free"
        self._log = log.open("a", buffering=1)
        self.busy_s = 0.0
        """For how long it has computed, as a GPU's events would tell."""

    def encode(self, batch: np.ndarray) -> np.ndarray:
        """Encode, and wait for it."""
        return self.begin(batch)()

    def begin(self, batch: np.ndarray) -> Callable[[], np.ndarray]:
        """Let the device have a batch; what is returned waits until it is done."""
        check_batch(CARD, batch)
        height, width = batch.shape[1:3]
        rows = batch[:, :: max(1, height // 8), :: max(1, width // 8), 1][:, :8, :8]
        features = np.zeros((len(batch), DIM), np.float32)
        features[:, : rows[0].size if len(rows) else 0] = rows.reshape(len(rows), -1)
        ends_s = self._occupy(len(batch)) if len(batch) else 0.0

        def wait() -> np.ndarray:
            time.sleep(max(0.0, ends_s - time.monotonic()))
            self.busy_s += len(features) * self._pass_s
            return features

        return wait

    def _occupy(self, n: int) -> float:
        """Note from when to when the device has these; returns when they are done."""
        with self._free_at.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            free_s = _TIME.unpack(file.read())[0]
            begins_s = max(time.monotonic(), free_s)
            ends_s = begins_s + n * self._pass_s
            file.seek(0)
            file.write(_TIME.pack(ends_s))
        self._log.write(f"{begins_s:.6f} {ends_s:.6f} {n}\n")
        return ends_s


def make(rate: float, folder: str, n_devices: int = 1) -> SimulatedDevice:
    """Open the encoder on one of the devices of a folder, each `rate` patches a second."""
    with _locked(Path(folder)):
        number = len(list(Path(folder).glob("*.log")))
        device = number % n_devices
        free_at = Path(folder, f"{device}.free")
        if not free_at.exists():
            free_at.write_bytes(_TIME.pack(0.0))
        log = Path(folder, f"{number}-{device}-{os.getpid()}.log")
        log.touch()
    return SimulatedDevice(rate, Path(folder), device, log)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLog:
    """What the devices of a folder did, in seconds of the monotonic clock, which all share."""

    passes: dict[int, list[tuple[float, float, int]]]
    """(begin, end, patches) of each pass, by device, in order."""
    pids: list[int]
    """Who opened an encoder, as often as it did."""

    @property
    def span_s(self) -> tuple[float, float]:
        """From the first pass of any device to the last."""
        all_passes = [one for passes in self.passes.values() for one in passes]
        return min(one[0] for one in all_passes), max(one[1] for one in all_passes)

    @property
    def n_patches(self) -> int:
        """That were encoded."""
        return sum(n for passes in self.passes.values() for *_, n in passes)

    @property
    def busy_shares(self) -> list[float]:
        """Of the time from its first pass to the last of any, what each device was busy.

        How long an encoder takes to open is not in it, of one device and of several.
        """
        _, last_s = self.span_s
        return [
            sum(end - begin for begin, end, _ in passes) / (last_s - passes[0][0])
            for passes in self.passes.values()
        ]

    def gaps(self, device: int) -> list[tuple[float, float]]:
        """(after how many seconds, how long) a device had nothing to do, the longest first."""
        first_s, last_s = self.span_s
        free_s, found = self.passes[device][0][0], []
        for begin_s, end_s, _ in (*self.passes[device], (last_s, last_s, 0)):
            found.append((free_s - first_s, begin_s - free_s))
            free_s = end_s
        return sorted((gap for gap in found if gap[1] > 0), key=lambda gap: -gap[1])


def read_log(folder: Path) -> DeviceLog:
    """Read what the devices of a folder logged."""
    passes, pids = defaultdict(list), []
    for path in sorted(folder.glob("*.log")):
        _, device, pid = path.stem.split("-")
        pids.append(int(pid))
        for line in path.read_text().splitlines():
            begin, end, n = line.split()
            passes[int(device)].append((float(begin), float(end), int(n)))
    return DeviceLog(passes={k: sorted(v) for k, v in sorted(passes.items())}, pids=pids)
