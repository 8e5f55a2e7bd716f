"""Properties of a slide -> how many focal planes it has, of which OpenSlide reads one.

OpenSlide refuses such a slide as DICOM or CZI; elsewhere it takes one plane and says nothing.

Source: openslide-vendor-hamamatsu.c, -leica.c, -mirax.c and -ventana.c of OpenSlide 4.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Mapping
from pathlib import Path

from pathassets.adapters.files import unreadable
from pathassets.adapters.tiff.directories import open_tiff, read_directories
from pathassets.adapters.tiff.fields import DESCRIPTION, Fields
from pathassets.errors import SlideUnreadable

_LEICA_PLANE = re.compile(r"<dimension\b[^<>]*?\bz=\"(\d+)\"")
_MIRAX_HIERARCHY = re.compile(r"mirax\.HIERARCHICAL\.HIER_(\d+)_NAME")
_FOCUS = "microscope focus level"
_NUMBERS = "ventana.Z-layers", "hamamatsu.NoLayers"
_NDPI_FOCUS, _NDPI_LENS = 65424, 65421
_MAX_ENTRIES, _MAX_DIRECTORIES = 4096, 65_535
_ENTRY_BYTES = 12
_MAX_TEXT_BYTES = 1 << 26


def count_focal_planes(path: Path, properties: Mapping[str, str]) -> int:
    """Focal planes of a slide; 1 where nothing speaks of more.

    Raises:
        SlideUnreadable: the file is gone.
    """
    counts = [_number(properties.get(name, "")) for name in _NUMBERS]
    counts += [
        _number(properties.get(f"mirax.HIERARCHICAL.HIER_{found[1]}_COUNT", ""))
        for name in properties  # not items(): of a damaged name OpenSlide has no value
        if (found := _MIRAX_HIERARCHY.fullmatch(name))
        and properties.get(name, "").lower() == _FOCUS
    ]
    vendor = properties.get("openslide.vendor")
    if vendor == "leica":
        counts.append(_leica_planes(path))
    if vendor == "hamamatsu" and path.suffix.lower() == ".ndpi":
        counts.append(_ndpi_planes(path))
    return max(1, *counts)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) <= 4 else 0  # noqa: PLR2004  (of planes)


def _leica_planes(path: Path) -> int:
    """Different planes that the XML of an SCN file names; 0 where it cannot be read.

    What OpenSlide opens is not refused for what is only said of it.
    """
    try:
        with open_tiff(path) as file:
            first = Fields(file, read_directories(file)[0])
            text = first.text(DESCRIPTION, _MAX_TEXT_BYTES)
    except SlideUnreadable:
        return 0
    return len(set(_LEICA_PLANE.findall(text)))


def _ndpi_planes(path: Path) -> int:
    """Different places of the focus that the directories of an NDPI file name.

    It is a TIFF but for its offsets, which have 64 bits whatever its header says.

    Source: tifffile, `TiffPages` for NDPI; Hamamatsu publishes no description.
    """
    places = set()
    try:
        file = path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error
    with file:
        size_bytes = os.fstat(file.fileno()).st_size
        order = ">" if file.read(2) == b"MM" else "<"
        file.seek(4)
        at_bytes = _read_offset(file.read(8), order)
        seen = {0}
        while at_bytes < size_bytes and at_bytes not in seen and len(seen) < _MAX_DIRECTORIES:
            seen.add(at_bytes)
            file.seek(at_bytes)
            (n_entries,) = struct.unpack(order + "H", file.read(2).ljust(2, b"\0"))
            data = file.read(min(n_entries, _MAX_ENTRIES) * _ENTRY_BYTES + 8)
            tags = dict(
                struct.unpack(order + "H6x4s", data[i : i + _ENTRY_BYTES])
                for i in range(0, len(data) - _ENTRY_BYTES - 7, _ENTRY_BYTES)
            )
            lens = struct.unpack(order + "f", tags.get(_NDPI_LENS, bytes(4)))[0]
            if lens > 0:
                places.add(tags.get(_NDPI_FOCUS, bytes(4)))
            at_bytes = _read_offset(data[-8:], order)
    return len(places)


def _read_offset(data: bytes, order: str) -> int:
    return int(struct.unpack(order + "Q", data.ljust(8, b"\0"))[0])
