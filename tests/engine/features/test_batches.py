import time

import numpy as np
import pytest

from pathassets.engine.features.batches import BatchFiller, Share, handed_rows, shape_of
from pathassets.errors import EncoderError
from tests.engine.encoding_bench import KindMeans


class Owner:
    def __init__(self) -> None:
        self.rows: dict[int, float] = {}
        self.order: list[int] = []
        self.errors: dict[int, str] = {}
        self.spent_s = 0.0

    def deliver(self, places, rows):
        assert len(places) == len(rows)
        self.order += places.tolist()
        self.rows |= dict(zip(places.tolist(), rows[:, 0].tolist(), strict=True))

    def fail(self, places, error):
        self.order += places.tolist()
        self.errors |= dict.fromkeys(places.tolist(), str(error))

    def spend(self, seconds):
        assert seconds >= 0
        self.spent_s += seconds


def share(owner: Owner, values: list[int], first: int = 0) -> Share:
    pixels = np.broadcast_to(np.uint8(values)[:, None, None, None], (len(values), 4, 4, 3))
    places = np.arange(first, first + len(values))
    return Share(owner=owner, places=places, pixels=pixels)


class Late(KindMeans):
    """Computes at `begin`, and fails or gives what there is when it is waited for."""

    def begin(self, batch):
        made = []
        try:
            made.append(KindMeans.encode(self, batch))
        except EncoderError as error:
            made.append(error)

        def wait():
            if isinstance(made[0], EncoderError):
                raise made[0]
            return made[0]

        return wait


@pytest.mark.parametrize("rows", [1, 8, 31, 32, 33, 64])
def test_an_encoder_is_handed_whole_passes(rows):
    assert handed_rows(KindMeans(rows)) % rows == 0
    assert handed_rows(KindMeans(rows)) >= min(rows, 32) / 2


@pytest.mark.parametrize("kind", [KindMeans, Late])
def test_each_owner_has_its_rows_in_order_whatever_the_shares(kind):
    rng = np.random.default_rng(3)
    encoder, owners = kind(8), [Owner() for _ in range(4)]
    given = {id(owner): [] for owner in owners}
    passes = BatchFiller(encoder)
    for _ in range(60):
        owner = owners[rng.integers(4)]
        values = rng.integers(0, 256, rng.integers(1, 75)).tolist()
        passes.add(share(owner, values, len(given[id(owner)])))
        given[id(owner)] += values
    passes.flush()
    assert passes.is_empty
    assert set(encoder.sizes[:-1]) == {32}
    for owner in owners:
        assert owner.order == list(range(len(given[id(owner)])))
        assert [owner.rows[i] for i in owner.order] == given[id(owner)]
        assert owner.errors == {}


@pytest.mark.parametrize("kind", [KindMeans, Late])
def test_a_pass_that_fails_is_done_again_from_the_owners_own_pixels(kind):
    encoder = kind(8)
    encoder.fails = lambda batch: bool((batch == 99).any())
    owners = [Owner() for _ in range(4)]
    passes = BatchFiller(encoder)
    for number, owner in enumerate(owners):  # the buffer holds the next pass when this one fails
        values = [number + 1] * 20
        if number == 1:
            values[3] = 99
        passes.add(share(owner, values))
    passes.flush()
    for number in (0, 2, 3):
        assert owners[number].errors == {}
        assert list(owners[number].rows.values()) == [number + 1] * 20
        assert owners[number].order == list(range(20))
    assert set(owners[1].errors) == set(range(12))
    assert set(owners[1].rows) == set(range(12, 20))


@pytest.mark.parametrize("kind", [KindMeans, Late])
def test_all_the_time_of_the_encoder_is_somebodys_also_of_what_fails(kind):
    encoder, owners = kind(8), [Owner(), Owner()]
    encoder.pause_s = 0.02
    encoder.fails = lambda batch: bool((batch == 99).any())
    passes = BatchFiller(encoder)
    started_s = time.perf_counter()
    for owner, value in zip(owners, (1, 99), strict=True):
        passes.add(share(owner, [value] * 16))
    passes.flush()
    wall_s = time.perf_counter() - started_s
    assert len(encoder.sizes) == 3  # once together, once each
    assert 0.06 <= sum(owner.spent_s for owner in owners) <= wall_s


def test_too_many_rows_for_one_owner_are_no_rows_of_another():
    encoder, owners = KindMeans(8), [Owner(), Owner()]
    whole = encoder.encode
    encoder.encode = lambda batch: np.repeat(whole(batch), 2, axis=0)
    passes = BatchFiller(encoder)
    for owner in owners:
        passes.add(share(owner, [5] * 3))
    passes.flush()
    assert [owner.rows for owner in owners] == [{}, {}]
    assert all("6 rows of features for 3 patches" in owner.errors[0] for owner in owners)


class Unmeasured(KindMeans):
    """Tells how long its features are once it has seen a patch."""

    def __init__(self):
        super().__init__(dim=None)

    def encode(self, batch):
        rows = super().encode(batch)
        self.card = KindMeans(dim=rows.shape[1]).card
        return rows


def test_the_shape_of_features_is_asked_of_one_blank_patch_where_the_card_does_not_tell():
    encoder = Unmeasured()
    assert shape_of(encoder, 5, 7) == (6,)
    assert shape_of(encoder, 5, 7) == (6,)
    assert encoder.sizes == [1]
    told = KindMeans(dim=6)
    assert shape_of(told, 5, 7) == (6,)
    assert told.sizes == []


def test_an_encoder_that_does_not_tell_its_dim_even_then_is_refused():
    with pytest.raises(EncoderError, match="does not tell"):
        shape_of(KindMeans(dim=None), 5, 7)
