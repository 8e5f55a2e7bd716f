"""Directory -> the fields of one image: sizes, colours, tables, each held against the others."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pathassets.adapters.tiff.directories import Directory, TiffBytes, damaged
from pathassets.adapters.tiff.remedies import TILED, as_rgb8
from pathassets.core.slides.slide import MppSource
from pathassets.errors import SlideUnreadable

NEW_SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
FILL_ORDER, DESCRIPTION, STRIP_OFFSETS, ORIENTATION, SAMPLES = 266, 270, 273, 274, 277
STRIP_BYTE_COUNTS, PLANAR, PREDICTOR, TILE_WIDTH, TILE_HEIGHT = 279, 284, 317, 322, 323
OFFSETS, BYTE_COUNTS, SUB_DIRECTORIES, SAMPLE_FORMAT, JPEG_TABLES = 324, 325, 330, 339, 347
IMAGE_DEPTH, TILE_DEPTH, PAGE_NAME = 32997, 32998, 285
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296

RGB, YCBCR = 2, 6
Codec = Literal["jpeg", "jpeg2000", "deflate", "lzw", "none"]
CODECS: dict[int, Codec] = {
    1: "none", 5: "lzw", 7: "jpeg", 8: "deflate", 32946: "deflate",
    33003: "jpeg2000", 33005: "jpeg2000",
}  # fmt: skip
APERIO_YCBCR = 33003
_OTHER_CODECS = frozenset({32773, 34712, 34887, 34925, 50000, 50001, 50002})
"""PackBits, JP2, LERC, LZMA, Zstandard, WebP, JPEG XL: left to OpenSlide."""
_TILE_TAGS = frozenset({TILE_WIDTH, TILE_HEIGHT, OFFSETS, BYTE_COUNTS})
_DEFINING = _TILE_TAGS | {WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR, PREDICTOR}
_COLOURS, _BITS, _SEPARATED = 3, 8, 5
_REDUCED, _MASK = 1, 4
APERIO = "Aperio"
"""What the description of each of its images begins with."""
MAX_TILE_SIDE_PX, MAX_TILE_PX = 16_384, 1 << 26


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How an image stores its pixels; the same for all levels of a slide."""

    compression: int
    photometric: int
    planar: int
    predictor: int
    depth: int
    """Planes of a stack that one directory holds."""

    @property
    def codec(self) -> Codec | None:
        """What decodes its tiles; None where that is left to OpenSlide."""
        is_flat = self.planar == 1 and self.depth == 1
        return CODECS.get(self.compression) if is_flat else None

    @property
    def is_rgb(self) -> bool:
        """Whether the decoded components are RGB; else they are YCbCr."""
        if self.codec == "jpeg2000":
            return self.compression != APERIO_YCBCR
        return self.photometric == RGB

    def __str__(self) -> str:
        return (
            f"compression {self.compression}, photometric {self.photometric}, "
            f"predictor {self.predictor}, planes {self.planar}/{self.depth}"
        )


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one directory."""

    file: TiffBytes
    directory: Directory

    def __str__(self) -> str:
        return f"directory {self.directory.number}"

    def has(self, tag: int) -> bool:
        """Whether the tag is there."""
        return tag in self.directory.entries

    @property
    def is_tiled(self) -> bool:
        """Whether it is stored in tiles.

        Raises:
            SlideUnreadable: only a part of what makes tiles is there.
        """
        there = _TILE_TAGS & self.directory.entries.keys()
        if there and there != _TILE_TAGS:
            lacks = ", ".join(map(str, sorted(_TILE_TAGS - there)))
            raise damaged(self.file.path, f"{self} has tiles, but not the tags {lacks}")
        return bool(there)

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height), 0 where it is not told."""
        return self.number(WIDTH, 0), self.number(HEIGHT, 0)

    @property
    def is_reduced(self) -> bool:
        """Whether it is marked as another image at lower resolution, and no mask."""
        kind = self.number(NEW_SUBFILE_TYPE, 0)
        return bool(kind & _REDUCED) and not kind & _MASK

    def number(self, tag: int, default: int | None = None) -> int:
        """The one number of a tag.

        Raises:
            SlideUnreadable: it is none, or several, or absent without a default.
        """
        entry = self.directory.entries.get(tag)
        if entry is None:
            if default is None:
                raise damaged(self.file.path, f"{self} lacks the tag {tag}")
            return default
        if entry.count != 1:
            raise damaged(self.file.path, f"{self}, tag {tag} has {entry.count} values for one")
        return int(self.file.numbers(entry, f"{self}, tag {tag}")[0])

    def table(self, tag: int) -> np.ndarray:
        """All numbers of a tag, int64; none where it is absent."""
        entry = self.directory.entries.get(tag)
        if entry is None:
            return np.empty(0, np.int64)
        return self.file.numbers(entry, f"{self}, table {tag}")

    def raw(self, tag: int) -> bytes:
        """The bytes of a tag; none where it is absent."""
        entry = self.directory.entries.get(tag)
        if entry is None:
            return b""
        return self.file.read(entry.at_bytes, entry.n_bytes, f"{self}, tag {tag}")

    def text(self, tag: int, max_bytes: int) -> str:
        """The text of a tag, up to its first zero byte; empty where it is absent or longer."""
        entry = self.directory.entries.get(tag)
        if entry is None or entry.n_bytes > max_bytes:
            return ""
        return self.raw(tag).split(b"\0")[0].decode("utf-8", errors="replace")

    def mpp_statements(self) -> tuple[MppSource, ...]:
        """Micrometres per pixel that its resolution amounts to; none without a unit.

        By OpenSlide's names, which says the same of the first directory.
        """
        unit_um = _UM_PER_UNIT.get(self.number(RESOLUTION_UNIT, _INCH))
        found = []
        for tag, name in ((X_RESOLUTION, "tiff.XResolution"), (Y_RESOLUTION, "tiff.YResolution")):
            data = self.raw(tag)
            if unit_um is None or len(data) != _RATIONAL_BYTES:
                continue
            above, below = struct.unpack(self.file.order + "2I", data)
            if above and below:
                found.append(MppSource(source=name, value=f"{unit_um * below / above:.6g}"))
        return tuple(found)

    def pixels(self) -> PixelFormat:
        """How it stores its pixels.

        Raises:
            SlideUnreadable: not as three 8-bit samples, or in no way that exists.
        """
        repeated = self.directory.repeated & _DEFINING
        if repeated:
            raise damaged(self.file.path, f"{self} has the tag {min(repeated)} twice")
        self._require_plain_order()
        photometric = self.number(PHOTOMETRIC)
        compression = self.number(COMPRESSION, 1)
        if compression not in CODECS and compression not in _OTHER_CODECS:
            raise damaged(self.file.path, f"{self} says compression {compression}: no slide's is")
        self._require_rgb8(photometric, compression)
        has_predictor = CODECS.get(compression) in {"lzw", "deflate"}
        predictor = self.number(PREDICTOR, 1) if has_predictor else 1
        if predictor not in {1, 2} or (has_predictor and self._has_lost_predictor()):
            raise damaged(self.file.path, f"{self} does not say whether it stores differences")
        return PixelFormat(
            compression=compression,
            photometric=photometric,
            planar=self.number(PLANAR, 1),
            predictor=predictor,
            depth=max(self.number(IMAGE_DEPTH, 1), self.number(TILE_DEPTH, 1)),
        )

    def remedy(self) -> str:
        """What makes 8-bit RGB tiles of it."""
        if self._is_rgb8():
            return TILED
        n_samples, photometric = self.number(SAMPLES, 1), self.number(PHOTOMETRIC, RGB)
        n_colours = {RGB: _COLOURS, YCBCR: _COLOURS, _SEPARATED: _COLOURS + 1}.get(photometric, 1)
        bits = max(self.table(BITS).tolist() or [1])
        return as_rgb8(has_alpha=n_samples > n_colours, bits=bits)

    def _is_rgb8(self) -> bool:
        return (
            self.number(SAMPLES, 1) == _COLOURS
            and set(self.table(BITS).tolist()) == {_BITS}
            and set(self.table(SAMPLE_FORMAT).tolist()) <= {1}
            and self.number(PHOTOMETRIC, RGB) in {RGB, YCBCR}
        )

    def _has_lost_predictor(self) -> bool:
        """Whether an entry is a predictor's but for its number, which no other tag has.

        Without it, all pixels would be read as differences and nothing would say so.
        """
        tags = list(self.directory.entries)
        if PREDICTOR in tags:
            return False
        for index, tag in enumerate(tags):
            entry = self.directory.entries[tag]
            is_alike = (entry.kind, entry.count) == _AS_PREDICTOR and self.number(tag) == 2  # noqa: PLR2004
            is_private = tag >= _PRIVATE and all(tag < t for t in tags[index + 1 :])
            if is_alike and tag not in _SHORT_TAGS and not is_private:
                return True
        return False

    def _require_plain_order(self) -> None:
        for tag, allowed in ((FILL_ORDER, {1}), (ORIENTATION, {1}), (PLANAR, {1, 2})):
            value = self.number(tag, 1)
            if value not in allowed:
                raise damaged(self.file.path, f"{self}, tag {tag} is {value}: no slide's is")

    def _require_rgb8(self, photometric: int, compression: int) -> None:
        n_samples = self.number(SAMPLES, 1)
        bits = self.table(BITS).tolist() or [1]
        if len(bits) not in {1, n_samples}:
            raise damaged(
                self.file.path, f"{self} has {n_samples} samples and the bits of {len(bits)}"
            )
        if not self._is_rgb8() or (photometric == YCBCR and CODECS.get(compression) in _RGB_ONLY):
            raise SlideUnreadable(
                self.file.path,
                f"its pixels are not 8-bit RGB: {n_samples} samples of "
                f"{'/'.join(map(str, sorted(set(bits))))} bits, photometric {photometric}, "
                f"compression {compression}",
                remedy=self.remedy(),
                reason="not_8bit_rgb",
            )


_INCH, _RATIONAL_BYTES = 2, 8
_UM_PER_UNIT = {_INCH: 25_400.0, 3: 10_000.0}
"""Inch and centimetre. Source: TIFF 6.0, ResolutionUnit."""
_RGB_ONLY = frozenset({"lzw", "deflate", "none"})
_AS_PREDICTOR = 3, 1
"""Type and count of a predictor: one SHORT."""
_SHORT_TAGS = frozenset({255, 263, 290, 296, 332, 333, 334, 338, 531}) | {
    BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, ORIENTATION, SAMPLES, PLANAR, SAMPLE_FORMAT,
    WIDTH, HEIGHT, TILE_WIDTH, TILE_HEIGHT, OFFSETS, BYTE_COUNTS, STRIP_BYTE_COUNTS, 278,
}  # fmt: skip
"""Tags that TIFF 6.0 knows as one SHORT, or that may be one."""
_PRIVATE = 32_768
