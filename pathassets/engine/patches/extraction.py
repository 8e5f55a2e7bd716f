"""One slide's patch locations -> ExtractionJob: what is to be read of it, as arrays.

    patches object ─▶ ExtractionJob ─▶ set_reader ─▶ ReadSets
    (a location class,  (picklable)
     a PatchesMock, or any
     object of that kind)

What the in-memory and the to-disk extractors share, and their pools: a worker process is given a
job, or a part of one, and reads it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, get_args

import numpy as np

from pathassets.core import display
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches.names import resolution_part
from pathassets.core.slides.resolution import LevelOrMpp, as_level_or_mpp
from pathassets.engine.slides.remote.reopening import SlideSource
from pathassets.errors import SpecError

logger = logging.getLogger(__name__)

ResamplingMode = Literal["tile", "wsi"]


class Patches(Protocol):
    """What extractors need of an object with patch locations.

    One that has `locations` (`core.locations.PatchLocations`) as well spares the way through lists,
    and one that has `slide_mpp` states the slide's own resolution.
    """

    wsi_file: str
    patch_data: Sequence[tuple[tuple[int, int], tuple[int, int], str]]
    """((x, y) in level-0 pixels, (width, height) in pixels at `level_or_mpp`, label)."""
    level_or_mpp: LevelOrMpp
    class_name: str
    param_info: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionSpec:
    """How patches are to be read. Validated when it is made.

    Raises:
        SpecError: labels are both included and excluded, or there is no such mode or resolution.
    """

    levels_or_mpps: tuple[LevelOrMpp, ...] | None = None
    """Resolutions of a patch set, around a shared centre; None for patches where they lie."""
    resampling_mode: ResamplingMode | None = None
    """None reads stored levels alone; `tile` resamples each patch by itself; `wsi` as if the whole
    slide had been resampled first, so that neighbours have no seam."""
    included_labels: tuple[str, ...] = ()
    excluded_labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.included_labels and self.excluded_labels:
            raise SpecError(
                "extraction: labels are both included and excluded", remedy="Give one of the two"
            )
        if self.resampling_mode not in {None, *get_args(ResamplingMode)}:
            raise SpecError(
                f"extraction: no resampling_mode {self.resampling_mode!r}",
                remedy="Give None, 'tile' or 'wsi'",
            )
        if self.levels_or_mpps is not None:
            asked = tuple(as_level_or_mpp(value) for value in self.levels_or_mpps)
            if not asked:
                raise SpecError(
                    "extraction: levels_or_mpps is empty", remedy="Name one resolution or more"
                )
            object.__setattr__(self, "levels_or_mpps", asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionJob:
    """What is to be read of one slide. Picklable; it holds no pixels."""

    wsi_file: str
    slide_mpp: float | None
    """Micrometres per level-0 pixel, where someone stated it."""
    level_or_mpp: LevelOrMpp
    """What the sizes of the patches mean."""
    levels_or_mpps: tuple[LevelOrMpp, ...]
    """What is read, in this order; `(level_or_mpp,)` where `is_set` is False."""
    is_set: bool
    """Whether patches are moved so that all resolutions share the centre of the first place."""
    resampling_mode: ResamplingMode | None
    x_px0: np.ndarray
    """int64 (n,): of the patches that are left after filtering by label."""
    y_px0: np.ndarray
    width_px: np.ndarray
    """int64 (n,): in pixels at the resolution."""
    height_px: np.ndarray
    labels: tuple[str, ...]
    label_codes: np.ndarray
    """int32 (n,): place of each one's label in `labels`."""
    index: np.ndarray
    """int64 (n,): place of each among all patches of the object, before filtering."""

    def __len__(self) -> int:
        return len(self.x_px0)

    @property
    def source(self) -> SlideSource:
        """What its slide is opened by."""
        return SlideSource(self.wsi_file, self.slide_mpp)

    @property
    def name(self) -> str:
        """What errors call it."""
        return self.wsi_file

    @property
    def n_resolutions(self) -> int:
        """Patches of a set."""
        return len(self.levels_or_mpps)

    @property
    def patch_bytes(self) -> int:
        """Of the pixels of one patch, at one resolution."""
        return 3 * self.slot_px**2

    def cut(self, squares: slice) -> ExtractionJob:
        """Consecutive patches of it, as a job."""
        return replace(
            self, x_px0=self.x_px0[squares], y_px0=self.y_px0[squares],
            width_px=self.width_px[squares], height_px=self.height_px[squares],
            label_codes=self.label_codes[squares], index=self.index[squares],
        )  # fmt: skip

    @property
    def slide_id(self) -> str:
        """File name without its last extension: what names of files begin with."""
        return _stem_of(self.wsi_file)

    def __repr__(self) -> str:
        return display.line(self, *self.facts())

    def facts(self) -> tuple[str, ...]:
        """What a person wants to know of it."""
        values = self.levels_or_mpps
        at = [resolution_part(value) for value in values[: display.N_LABELS]]
        at += ["…"] * (len(values) > len(at))
        n = display.count(len(self), self.unit)
        return display.path(self.wsi_file), n, f"at {' '.join(at)}"

    @property
    def unit(self) -> str:
        """What is read: patches, or sets of them."""
        return "set" if self.is_set else "patch"

    @property
    def patch_data(self) -> list[tuple[tuple[int, int], tuple[int, int], str]]:
        """((x, y) in level-0 pixels, (width, height), label) of each."""
        corners = zip(self.x_px0.tolist(), self.y_px0.tolist(), strict=True)
        sizes = zip(self.width_px.tolist(), self.height_px.tolist(), strict=True)
        labels = [self.labels[code] for code in self.label_codes.tolist()]
        return list(zip(corners, sizes, labels, strict=True))

    @property
    def patch_labels(self) -> list[str]:
        """Distinct labels of the patches, sorted."""
        return sorted({self.labels[code] for code in np.unique(self.label_codes).tolist()})

    @property
    def slot_px(self) -> int:
        """Side of the square that holds any of the patches: the longest side of all."""
        sides = [int(part.max()) for part in (self.width_px, self.height_px) if len(part)]
        return max(sides, default=1)


