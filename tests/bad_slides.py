"""Bad and awkward slides, made in half a second from one small good one; what becomes of each.

`CASES` is the promise: through `open_slide`, through `ingest`, and in a run. Names are those of
`../shared/tools/make_bad.py` where it makes the same, so that the table holds for its slides, too.
"""

from __future__ import annotations

import gzip
import io
import os
import socket
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tifffile
from PIL import Image

from pathassets.adapters.tifffile import PyramidSpec, write_pyramid

READ = "read"
"""It is opened, registered."""
MADE = "made"
"""Every stage is made."""
GOOD = "good.svs"
WIDTH_PX, HEIGHT_PX, TILE_PX = 600, 500, 64
BAD_TILE = 34
"""In the midst of the tissue of the good slide."""
MPP_TEXT = "0.499999"
LONG = "L" * 251 + ".svs"
DEEP = "/".join(["d" * 200] * 6) + "/deep.svs"
LATIN1 = "latin1_\udce9.svs"

Make = Callable[[Path], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One bad or awkward slide."""

    name: str
    """Its path below the corpus's folder."""
    make: Make
    opened: str = READ
    """Reason code of `open_slide`, or `read`."""
    ingested: str = ""
    """The same of `pathassets ingest`, where it is another."""
    run: str = ""
    """Reason code of a run of what was registered, or `made`."""
    says: str = ""
    """What the message has in it."""
    is_good: bool = False
    """Whether it is the good slide's content."""
    for_others: bool = False
    """Whether root could read it all the same."""

    @property
    def registered(self) -> str:
        return self.ingested or self.opened


def write_corpus(folder: Path) -> None:
    """Make every case, and the good slide."""
    (folder / GOOD).write_bytes(good())
    for case in CASES:
        path = folder / case.name
        path.parent.mkdir(parents=True, exist_ok=True)
        case.make(path)


@cache
def good() -> bytes:
    """An Aperio slide of two levels with tissue in its midst, then a label and a macro image."""
    return slide(seed=0)


def slide(*, seed: int, blank: bool = False, **spec: object) -> bytes:
    pixels = np.full((HEIGHT_PX, WIDTH_PX, 3), 245, np.uint8)
    if not blank:
        noise = np.random.default_rng(seed).integers(0, 40, (380, 480, 3), np.uint8)
        pixels[60:440, 60:540] = np.array([150, 60, 140], np.uint8) + noise
    return pyramid(pixels, **spec)


def pyramid(pixels: np.ndarray, **spec: object) -> bytes:
    wanted = PyramidSpec(**{"mpp": float(MPP_TEXT), "tile_px": TILE_PX} | spec)
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.svs")
        write_pyramid(path, pixels, wanted)
        with tifffile.TiffWriter(path, append=True) as file:
            for name, kind in (("label", 1), ("macro", 9)):
                file.write(
                    np.full((60, 80, 3), 90, np.uint8), photometric="rgb", rowsperstrip=20,
                    metadata=None, software=False, subfiletype=kind,
                    description=f"Aperio Image Library\r\n{name} 80x60",
                )  # fmt: skip
        return path.read_bytes()


def content(data: Callable[[], bytes] | bytes) -> Make:
    return lambda path: path.write_bytes(data if isinstance(data, bytes) else data())


def hard_link(path: Path) -> None:
    os.link(path.parent / GOOD, path)


def links_to(target: str) -> Make:
    return lambda path: path.symlink_to(target)


def with_header(old: str, new: str) -> Make:
    """The good slide with other words of the same length in all its descriptions."""
    a, b = old.encode(), new.ljust(len(old)).encode()
    return content(lambda: good().replace(a, b))


def with_mpp(text: str) -> Make:
    return with_header(f"MPP = {MPP_TEXT}", f"MPP = {text}")


@dataclass(frozen=True)
class Table:
    """Where the tiles of level 0 of the good slide are, and where it is told."""

    offsets: tuple[int, ...]
    n_bytes: tuple[int, ...]
    offsets_at: int
    n_bytes_at: int
    n_bytes_form: str


@cache
def table() -> Table:
    with tifffile.TiffFile(io.BytesIO(good())) as file:
        page = file.pages[0]
        counts = page.tags["TileByteCounts"]
        return Table(
            tuple(page.dataoffsets), tuple(page.databytecounts),
            page.tags["TileOffsets"].valueoffset, counts.valueoffset,
            file.byteorder + {3: "H", 4: "I"}[int(counts.dtype)],
        )  # fmt: skip


def with_bytes(at: int, new: bytes, data: bytes | None = None) -> bytes:
    data = good() if data is None else data
    return data[:at] + new + data[at + len(new) :]


def with_entry(offset: int | None = None, n_bytes: int | None = None, end: bytes = b"") -> bytes:
    """The good slide with another offset or byte count of the bad tile."""
    where, data = table(), good() + end
    if offset is not None:
        data = with_bytes(where.offsets_at + 4 * BAD_TILE, struct.pack("<I", offset), data)
    if n_bytes is not None:
        packed = struct.pack(where.n_bytes_form, n_bytes)
        data = with_bytes(where.n_bytes_at + len(packed) * BAD_TILE, packed, data)
    return data


def flipped() -> bytes:
    """Forty bytes amid the entropy-coded data of a tile, each with every other bit turned."""
    data, (start, n_bytes) = (
        bytearray(good()),
        (table().offsets[BAD_TILE], table().n_bytes[BAD_TILE]),
    )
    for at in np.random.default_rng(1).integers(start + n_bytes // 2, start + n_bytes - 2, 40):
        data[at] ^= 0x55
    return bytes(data)


def noisy() -> bytes:
    rng, data = np.random.default_rng(1), good()
    for tile in range(BAD_TILE, BAD_TILE + 4):
        data = with_bytes(table().offsets[tile], rng.bytes(table().n_bytes[tile]), data)
    return data


def four_components() -> bytes:
    """A tile that is a JPEG of four components, in a file that says it has three."""
    tile = image("JPEG", "CMYK", (TILE_PX, TILE_PX))
    return with_entry(len(good()), len(tile), tile)


def image(form: str, mode: str = "RGB", size_px: tuple[int, int] = (400, 300)) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (*size_px[::-1], len(mode)), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels, mode).save(buffer, form)
    return buffer.getvalue()


def tiff(pixels: np.ndarray, **options: object) -> Make:
    tiled = {"photometric": "rgb", "metadata": None, "software": False, "tile": (128, 128)}
    return lambda path: tifffile.imwrite(path, pixels, **tiled | options)


def picture(height_px: int = 384, width_px: int = 512) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height_px, width_px, 3), np.uint8)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(GOOD, good())
    return buffer.getvalue()


