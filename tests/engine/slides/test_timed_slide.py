import threading
import time

import numpy as np
import pytest

from pathassets.core.slides.tiles import TileDamaged
from pathassets.engine.slides.timed_slide import TimedSlide
from tests.core.formula_slide import FormulaSlide


class Slow:
    """The tiles of a slide, each 20 ms late."""

    def __init__(self, source) -> None:
        self._source = source
        self.grid, self.can_shrink = source.grid, source.can_shrink

    def read(self, tile, *, shrink=1, out=None):
        time.sleep(0.02)
        return self._source.read(tile, shrink=shrink, out=out)


class SlowSlide(FormulaSlide):
    def tiles(self, level):
        return Slow(super().tiles(level))


def slide_of(**changes) -> SlowSlide:
    return SlowSlide(256, 256, tile_px=(64, 64), **changes)


def test_tiles_are_those_of_the_slide():
    slide = slide_of()
    timed, plain = TimedSlide(slide).tiles(0), slide.tiles(0)
    assert (timed.grid, timed.can_shrink) == (plain.grid, plain.can_shrink)
    out = np.empty_like(plain.read(3))
    assert np.array_equal(timed.read(3, out=out), plain.read(3))


def test_the_time_of_all_threads_is_added_up():
    timed = TimedSlide(slide_of())
    source = timed.tiles(0)
    threads = [threading.Thread(target=source.read, args=(i,)) for i in range(8)]
    started_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall_s = time.perf_counter() - started_s
    assert 8 * 0.02 <= timed.reading_s <= 8 * wall_s


def test_a_tile_that_cannot_be_read_took_its_time_too():
    timed = TimedSlide(slide_of(damaged={0: {2}}))
    with pytest.raises(TileDamaged):
        timed.tiles(0).read(2)
    assert timed.reading_s >= 0.02


def test_closing_it_closes_the_slide():
    slide = slide_of()
    timed = TimedSlide(slide)
    assert (timed.path, timed.info) == (slide.path, slide.info)
    timed.close()
    assert slide.is_closed
