"""Look, seed -> Painting: H&E-like pixels for the demo, made by arithmetic.

A slide is painted as two maps of 8 bits, the concentrations of eosin and haematoxylin, which one
table of all their mixtures turns into colour. Outline, tears and regions are laid on a grid of 1/8;
fibres, glands and nuclei at full resolution. It looks like tissue to a person and to a tissue
finder; a model learns nothing from it. What decides a pixel is integer arithmetic: a seed gave the
same bytes with the AVX code of numpy and OpenCV, and OpenCV's IPP, switched on and off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]

SAMPLE_MPP = 0.5
"""Micrometres per pixel of level 0; the sizes below are in its pixels."""
TRUTH_DOWNSAMPLE = 8
"""Level-0 pixels per pixel of the truth mask, and of the grid that regions are laid out on."""

HAEMATOXYLIN_OD = (0.65, 0.70, 0.29)
EOSIN_OD = (0.07, 0.99, 0.11)
"""Optical density of the dyes in red, green and blue.

Source: Ruifrok and Johnston 2001, Anal Quant Cytol Histol 23:291-299.
"""
WARM_EOSIN_OD = (0.2159, 0.8012, 0.5581)
"""Eosin of another laboratory: the one above alone is magenta, halfway to this one it is pink.

Source: reference matrix of Veta's implementation of Macenko et al. 2009,
doi:10.1109/ISBI.2009.5193250.
"""
OD_PER_STEP = 1 / 128
"""Optical density (natural logarithm) of one of the 255 steps of a concentration."""
GLASS_RGB = (244, 243, 245)
"""Empty glass under the lamp: HSV saturation 2 of 255."""
EDGE = 128
"""Value of the outline map at the tissue's edge."""
WALL_PX0 = 34.0
"""Thickness of a gland's wall, 17 um: two rows of nuclei."""
SPINDLES = 0.5
"""Three quarters of the stroma's sites hold a fibroblast: draws are in [-1, 1]."""
SUBPIXEL_BITS = 3
"""OpenCV draws on a raster 2**3 times finer, without which small nuclei come in four shapes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One fragment on the glass: a bent ellipse, made irregular by noise."""

    x: float
    """Centre, as a share of the slide's width."""
    y: float
    """Centre, as a share of the slide's height."""
    length: float
    """Half its long axis, as a share of the slide's height."""
    width: float
    """Half its short axis, as a share of the slide's height."""
    turn: float = 0.0
    """Angle of the long axis from x towards y, radians."""
    bend: float = 0.0
    """How far the tips leave the axis, in lengths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appearance:
    """What one slide shows; no pieces is bare glass."""

    width_px0: int
    height_px0: int
    pieces: tuple[Piece, ...] = ()
    gland_share: float = 0.0
    """Share of the tissue where glands stand, in [0, 1]."""
    lymphoid_share: float = 0.0
    """Share of the tissue that is lymphoid aggregates, in [0, 1]."""
    tear_share: float = 0.0
    """Share of the tissue that is torn open, in [0, 1]."""
    haematoxylin: float = 1.0
    """Strength of the nuclear stain."""
    eosin: float = 1.0
    """Strength of the counterstain."""
    warmth: float = 0.5
    """The eosin's tone: 0 magenta, 1 salmon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Painting:
    """A painted slide and what is true of it."""

    rgb: Bytes
    """(height_px0, width_px0, 3)."""
    tissue: Bytes
    """(height_px0 // 8, width_px0 // 8): 255 on tissue, lumens of glands included, tears not."""


