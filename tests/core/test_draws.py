import numpy as np

from pathassets.core.draws import below, streams_of, words_of


def test_words_are_the_ones_of_the_published_generator() -> None:
    # First numbers of SplitMix64 from state 1234567: its author's reference program.
    words = words_of(np.array([1234567], np.uint64), np.arange(3))
    assert words.tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_a_stream_depends_on_nothing_but_its_seed_and_number() -> None:
    assert streams_of(5, 3).tolist() == streams_of(5, 1000)[:3].tolist()
    assert len(set(streams_of(5, 1000).tolist() + streams_of(6, 1000).tolist())) == 2000
    assert streams_of(2**64 + 5, 3).tolist() == streams_of(5, 3).tolist()


def test_numbers_are_even_over_streams_and_within_one() -> None:
    streams = streams_of(1, 2000)
    for words in (words_of(streams, np.zeros(2000, int)), words_of(streams[:1], np.arange(2000))):
        counts = np.bincount(below(words, np.full(2000, 20)), minlength=20)
        assert ((counts - 100) ** 2 / 100).sum() < 45  # one of 1,000 is above 43.8


def test_numbers_stay_below_their_bound() -> None:
    last = np.array([2**64 - 1] * 4, np.uint64)
    bounds = np.array([1, 3, 2**40 + 1, 2**53 - 1])
    assert below(last, bounds).tolist() == (bounds - 1).tolist()
