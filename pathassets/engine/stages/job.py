"""What a stage is asked to make of a slide, and what it tells once that is made."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pathassets.adapters.opencv import preview_jpeg
from pathassets.adapters.store.partial import Partial
from pathassets.core.address import Address
from pathassets.engine.features.works import EncodingStats, SlideEncoded, SlideWork
from pathassets.engine.stages.outcomes import Step

PREVIEW = "preview.jpg"
"""Picture of an artifact, for a person to judge it by."""

Facts = dict[str, Any]
"""What a person wants to know of an artifact. They are part of it, so they hold no clock."""

R = TypeVar("R")
Asking = Generator[SlideWork, SlideEncoded, R]
"""Work that has patches encoded by whoever drives it: it yields what is to be encoded, is sent what
became of that, as often as it needs, and returns its result. It may go on in another thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageJob:
    """One step, and the folder that its files go to."""

    step: Step
    partial: Partial
    """Of the artifact that is begun."""

    @property
    def address(self) -> Address:
        """Where the artifact will be."""
        return self.step.address

    @property
    def spec(self) -> Any:
        """Of its stage's kind."""
        return self.step.entry.spec

    @property
    def weights_sha256(self) -> str:
        """Weights that decide its bytes; empty where there are none."""
        return self.step.entry.weights_sha256

    @property
    def parents(self) -> Mapping[str, Address]:
        """What it is made from, by stage."""
        return {address.stage: address for address in self.step.parents}

    @property
    def folder(self) -> Path:
        """Where its files go."""
        return self.partial.files

    def save_preview(self, rgb: np.ndarray) -> None:
        """Keep a picture, RGB uint8 (y, x, 3), beside the files."""
        (self.folder / PREVIEW).write_bytes(preview_jpeg(rgb))


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a stage tells of what it made."""

    facts: Facts
    stats: EncodingStats | None = None
    """What encoding took that made it, maybe with others; None where nothing was encoded now."""
    own_s: float = 0.0
    """What this one took of the time of those that are made together."""
