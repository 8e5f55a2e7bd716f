import dataclasses

import numpy as np
import pytest

from pathassets.core.features.encoder import COLOUR_STATS_CARD, RESNET18_CARD, check_batch
from pathassets.core.spec import digest_of
from pathassets.errors import EncoderError


def test_random_weights_are_declared_untrained_in_words_too() -> None:
    assert not RESNET18_CARD.is_trained
    assert "without training" in RESNET18_CARD.description
    assert "not for training on" in RESNET18_CARD.description


def test_a_card_has_a_digest_that_other_weights_change() -> None:
    other = dataclasses.replace(RESNET18_CARD, weights_sha256="0" * 64)
    assert digest_of(other) != digest_of(RESNET18_CARD)


def test_a_card_that_wants_one_side_refuses_another() -> None:
    card = dataclasses.replace(RESNET18_CARD, input_px=224)
    check_batch(card, np.zeros((1, 224, 224, 3), dtype=np.uint8))
    with pytest.raises(EncoderError, match="takes patches of 224 x 224 px, got uint8") as caught:
        check_batch(card, np.zeros((1, 224, 256, 3), dtype=np.uint8))
    assert caught.value.remedy == "Set patch_px of the patch locations to 224."


def test_a_card_that_wants_no_side_takes_any() -> None:
    check_batch(COLOUR_STATS_CARD, np.zeros((1, 7, 9, 3), dtype=np.uint8))


def test_a_card_says_whether_its_features_are_for_training_on() -> None:
    assert COLOUR_STATS_CARD.weights == "none"
    assert RESNET18_CARD.weights == "untrained"
    assert dataclasses.replace(RESNET18_CARD, is_trained=True).weights == "trained"
