"""How a TIFF that is refused becomes one that is read: commands of vips, each tried on such files.

Source: the manual of libvips: flatten, colourspace, and tiffsave for what stands in brackets.
"""

from __future__ import annotations

_OUT = "'OUT.tif[tile,pyramid,bigtiff,compression=deflate,strip]'"
"""Without loss, of any size, and without the description of what it was made from."""
TILED = f"Convert it to a tiled pyramid, such as with: vips copy IN.tif {_OUT}"


def as_rgb8(*, has_alpha: bool, bits: int) -> str:
    """How other pixels become 8-bit RGB in tiles; what is transparent becomes white."""
    if not has_alpha:
        return f"Convert it to 8-bit RGB, such as with: vips colourspace IN.tif {_OUT} srgb"
    return (
        "Take its alpha channel out, and convert it to 8-bit RGB, such as with: "
        f"vips flatten IN.tif FLAT.v --background {(1 << min(bits, 32)) - 1} && "
        f"vips colourspace FLAT.v {_OUT} srgb"
    )


def alone(directory: int | None = None) -> str:
    """How one image of several becomes a slide of its own."""
    page = "PAGE" if directory is None else str(directory)
    which = " (PAGE: its number, from 0)" if directory is None else ""
    return (
        f"Export the slide's image alone, such as with: vips copy 'IN.tif[page={page}]' {_OUT}"
        f"{which}; state its resolution by `pathassets mpp set` if that was in the OME-XML"
    )
