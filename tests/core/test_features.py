from collections.abc import Iterator

import numpy as np
import pytest

from pathassets.core.encoder import EncoderCard
from pathassets.core.features import encode_patches
from pathassets.core.locations import PatchLocations
from pathassets.errors import EncoderError
from tests.core.formula_slide import pixels_at

CARD = EncoderCard(
    name="means", version="1", dim=3, input_px=None, is_trained=False, precision="float32",
    weights_sha256="", licence="none needed", description="Mean colour.",
)  # fmt: skip


class MeanEncoder:
    """Mean colour of each patch, but `bad` for those whose first red pixel is `red`."""

    card = CARD

    def __init__(self, *, red: int = -1, bad: float = np.nan) -> None:
        self.red, self.bad = red, bad
        self.sizes: list[int] = []

    def encode(self, batch: np.ndarray) -> np.ndarray:
        self.sizes.append(len(batch))
        rows = batch.mean(axis=(1, 2)).astype(np.float32)
        rows[batch[:, 0, 0, 0] == self.red, 1] = self.bad
        return rows


def along_a_row(n: int) -> PatchLocations:
    """Patches whose upper left red pixels are 0, 7, 14 …, below 251 for n < 36."""
    return PatchLocations(
        x_px0=np.arange(n, dtype=np.int64), y_px0=np.zeros(n, np.int64),
        tissue_share=np.ones(n, np.float32), side_px0=8, patch_px=8, mpp=0.5,
    )  # fmt: skip


def read(n: int, n_batch: int = 64) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of those patches, by the formula."""
    y, x = np.mgrid[:8, :8]
    for start in range(0, n, n_batch):
        indices = np.arange(start, min(start + n_batch, n))
        yield indices, np.array([pixels_at(0, x + int(i), y) for i in indices])


@pytest.mark.parametrize("n", [1, 64, 65, 150])
def test_there_is_one_row_for_every_patch_in_order(n) -> None:
    encoder = MeanEncoder()
    found = list(encode_patches(read(n), along_a_row(n), encoder))
    assert [indices.tolist() for indices, _ in found] == [i.tolist() for i, _ in read(n)]
    rows = np.concatenate([rows for _, rows in found])
    y, x = np.mgrid[:8, :8]
    wanted = [pixels_at(0, x + i, y).mean(axis=(0, 1)) for i in range(n)]
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, np.array(wanted), rtol=1e-6)


def test_rows_belong_to_their_indices_whatever_the_order_of_the_batches() -> None:
    batches = [(indices[::-1], pixels[::-1]) for indices, pixels in read(30, 7)][::-1]
    found = list(encode_patches(batches, along_a_row(30), MeanEncoder()))
    for (indices, rows), (given, pixels) in zip(found, batches, strict=True):
        assert indices.tolist() == given.tolist()
        np.testing.assert_allclose(rows, pixels.mean(axis=(1, 2)), rtol=1e-6)


def test_a_batch_is_encoded_when_it_is_asked_for_and_not_before() -> None:
    encoder = MeanEncoder()
    rows = encode_patches(read(150), along_a_row(150), encoder)
    assert encoder.sizes == []
    next(rows)
    assert encoder.sizes == [64]
    list(rows)
    assert encoder.sizes == [64, 64, 22]


def test_a_slide_without_patches_needs_no_encoder() -> None:
    encoder = MeanEncoder()
    assert list(encode_patches(read(0), along_a_row(0), encoder)) == []
    assert encoder.sizes == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_refused_with_patch_and_point(bad) -> None:
    encoder = MeanEncoder(red=7 * 20, bad=bad)
    with pytest.raises(EncoderError) as caught:
        list(encode_patches(read(30), along_a_row(30), encoder))
    assert caught.value.encoder == "means"
    assert caught.value.message == (
        "encoder means: features of patch 20 at level-0 point (20, 0) are not finite"
    )
    assert caught.value.remedy


def test_a_bad_patch_is_told_by_its_index_among_all_locations() -> None:
    batches = encode_patches(read(30, 8), along_a_row(30), MeanEncoder(red=7 * 20))
    assert [next(batches)[0][0], next(batches)[0][0]] == [0, 8]
    with pytest.raises(EncoderError, match=r"patch 20 at level-0 point \(20, 0\)"):
        next(batches)
    # Some were left out, and the rest in another order.
    kept = [
        (indices[[6, 4, 2]], pixels[[6, 4, 2]])
        for indices, pixels in read(30, 8)
        if indices[0] == 16
    ]
    with pytest.raises(EncoderError, match=r"patch 20 at level-0 point \(20, 0\)"):
        list(encode_patches(kept, along_a_row(30), MeanEncoder(red=7 * 20)))
