from dataclasses import replace

import pytest

from pathassets.core.slides.bad_tiles import BadTilePolicy, BadTiles
from pathassets.core.slides.tiles import TileFault
from pathassets.errors import TileUnreadable

SKIP_ALL = BadTilePolicy(bad_tiles="skip", max_bad_tile_share=1.0)
FAULT = TileFault(
    level=0, tile=3, x_px=48, y_px=0, width_px=16, height_px=16,
    reason="missing", message="byte count 0",
)  # fmt: skip


def at(x_px: int, y_px: int, level: int = 0) -> TileFault:
    return replace(FAULT, x_px=x_px, y_px=y_px, level=level)


def test_a_fault_is_fatal_unless_the_policy_says_otherwise() -> None:
    bad_tiles = BadTiles(n_tiles=10**6)
    with pytest.raises(TileUnreadable, match=r"^s.svs: level 0, tile 3 at \(48, 0\)") as caught:
        bad_tiles.enter(FAULT, BadTilePolicy(), "s.svs")
    assert caught.value.remedy
    assert bad_tiles.in_order() == [FAULT]


def test_a_tile_that_is_met_again_is_one_fault() -> None:
    bad_tiles = BadTiles(n_tiles=4)
    policy = BadTilePolicy(bad_tiles="skip", max_bad_tile_share=0.25)
    for _ in range(3):
        bad_tiles.enter(at(0, 0), policy, "s.svs")
    with pytest.raises(TileUnreadable, match=r"more than 25\.00% of the 4 tiles"):
        bad_tiles.enter(at(16, 0), policy, "s.svs")


@pytest.mark.parametrize("n_tiles", [3, 7, 100, 999])
def test_a_share_of_exactly_the_bound_passes_whatever_floats_make_of_it(n_tiles) -> None:
    for n_bad in range(1, min(n_tiles, 60)):
        bad_tiles = BadTiles(n_tiles=n_tiles)
        policy = BadTilePolicy(bad_tiles="skip", max_bad_tile_share=n_bad / n_tiles)
        for i in range(n_bad):
            bad_tiles.enter(at(16 * i, 0), policy, "s.svs")
        with pytest.raises(TileUnreadable) as caught:
            bad_tiles.enter(at(16 * n_bad, 0), policy, "s.svs")
        assert "the first is level 0, tile 3 at (0, 0)" in caught.value.message
        assert "max_bad_tile_share" in caught.value.remedy


def test_faults_are_listed_level_by_level_and_row_by_row() -> None:
    bad_tiles = BadTiles(n_tiles=9)
    faults = [at(16, 0, 1), at(0, 16), at(32, 0), at(0, 0, 1), at(0, 0)]
    for fault in faults:
        bad_tiles.enter(fault, SKIP_ALL, "s.svs")
    assert bad_tiles.in_order() == [at(0, 0), at(32, 0), at(0, 16), at(0, 0, 1), at(16, 0, 1)]
    facts = bad_tiles.facts()
    assert facts["n_bad_tiles"] == 5
    assert facts["bad_tiles"][1] == {
        "level": 0, "tile": 3, "x_px": 32, "y_px": 0, "width_px": 16, "height_px": 16,
        "reason": "missing", "message": "byte count 0",
    }  # fmt: skip


def test_a_ledger_without_faults_says_so() -> None:
    assert BadTiles(n_tiles=5).facts() == {"n_bad_tiles": 0, "bad_tiles": []}
