"""What of the catalog a plan is worked out from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

Key = tuple[str, str]
"""(stage, name)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRecord:
    """One run over slides."""

    run_id: str
    began_at: datetime
    ended_at: datetime | None
    """None where it has not come to its end, or was killed."""
    encoding_at: datetime | None = None
    """When a device line had its first patch; None where none did, or nobody heard of it."""
    machine: str
    """Processor and cores."""
    device: str
    """As the GPU is called, or `cpu`."""
    n_workers: int


class SlideSize(NamedTuple):  # of 100,000 slides: a frozen dataclass takes four times as long
    """What of a slide decides how long it takes."""

    slide_id: str
    codec: str
    """Of level 0; the format's name where that is not known."""
    area_px0: int
    """Pixels of level 0."""
    mpp: float | None
    """Micrometres per level-0 pixel in force."""
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredStep:
    """One artifact that a run made."""

    run_id: str
    slide: SlideSize
    key: Key
    seconds: float
    at: datetime
    """When all of its slide was done."""
    spec: Mapping[str, Any]
    facts: Mapping[str, Any]
    size_bytes: int
    """Of its files."""


class OpenStep(NamedTuple):  # the same
    """One artifact that is wanted of a slide and not current."""

    slide_id: str
    key: Key
    state: str
    reason: str
    """Code of a failure or of damage, or empty."""
    is_final: bool
    lacks: str
    """Annotations without which it cannot be made; mostly empty."""
