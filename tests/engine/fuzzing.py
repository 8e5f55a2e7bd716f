"""One small slide -> seeded damage, and what reading it through shows: a module, for workers.

Which byte belongs to what is taken from the good file by tifffile, not by what is tested.
"""

import dataclasses
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import simplejpeg
import tifffile

from pathassets.core.demo_painting import Appearance, Piece, paint
from pathassets.core.slides.tiles import TileDamaged
from pathassets.engine.slides.open import open_slide
from pathassets.errors import SlideError

TILE_PX, QUALITY, FACTOR = 256, 80, 4
PIECE = Piece(x=0.5, y=0.5, length=0.75, width=0.6, turn=0.3)
LOOK = Appearance(
    width_px0=1400, height_px0=1100, pieces=(PIECE,), gland_share=0.6, tear_share=0.03
)
SECTOR_BYTES, PAGE_BYTES = 512, 4096
WHOLE = ("header", "entropy", "offsets", "counts", "tables", "description", "directory", "nothing")
"""What a byte can belong to."""
OFFSETS, COUNTS, JPEG_TABLES, DESCRIPTION = 324, 325, 347, 270
SHARE_OF = {
    "byte": 0.06, "bit": 0.04, "burst": 0.09, "scattered": 0.12, "cut": 0.15,
    "zeroed sector": 0.145, "random sector": 0.145,
    "byte of a table": 0.125, "byte of a directory": 0.125,
}  # fmt: skip
"""The mix, a choice and no measurement of real damage: it was set when each kind's share was known.

Lost blocks and ends are nearly all seen, single flips seldom, so that the share of all cases says
as much about these weights as about the reader. What the reader can do is each kind's own share.
"""


@dataclass(frozen=True)
class Case:
    """One way to damage the slide."""

    folder: Path
    number: int
    kind: str
    edits: tuple[tuple[int, bytes], ...] = ()
    """(where, what stands there afterwards)."""
    length: int | None = None
    """Bytes that are left of the file."""


@dataclass(frozen=True)
class Found:
    """What became of reading it."""

    error: str = ""
    """Reason of the slide error that refused it."""
    reader: str = ""
    fallback: str = ""
    ledgered: tuple[int, ...] = ()
    """Tiles of all levels, numbered through, that were said to be bad."""
    changed: tuple[int, ...] = ()
    """Tiles that were read, otherwise than from the good file."""
    geometry: str = ""
    """What is said otherwise of the slide's levels."""
    mpp: float | None = None

    @property
    def sort(self) -> str:
        """What became of it, in a word."""
        words = {"ledgered": self.ledgered, "changed": self.changed, "fallback": self.fallback}
        return self.error or next((word for word, it in words.items() if it), "same")


@dataclass(frozen=True)
class ByteMap:
    """What each byte of the good file belongs to."""

    what: np.ndarray
    """Index into WHOLE, for each byte."""
    tile: np.ndarray
    """The tile whose bytes or table entries it is, numbered through; -1 for none."""

    def at(self, *names: str) -> np.ndarray:
        """Places of all bytes that belong to these."""
        return np.flatnonzero(np.isin(self.what, [WHOLE.index(name) for name in names]))


def write_good(path: Path) -> Path:
    """Write 2 levels of JPEG 4:2:0 with shared tables, as scanners do: 300 kB."""
    level0 = paint(LOOK, seed=3).rgb
    height, width = level0.shape[0] // FACTOR, level0.shape[1] // FACTOR
    blocks = level0[: height * FACTOR, : width * FACTOR].reshape(height, FACTOR, width, FACTOR, 3)
    with tifffile.TiffWriter(path) as file:
        for index, level in enumerate([level0, blocks.mean(axis=(1, 3)).astype(np.uint8)]):
            tiles = [_encode(level, x, y) for y, x in _corners(level)]
            tables = tiles[0][0]
            assert all(tile[0] == tables for tile in tiles)
            scaled = f" -> {width}x{height}" if index else ""
            said = f"Aperio Image Library\r\n{LOOK.width_px0}x{LOOK.height_px0}{scaled} JPEG/RGB"
            file.write(
                iter([tile[1] for tile in tiles]),
                shape=level.shape, dtype=np.uint8, tile=(TILE_PX, TILE_PX),
                photometric="ycbcr", subsampling=(2, 2), compression="jpeg", metadata=None,
                description=f"{said} Q={QUALITY}|AppMag = 20|MPP = 0.5", software=False,
                extratags=[(JPEG_TABLES, 7, len(tables), tables, False)],
            )  # fmt: skip
    return path


