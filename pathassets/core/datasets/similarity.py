"""Overviews of slides -> pairs that show the same tissue, whoever scanned, cut or packed them.

    overview ─▶ tissue, centred and scaled ─┬▶ 63 bits ─▶ pairs few bits apart ─┐
                                            └▶ sketch of 16 x 16 px ────────────┴▶ alike ─┐
                the same tissue ◀─ their details correlate ◀─ both aligned ◀──────────────┘

A hash is of the tissue, not of the picture: where it lies on the glass, and how large it was
scanned, say nothing. Hashes and sketches only propose; what is told was seen on pixels. Of 100
drawn slides, each scanned at two other sizes, with other colours and margins, re-encoded at quality
60 and cut by 2.5 or 5 % in four ways, 1 in 800 is missed by the hash; details of the others
correlate by 0.41 and more, those of different slides, be their outlines the same, by 0.31 at most.

Source: the hash, Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash Functions;
the alignment, Evangelidis and Psarakis 2008, doi:10.1109/TPAMI.2008.113.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np

METHOD = "tissue-dct64-sketch16-1"
"""Name of this way of hashing; another name hashes every slide again."""
NOTHING_TO_TELL = b""
"""Hash of a picture that shows no tissue: it is like no other."""
MAX_BITS = 14
"""Bits of 63 in which hashes of one tissue differ at most: 1 in 5,000 of other pairs do, too."""
MIN_SKETCH = 0.72
"""Least correlation of their sketches; of other pairs within those bits, 0.66 was the most."""
MIN_DETAIL = 0.4
"""Least correlation of their aligned details."""

_SPREAD = 1.6
"""Half the side of what is looked at, in standard deviations of the tissue's places."""
_HASH_PX, _BITS, _SKETCH_PX, _ALIGN_PX = 32, 8, 16, 128
_MIN_SATURATION = 10
"""Of 255; glass has 2, and JPEG's noise a few more."""
_MIN_TISSUE_PX = 64
_GLASS = 243
_DETAIL_PX, _BLUR_PX = 6.0, 1.0
_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-4)
_BLOCK_ROWS, _BLOCK_COLUMNS = 64, 8192
"""Pairs that are looked at at once: 4 MB, which stay in the processor's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """Two slides that show the same tissue."""

    one: str
    other: str
    distance_bits: int
    """Bits of the hashes that differ, of 63."""
    correlation: float
    """Of the aligned overviews' details, in [-1, 1]."""


def hash_picture(rgb: np.ndarray) -> bytes:
    """Hash an overview, RGB uint8 (y, x, 3): 8 bytes of bits, 256 of its sketch; 0.5 ms.

    Empty where it shows no tissue.
    """
    tissue = _tissue(rgb)
    if np.count_nonzero(tissue) < _MIN_TISSUE_PX:
        return NOTHING_TO_TELL
    small = _centred(rgb, tissue, _HASH_PX).astype(np.float32)
    waves = cv2.dct(small)[:_BITS, :_BITS].ravel()[1:]
    bits = np.packbits(np.append(waves > np.median(waves), False))
    return bits.tobytes() + _centred(rgb, tissue, _SKETCH_PX).tobytes()


