import os
import threading
import time
from multiprocessing import Pipe

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathassets.engine.workers import ring
from pathassets.engine.workers.ring import (
    Held,
    Outlet,
    RingShape,
    make_ring,
    map_ring,
    n_lent,
    shape_ring,
)
from pathassets.errors import PathAssetsError
from tests.engine.patch_objects import SHM, none_is_left, segments_now

SMALL = RingShape(n_slots=6, slot_bytes=100)
DIES_WITH_A_NAME = """
import os, sys
from multiprocessing.shared_memory import SharedMemory
from pathassets.engine.workers.ring import RingShape, make_ring

def die(self):
    print(self.name, os.path.exists("/dev/shm/" + self.name), flush=True)
    os.kill(os.getpid(), 9)

if sys.argv[1] == "before":
    SharedMemory.unlink = die
else:
    real = SharedMemory.unlink
    SharedMemory.unlink = lambda self: (real(self), die(self))
make_ring(RingShape(n_slots=2, slot_bytes=100))
"""


@pytest.fixture
def rings():
    """Make the two ends of a ring: the worker's outlet; the parent's memory and pipe."""
    pipes = []

    def make(shape=SMALL):
        ours, theirs = Pipe()
        pipes.extend([ours, theirs])
        memory = np.zeros((shape.n_slots, shape.slot_bytes), np.uint8)
        return Outlet(memory, theirs), memory, ours

    yield make
    for pipe in pipes:
        pipe.close()


def filled(array, value):
    array[:] = value
    return array


# ---------------------------------------------------------------------------------- its memory


def test_both_sides_see_the_same_memory_and_it_has_no_name() -> None:
    before = segments_now()
    memory, fd = make_ring(SMALL)
    assert not segments_now() - before
    other = map_ring(fd, SMALL)
    os.close(fd)
    memory[1, 7] = 42
    other[2, 99] = 43
    assert (other[1, 7], memory[2, 99]) == (42, 43)
    assert memory.shape == other.shape == (6, 100)


