"""Measures of slides -> what of each is unlike the others, in words to filter by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pathassets.core.tissue.appearance import blurred_ones, odd_colours
from pathassets.engine.platform.cohort_page.kept import Measures
from pathassets.engine.platform.cohort_page.rows import PageRow

NO_TISSUE, NO_PATCHES, BAD_TILES = "no tissue", "no patches", "bad tiles"
BLURRED, ODD_COLOUR = "out of focus", "odd colour"


def oddities_of(
    rows: Iterable[PageRow], measures: Mapping[str, Measures]
) -> Mapping[str, tuple[str, ...]]:
    """What is odd of each slide, among these slides; of most there is nothing."""
    sharp = {one: m.focus for one, m in measures.items() if m.focus is not None}
    coloured = {one: m.colour for one, m in measures.items() if m.colour is not None}
    blurred = {
        one for one, is_it in zip(sharp, blurred_ones([*sharp.values()]), strict=True) if is_it
    }
    odd = {
        one for one, is_it in zip(coloured, odd_colours([*coloured.values()]), strict=True) if is_it
    }
    found = {}
    for row in rows:
        said = {
            NO_TISSUE: row.tissue_mm2 == 0,
            NO_PATCHES: row.n_patches == 0 and row.tissue_mm2 != 0,
            BAD_TILES: row.n_bad_tiles > 0,
            BLURRED: row.slide_id in blurred,
            ODD_COLOUR: row.slide_id in odd,
        }
        found[row.slide_id] = tuple(word for word, is_so in said.items() if is_so)
    return found
