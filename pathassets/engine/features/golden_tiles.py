"""16 tiles like tissue, glass and noise, drawn in integers: the same bytes on every machine.

PCG64's words ─▶ smooth fields ─▶ eosin on glass, haematoxylin on it, grain ─▶ RGB uint8
"""

from __future__ import annotations

import hashlib

import numpy as np

from pathassets.errors import EncoderError

SEED = 20160627
TILE_PX = 256
"""Side that tiles are drawn at; larger ones repeat, smaller ones are cut."""
TILES_SHA256 = "1c5d73632bff61d56acbf2f7a07a246e4939dbc9a56da95eab4a5d6a9b70f5cc"
"""Of all tiles as drawn."""

GLASS, BLACK, EOSIN, HAEMATOXYLIN = (244, 243, 245), (0, 0, 0), (226, 150, 190), (104, 66, 150)
"""Red, green, blue. The first three are tiles of their own, without anything on them."""
FLAT = ("glass", "black", "eosin")
TILES = (*FLAT, "noise", *(f"tissue {k}" for k in range(12)))
"""What is on each tile."""


def draw_tiles(side_px: int) -> np.ndarray:
    """Draw the tiles, RGB uint8 (16, side_px, side_px, 3): the same bytes on any machine.

    Only words of PCG64 and integers make them: numpy's distributions promise no stream.

    Raises:
        EncoderError: they are not the tiles that every other machine draws.
    """
    bits = np.random.PCG64(SEED)
    shape = (TILE_PX, TILE_PX, 3)
    flat = [np.full(shape, colour, dtype=np.uint8) for colour in (GLASS, BLACK, EOSIN)]
    noise = _draw_bytes(bits, TILE_PX * TILE_PX * 3).reshape(shape)
    tissue = [_draw_tissue(bits, k) for k in range(len(TILES) - len(flat) - 1)]
    tiles = np.stack([*flat, noise, *tissue])
    found = hashlib.sha256(tiles.data).hexdigest()
    if found != TILES_SHA256:
        raise EncoderError(
            "check",
            f"the tiles drawn here have the SHA-256 {found}, not {TILES_SHA256}",
            remedy=f"Report this machine and its numpy {np.__version__}.",
        )
    at = np.arange(side_px) % TILE_PX
    return np.ascontiguousarray(tiles[:, at[:, np.newaxis], at])


def _draw_tissue(bits: np.random.PCG64, k: int) -> np.ndarray:
    """Pink blobs on glass, and darker nuclei: less of the first and more of the others with k."""
    pixels = np.broadcast_to(np.array(GLASS, dtype=np.int32), (TILE_PX, TILE_PX, 3))
    for colour, n_cells, least in ((EOSIN, 8, 40 + 8 * k), (HAEMATOXYLIN, 32, 190 - 6 * k)):
        share = np.clip((_draw_field(bits, n_cells) - least) * 4, 0, 255)[..., np.newaxis]
        pixels = pixels + (np.array(colour, dtype=np.int32) - pixels) * share // 255
    grain = _draw_bytes(bits, pixels.size).reshape(pixels.shape) % 16
    return np.clip(pixels + grain.astype(np.int32) - 8, 0, 255).astype(np.uint8)


def _draw_field(bits: np.random.PCG64, n_cells: int) -> np.ndarray:
    """Draw smooth int32 (y, x) from 0 to 255, blobs of a cell's side, that repeats seamlessly."""
    lattice = _draw_bytes(bits, n_cells**2).reshape(n_cells, n_cells).astype(np.int32)
    step = TILE_PX // n_cells
    at, far = np.divmod(np.arange(TILE_PX, dtype=np.int32), step)
    beyond, near = (at + 1) % n_cells, step - far
    rows = lattice[at] * near[:, np.newaxis] + lattice[beyond] * far[:, np.newaxis]
    field: np.ndarray = (rows[:, at] * near + rows[:, beyond] * far) // step**2
    return field


def _draw_bytes(bits: np.random.PCG64, n: int) -> np.ndarray:
    return bits.random_raw(-(-n // 8)).astype("<u8").view(np.uint8)[:n]


def tile_name(i: int) -> str:
    """What errors call a tile."""
    return f"tile {i} ({TILES[i]})"
