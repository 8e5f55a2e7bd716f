"""Rows of a whole cohort, as a test wants them."""

from __future__ import annotations

from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.look import look
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.platform.standing.rows import SlideStatus, slide_rows


def rows_of(platform: Platform) -> list[SlideStatus]:
    """Where all slides stand, once the store was looked at."""
    look(platform, refresh_wanted(platform))
    return list(slide_rows(platform))