def test_memory_that_is_not_there_is_refused_when_it_is_asked_for() -> None:
    before, there = segments_now(), os.statvfs(SHM)
    n_bytes = there.f_blocks * there.f_frsize
    with pytest.raises(PathAssetsError, match=r"no room.*--shm-size") as info:
        make_ring(RingShape(n_slots=2, slot_bytes=n_bytes // 2 + 4096))
    assert info.value.reason == "shared_memory_missing"
    assert not segments_now() - before


@pytest.mark.parametrize("when", ["before", "after"])
def test_no_name_is_left_when_its_maker_is_killed_as_it_takes_it_away(start_python, when) -> None:
    before = segments_now()
    process = start_python(DIES_WITH_A_NAME, when)
    name, was_there = process.stdout.readline().split()
    assert was_there == str(when == "before")
    assert process.wait(30) == -9
    assert none_is_left([], before)
    assert not (SHM / name).exists()


def test_a_ring_is_smaller_where_patches_are_large_or_workers_many(monkeypatch) -> None:
    assert shape_ring(n_workers=1, patch_bytes=1).n_slots == ring.N_SLOTS
    assert shape_ring(n_workers=1, patch_bytes=1).slot_bytes == ring.SLOT_BYTES
    large = shape_ring(n_workers=1, patch_bytes=3 * ring.SLOT_BYTES)
    assert large == RingShape(n_slots=2, slot_bytes=3 * ring.SLOT_BYTES)
    room = type("Room", (), {"f_bavail": 64 * 2**20, "f_frsize": 1})  # a container's
    monkeypatch.setattr(os, "statvfs", lambda _: room)
    for n_workers, n_slots in ((1, 8), (2, 5), (4, 2), (50, 2)):
        assert shape_ring(n_workers=n_workers, patch_bytes=1).n_slots == n_slots


# ---------------------------------------------------------------------------------- its slots


def test_less_than_half_of_the_slots_are_lent_while_another_is_free(rings) -> None:
    outlet, memory, _ = rings()
    arrays = [outlet.allocate(5, 20) for _ in range(4)]
    assert [np.shares_memory(array, memory) for array in arrays] == [True, True, False, False]
    assert all(array.shape == (5, 20) and array.flags.c_contiguous for array in arrays)


def test_the_last_free_slot_is_not_lent(rings) -> None:
    outlet, memory, ours = rings()
    away = [outlet.hand_over(np.zeros(1, np.uint8)) for _ in range(5)]
    assert not np.shares_memory(outlet.allocate(9), memory)
    ours.send_bytes(bytes(away[:1]))
    assert np.shares_memory(outlet.allocate(9), memory)
    assert not np.shares_memory(outlet.allocate(9), memory)


def test_what_is_larger_than_a_slot_is_never_lent(rings) -> None:
    outlet, memory, _ = rings()
    assert not np.shares_memory(outlet.allocate(101), memory)
    assert np.shares_memory(outlet.allocate(100), memory)


def test_a_batch_in_a_slot_is_handed_over_as_it_is(rings) -> None:
    outlet, memory, _ = rings()
    batch = filled(outlet.allocate(5, 20), 7)
    slot = outlet.hand_over(batch[:3])
    assert memory[slot, :60].tolist() == [7] * 60
    assert np.shares_memory(memory[slot], batch)


@pytest.mark.parametrize(
    "odd", [lambda b: b[1:], lambda b: b[:, ::2], lambda b: b[::-1], lambda b: b.copy()]
)
def test_a_batch_elsewhere_is_copied(rings, odd) -> None:
    outlet, memory, _ = rings()
    batch = outlet.allocate(5, 20)
    batch[:] = np.arange(100).reshape(5, 20)
    said = odd(batch)
    slot = outlet.hand_over(said)
    assert not np.shares_memory(memory[slot], batch)
    assert memory[slot, : said.size].tolist() == said.ravel().tolist()


def test_a_slot_is_handed_over_once(rings) -> None:
    outlet, _, _ = rings()
    batch = outlet.allocate(100)
    assert outlet.hand_over(batch) != outlet.hand_over(batch)


def test_it_waits_for_a_slot_and_goes_on_when_one_comes_back(rings) -> None:
    outlet, memory, ours = rings()
    away = [outlet.hand_over(np.full(100, value, np.uint8)) for value in (1, 2, 3, 5, 6, 7)]
    assert sorted(away) == [0, 1, 2, 3, 4, 5]
    came = []
    thread = threading.Thread(target=lambda: came.append(outlet.hand_over(np.full(9, 4, np.uint8))))
    thread.start()
    time.sleep(0.05)
    assert not came
    assert memory[away].min(axis=1).tolist() == [1, 2, 3, 5, 6, 7]
    ours.send_bytes(bytes(away[1:2]))
    thread.join(10)
    assert came == [away[1]]
    assert memory[away[1], :9].tolist() == [4] * 9


def test_what_was_lent_and_not_handed_over_comes_back_at_the_end_of_a_part(rings) -> None:
    outlet, memory, ours = rings()
    for _ in range(50):
        kept, lost = outlet.allocate(100), outlet.allocate(100)
        assert np.shares_memory(kept, memory)
        assert np.shares_memory(lost, memory)
        ours.send_bytes(bytes([outlet.hand_over(kept)]))
        outlet.reclaim()
        outlet.give_back(outlet._pipe.recv_bytes())


@given(
    st.integers(2, 8),
    st.lists(st.tuples(st.sampled_from(["allocate", "fresh"]), st.integers(0, 5)), max_size=40),
    st.data(),
)
def test_it_never_waits_for_ever_whatever_is_handed_over_and_held(n_slots, steps, data) -> None:
    """As long as the parent copies out what it has no room to lend, and gives it back."""
    ours, theirs = Pipe()
    with ours, theirs:
        memory = np.zeros((n_slots, 100), np.uint8)
        outlet, held, begun, kept = Outlet(memory, theirs), Held(memory), [], []
        for value, (how, n_over) in enumerate(steps):
            array = outlet.allocate(100) if how == "allocate" else np.empty(100, np.uint8)
            begun.append((filled(array, value), value))
            while len(begun) > n_over:
                batch, wanted = begun.pop(data.draw(st.integers(0, len(begun) - 1)))
                slot = outlet.hand_over(batch)  # would hang here
                if held.has_room:
                    kept.append((held.lend(slot, 100)[10:], wanted))
                else:
                    kept.append((memory[slot, 10:].copy(), wanted))
                    ours.send_bytes(bytes([slot]))
            assert all((pixels == wanted).all() for pixels, wanted in kept)
            if data.draw(st.booleans()):
                del kept[data.draw(st.integers(0, len(kept))) :]
            for slot in held.returned():
                ours.send_bytes(bytes([slot]))


# ------------------------------------------------------------------------------ who looks at it


def test_a_slot_is_held_as_long_as_any_view_of_it_lives() -> None:
    memory = np.arange(600, dtype=np.uint16).astype(np.uint8).reshape(6, 100)
    held = Held(memory)
    pixels = held.lend(3, 90)
    view = pixels.reshape(3, 10, 3)[1, :4]
    assert np.shares_memory(view, memory[3])
    del pixels
    assert list(held.returned()) == []
    assert (view == memory[3, 30:42].reshape(4, 3)).all()
    del view
    assert list(held.returned()) == [3]
    assert list(held.returned()) == []


@pytest.mark.parametrize("n_slots", range(2, 9))
def test_what_is_decoded_into_and_held_leaves_two_slots_to_go_round(n_slots) -> None:
    assert n_slots - 2 * n_lent(n_slots) >= 2
    held = Held(np.zeros((n_slots, 10), np.uint8))
    arrays = []
    while held.has_room:
        arrays.append(held.lend(len(arrays), 10))
    assert len(arrays) == n_lent(n_slots)
    arrays.clear()
    assert sorted(held.returned()) == list(range(n_lent(n_slots)))
    assert held.has_room == (n_slots > 3)


def test_what_is_held_outlives_the_memorys_maker() -> None:
    shape = RingShape(n_slots=4, slot_bytes=5000)
    memory, fd = make_ring(shape)
    os.close(fd)
    memory[2] = 7
    pixels = Held(memory).lend(2, 5000)
    del memory
    assert (pixels == 7).all()
