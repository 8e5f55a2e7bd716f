"""Features that another tool left, the slide, and what an entry asks for -> why not to take them.

Everything is looked at that the files tell: a reason names what was seen, what it should be, and
where. What none of them tells stays the word of who imports: of weights, where not both file and
entry have their SHA-256.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pathassets.core.exchange.bags import SlideFacts
from pathassets.core.exchange.encoder_names import our_name
from pathassets.core.exchange.found import FoundFeatures

FLOATS = ("float16", "float32", "bfloat16")
MAX_COLUMNS = 65_536
"""Numbers of a row: the longest of a published encoder has 3,072."""
WHOLE_PX0 = 0.01
"""How far a level-0 pixel's number may be from a whole one."""
SAME_MPP = 0.01
"""Share by which two statements of a slide's resolution may differ."""
NEAR_PX0 = 0.5
"""How far a corner may lie from a whole level-0 pixel, in pixels, beyond its number's precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an entry of the recipe asks of features."""

    encoder: str
    dim: int | None
    """Numbers of a row; None where only the open model can tell."""
    patch_px: int
    mpp: float
    """Micrometres per pixel of the patches."""
    side_px0: int
    """Side of a patch on this slide, in level-0 pixels."""
    is_within: bool
    """Whether patches that reach beyond the slide are left out."""
    weights_sha256: str = ""
    """Of the encoder's weights; empty where it has none, or only the open model can tell."""
    max_off_px0: float = 1.0
    """How far a side may be from the one that is asked for, in level-0 pixels; less than that."""
    bad_boxes_px0: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    """float64 (k, 4): parts of level 0 that are known to be damaged."""


def faults_of(found: FoundFeatures, slide: SlideFacts, asked: Asked) -> Iterator[str]:
    """Why features are not taken, by all that can be seen without reading their rows."""
    yield from _whose(found, slide)
    yield from _what(found, asked)
    side_px0 = found.side_on(slide)
    if side_px0 is None:
        yield (
            "nothing tells how large the patches are: name the folder of patches that they were "
            "made from, --patches"
        )
        return
    yield from _size(side_px0, slide, asked)
    yield from _places(found.corners_on(slide.mpp), side_px0, slide, asked)


def _whose(found: FoundFeatures, slide: SlideFacts) -> Iterator[str]:
    """Whether the files speak of another slide."""
    if found.slide_sha256 and found.slide_sha256 != slide.sha256:
        yield (
            f"the file says it is of the slide with SHA-256 {found.slide_sha256[:12]}…, "
            f"{slide.slide_id} has {slide.sha256[:12]}…"
        )
    said = found.slide_size_px0
    if said is not None and said != (slide.width_px0, slide.height_px0):
        yield (
            f"the file says the slide has {said[0]} x {said[1]} px, it has "
            f"{slide.width_px0} x {slide.height_px0}: another slide, or another image of it"
        )
    if found.slide_mpp is not None and abs(found.slide_mpp / slide.mpp - 1) > SAME_MPP:
        yield (
            f"the tool took the slide for {found.slide_mpp:g} um per pixel, in force are "
            f"{slide.mpp:g}"
        )


def _what(found: FoundFeatures, asked: Asked) -> Iterator[str]:
    if found.n_rows != len(found.corners):
        yield f"{found.n_rows} rows of features for {len(found.corners)} coordinates"
    if found.unit == "px0":
        is_between = np.any(np.abs(found.corners - np.rint(found.corners)) > WHOLE_PX0, axis=1)
        if is_between.any():
            yield f"coordinates {_rows(is_between)} are no whole level-0 pixels"
    if found.dtype not in FLOATS:
        yield f"features are {found.dtype}, not float16 or float32"
    if found.n_columns > MAX_COLUMNS:
        yield f"rows have {found.n_columns} numbers, more than {MAX_COLUMNS}"
    elif asked.dim is not None and found.n_columns != asked.dim:
        yield f"rows have {found.n_columns} numbers, {asked.encoder} has {asked.dim}"
    yield from _whose_encoder(found, asked)


