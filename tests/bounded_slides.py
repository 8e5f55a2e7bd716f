"""Slides of Leica and MIRAX whose scan lies within a larger level 0, so that they have bounds."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import simplejpeg
import tifffile

NM_PER_PX0 = 500
UUID = "urn:uuid:00000000-0000-0000-0000-00000000000"


def _image(number: int, view: str, pixels: str, power: float) -> str:
    """One image of a collection.

    Source: https://openslide.org/formats/leica/
    """
    return (
        f'<image name="{number}" uuid="{UUID}{number}"><creationDate>2020-01-01T00:00:00Z'
        '</creationDate><device model="x" version="1"/>'
        f"<pixels {pixels}</pixels><view {view}/><scanSettings><objectiveSettings>"
        f"<objective>{power}</objective></objectiveSettings><illuminationSettings>"
        "<numericalAperture>0.4</numericalAperture><illuminationSource>brightfield"
        "</illuminationSource></illuminationSettings></scanSettings></image>"
    )


def write_scn(
    path: Path, scan: np.ndarray, canvas_px0: tuple[int, int], corner_px0: tuple[int, int]
) -> Path:
    """Write RGB uint8 (y, x, 3) with its corner at a point (x, y) of a canvas (width, height)."""
    small = np.ascontiguousarray(scan[::4, ::4])
    n = NM_PER_PX0
    levels = "".join(
        f'<dimension sizeX="{level.shape[1]}" sizeY="{level.shape[0]}" r="{i}" ifd="{i}"/>'
        for i, level in enumerate((scan, small))
    )
    height, width = scan.shape[:2]
    glass = f'sizeX="{canvas_px0[0] * n}" sizeY="{canvas_px0[1] * n}"'
    offset = f'offsetX="{corner_px0[0] * n}" offsetY="{corner_px0[1] * n}"'
    main = _image(
        3, f'sizeX="{width * n}" sizeY="{height * n}" {offset}',
        f'sizeX="{width}" sizeY="{height}">{levels}', 20,
    )  # fmt: skip
    macro = _image(
        4, f'{glass} offsetX="0" offsetY="0"',
        'sizeX="64" sizeY="64"><dimension sizeX="64" sizeY="64" r="0" ifd="2"/>', 0.6,
    )  # fmt: skip
    xml = (
        '<?xml version="1.0" encoding="utf-8"?><scn '
        'xmlns="http://www.leica-microsystems.com/scn/2010/10/01" '
        f'uuid="{UUID}1"><collection name="c" uuid="{UUID}2" {glass}>{main}{macro}'
        "</collection></scn>"
    )
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for i, level in enumerate((scan, small, np.full((64, 64, 3), 200, np.uint8))):
            file.write(
                level, tile=(256, 256), description=xml if i == 0 else None, photometric="rgb",
                resolution=((20_000, 5_000, 500)[i],) * 2, resolutionunit="CENTIMETER",
                compression="jpeg", compressionargs={"level": 95}, metadata=None, software=None,
            )  # fmt: skip
    return path


MRXS_TILE_PX = 256
MRXS_ID = "0" * 32


def write_mrxs(
    path: Path, scan: np.ndarray, canvas_tiles: tuple[int, int], corner_tiles: tuple[int, int]
) -> Path:
    """Write RGB uint8 (y, x, 3) of whole tiles at some tile (x, y) of a canvas (width, height).

    One zoom level, its tiles without overlap: those that were not scanned have no entry.

    Source: https://openslide.org/formats/mirax/
    """
    folder = path.with_suffix("")
    folder.mkdir(parents=True)
    path.write_bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(scan[::8, ::8])))
    (folder / "Slidedat.ini").write_text(_slidedat(canvas_tiles))
    data, entries, side = b"", [], MRXS_TILE_PX
    for y in range(scan.shape[0] // side):
        for x in range(scan.shape[1] // side):
            tile = np.ascontiguousarray(scan[y * side : (y + 1) * side, x * side : (x + 1) * side])
            jpeg = simplejpeg.encode_jpeg(tile, quality=95, colorsubsampling="444")
            place = (corner_tiles[1] + y) * canvas_tiles[0] + corner_tiles[0] + x
            entries += [place, len(data), len(jpeg), 0]
            data += jpeg
    (folder / "Data0000.dat").write_bytes(data)
    head = b"01.02" + MRXS_ID.encode()
    table = len(head) + 8
    pointers = [table, table, table + 4, 0, table + 12, len(entries) // 4, 0]
    numbers = struct.pack(f"<{len(pointers) + len(entries)}i", *pointers, *entries)
    (folder / "Index.dat").write_bytes(head + numbers)
    return path


def _slidedat(canvas_tiles: tuple[int, int]) -> str:
    columns, rows = canvas_tiles
    return f"""\
[GENERAL]
SLIDE_VERSION=01.02
SLIDE_ID={MRXS_ID}
IMAGENUMBER_X={columns}
IMAGENUMBER_Y={rows}
OBJECTIVE_MAGNIFICATION=20
CameraImageDivisionsPerSide=1
[HIERARCHICAL]
HIER_COUNT=1
NONHIER_COUNT=0
INDEXFILE=Index.dat
HIER_0_NAME=Slide zoom level
HIER_0_COUNT=1
HIER_0_VAL_0=ZoomLevel_0
HIER_0_VAL_0_SECTION=LEVEL_0
[DATAFILE]
FILE_COUNT=1
FILE_0=Data0000.dat
[LEVEL_0]
OVERLAP_X=0
OVERLAP_Y=0
MICROMETER_PER_PIXEL_X=0.5
MICROMETER_PER_PIXEL_Y=0.5
IMAGE_FORMAT=JPEG
IMAGE_FILL_COLOR_BGR=16777215
DIGITIZER_WIDTH={MRXS_TILE_PX}
DIGITIZER_HEIGHT={MRXS_TILE_PX}
IMAGE_CONCAT_FACTOR=0
"""