def paint(look: Appearance, *, seed: int) -> Painting:
    """Paint a slide, at 0.6 s of CPU for 2600 x 2000 px (bare glass 0.1 s)."""
    rng = np.random.default_rng(seed)
    outline = _lay_outline(look, rng)
    dyes = np.zeros((2, look.height_px0, look.width_px0), np.uint8)
    if look.pieces:
        dyes = _stain(look, rng, outline)
        cover = cv2.LUT(_enlarge(outline, look), _curve((EDGE - 3, 0), (EDGE + 13, 255)))
        dyes = np.stack([_times(dye, cover) for dye in dyes])
    rgb = cv2.subtract(_mixtures(look)[dyes[0], dyes[1]], _grain(look, rng))
    return Painting(rgb=np.asarray(rgb, np.uint8), tissue=_quantise((outline > EDGE) * 255))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gland:
    """A wall of cells round a lumen; its outline is a circle with waves."""

    centre_px0: Floats
    radius_px0: float
    waves: Floats
    """Amplitude, in radii, and phase of the waves with 2 and with 3 periods: (2, 2)."""

    def ring(self, angles: Floats, inset_px0: float | Floats = 0.0) -> Floats:
        """Points of the outline, (n, 2), `inset_px0` towards the centre."""
        (two, phase_two), (three, phase_three) = self.waves
        wave = two * np.cos(2 * angles + phase_two) + three * np.cos(3 * angles + phase_three)
        radii = np.maximum(self.radius_px0 * (1 + wave) - inset_px0, 3.0)
        ways = np.column_stack([np.cos(angles), np.sin(angles)])
        return np.asarray(self.centre_px0 + radii[:, None] * ways)


def _lay_outline(look: Appearance, rng: np.random.Generator) -> Bytes:
    """Depth under the surface on the coarse grid, 16 steps a pixel; EDGE is the surface."""
    height, width = look.height_px0 // TRUTH_DOWNSAMPLE, look.width_px0 // TRUTH_DOWNSAMPLE
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    depth = np.full((height, width), -99.0)
    for piece in look.pieces:
        right, down = x - piece.x * width, y - piece.y * height
        cos, sin = math.cos(piece.turn), math.sin(piece.turn)
        along = (cos * right + sin * down) / (piece.length * height)
        aside = (cos * down - sin * right) / (piece.width * height)
        aside += piece.bend * piece.length / piece.width * (along**2 - 0.5)
        depth = np.maximum(depth, (1 - np.sqrt(along**2 + aside**2)) * piece.width * height)
    for cell_px, reach_px in ((36, 9.0), (12, 4.0), (4, 1.5)):
        depth += (_cloud(rng, depth.shape, (cell_px, cell_px)) / 127.5 - 1) * reach_px
    if look.tear_share:
        intact = 255.0 * (1 - look.tear_share) - _cloud(rng, depth.shape, (12, 12))
        depth = np.minimum(depth, intact / 4)
    return _quantise(depth * 16 + EDGE)


def _stain(look: Appearance, rng: np.random.Generator, outline: Bytes) -> Bytes:
    """Concentrations of eosin and haematoxylin, (2, y, x), as if the tissue had no edge."""
    fibre, slope = _weave(look, rng)
    lymphoid = _region(rng, outline, look.lymphoid_share)
    haze = _enlarge(cv2.GaussianBlur(lymphoid, (0, 0), 1.2), look)
    eosin = _blend(cv2.LUT(fibre, _curve((0, 8), (25, 30), (60, 58), (255, 98))), 54, haze)
    haematoxylin = _blend(cv2.LUT(fibre, _curve((0, 3), (60, 12), (255, 22))), 32, haze)
    dyes, taken = np.stack([eosin, haematoxylin]), np.zeros_like(eosin)
    glands = _lay_glands(look, rng, outline)
    for gland in glands:
        _draw_gland(dyes, taken, gland)
    strewn = np.concatenate(
        [_spindles(look, rng, slope, lymphoid), _lymphocytes(look, rng, lymphoid)]
    )
    free = strewn[_at(taken, strewn) == 0]
    nuclei = np.concatenate([free, *(_wall_nuclei(gland, rng) for gland in glands)])
    drawn = _draw_nuclei(look, rng, nuclei[_at(outline, nuclei, TRUTH_DOWNSAMPLE) > EDGE + 12])
    # Nuclei hold some eosin too: without it, those on clefts are blue.
    pinked = np.maximum(dyes[0], _curve((0, 0), (255, 90))[drawn])
    return np.stack([pinked, np.asarray(cv2.add(dyes[1], drawn), np.uint8)])


