"""A file whose slide was taken out for good -> the error that keeps it out."""

from __future__ import annotations

from pathlib import Path

from pathassets.engine.platform.platform import Platform
from pathassets.errors import SlideError


def refuse_forgotten(platform: Platform, path: Path, fingerprint: str) -> SlideError | None:
    """The error of a file whose slide was taken out; None where it was not."""
    for one in platform.catalog.forgotten():
        if one.has_content(fingerprint):
            return SlideError(
                path,
                f"its slide was taken out on {one.forgotten_at:%Y-%m-%d} by {one.who}",
                remedy="Move the file away; docs/upkeep.md says how a slide is let in again",
                reason="slide_forgotten",
            )
    return None
