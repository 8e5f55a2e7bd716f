import threading

import numpy as np
import pytest

from pathassets.engine.workers.buffers import MOST_KEPT, Buffers


@pytest.mark.parametrize(
    "view_of",
    [
        lambda array: array,
        lambda array: array[1],
        lambda array: array[:, 1:3].T,
        lambda array: array[1:][0],
        memoryview,
        lambda array: array.reshape(-1).view(np.int8)[3:],
        lambda array: [array],
        lambda array: np.lib.stride_tricks.sliding_window_view(array, 2, axis=0),
        lambda array: lambda: array,
    ],
)
def test_an_array_is_not_given_away_while_anyone_holds_it_or_a_view(view_of) -> None:
    buffers = Buffers()
    array = buffers.take(3, 4)
    array[:] = 7
    held = view_of(array)
    del array
    for _ in range(3):
        buffers.take(3, 4)[:] = 9
    del held
    values = {int(buffers._arrays[0][0, 0])}
    assert values == {7}
    assert int(buffers.take(3, 4)[0, 0]) == 7  # and now it is
    assert len(buffers._arrays) == 2


def test_an_array_that_nobody_holds_is_used_again() -> None:
    buffers = Buffers()
    places = {buffers.take(5, 5).__array_interface__["data"][0] for _ in range(10)}
    assert len(places) == len(buffers._arrays) == 1


def test_arrays_of_another_shape_are_of_no_use() -> None:
    buffers = Buffers()
    assert buffers.take(5, 5).shape == (5, 5)
    assert buffers.take(25).shape == (25,)
    assert len(buffers._arrays) == 2


def test_who_keeps_very_many_arrays_keeps_them_and_no_list_of_them_grows() -> None:
    buffers = Buffers()
    kept = []
    for value in range(1000):
        kept.append(buffers.take(2, 3))
        kept[-1][:] = value % 251
    assert len(buffers._arrays) == MOST_KEPT
    assert all((array == value % 251).all() for value, array in enumerate(kept))
    last = kept[-1]
    del kept
    again = buffers.take(2, 3)
    assert again is not last
    assert len(buffers._arrays) == MOST_KEPT


def test_an_array_that_another_thread_lets_go_is_used_again() -> None:
    buffers = Buffers()
    held = [buffers.take(4), buffers.take(4)]
    assert len(buffers._arrays) == 2
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    taken = [buffers.take(4), buffers.take(4)]
    assert len(buffers._arrays) == 2
    assert taken[0] is not taken[1]
