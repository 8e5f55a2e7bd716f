import pickle

from pathassets.engine.workers.progress import Tally


def test_what_workers_note_is_one_count_when_it_is_over_whatever_was_seen_meanwhile():
    told = []
    with Tally(3, told.append) as tally:
        places = [pickle.loads(pickle.dumps(tally.place(i))) for i in range(3)]  # noqa: S301
        places[0].note(5)
        places[2].note(700)
        places[2].note(2**40)
    assert sum(told) == 5 + 2**40
    places[0].note(9)  # the file is gone: nobody is told, and nothing fails


def test_a_count_that_shrinks_takes_nothing_back():
    told = []
    with Tally(1, told.append) as tally:
        tally.place(0).note(4)
        tally._look()
        tally.place(0).note(1)
    assert told == [4]
