"""A Leica SCN slide whose scan lies within a larger level 0, so that it has bounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
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
