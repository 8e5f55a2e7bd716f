"""A test that runs as root, as somebody whom a file's mode binds."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

VERSION_3 = 0x20080522
OVERRIDES = 0b110
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nothing in a folder be written, by root either, until it ends."""
    paths = [folder, *folder.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        with bound_by_modes():
            if _is_writable(folder):
                pytest.skip("whoever runs this may write everything")
            yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def _is_writable(folder: Path) -> bool:
    """Try it: `os.access` answers for the user, not for what this process may do now."""
    try:
        (folder / "probe").touch()
    except PermissionError:
        return False
    (folder / "probe").unlink()
    return True


@contextmanager
def bound_by_modes() -> Iterator[None]:
    """Let root pass by no mode of a file, in this thread, until it ends."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = _Header(VERSION_3, 0), (_Sets * 2)()
    libc.capget(ctypes.byref(header), sets)
    before = sets[0].effective
    try:
        sets[0].effective = before & ~OVERRIDES
        libc.capset(ctypes.byref(header), sets)
        yield
    finally:
        sets[0].effective = before
        libc.capset(ctypes.byref(header), sets)
