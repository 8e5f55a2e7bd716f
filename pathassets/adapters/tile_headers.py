"""First bytes of a tile -> what it says of itself: its size, its colours.

The TIFF's tags say the same a second time; where they contradict the tiles, one of them is damaged.

Source: ITU-T T.81, annex B (JPEG); ITU-T T.800, annex A (JPEG 2000); Adobe technical note 5116.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
ADOBE, JFIF = b"Adobe", b"JFIF\0"
APP0, APP14, SOS, _DHT = 0xE0, 0xEE, 0xDA, 0xC4
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = frozenset({0xC0, 0xC1})
_TABLES = frozenset({0xDB, 0xC4, 0xDD, 0xFE}) | frozenset(range(0xE0, 0xF0))
"""Segments that shared tables consist of: quantisation, Huffman, restart interval, comments."""
_COMPONENTS = 3
_SIZ, _COD = 0xFF51, 0xFF52


@dataclass(frozen=True, slots=True, kw_only=True)
class TileHeader:
    """What a compressed tile says of itself."""

    width_px: int
    height_px: int
    is_subsampled: bool
    """Whether the second and third component have fewer samples than the first."""
    is_rgb: bool | None
    """Whether the components are said to be RGB (True) or YCbCr (False); None: nothing is said."""


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment behind the start of image, up to the first scan.

    Raises:
        ValueError: the bytes are no JPEG.
    """
    if data[:2] != SOI:
        raise ValueError("no start-of-image marker")
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:  # noqa: PLR2004  (the byte that every marker begins with)
            raise ValueError("no marker where a segment should begin")
        marker = data[at + 1]
        if marker == 0xFF:  # noqa: PLR2004  (fill byte: T.81, B.1.1.2)
            at += 1
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if end > len(data):
            raise ValueError("a segment reaches beyond the end")
        yield marker, at, end
        if marker == SOS:
            return
        at = end


def without_colour(data: bytes) -> bytes:
    """A JPEG without the segments that name its colour space: JFIF's and Adobe's.

    Raises:
        ValueError: the bytes are no JPEG.
    """
    kept, start_kept = [SOI], 2
    for marker, start, end in jpeg_segments(data):
        if marker in {APP0, APP14}:
            kept.append(data[start_kept:start])
            start_kept = end
    return b"".join([*kept, data[start_kept:]])


def are_tables(data: bytes) -> bool:
    """Whether these bytes are JPEG tables as TIFF shares them among tiles."""
    if len(data) < 4 or not data.endswith(EOI):  # noqa: PLR2004  (start and end of image)
        return False
    end = 2
    try:
        for marker, start, stop in jpeg_segments(data[:-2]):
            if marker not in _TABLES or start != end:
                return False
            if marker == _DHT and not _are_codes(data[start + 4 : stop]):
                return False
            end = stop
    except ValueError:
        return False
    return end == len(data) - 2


def _are_codes(segment: bytes) -> bool:
    """Whether a DHT segment's Huffman tables can be: each symbol once, and no more than fit.

    A table that has as many symbols as there are has them all; one that was flipped has not.
    """
    at = 0
    while at + _DHT_BYTES < len(segment):
        counts = segment[at + 1 : at + _DHT_BYTES]
        symbols = segment[at + _DHT_BYTES : at + _DHT_BYTES + sum(counts)]
        of_kind = _ALL_SYMBOLS.get(segment[at] >> 4, frozenset())
        is_full = len(symbols) != len(of_kind) or set(symbols) == of_kind
        n_taken = sum(count << (15 - i) for i, count in enumerate(counts))
        if len(set(symbols)) != sum(counts) or n_taken > 1 << 16 or not (of_kind and is_full):
            return False
        at += _DHT_BYTES + len(symbols)
    return at == len(segment)


_DHT_BYTES = 17
"""What stands before a Huffman table's symbols: its number, and how many codes of 1..16 bits."""
_ALL_SYMBOLS = {
    0: frozenset(range(12)),
    1: frozenset({0x00, 0xF0, *(run << 4 | bits for run in range(16) for bits in range(1, 11))}),
}
"""Of DC and AC coefficients of 8 bits. Source: T.81, tables F.1 and F.2."""


def read_jpeg_header(data: bytes) -> TileHeader:
    """What a JPEG tile says of itself.

    Raises:
        ValueError: the bytes are no JPEG of three components.
    """
    transform: bool | None = None
    for marker, start, end in jpeg_segments(data):
        if marker == APP14 and data[start + 4 : start + 9] == ADOBE and end - start == 16:  # noqa: PLR2004
            transform = data[end - 1] == 0
        if marker in _SOF:
            return _jpeg_frame(data[start + 4 : end], is_rgb=transform)
    raise ValueError("no start-of-frame segment")


def _jpeg_frame(frame: bytes, *, is_rgb: bool | None) -> TileHeader:
    if len(frame) != 6 + 3 * _COMPONENTS or frame[5] != _COMPONENTS:
        raise ValueError("not of three components")
    height_px, width_px = struct.unpack(">HH", frame[1:5])
    ids, samplings = frame[6::3], frame[7::3]
    if is_rgb is None and ids in {b"RGB", b"\1\2\3"}:  # as libjpeg writes and reads them
        is_rgb = ids == b"RGB"
    return TileHeader(
        width_px=width_px,
        height_px=height_px,
        is_subsampled=len(set(samplings)) > 1,
        is_rgb=is_rgb,
    )