def _corners(level: np.ndarray) -> list[tuple[int, int]]:
    height, width = level.shape[:2]
    return [(y, x) for y in range(0, height, TILE_PX) for x in range(0, width, TILE_PX)]


def _encode(level: np.ndarray, x: int, y: int) -> tuple[bytes, bytes]:
    """Shared tables, and the tile without them."""
    rgb = level[y : y + TILE_PX, x : x + TILE_PX]
    pad = (0, TILE_PX - rgb.shape[0]), (0, TILE_PX - rgb.shape[1]), (0, 0)
    whole = simplejpeg.encode_jpeg(
        np.ascontiguousarray(np.pad(rgb, pad, mode="edge")), quality=QUALITY, colorsubsampling="420"
    )
    tables, tile, at = b"\xff\xd8", b"\xff\xd8", 2
    while whole[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(whole[at + 2 : at + 4])
        if whole[at + 1] in (0xDB, 0xC4):
            tables += whole[at:end]
        elif whole[at + 1] != 0xE0:
            tile += whole[at:end]
        at = end
    return tables + b"\xff\xd9", tile + whole[at:]


def read_map(path: Path) -> ByteMap:
    """Say of each byte of a good file what it belongs to."""
    data = path.read_bytes()
    what = np.full(len(data), WHOLE.index("nothing"), np.uint8)
    tile = np.full(len(data), -1, np.int32)

    def mark(start: int, n_bytes: int, name: str, number: int = -1) -> None:
        assert number >= 0 or name not in ("offsets", "counts")
        what[start : start + n_bytes] = WHOLE.index(name)
        tile[start : start + n_bytes] = number

    mark(0, 8, "directory")
    n_before = 0
    with tifffile.TiffFile(path) as file:
        for page in file.pages:
            mark(page.offset, 2 + 12 * len(page.tags) + 4, "directory")
            for tag in page.tags:
                n_bytes = tag.valuebytecount
                if tag.code in (OFFSETS, COUNTS):
                    name, each = WHOLE[2 + tag.code - OFFSETS], n_bytes // tag.count
                    for i in range(tag.count):
                        mark(tag.valueoffset + i * each, each, name, n_before + i)
                elif n_bytes > 4:
                    name = {JPEG_TABLES: "tables", DESCRIPTION: "description"}.get(tag.code)
                    mark(tag.valueoffset, n_bytes, name or "directory")
            extents = list(zip(page.dataoffsets, page.databytecounts, strict=True))
            for i, (start, n_bytes) in enumerate(extents):
                scan = data.index(b"\xff\xda", start) + 14 - start
                mark(start, n_bytes, "header", n_before + i)
                mark(start + scan, n_bytes - scan - 2, "entropy", n_before + i)
            n_before += len(extents)
    return ByteMap(what=what, tile=tile)


def draw_cases(path: Path, folder: Path, n_cases: int, seed: int) -> list[Case]:
    """Draw seeded damage, in the proportions of SHARE_OF."""
    data, areas = path.read_bytes(), read_map(path)
    rng = np.random.default_rng(seed)
    kinds = rng.choice(list(SHARE_OF), size=n_cases, p=list(SHARE_OF.values()))
    aims = {
        "byte of a table": areas.at("offsets", "counts", "tables"),
        "byte of a directory": areas.at("directory", "description"),
    }
    return [
        _draw(Case(folder, i, str(kind)), data, rng, aims.get(kind)) for i, kind in enumerate(kinds)
    ]


def _draw(case: Case, data: bytes, rng: np.random.Generator, aim: np.ndarray | None) -> Case:
    at = int(rng.integers(len(data)) if aim is None else rng.choice(aim))
    if case.kind == "cut":
        return dataclasses.replace(case, length=at)
    if "sector" in case.kind:
        at -= at % SECTOR_BYTES
        n_bytes = min(SECTOR_BYTES, len(data) - at)
        new = bytes(n_bytes) if "zeroed" in case.kind else rng.bytes(n_bytes)
    else:
        old = np.frombuffer(data[at : at + _n_bytes(case.kind, rng)], np.uint8)
        flips = rng.integers(1, 256, len(old), np.uint8)
        if case.kind == "bit":
            flips[:] = 1 << rng.integers(8)
        if case.kind == "scattered":
            flips[rng.permutation(len(old))[rng.integers(2, 41) :]] = 0
        new = (old ^ flips).tobytes()
    return dataclasses.replace(case, edits=((at, new),))


def _n_bytes(kind: str, rng: np.random.Generator) -> int:
    if kind == "scattered":
        return PAGE_BYTES
    return int(rng.integers(2, 65)) if kind == "burst" else 1


def damage(data: bytes, case: Case) -> bytes:
    """The file as the case leaves it."""
    bad = bytearray(data)
    for at, new in case.edits:
        bad[at : at + len(new)] = new
    return bytes(bad[: case.length])


def touched(data: bytes, areas: ByteMap, case: Case) -> np.ndarray:
    """Places of all bytes that are other ones, or gone."""
    bad = np.frombuffer(damage(data, case), np.uint8)
    is_other = np.ones(len(data), bool)
    is_other[: len(bad)] = np.frombuffer(data, np.uint8)[: len(bad)] != bad
    assert len(is_other) == len(areas.what)
    return np.flatnonzero(is_other)


@lru_cache(maxsize=1)
def _good(folder: Path) -> tuple[bytes, str, list[np.ndarray]]:
    path = folder / "good.svs"
    with open_slide(path) as slide:
        tiles = [
            slide.tiles(level).read(t)
            for level in range(slide.info.n_levels)
            for t in range(slide.tiles(level).grid.n_tiles)
        ]
        return path.read_bytes(), _geometry(slide.info), tiles


def _geometry(info) -> str:
    return f"{info.level_sizes_px} {info.level_downsamples}"


def read_case(case: Case) -> Found:
    """Damage the slide, and read all of it."""
    data, geometry, good = _good(case.folder)
    path = case.folder / f"{case.number}.svs"
    path.write_bytes(damage(data, case))
    try:
        return _read(path, geometry, good)
    except SlideError as error:
        return Found(error=error.reason if error.fact else "without a fact")
    finally:
        path.unlink()


def _read(path: Path, geometry: str, good: list[np.ndarray]) -> Found:
    ledgered, changed = [], []
    with open_slide(path) as slide:
        number = 0
        info = slide.info
        for level in range(info.n_levels):
            source = slide.tiles(level)
            for tile in range(source.grid.n_tiles):
                try:
                    rgb = source.read(tile)
                    if number < len(good) and _differ(rgb, good[number], source.grid, tile):
                        changed.append(number)
                except TileDamaged:
                    ledgered.append(number)
                number += 1
        said = _geometry(info)
        return Found(
            reader=info.reader, fallback=info.fallback, mpp=info.mpp,
            ledgered=tuple(ledgered), changed=tuple(changed),
            geometry="" if said == geometry else said,
        )  # fmt: skip


def _differ(rgb: np.ndarray, good: np.ndarray, grid, tile: int) -> bool:
    """Whether a tile shows other pixels of the level; beyond the level is no matter."""
    if rgb.shape != good.shape:
        return True
    x_px, y_px = grid.corner_px(tile)
    inside = np.s_[: grid.height_px - y_px, : grid.width_px - x_px]
    return not np.array_equal(rgb[inside], good[inside])


def shares(counts: Counter) -> str:
    """Lines of (kind: caught of all) for a person to read."""
    kinds = sorted({kind for kind, _ in counts})
    lines = []
    for kind in kinds:
        caught, missed = counts[kind, True], counts[kind, False]
        lines.append(
            f"{kind:14} {caught:5} of {caught + missed:5} {caught / (caught + missed):6.1%}"
        )
    return "\n".join(lines)
