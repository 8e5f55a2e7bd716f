import pickle

from pathassets.engine.workers.progress import ProgressCounter


def test_what_workers_note_is_one_count_when_it_is_over_whatever_was_seen_meanwhile():
    told = []
    with ProgressCounter(3, told.append) as counter:
        places = [pickle.loads(pickle.dumps(counter.place(i))) for i in range(3)]  # noqa: S301
        places[0].note(5)
        places[2].note(700)
        places[2].note(2**40)
    assert sum(told) == 5 + 2**40
    places[0].note(9)  # the file is gone: nobody is told, and nothing fails


def test_a_count_that_shrinks_takes_nothing_back():
    told = []
    with ProgressCounter(1, told.append) as counter:
        counter.place(0).note(4)
        counter._report()
        counter.place(0).note(1)
    assert told == [4]