def _draw_gland(dyes: Bytes, taken: Bytes, gland: _Gland) -> None:
    """Draw a cleft, a wall and a lumen, each over the one before, and mark the place as taken."""
    angles = np.linspace(0, 2 * math.pi, 40, endpoint=False)
    for inset_px0, eosin, haematoxylin in ((-4.0, 40, 11), (0.0, 70, 38), (WALL_PX0, 5, 2)):
        ring = [_subpixel(gland.ring(angles, inset_px0))]
        for plane, value in zip((*dyes, taken), (eosin, haematoxylin, 255), strict=True):
            cv2.fillPoly(plane, ring, value, cv2.LINE_AA, SUBPIXEL_BITS)


def _draw_nuclei(look: Appearance, rng: np.random.Generator, nuclei: Floats) -> Bytes:
    """Draw ellipses with a darker rim and mottled chromatin."""
    drawn = np.zeros((look.height_px0, look.width_px0), np.uint8)
    for nucleus, points in zip(nuclei, _subpixel(nuclei[:, :4]).tolist(), strict=True):
        where = tuple(points[:2]), tuple(points[2:]), float(nucleus[4]), 0.0, 360.0
        for strength, thickness in ((nucleus[5], cv2.FILLED), (1.2 * nucleus[5], 1)):
            cv2.ellipse(drawn, *where, float(strength), thickness, cv2.LINE_AA, SUBPIXEL_BITS)
    chromatin = cv2.LUT(_cloud(rng, drawn.shape, (4, 4)), _curve((0, 170), (255, 255)))
    return np.asarray(cv2.GaussianBlur(_times(drawn, chromatin), (0, 0), 0.8), np.uint8)


def _lay_glands(look: Appearance, rng: np.random.Generator, outline: Bytes) -> list[_Gland]:
    """Glands of 46-72 px0 radius in their region, clear of the surface."""
    deep = cv2.erode(outline, np.ones((19, 19), np.uint8))
    zone = np.minimum(_region(rng, outline, look.gland_share), np.asarray(deep, np.uint8))
    sites = _sites(look, rng, 150)
    draws = rng.uniform(size=(len(sites), 5))
    return [
        _Gland(
            centre_px0=site,
            radius_px0=46 + 26 * draw[0],
            waves=np.column_stack([0.24 * draw[1:3] - 0.12, 2 * math.pi * draw[3:]]),
        )
        for site, draw in zip(sites, draws, strict=True)
        if _at(zone, site[None], TRUTH_DOWNSAMPLE)[0] > EDGE
    ]


def _wall_nuclei(gland: _Gland, rng: np.random.Generator) -> Floats:
    """Two rows of nuclei that stand on the gland's outline, 7-10 um by 5-6.5 um."""
    rows = []
    for inset_px0, pitch_px0 in ((11.0, 15.0), (23.0, 21.0)):
        n = int(2 * math.pi * (gland.radius_px0 - inset_px0) / pitch_px0)
        draws = rng.uniform(-1, 1, size=(n, 6))
        angles = (np.arange(n) + 0.25 * draws[:, 0]) * 2 * math.pi / n
        xy = gland.ring(angles, inset_px0 + 4 * draws[:, 1])
        turns = np.degrees(angles) + 15 * draws[:, 2]
        rows.append(_nuclei(xy, turns, draws[:, 3:] * (1.4, 0.8, 28) + (8.6, 5.7, 135)))
    return np.concatenate(rows)


def _spindles(look: Appearance, rng: np.random.Generator, slope: Floats, lymphoid: Bytes) -> Floats:
    """Nuclei of fibroblasts, strewn along the fibres: 7-12 um by 2.5-4.5 um."""
    sites = _sites(look, rng, 34)
    draws = rng.uniform(-1, 1, size=(len(sites), 5))
    turns = np.degrees(_at(slope, sites, TRUTH_DOWNSAMPLE)) + 15 * draws[:, 0]
    there = (draws[:, 1] < SPINDLES) & (_at(lymphoid, sites, TRUTH_DOWNSAMPLE) < EDGE)
    return _nuclei(sites, turns, draws[:, 2:] * (2.5, 0.9, 35) + (9.5, 3.4, 120))[there]


