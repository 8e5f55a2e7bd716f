"""Tile faults -> what becomes of the slide: it fails, or goes on without what they touch.

Nothing is ever made up in place of pixels that cannot be read. A patch that touches such a tile is
left out and listed; a mask has no tissue there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic.dataclasses import dataclass as spec_dataclass

from pathassets.core import display
from pathassets.core.slides.slide import tile_error
from pathassets.core.slides.tiles import TileFault
from pathassets.core.spec import STRICT, Share
from pathassets.errors import TileUnreadable


@spec_dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class BadTilePolicy:
    """What becomes of a slide some of whose tiles cannot be read."""

    bad_tiles: Literal["fail", "skip"] = "fail"
    """`skip` goes on without what touches such a tile, and lists it."""
    max_bad_tile_share: Share = 0.01
    """With `skip`: share of the tiles that are needed beyond which the slide fails all the same."""


@dataclass(slots=True, kw_only=True)
class BadTiles:
    """What one pass over a slide could not read, and what it left out for that."""

    n_tiles: int = 0
    """Tiles that the pass needs, counted once each."""
    faults: dict[tuple[int, int, int], TileFault] = field(default_factory=dict)
    """One for each bad tile, by level, y_px and x_px."""
    is_upsampled: bool = False
    """Whether the slide has fewer pixels than was asked for, and what was read is enlarged."""
    skipped: list[int] = field(default_factory=list)
    """Indices of the locations that were left out, ascending once the pass has ended."""

    def __repr__(self) -> str:
        return display.line(
            self, display.count(self.n_tiles, "tile"), f"{len(self.faults):,} bad",
            f"{display.count(len(self.skipped), 'patch')} left out",
        )  # fmt: skip

    def enter(self, fault: TileFault, policy: BadTilePolicy, path: object) -> None:
        """Enter a fault, once.

        Raises:
            TileUnreadable: the policy lets no fault pass, or not so many.
        """
        self.faults[fault.level, fault.y_px, fault.x_px] = fault
        if policy.bad_tiles == "fail":
            raise tile_error(path, fault)
        # A quotient: 0.29 * 100 is below 29, and 29 of 100 would be more than 0.29.
        if len(self.faults) / max(1, self.n_tiles) > policy.max_bad_tile_share:
            first = next(iter(self.faults.values()))
            raise TileUnreadable(
                path,
                f"more than {policy.max_bad_tile_share:.2%} of the {self.n_tiles} tiles needed "
                f"cannot be read: the first is {first}",
                remedy="Copy or scan it again, or raise max_bad_tile_share",
            ).having(fault.facts() for fault in self.in_order())

    def in_order(self) -> list[TileFault]:
        """The faults, level by level, row by row."""
        return [self.faults[key] for key in sorted(self.faults)]

    def facts(self) -> dict[str, Any]:
        """What an artifact keeps of it."""
        return {
            "n_bad_tiles": len(self.faults),
            "bad_tiles": [fault.facts() for fault in self.in_order()],
        }