def folder_with_nothing(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("no slide")


def mrxs_without_index(path: Path) -> None:
    path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    path.with_suffix("").mkdir()
    (path.with_suffix("") / "Data0001.dat").write_bytes(bytes(100))


def forbidden(path: Path) -> None:
    path.write_bytes(good())
    path.chmod(0)


def bind_socket(path: Path) -> None:
    """By a short name: an address holds 107 bytes."""
    here = os.open(path.parent, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


def folder_of_one(path: Path) -> None:
    """A folder with one slide, by a link to it."""
    inside = path.with_name("real_folder")
    inside.mkdir()
    (inside / "only.svs").write_bytes(slide(seed=8))
    path.symlink_to(inside.name)


def no_slide(name: str, data: Callable[[], bytes] | bytes, reason: str, says: str) -> Case:
    return Case(name=name, make=content(data), opened=reason, says=says)


def no_mpp(name: str, make: Make, reason: str, says: str) -> Case:
    return Case(name=name, make=make, run=f"resolution_{reason}", says=says)


def bad_tile(name: str, data: Callable[[], bytes], says: str) -> Case:
    return Case(name=name, make=content(data), run="tile_unreadable", says=says)


def odd_name(name: str) -> Case:
    return Case(name=name, make=hard_link, run=MADE, is_good=True)


def same(name: str, make: Make) -> Case:
    return Case(name=name, make=make, run=MADE, is_good=True)


def link(name: str, target: str, reason: str) -> Case:
    return Case(name=name, make=links_to(target), opened=reason, says=f"is a link to {target}")


HTML = "<!DOCTYPE html><html><body>Please log in</body></html>"
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 12345\n"
NO_DIRECTORY = "directory .* lies beyond its end"
CASES = (
    # --- no slide at all
    no_slide("trunc50.svs", lambda: good()[: len(good()) // 2], "truncated", "cut short"),
    no_slide("trunc95.svs", lambda: good()[: len(good()) * 95 // 100], "truncated", "cut short"),
    no_slide("trunc_tail1k.svs", lambda: good()[:-1024], "truncated", "and should have"),
    no_slide(
        "trunc_padded.svs", lambda: good()[: len(good()) // 2].ljust(len(good()), b"\0"),
        "damaged_structure", "zeros, as a broken copy leaves them",
    ),
    no_slide("zero.svs", b"", "empty_file", "is empty"),
    no_slide("header8.svs", lambda: good()[:8], "truncated", NO_DIRECTORY),
    no_slide(
        "header_big.tif", struct.pack("<2sHHHQ", b"II", 43, 8, 0, 1 << 20), "truncated",
        NO_DIRECTORY,
    ),
    no_slide("text.svs", b"this is not a slide\n" * 200, "not_a_slide", "is a text file"),
    no_slide("zeros.svs", bytes(5000), "not_a_slide", "zero bytes"),
    no_slide("noise.svs", np.random.default_rng(0).bytes(5000), "not_a_slide", "OpenSlide knows"),
    no_slide("lfs_pointer.svs", LFS.encode(), "lfs_pointer", "Git LFS pointer"),
    no_slide("html.svs", HTML.encode(), "html_page", "web page"),
    no_slide("html_utf16.ndpi", HTML.encode("utf-16"), "html_page", "web page"),
    no_slide("gz.svs", lambda: gzip.compress(good(), mtime=0), "gzip", "gzip"),
    no_slide("zip.svs", zipped, "archive", "zip"),
    no_slide("7z.svs", b"7z\xbc\xaf\x27\x1c" + bytes(60), "archive", "7z"),
    no_slide("jpeg_renamed.svs", lambda: image("JPEG"), "plain_image", "JPEG"),
    no_slide("png_renamed.svs", lambda: image("PNG"), "plain_image", "PNG"),
    Case(
        name="striped.tif", make=tiff(picture(), tile=None), opened="striped_tiff", says="strips"
    ),
    Case(
        name="gray16.tif", says="16 bits", opened="not_8bit_rgb",
        make=tiff(np.arange(256 * 256, dtype=np.uint16).reshape(256, 256), photometric=1),
    ),
    Case(
        name="cmyk.tif", says="4 samples of 8 bits", opened="not_8bit_rgb",
        make=tiff(np.zeros((256, 256, 4), np.uint8), photometric="separated"),
    ),
    # --- no resolution
    no_mpp("mpp_missing.svs", with_header("MPP = ", "QQQ = "), "missing", "objective power"),
    no_mpp(
        "mpp_mag_missing.svs", content(lambda: slide(seed=1, mpp=None, objective=None)), "missing",
        "no micrometres per pixel in the file",
    ),
    no_mpp("mpp_zero.svs", with_mpp("0.0000"), "implausible", r"aperio\.MPP=0\.0000"),
    no_mpp("mpp_nan.svs", with_mpp("NaN"), "implausible", r"aperio\.MPP=NaN"),
    no_mpp("mpp_inf.svs", with_mpp("inf"), "implausible", r"aperio\.MPP=inf"),
    no_mpp("mpp_1000.svs", with_mpp("1000.0"), "implausible", r"aperio\.MPP=1000"),
    no_mpp("mpp_neg.svs", with_mpp("-0.252"), "implausible", r"aperio\.MPP=-0\.252"),
    no_mpp("mpp_comma.svs", with_mpp("0,2520"), "implausible", r"aperio\.MPP=0,2520"),
    no_mpp("mpp_text.svs", with_mpp("abc"), "implausible", r"aperio\.MPP=abc"),
    no_mpp("mpp_empty.svs", with_mpp(""), "implausible", r"aperio\.MPP=\)"),
    no_mpp("mpp_e99.svs", with_mpp("1e-99"), "implausible", r"aperio\.MPP=1e-99"),
    no_mpp(
        "mpp_vs_mag.svs", with_header("AppMag = 20", "AppMag = 2"), "implausible",
        "does not fit objective power",
    ),
    no_mpp("generic_nompp.tiff", tiff(picture(), compression="jpeg"), "missing", "in the file"),
    no_mpp(
        "generic_72dpi.tiff",
        tiff(picture(), compression="jpeg", resolution=(72, 72), resolutionunit="INCH"),
        "implausible", r"tiff\.XResolution=352\.778",
    ),
    # --- bad tiles
    bad_tile("tile_flip_entropy.svs", flipped, "cannot be decoded"),
    bad_tile(
        "tile_header_zero.svs", lambda: with_bytes(table().offsets[BAD_TILE], bytes(64)),
        "cannot be decoded",
    ),
    bad_tile(
        "tile_zero.svs",
        lambda: with_bytes(table().offsets[BAD_TILE], bytes(table().n_bytes[BAD_TILE])),
        "cannot be decoded",
    ),
    bad_tile("tile_random4.svs", noisy, "cannot be decoded"),
    bad_tile("tile_cmyk.svs", four_components, "cannot be decoded"),
    bad_tile("tile_bytecount0.svs", lambda: with_entry(n_bytes=0), "stored"),
    bad_tile(
        "tile_offset_eof.svs", lambda: with_entry(len(good()) + 10**6), "beyond the end of the file"
    ),
    bad_tile(
        "tile_wrong.svs", lambda: with_entry(table().offsets[0], table().n_bytes[0]),
        "also those of something else",
    ),
    # --- odd, and right
    Case(
        name="single_level.svs", make=content(lambda: slide(seed=11, n_levels=1)), run=MADE
    ),
    Case(name="white.svs", make=content(lambda: slide(seed=12, blank=True)), run=MADE),
    Case(
        name="tiny.svs", run=MADE,
        make=content(lambda: pyramid(np.full((20, 30, 3), 99, np.uint8), n_levels=1)),
    ),
    # --- names
    *map(
        odd_name,
        (
            "простая слайд №1.svs", "slide with  spaces (copy) [1].svs",
            "e\u0301te\u0301_NFD.svs", "\u00e9t\u00e9_NFC.svs", "quote'and\"dq.svs",
            "-dash-first.svs", "percent%20#hash&amp;.svs", "new\nline.svs", "semi;colon,comma.svs",
            "UPPER.SVS", "noext", "dots.in.name.v2.svs", ".hidden.svs", "😐.svs", LONG,
        ),
    ),
    Case(name=LATIN1, make=hard_link, ingested="bad_name", says="not UTF-8"),
    same(DEEP, content(good)),
    # --- the same twice
    same("dup_a.svs", content(good)),
    same("dup_b.svs", content(good)),
    same("sub/good.svs", content(good)),
    Case(
        name="sub/dup_a.svs", run=MADE,
        make=content(lambda: good()[:-1] + bytes([good()[-1] ^ 1])),
    ),
    # --- what the file system has beside files
    same("symlink_ok.svs", links_to(GOOD)),
    link("dangling.svs", "gone.svs", "dangling_link"),
    link("loop_a.svs", "loop_b.svs", "link_loop"),
    link("loop_b.svs", "loop_a.svs", "link_loop"),
    Case(name="folder_link", make=folder_of_one, run=MADE),
    Case(
        name="folder.svs", make=folder_with_nothing, opened="folder_without_slide",
        ingested="spec_error", says="no slides",
    ),
    Case(
        name="noperm.svs", make=forbidden, opened="no_permission", says="permission denied",
        for_others=True,
    ),
    Case(name="fifo.svs", make=os.mkfifo, opened="not_a_file", says="a named pipe"),
    Case(name="socket.svs", make=bind_socket, opened="not_a_file", says="a socket"),
    no_slide(
        "mrxs_alone.mrxs", b"\xff\xd8\xff\xe0" + bytes(100), "incomplete_mrxs", "lacks its folder"
    ),
    Case(
        name="mrxs_no_index.mrxs", make=mrxs_without_index, opened="incomplete_mrxs",
        says="lacks its Slidedat.ini",
    ),
    # The last: it is the whole folder by another name.
    Case(
        name="sub/parent", make=links_to(".."), opened="folder_of_slides", ingested=READ,
        says="a folder with .* slides",
    ),
)  # fmt: skip
