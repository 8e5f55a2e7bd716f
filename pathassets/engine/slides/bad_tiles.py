"""Bad tiles of a part of a slide's locations -> judged by what all of them need.

Who goes on where an earlier reading stopped reads fewer tiles, and may skip no larger a share.
"""

from __future__ import annotations

from dataclasses import dataclass

from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches.read_plan import ReadSpec, lay_raster, plan_pass, plan_read
from pathassets.core.slides.bad_tiles import BadTilePolicy, BadTiles
from pathassets.core.slides.slide import Slide
from pathassets.core.slides.tiles import TileFault


@dataclass(slots=True, kw_only=True)
class BadTilesOfAll(BadTiles):
    """The bad tiles of a reading that may be of a part only."""

    n_whole: int = 0
    """Tiles that all locations need."""

    def plan(self, slide: Slide, locations: PatchLocations, spec: ReadSpec) -> None:
        """Count the tiles of all locations."""
        read = plan_read(locations, slide.info.level_downsamples, fast=spec.fast)
        raster = lay_raster(locations, slide.info, read, slide.tiles(read.level))
        plan = plan_pass(raster, slice(0, len(locations)))
        self.n_whole, self.is_upsampled = len(plan.tiles), read.is_upsampled

    def enter(self, fault: TileFault, policy: BadTilePolicy, path: object) -> None:
        """Enter a fault, once."""
        self.n_tiles = self.n_whole
        BadTiles.enter(self, fault, policy, path)

    def plain(self) -> BadTiles:
        """The same, as the bad tiles of the whole."""
        return BadTiles(
            n_tiles=self.n_tiles, faults=self.faults, is_upsampled=self.is_upsampled,
            skipped=self.skipped,
        )  # fmt: skip
