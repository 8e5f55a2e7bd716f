"""Coordinates from elsewhere -> an object that patch extractors take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from pathassets.core import display
from pathassets.core.slides.resolution import LevelOrMpp, as_level_or_mpp
from pathassets.engine.locations.rows import PatchRows, rows_of
from pathassets.errors import SpecError

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class PatchesMock:
    """Patches whose places were found by something else: sizes may differ, and need not be square.

    `patch_data` are ((x, y) in level-0 pixels, (width, height) in pixels at `level_or_mpp`, label).
    Its object is small, and can be pickled. `param_info`, which manifests print, is `class_params`
    where they are given; else what was given here, the patches only counted.
    """

    def __init__(  # noqa: PLR0913 - the users' documents name them
        self, *,
        patch_data: Iterable[Any],
        wsi_file: str | Path,
        level_or_mpp: LevelOrMpp,
        patch_labels: Sequence[str] = (),
        check_location: bool = True,
        class_name: str | None = None,
        class_params: Mapping[str, Any] = _NOTHING,
        slide_mpp: float | None = None,
    ) -> None:  # fmt: skip
        """Check the patches and count them.

        `patch_labels` are all labels there can be: those without a patch are counted as 0, and any
        other is refused. `check_location` refuses two patches with one corner, whatever their sizes
        and labels. `slide_mpp` states micrometres per level-0 pixel.

        Raises:
            SpecError: a row is no patch, a corner is there twice, or a label is not among those.
        """
        rows = rows_of(patch_data)
        self.wsi_file = str(wsi_file)
        self.level_or_mpp = as_level_or_mpp(level_or_mpp)
        self.patch_data: Sequence[tuple[tuple[int, int], tuple[int, int], str]] = rows
        self.patch_count = len(rows)
        self.patch_info = _count(rows, patch_labels)
        self.patch_labels = sorted(set(patch_labels) or self.patch_info)
        self.class_name = class_name or type(self).__name__
        self.slide_mpp = slide_mpp
        self.param_info: dict[str, Any] = dict(class_params) or {
            "patch_data": f"{len(rows)} patches", "wsi_file": self.wsi_file,
            "level_or_mpp": self.level_or_mpp, "patch_labels": list(patch_labels),
            "check_location": check_location, "class_name": class_name, "class_params": {},
        }  # fmt: skip
        if check_location:
            _refuse_repeats(rows)

    def __len__(self) -> int:
        return self.patch_count

    def __repr__(self) -> str:
        return display.line(
            self, display.path(self.wsi_file), display.count(self.patch_count, "patch"),
            display.labels(self.patch_labels),
        )  # fmt: skip


def _count(rows: PatchRows[int], known: Sequence[str]) -> dict[str, int]:
    """Patches of each label, sorted by label; of the known ones also those without any."""
    counts = np.bincount(rows.codes, minlength=len(rows.labels)).tolist()
    found = dict.fromkeys(known, 0) | {
        label: n for label, n in zip(rows.labels, counts, strict=True) if n
    }
    if known and (foreign := sorted(found.keys() - set(known))):
        raise SpecError(
            f"patch_labels: {foreign[0]!r} of patch_data is not among them",
            remedy=f"Add it; known are {', '.join(map(repr, known))}",
        )
    return dict(sorted(found.items()))


def _refuse_repeats(rows: PatchRows[int]) -> None:
    corners = np.stack([rows.x, rows.y], axis=1)
    distinct, counts = np.unique(corners, axis=0, return_counts=True)
    if len(distinct) < len(corners):
        repeated = distinct[counts > 1]
        x, y = repeated[0].tolist()
        raise SpecError(
            f"patch_data: {len(repeated)} corners are there more than once, such as ({x}, {y})",
            remedy="Leave the repeats out, or give check_location=False where they are meant",
        )
