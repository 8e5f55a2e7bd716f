"""Small tiled TIFFs of every kind that the tile reader reads, encoded tile by tile."""

import struct
from dataclasses import dataclass, field

import imagecodecs
import numpy as np
import tifffile

AS_RGB = {"compressionargs": {"outcolorspace": "rgb"}}
"""Or tifffile writes that JPEG tiles are YCbCr, whatever they are."""
APERIO = "Aperio |AppMag = 20|MPP = 0.5"


def picture(width_px, height_px):
    """Coloured waves and noise: no two tiles alike, chroma that changes from pixel to pixel."""
    y, x = np.mgrid[0:height_px, 0:width_px]
    waves = np.stack([np.sin(x / 9 + y / 31), np.cos(y / 7 - x / 41), np.sin((x + y) / 13)], -1)
    noise = np.random.default_rng(7).normal(0, 9, waves.shape)
    return np.clip(140 + 90 * waves + noise, 0, 255).astype(np.uint8)


def tiles_of(pixels, tile_px):
    height_px, width_px = pixels.shape[:2]
    pad = ((0, -height_px % tile_px), (0, -width_px % tile_px), (0, 0))
    whole = np.pad(pixels, pad, mode="edge")
    for y in range(0, height_px, tile_px):
        for x in range(0, width_px, tile_px):
            yield np.ascontiguousarray(whole[y : y + tile_px, x : x + tile_px])


def jpeg(tile, sampling="420", colours="YCBCR", quality=85):
    return imagecodecs.jpeg8_encode(
        tile, level=quality, colorspace="RGB", outcolorspace=colours, subsampling=sampling
    )


def segments(data):
    """(marker, bytes) of a JPEG's header, and what comes from its first scan on."""
    found, at = [], 2
    while data[at + 1] != 0xDA:
        end = at + 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
        found.append((data[at + 1], data[at:end]))
        at = end
    return found, data[at:]


def without(data, *markers):
    kept, rest = segments(data)
    return b"\xff\xd8" + b"".join(s for m, s in kept if m not in markers) + rest


def tables_of(data):
    kept, _ = segments(data)
    return b"\xff\xd8" + b"".join(s for m, s in kept if m in {0xDB, 0xC4}) + b"\xff\xd9"


def bare(data):
    """An abbreviated JPEG, as it stands in a TIFF with shared tables."""
    return without(data, 0xDB, 0xC4, 0xE0, 0xEE)


@dataclass
class Kind:
    """How the tiles of a file are stored."""

    compression: int
    photometric: str
    encode: object
    shares_tables: bool = False
    tile_px: int = 64
    options: dict = field(default_factory=dict)
    file: dict = field(default_factory=dict)


def jpegs(sampling="420", colours="YCBCR", *, shared=False, **more):
    steps = {"444": (1, 1), "422": (2, 1), "420": (2, 2)}[sampling]

    def encode(tile):
        data = jpeg(tile, sampling, colours)
        return bare(data) if shared else data

    is_rgb = colours == "RGB"
    options = AS_RGB if is_rgb else {"subsampling": steps}
    return Kind(7, "rgb" if is_rgb else "ycbcr", encode, shared, options=options, **more)


def lossless(compression, codec=bytes, *, predictor=1, **more):
    def encode(tile):
        if predictor == 2:
            tile = imagecodecs.delta_encode(tile, axis=-2)
        return codec(tile.tobytes())

    options = {"predictor": 2} if predictor == 2 else {}
    return Kind(compression, "rgb", encode, options=options, **more)


def write_tiff(path, kind, *, size_px=(200, 150), n_levels=2, **more):
    """Write levels, each half of the one before; return the first one's pixels."""
    pixels = picture(*size_px)
    description = more.pop("description", APERIO)
    shared = {"jpegtables": tables_of(jpeg(pixels[:8, :8]))} if kind.shares_tables else {}
    if kind.shares_tables and kind.photometric == "rgb":
        shared = {"jpegtables": tables_of(jpeg(pixels[:8, :8], "444", "RGB"))}
    with tifffile.TiffWriter(path, **kind.file) as file:
        for level in range(n_levels):
            part = np.ascontiguousarray(pixels[:: 2**level, :: 2**level])
            file.write(
                iter([kind.encode(t) for t in tiles_of(part, kind.tile_px)]),
                shape=part.shape,
                dtype=np.uint8,
                tile=(kind.tile_px, kind.tile_px),
                compression=kind.compression,
                photometric=kind.photometric,
                description=description if level == 0 or description == APERIO else None,
                subfiletype=int(level > 0),
                metadata=None,
                software=False,
                **kind.options,
                **shared,
                **more,
            )
    return pixels


def write_ome(path, xml=None, n_sub=1, **pixels):
    level0 = picture(200, 150)
    with tifffile.TiffWriter(path, ome=xml is None) as file:
        metadata = {"axes": "YXS", **pixels} if xml is None else None
        file.write(
            level0, tile=(64, 64), subifds=n_sub, metadata=metadata, description=xml,
        )  # fmt: skip
        for _ in range(n_sub):
            file.write(level0[::2, ::2], tile=(64, 64), subfiletype=1, metadata=None)


@dataclass
class Place:
    """Where in a file a tag's entry and its values stand."""

    entry: int
    value: int
    n_bytes: int

    @property
    def positions(self):
        return set(range(self.value, self.value + self.n_bytes))


def places(path, level=0):
    """Place of each tag of a level, by name."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[level]
        return {
            t.name: Place(t.offset, t.valueoffset, t.valuebytecount) for t in page.tags.values()
        }


def put(path, at, data):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def set_tag(path, name, value, *, level=0, index=0):
    """Overwrite one number of a tag, in the type it has."""
    with tifffile.TiffFile(path) as file:
        tag = file.pages[level].tags[name]
        code = file.byteorder + {3: "H", 4: "I", 16: "Q"}[int(tag.dtype)]
        at = tag.valueoffset + index * struct.calcsize(code)
    put(path, at, struct.pack(code, value))


def drop_tag(path, name, *, level=0, into=65000):
    """Give a tag's entry a number that means nothing."""
    with tifffile.TiffFile(path) as file:
        order = file.byteorder
    put(path, places(path, level)[name].entry, struct.pack(order + "H", into))


def directory_extents(path):
    """From where to where each directory stands."""
    with tifffile.TiffFile(path) as file:
        size = 20 if file.is_bigtiff else 12
        return [
            (p.offset, max(t.offset for t in p.tags.values()) + size + (8 if size == 20 else 4))
            for p in file.pages
        ]