@lru_cache(maxsize=1024)
def _stem_of(wsi_file: str) -> str:
    return Path(wsi_file).stem


def job_of(patches: Patches, spec: ExtractionSpec) -> ExtractionJob:
    """Filter an object's patches by label and bring them into arrays.

    Raises:
        SpecError: the object is not of the kind, or a resolution is impossible.
    """
    try:
        table = _table_of(patches)
        base = as_level_or_mpp(patches.level_or_mpp)
        wsi_file = str(patches.wsi_file)
    except (AttributeError, TypeError, ValueError) as error:
        if isinstance(error, SpecError):
            raise
        raise SpecError(
            f"extraction: {patches!r:.80} has no patches: {error}",
            remedy="Give an object of a patch-location class, or a PatchesMock",
        ) from error
    kept = np.flatnonzero(_is_wanted(table.labels, spec, wsi_file)[table.label_codes])
    return ExtractionJob(
        wsi_file=wsi_file, slide_mpp=getattr(patches, "slide_mpp", None), level_or_mpp=base,
        levels_or_mpps=spec.levels_or_mpps or (base,), is_set=spec.levels_or_mpps is not None,
        resampling_mode=spec.resampling_mode,
        x_px0=table.x_px0[kept], y_px0=table.y_px0[kept],
        width_px=table.width_px[kept], height_px=table.height_px[kept],
        labels=table.labels, label_codes=table.label_codes[kept], index=kept,
    )  # fmt: skip


class _PatchTable(NamedTuple):
    """All patches of an object, as arrays (n,)."""

    x_px0: np.ndarray
    y_px0: np.ndarray
    width_px: np.ndarray
    height_px: np.ndarray
    labels: tuple[str, ...]
    label_codes: np.ndarray


def _table_of(patches: Patches) -> _PatchTable:
    locations = getattr(patches, "locations", None)
    if isinstance(locations, PatchLocations):
        side_px = np.full(len(locations), locations.patch_px, np.int64)
        codes = locations.label_codes
        return _PatchTable(
            locations.x_px0, locations.y_px0, side_px, side_px, locations.labels,
            np.zeros(len(locations), np.int32) if codes is None else codes,
        )  # fmt: skip
    rows = [(*corner, *size) for corner, size, _ in patches.patch_data]
    table = np.asarray(rows, dtype=object).reshape(-1, 4)
    numbers = table.astype(np.int64)
    if (numbers != table).any() or (numbers[:, 2:] < 1).any():
        raise ValueError("corners and sizes are whole numbers, sizes 1 or more")
    said = [str(label) for *_, label in patches.patch_data]
    labels = tuple(dict.fromkeys(said))
    code_of = {label: code for code, label in enumerate(labels)}
    codes = np.array([code_of[label] for label in said], np.int32)
    x_px0, y_px0, width_px, height_px = np.ascontiguousarray(numbers.T)
    return _PatchTable(x_px0, y_px0, width_px, height_px, labels, codes)


def _is_wanted(labels: tuple[str, ...], spec: ExtractionSpec, wsi_file: str) -> np.ndarray:
    """Which labels are read, bool (n_labels,)."""
    unknown = {*spec.included_labels, *spec.excluded_labels} - {*labels}
    if unknown and labels:
        logger.info("%s: no patch is labelled %s", wsi_file, ", ".join(sorted(unknown)))
    if spec.included_labels:
        return np.array([label in spec.included_labels for label in labels], bool)
    return np.array([label not in spec.excluded_labels for label in labels], bool)