def _lymphocytes(look: Appearance, rng: np.random.Generator, lymphoid: Bytes) -> Floats:
    """Small, round, dark, crowded nuclei of 5.5-7.5 um, fewer towards the aggregate's border."""
    sites = _sites(look, rng, 17)
    draws = rng.uniform(-1, 1, size=(len(sites), 5))
    there = _at(lymphoid, sites, TRUTH_DOWNSAMPLE) > EDGE + 115 * draws[:, 0]
    return _nuclei(sites, 180 * draws[:, 1], draws[:, 2:] * (0.9, 0.8, 28) + (6.6, 5.9, 160))[there]


def _nuclei(xy: Floats, turns: Floats, shapes: Floats) -> Floats:
    """Lay out one row a nucleus: x, y, half axes (px0), turn (degrees), concentration."""
    return np.column_stack([xy, shapes[:, :2], turns, shapes[:, 2]])


def _sites(look: Appearance, rng: np.random.Generator, pitch_px0: int) -> Floats:
    """Points of a jittered brick lattice, (n, 2): crowded with few overlaps."""
    y, x = np.mgrid[0 : look.height_px0 : pitch_px0, 0 : look.width_px0 : pitch_px0].astype(float)
    x[1::2] += pitch_px0 / 2
    return np.column_stack([x.ravel(), y.ravel()]) + rng.uniform(
        -0.26 * pitch_px0, 0.26 * pitch_px0, (x.size, 2)
    )


def _weave(look: Appearance, rng: np.random.Generator) -> tuple[Bytes, Floats]:
    """Wavy collagen: streaks read along warped lines, and the lines' slope (coarse, radians)."""
    bundles, threads = (_cloud(rng, (1024, 1024), cell_px) for cell_px in ((80, 14), (48, 4)))
    streaks = cv2.equalizeHist(cv2.addWeighted(bundles, 0.5, threads, 0.5, 0))
    height, width = look.height_px0 // TRUTH_DOWNSAMPLE, look.width_px0 // TRUTH_DOWNSAMPLE
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    turn = rng.uniform(0, math.pi)
    warp = _cloud(rng, x.shape, (40, 40)) * 180.0 + _cloud(rng, x.shape, (16, 16)) * 40.0
    soft = cv2.GaussianBlur(warp.astype(np.uint16), (0, 0), 2) / 900
    across = math.cos(turn) * y - math.sin(turn) * x + soft
    along = math.cos(turn) * x + math.sin(turn) * y
    fibre = _look_up(streaks, _enlarge(_fixed(along), look), _enlarge(_fixed(across), look))
    by_y, by_x = np.gradient(across)
    return fibre, np.arctan2(-by_x, by_y)


def _fixed(coarse_px: Floats) -> NDArray[np.int32]:
    """Coarse coordinates -> level 0, in 1/32 of a pixel: integers, which no processor rounds."""
    return np.asarray(np.rint(coarse_px * TRUTH_DOWNSAMPLE * 32), np.int32)


def _look_up(texture: NDArray[Any], u: NDArray[Any], v: NDArray[Any]) -> Bytes:
    """Read a texture at coordinates in 1/32 of a pixel; it goes on as its mirror image."""
    whole = np.stack([u >> 5, v >> 5], axis=-1).astype(np.int16)
    rest = ((v & 31) * 32 + (u & 31)).astype(np.uint16)
    border = cv2.BORDER_REFLECT_101
    return np.asarray(
        cv2.remap(texture, whole, rest, cv2.INTER_LINEAR, borderMode=border), np.uint8
    )


def _region(rng: np.random.Generator, outline: Bytes, share: float) -> Bytes:
    """Rounded islands that cover `share` of the coarse grid: above EDGE inside."""
    cloud = _cloud(rng, outline.shape, (26, 26))
    return _quantise((cloud - 256.0 * (1 - share)) * 8 + EDGE)


