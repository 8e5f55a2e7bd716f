import threading
import time
from collections.abc import Callable

import pytest

from pathassets.engine.workers.prefetch import (
    MOST_HELD,
    Exhausted,
    NothingReady,
    Prefetcher,
    one_ahead,
)


class Source:
    """Gives numbers of so many bytes each; notes how far it came and that it was closed."""

    def __init__(self, n: int, n_bytes: int, error: BaseException | None = None) -> None:
        self.n, self.n_bytes, self.error = n, n_bytes, error
        self.n_made, self.is_closed = 0, False

    def items(self):
        try:
            for i in range(self.n):
                self.n_made = i + 1
                yield i, self.n_bytes
            if self.error:
                raise self.error
        finally:
            self.is_closed = True


def feed_of(source: Source, *, waiting_bytes: int = 1000, memory_threshold=None) -> Prefetcher:
    return Prefetcher(
        source.items(), waiting_bytes=waiting_bytes, memory_threshold=memory_threshold
    )


def settled(source: Source, n: int) -> int:
    """How far it comes when nobody takes anything: to `n`, and a little later no further."""
    while source.n_made < n:
        time.sleep(0.001)
    before = -1
    while before != source.n_made:
        before = source.n_made
        time.sleep(0.15)
    return before


@pytest.fixture
def feeds() -> Callable[[], list[threading.Thread]]:
    """Threads that feed, but for those that other tests of this process have left."""
    before = set(threading.enumerate())
    return lambda: [t for t in threading.enumerate() if t.name == "feed" and t not in before]


def test_items_come_in_order_and_then_it_is_over_for_good(feeds):
    feed = feed_of(Source(500, 100))
    for i in range(500):
        item, n_bytes = feed.take()
        assert item == i
        feed.give_back(n_bytes)
    for _ in range(2):
        with pytest.raises(Exhausted):
            feed.take()
    feed.close()
    assert feeds() == []


@pytest.mark.parametrize("error", [ValueError("it broke"), KeyboardInterrupt("it broke")])
def test_what_breaks_the_source_comes_after_all_that_came_before(error):
    feed = feed_of(Source(3, 1, error))
    assert [feed.take()[0] for _ in range(3)] == [0, 1, 2]
    for _ in range(2):
        with pytest.raises(type(error), match="it broke"):
            feed.take()
    feed.close()


def test_who_waits_for_an_item_hears_that_the_source_breaks():
    def slow():
        time.sleep(0.1)
        raise ValueError("late")
        yield 0, 0

    feed = Prefetcher(slow(), waiting_bytes=1, memory_threshold=None)
    with pytest.raises(ValueError, match="late"):
        feed.take(20)
    feed.close()


def test_what_was_taken_counts_until_it_is_given_back():
    source = Source(100, 100)
    feed = feed_of(source)
    assert feed.take()[0] == 0
    assert settled(source, 11) == 11  # ten are held or taken, and one waits for room
    feed.give_back(100)
    assert settled(source, 12) == 12
    feed.close()
    assert source.is_closed


def test_items_without_bytes_do_not_pile_up():
    source = Source(100_000, 0)
    feed = feed_of(source)
    feed.take()
    assert settled(source, 2) <= MOST_HELD + 2
    feed.close()


def test_an_item_larger_than_the_bound_passes_alone():
    source = Source(5, 10**9)
    feed = feed_of(source)
    for i in range(5):
        assert feed.take()[0] == i
        assert source.n_made <= i + 2
        feed.give_back(10**9)
    feed.close()


def test_where_memory_is_short_one_item_waits_at_a_time():
    source = Source(50, 1)
    feed = feed_of(source, memory_threshold=0.0)  # no machine has all its memory free
    for i in range(3):
        assert feed.take()[0] == i
        assert settled(source, i + 2) == i + 2
        feed.give_back(1)
    feed.close()


def test_closing_frees_a_source_that_waits_for_room_and_one_that_never_began(feeds):
    source = Source(100, 1000)
    feed = feed_of(source)
    feed.take()
    settled(source, 2)
    feed.close()
    feed.close()
    assert source.is_closed
    assert feeds() == []
    feed_of(Source(1, 1)).close()


def test_only_an_idle_source_starves_its_taker():
    goes_on = threading.Event()

    def items():
        feed.is_idle = True
        goes_on.wait(20)
        feed.is_idle = False
        time.sleep(0.1)
        yield "x", 1

    feed = Prefetcher(items(), waiting_bytes=1, memory_threshold=None)
    with pytest.raises(NothingReady):
        feed.take(0.01)
    goes_on.set()
    while feed.is_idle:
        time.sleep(0.001)
    assert feed.take(0.01) == ("x", 1)
    feed.close()


def test_one_item_is_made_ahead_and_no_second_one_before_the_first_is_asked_for():
    source = Source(5, 1)
    items = one_ahead(i for i, _ in source.items())
    assert next(items) == 0
    assert settled(source, 2) == 2
    assert next(items) == 1
    assert settled(source, 3) == 3
    items.close()


def test_all_items_come_in_order_and_then_the_error_of_their_maker():
    source = Source(3, 1, error=ValueError("no more"))
    items = one_ahead(i for i, _ in source.items())
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="no more"):
        next(items)
    assert list(one_ahead(range(4))) == [0, 1, 2, 3]


def test_closing_it_ends_its_thread():
    source = Source(5, 1)
    items = one_ahead(i for i, _ in source.items())
    next(items)
    before = threading.active_count()
    items.close()
    assert threading.active_count() == before - 1
    assert source.n_made <= 2