def read_jp2k_header(data: bytes) -> TileHeader:
    """What a JPEG 2000 tile says of itself.

    Raises:
        ValueError: the bytes are no JPEG 2000 codestream of three components.
    """
    if data[:4] != b"\xff\x4f\xff\x51" or len(data) < 42 + 3 * _COMPONENTS:
        raise ValueError("no start of codestream")
    x1, y1, x0, y0 = struct.unpack(">4I", data[8:24])
    (n_components,) = struct.unpack(">H", data[40:42])
    if n_components != _COMPONENTS:
        raise ValueError("not of three components")
    steps = data[43 : 42 + 3 * _COMPONENTS : 3] + data[44 : 42 + 3 * _COMPONENTS : 3]
    return TileHeader(
        width_px=x1 - x0,
        height_px=y1 - y0,
        is_subsampled=set(steps) != {1},
        is_rgb=True if _has_rgb_transform(data) else None,
    )


def _has_rgb_transform(data: bytes) -> bool:
    """Whether the codestream turns RGB into luminance and colour by itself (T.800, annex G)."""
    at = 2
    while at + 9 <= len(data):
        marker, n_bytes = struct.unpack(">HH", data[at : at + 4])
        if marker == _COD:
            return data[at + 8] == 1
        at += 2 + n_bytes
    return False


_SOT, _SOD, _EOC = b"\xff\x90", b"\xff\x93", EOI
_NO_PACKET = re.compile(rb"\xff[\x90-\xff]")
"""No two bytes of a packet, header or body, are a marker (T.800, annex B.10.1 and C.2.9)."""
_IN_PACKETS = {0x91: 2, 0x92: 4}
"""But for SOP and EPH, where a bit of Scod allows them."""
_QUIET_BYTES = 64


def is_jp2k_sound(data: bytes) -> bool:
    """Whether packets are what an encoder can have written: 50 us where decoding takes 3 to 6 ms.

    A decoder takes any bytes for packets: it passed 99 of 100 sectors of noise, and all of zeros.

    Raises:
        ValueError: the tile's parts do not follow on each other.
    """
    at, allowed, longest = _jp2k_packets(data)
    zeros = bytes(longest + 1)
    while data[at : at + 2] == _SOT and at + 12 <= len(data):
        (n_bytes,) = struct.unpack(">I", data[at + 6 : at + 10])
        start, end = data.find(_SOD, at) + 2, at + n_bytes if n_bytes else data.rfind(EOI)
        if not at < start <= end <= len(data):
            raise ValueError("no packets")
        if any(data[m.start() + 1] not in allowed for m in _NO_PACKET.finditer(data, start, end)):
            return False
        if data.find(zeros, start, end) >= 0:
            return False
        at = end
    return data[at : at + 2] == EOI


def _jp2k_packets(data: bytes) -> tuple[int, frozenset[int], int]:
    """Where the main header ends; markers allowed in packets; most zeros that can stand in a row.

    An arithmetic coder writes no long run of zeros, but an empty packet is one, and a packet's
    header one bit for each block it has nothing of.
    """
    at, style, longest = 2, 0, len(data)
    sides_px = struct.unpack(">2I", data[8:16])
    while at + 14 <= len(data) and data[at : at + 2] != _SOT:
        marker, n_bytes = struct.unpack(">HH", data[at : at + 4])
        if marker == _COD:
            style, n_layers = data[at + 4], int.from_bytes(data[at + 6 : at + 8])
            n_parts = _n_parts(sides_px, data[at + 9], data[at + 10 : at + max(14, n_bytes + 2)])
            longest = _QUIET_BYTES + n_layers * _COMPONENTS * n_parts
        at += 2 + n_bytes
    return at, frozenset(s for s, bit in _IN_PACKETS.items() if style & bit), longest


def _n_parts(sides_px: tuple[int, ...], n_steps: int, styles: bytes) -> int:
    """At most so many blocks and precincts there are of a component; neither is below 4 px."""
    log_px = [styles[0] + 2, styles[1] + 2]
    log_px += [max(2, half - 1) for size in styles[4:] for half in (size & 15, size >> 4)]
    block_px = 1 << min(log_px)
    count = n_steps + 1
    for step in (*range(1, n_steps + 1), n_steps):  # three bands of each, and what remains
        across, down = (-(-side // (block_px << step)) for side in sides_px)
        count += 3 * across * down
    return count


def may_hold_zeros(tables: bytes, tile: bytes) -> bool:
    """Whether a long run of zero bytes in a JPEG's scan can be a picture.

    The shortest code of a Huffman table is zeros only. Where it ends the block it stands for bare
    glass, as it does in the usual table for colours. Where it is a coefficient, as in the usual
    one for luminance, a run of zeros is all 63 coefficients of each block at once. Of scans of one
    component, and of progressive ones, nothing is known.

    Raises:
        ValueError: the bytes are no JPEG.
    """
    ends_block: dict[int, bool] = {}
    is_sequential = False
    selected = b""
    for data in (tables, tile):
        for marker, start, end in jpeg_segments(data):
            is_sequential |= marker in _SEQUENTIAL
            if marker == _DHT:
                ends_block |= _zeros_end_block(data[start + 4 : end])
            if marker == SOS:
                selected = data[start + 6 : end - 3 : 2]
    if not is_sequential or len(selected) != _COMPONENTS:
        return True
    return all(ends_block.get(table & 15, True) for table in selected)


def _zeros_end_block(segment: bytes) -> dict[int, bool]:
    """For each table of coefficients in a DHT segment, whether its code of zeros ends the block."""
    found, at = {}, 0
    while at + _DHT_BYTES < len(segment):
        if segment[at] >> 4 == 1:
            found[segment[at] & 15] = segment[at + _DHT_BYTES] & 15 == 0
        at += _DHT_BYTES + sum(segment[at + 1 : at + _DHT_BYTES])
    return found
