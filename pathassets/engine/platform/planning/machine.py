"""This machine -> what it is called where rates are kept: another one has other rates."""

from __future__ import annotations

import platform
from pathlib import Path

from pathassets.core.text import header_text
from pathassets.engine.settings import Settings, usable_cores
from pathassets.engine.workers.devices import may_have_gpu

CPU = "cpu"
_CPU_INFO = Path("/proc/cpuinfo")
_GPUS = Path("/proc/driver/nvidia/gpus")


def machine_here() -> str:
    """Processor and cores that may be used, such as `AMD EPYC, 16 cores`."""
    name = _first(_CPU_INFO, "model name") or platform.machine() or "unknown processor"
    return f"{name}, {usable_cores()} cores"


def machine_of(settings: Settings) -> str:
    """Where slides are worked on: this machine, or a cluster, whose nodes may be of all kinds."""
    if settings.cluster is None:
        return machine_here()
    return f"Ray cluster {header_text(settings.cluster.address)}"


def device_here(settings: Settings) -> str:
    """Where features are encoded: a GPU as its driver calls it, else `cuda`, or `cpu`.

    Without asking torch, which takes seconds; of a cluster, what was asked for.
    """
    if settings.cluster is not None:
        return settings.device
    if settings.device == CPU or (settings.device == "auto" and not may_have_gpu()):
        return CPU
    files = sorted(_GPUS.glob("*/information"))
    return _first(files[0], "Model") or "cuda" if files else "cuda"


def _first(file: Path, name: str) -> str:
    """The first value of that name in a file of `name: value` lines; empty where there is none."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((header_text(value.strip()) for key, _, value in pairs if key.strip() == name), "")
