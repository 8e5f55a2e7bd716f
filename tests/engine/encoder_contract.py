"""What every encoder's tests inherit: the promises of `core.features.encoder.Encoder`."""

import numpy as np
import pytest

from pathassets.core.features.encoder import Encoder
from pathassets.core.features.encoder_cards import CARDS
from pathassets.errors import EncoderError


def draw_patches(n: int, side_px: int, seed: int = 0) -> np.ndarray:
    rng = np.random.Generator(np.random.PCG64(seed))
    return rng.integers(0, 256, (n, side_px, side_px, 3), dtype=np.uint8)


class EncoderContract:
    """Give it an `encoder` fixture; 11 patches are no multiple of any likely chunk."""

    side_px = 64
    n = 11

    @pytest.fixture
    def batch(self) -> np.ndarray:
        return draw_patches(self.n, self.side_px)

    def test_its_card_is_the_registered_one(self, encoder: Encoder) -> None:
        assert CARDS[encoder.card.name] is encoder.card

    def test_features_are_finite_float32_of_the_declared_length(
        self, encoder: Encoder, batch: np.ndarray
    ) -> None:
        features = encoder.encode(batch)
        assert features.shape == (self.n, encoder.card.dim)
        assert features.dtype == np.float32
        assert np.isfinite(features).all()

    def test_no_patch_gives_no_row(self, encoder: Encoder, batch: np.ndarray) -> None:
        features = encoder.encode(batch[:0])
        assert features.shape == (0, encoder.card.dim)
        assert features.dtype == np.float32

    def test_different_patches_have_different_features(
        self, encoder: Encoder, batch: np.ndarray
    ) -> None:
        assert len({row.tobytes() for row in encoder.encode(batch)}) == self.n

    def test_the_same_batch_gives_the_same_bytes_again(
        self, encoder: Encoder, batch: np.ndarray
    ) -> None:
        first = encoder.encode(batch)
        encoder.encode(batch[::-1] // 2)
        assert encoder.encode(batch).tobytes() == first.tobytes()

    def test_a_row_is_the_same_bytes_alone_and_in_company(
        self, encoder: Encoder, batch: np.ndarray
    ) -> None:
        together = encoder.encode(batch)
        for i in range(self.n):
            assert encoder.encode(batch[i : i + 1]).tobytes() == together[i].tobytes(), i

    def test_a_row_is_the_same_bytes_at_any_place_of_the_batch(
        self, encoder: Encoder, batch: np.ndarray
    ) -> None:
        order = np.roll(np.arange(self.n), 3)
        assert encoder.encode(batch[order]).tobytes() == encoder.encode(batch)[order].tobytes()

    def test_the_batch_may_be_a_frozen_view_and_stays_as_it_was(
        self, encoder: Encoder, batch: np.ndarray
    ) -> None:
        view = batch[:3, ::-2, 1::2]
        plain = view.copy()
        view.flags.writeable = False
        assert encoder.encode(view).tobytes() == encoder.encode(plain).tobytes()
        assert np.array_equal(view, plain)

    def test_the_features_belong_to_the_caller(self, encoder: Encoder, batch: np.ndarray) -> None:
        features = encoder.encode(batch)
        kept = features.copy()
        encoder.encode(255 - batch)
        assert np.array_equal(features, kept)
        features[:] = 0
        assert np.array_equal(encoder.encode(batch), kept)

    @pytest.mark.parametrize(
        ("dtype", "shape", "named"),
        [
            (np.float32, (2, 64, 64, 3), r"got float32 \(2, 64, 64, 3\)"),
            (np.uint16, (2, 64, 64, 3), r"got uint16 \(2, 64, 64, 3\)"),
            (np.uint8, (2, 64, 64, 4), r"got uint8 \(2, 64, 64, 4\)"),
            (np.uint8, (2, 3, 64, 64), r"got uint8 \(2, 3, 64, 64\)"),
            (np.uint8, (64, 64, 3), r"got uint8 \(64, 64, 3\)"),
            (np.uint8, (2, 0, 64, 3), r"got uint8 \(2, 0, 64, 3\)"),
            (np.float64, (0, 64, 64, 3), r"got float64 \(0, 64, 64, 3\)"),
        ],
    )
    def test_anything_but_rgb_bytes_is_refused_by_name(
        self, encoder: Encoder, dtype: type, shape: tuple[int, ...], named: str
    ) -> None:
        with pytest.raises(EncoderError, match=named) as caught:
            encoder.encode(np.zeros(shape, dtype=dtype))
        assert caught.value.encoder == encoder.card.name