def _whose_encoder(found: FoundFeatures, asked: Asked) -> Iterator[str]:
    """Whether they were made by another encoder, or with other weights."""
    if found.encoder and our_name(found.encoder) != asked.encoder:
        yield f"they were made by {found.encoder}, the entry asks for {asked.encoder}"
    if are_other_weights(found, asked.weights_sha256):
        yield (
            f"they were made with weights of SHA-256 {found.weights_sha256[:12]}…, the entry's "
            f"have {asked.weights_sha256[:12]}…: give it the file that they were made with, if "
            "these are the same weights"
        )


def are_other_weights(found: FoundFeatures, sha256: str) -> bool:
    """Whether both are known, and are not the same bytes."""
    return bool(found.weights_sha256 and sha256) and (
        found.weights_sha256.lower() != sha256.lower()
    )


def _size(side_px0: float, slide: SlideFacts, asked: Asked) -> Iterator[str]:
    off_px0 = abs(side_px0 - asked.side_px0)
    if off_px0 >= asked.max_off_px0:
        yield (
            f"patches cover {side_px0:g} level-0 px ({side_px0 * slide.mpp:.2f} um), the entry "
            f"asks for {asked.side_px0} px ({asked.side_px0 * slide.mpp:.2f} um)"
        )


def _places(corners: np.ndarray, side_px0: float, slide: SlideFacts, asked: Asked) -> Iterator[str]:
    """Whether patches lie on the slide, each once, none on what is damaged."""
    is_odd = ~np.isfinite(corners).all(axis=1)
    if is_odd.any():
        yield f"coordinates {_rows(is_odd)} are no numbers"
        return
    boxes = np.concatenate([corners, corners + side_px0], axis=1)
    size = np.array([slide.width_px0, slide.height_px0])
    reach = boxes[:, 2:] if asked.is_within else boxes[:, :2] + 1
    is_out = np.any(boxes[:, :2] < -NEAR_PX0, axis=1) | np.any(reach > size + NEAR_PX0, axis=1)
    if is_out.any():
        row = int(np.flatnonzero(is_out)[0])
        yield (
            f"coordinates {_rows(is_out)} lie beyond the slide: row {row} is at "
            f"({boxes[row, 0]:g}, {boxes[row, 1]:g}) to ({boxes[row, 2]:g}, {boxes[row, 3]:g}), "
            f"the slide has {slide.width_px0} x {slide.height_px0} px"
        )
    _, first, counts = np.unique(np.rint(corners), axis=0, return_index=True, return_counts=True)
    if (counts > 1).any():
        row = int(first[counts > 1].min())
        yield (
            f"{int((counts - 1).sum())} coordinates are there more than once, the first is "
            f"({corners[row, 0]:g}, {corners[row, 1]:g})"
        )
    is_bad = touching(boxes, asked.bad_boxes_px0)
    if is_bad.any():
        yield (
            f"{int(is_bad.sum())} patches lie on tiles that cannot be read, rows {_rows(is_bad)}: "
            "what the tool saw there is not known"
        )


def touching(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which boxes (n, 4) overlap any of others (k, 4): bool (n,).

    >>> touching(np.array([[0, 0, 4, 4], [9, 9, 12, 12]]), np.array([[3, 3, 5, 5]])).tolist()
    [True, False]
    """
    found = np.zeros(len(boxes), bool)
    for x0, y0, x1, y1 in others.tolist():
        is_beside = (boxes[:, 0] >= x1) | (boxes[:, 2] <= x0)
        is_above = (boxes[:, 1] >= y1) | (boxes[:, 3] <= y0)
        found |= ~(is_beside | is_above)
    return found


def _rows(is_bad: Any, most: int = 3) -> str:
    """Numbers of a few rows."""
    rows = np.flatnonzero(is_bad).tolist()
    more = f" and {len(rows) - most} more" if len(rows) > most else ""
    return ", ".join(map(str, rows[:most])) + more


def fault_of_rows(rows: np.ndarray, start: int) -> str:
    """Why some rows are no features: empty where they are; `start` is the number of the first."""
    is_bad = ~np.isfinite(rows).all(axis=1)
    if not is_bad.any():
        return ""
    return f"row {start + int(np.flatnonzero(is_bad)[0])} has NaN or infinity"