def near_pairs(hashes: Sequence[bytes], groups: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """Pairs of different groups whose hashes and sketches are alike: indices, bits that differ.

    None of the hashes is empty. All pairs across groups are looked at, 64 bits each.
    """
    words = np.array([one[:8] for one in hashes], "S8").view(np.uint64) if hashes else np.empty(0)
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        places[group].append(place)
    for one, other in combinations(sorted(places), 2):
        rows, columns = np.array(places[one]), np.array(places[other])
        for i, j, bits in _near(words[rows], words[columns]):
            pair = int(rows[i]), int(columns[j])
            if _sketches_correlate(hashes[pair[0]], hashes[pair[1]]):
                yield min(pair), max(pair), bits


def confirm(one: np.ndarray, other: np.ndarray) -> float | None:
    """Correlate the details of two overviews once aligned, 20 ms; None: not the same tissue."""
    masks = [_tissue(rgb) for rgb in (one, other)]
    if not all(mask.any() for mask in masks):
        return None
    pairs = zip((one, other), masks, strict=True)
    pictures = [_centred(rgb, mask, _ALIGN_PX) for rgb, mask in pairs]
    warp = np.eye(2, 3, dtype=np.float32)
    try:
        _, found = cv2.findTransformECC(
            pictures[0], pictures[1], warp, cv2.MOTION_AFFINE, _STEPS, _everywhere(pictures[1]), 5
        )
    except cv2.error:  # it finds nothing that they share
        return None
    warp = np.asarray(found, np.float32)
    flags = cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(pictures[1], warp, pictures[1].shape, flags=flags | cv2.INTER_LINEAR)
    inside = cv2.warpAffine(
        _everywhere(pictures[1]), warp, pictures[1].shape, flags=flags | cv2.INTER_NEAREST
    )
    details = [_details(picture)[inside > 0] for picture in (pictures[0], moved)]
    correlation = _correlation(*details)
    return correlation if correlation >= MIN_DETAIL else None


def _everywhere(picture: np.ndarray) -> np.ndarray:
    return np.full_like(picture, 255)


def _near(one: np.ndarray, other: np.ndarray) -> Iterator[tuple[int, int, int]]:
    for top in range(0, len(one), _BLOCK_ROWS):
        rows = one[top : top + _BLOCK_ROWS, None]
        for left in range(0, len(other), _BLOCK_COLUMNS):
            differ = np.bitwise_count(rows ^ other[None, left : left + _BLOCK_COLUMNS])
            for flat in np.flatnonzero(differ <= MAX_BITS):
                i, j = divmod(int(flat), differ.shape[1])
                yield top + i, left + j, int(differ[i, j])


def _sketches_correlate(one: bytes, other: bytes) -> bool:
    sketches = [np.frombuffer(data, np.uint8, offset=8).astype(np.float32) for data in (one, other)]
    return _correlation(*sketches) >= MIN_SKETCH


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's; 0 where one of them is even, or there is nothing."""
    if not one.size:
        return 0.0
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / size if size else 0.0


def _tissue(rgb: np.ndarray) -> np.ndarray:
    """Where there is colour: uint8 (y, x), 0 elsewhere."""
    red, green, blue = cv2.split(rgb)  # numpy's max over an axis of three takes 15 times as long
    brightest, darkest = (of(of(red, green), blue) for of in (cv2.max, cv2.min))
    saturation = cv2.GaussianBlur(cv2.subtract(brightest, darkest), (5, 5), 0)
    level, _ = cv2.threshold(saturation, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return np.asarray(saturation > max(level, _MIN_SATURATION), np.uint8)


def _centred(rgb: np.ndarray, tissue: np.ndarray, side_px: int) -> np.ndarray:
    """Grey picture of the tissue, its middle in the middle, as wide and high as it is spread."""
    shape = cv2.moments(tissue, binaryImage=True)
    area = shape["m00"]
    middle = shape["m10"] / area, shape["m01"] / area
    half = [max(1.0, _SPREAD * (shape[axis] / area) ** 0.5) for axis in ("mu20", "mu02")]
    step = [2 * one / side_px for one in half]
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    if max(half) * 2 > side_px:
        grey = cv2.GaussianBlur(grey, (0, 0), max(half) / side_px)
    place = np.array([[step[0], 0, middle[0] - half[0]], [0, step[1], middle[1] - half[1]]])
    return np.asarray(
        cv2.warpAffine(
            grey, place, (side_px, side_px), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT, borderValue=_GLASS,
        )
    )  # fmt: skip


def _details(picture: np.ndarray) -> np.ndarray:
    """What is smaller than a twentieth of the tissue, float32: outlines say little."""
    smooth = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), _BLUR_PX)
    return np.asarray(smooth - cv2.GaussianBlur(smooth, (0, 0), _DETAIL_PX))