def _cloud(rng: np.random.Generator, shape: tuple[int, ...], cell_px: tuple[int, int]) -> Bytes:
    """Smooth noise with features of `cell_px` (x, y), its values spread evenly over 0..255."""
    (height, width), (cell_x, cell_y) = shape, cell_px
    seeds = rng.integers(0, 256, (height // cell_y + 3, width // cell_x + 3), dtype=np.uint8)
    large = cv2.resize(seeds, None, fx=cell_x, fy=cell_y, interpolation=cv2.INTER_LINEAR_EXACT)
    inner = large[cell_y : cell_y + height, cell_x : cell_x + width]
    soft = cv2.GaussianBlur(inner, (0, 0), sigmaX=cell_x / 3, sigmaY=cell_y / 3)
    return np.asarray(cv2.equalizeHist(soft), np.uint8)


def _enlarge(coarse: NDArray[Any], look: Appearance) -> NDArray[Any]:
    """Coarse grid -> level 0, without the facets that linear interpolation leaves in bytes."""
    n = TRUTH_DOWNSAMPLE
    large = cv2.resize(coarse, None, fx=n, fy=n, interpolation=cv2.INTER_LINEAR_EXACT)
    below, right = look.height_px0 % n, look.width_px0 % n
    large = cv2.copyMakeBorder(large, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return cv2.GaussianBlur(large, (0, 0), 3) if coarse.dtype == np.uint8 else large


def _at(field: NDArray[Any], points_px0: Floats, downsample: int = 1) -> NDArray[Any]:
    """Values of `field` at points, (n,); beyond its border, the nearest."""
    height, width = field.shape
    x, y = (points_px0[:, :2] // downsample).astype(int).T
    return np.asarray(field[y.clip(0, height - 1), x.clip(0, width - 1)])


def _grain(look: Appearance, rng: np.random.Generator) -> Bytes:
    """What lamp and sensor take away, in grey: up to 6 towards the corners, 0-4 of noise."""
    shape = look.height_px0, look.width_px0
    y, x = (np.linspace(-1, 1, side_px0 // TRUTH_DOWNSAMPLE) for side_px0 in shape)
    shade = _enlarge(_quantise(3 * np.add.outer(y * y, x * x)), look)
    noise = rng.integers(0, 5, shape, dtype=np.uint8)
    return np.asarray(cv2.merge([shade + noise] * 3), np.uint8)


def _mixtures(look: Appearance) -> Bytes:
    """Colour of every mixture by the law of Beer and Lambert: (eosin, haematoxylin, 3)."""
    tone = (1 - look.warmth) * np.array(EOSIN_OD) + look.warmth * np.array(WARM_EOSIN_OD)
    steps = np.arange(256) * OD_PER_STEP
    eosin = np.multiply.outer(steps * look.eosin, tone)
    haematoxylin = np.multiply.outer(steps * look.haematoxylin, np.array(HAEMATOXYLIN_OD))
    return _quantise(np.exp(-eosin[:, None] - haematoxylin[None]) * GLASS_RGB)


def _blend(image: NDArray[Any], value: int, weight: NDArray[Any]) -> Bytes:
    return _times(image, 255 - weight) + _times(np.full_like(image, value), weight)


def _times(image: NDArray[Any], share: NDArray[Any]) -> Bytes:
    return np.asarray(cv2.multiply(image, share, scale=1 / 255), np.uint8)


def _curve(*points: tuple[int, int]) -> Bytes:
    """Make a table of 256 bytes through `points`, level beyond the first and the last."""
    return _quantise(np.interp(np.arange(256), *np.transpose(points)))


def _subpixel(lengths: Floats) -> NDArray[np.int32]:
    return np.asarray(np.rint(lengths * 2**SUBPIXEL_BITS), np.int32)


def _quantise(values: NDArray[Any]) -> Bytes:
    return np.asarray(np.rint(values).clip(0, 255), np.uint8)
