import dataclasses

import numpy as np
import pytest

from pathassets.core.encoder import CARDS, COLOUR_STATS_CARD, RESNET18_CARD, card_of, check_batch
from pathassets.core.spec import digest_of
from pathassets.errors import EncoderError, SpecError


@pytest.mark.parametrize("card", CARDS.values(), ids=list(CARDS))
def test_a_card_is_consistent(card) -> None:
    assert CARDS[card.name] is card
    assert card.dim > 0
    assert len(card.feature_names) in {0, card.dim}
    assert len(set(card.feature_names)) == len(card.feature_names)
    assert card.weights_sha256 == "" or int(card.weights_sha256, 16) < 2**256
    assert len(card.weights_sha256) in {0, 64}
    assert card.version
    assert card.licence
    assert card.description.endswith(".")


def test_nobody_can_add_a_card_at_run_time() -> None:
    with pytest.raises(TypeError):
        CARDS["mine"] = COLOUR_STATS_CARD  # type: ignore[index]


def test_random_weights_are_declared_untrained_in_words_too() -> None:
    assert not RESNET18_CARD.is_trained
    assert "without training" in RESNET18_CARD.description
    assert "not for training on" in RESNET18_CARD.description


def test_a_card_has_a_digest_that_other_weights_change() -> None:
    other = dataclasses.replace(RESNET18_CARD, weights_sha256="0" * 64)
    assert digest_of(other) != digest_of(RESNET18_CARD)


def test_a_card_is_found_by_name() -> None:
    assert card_of("resnet18") is RESNET18_CARD


def test_a_misspelt_encoder_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SpecError, match="encoder color_stats: there is no such encoder") as caught:
        card_of("color_stats")
    assert caught.value.remedy == (
        "Did you mean colour_stats? The known encoders are: colour_stats, resnet18."
    )


def test_an_encoder_unlike_any_other_is_refused_without_a_guess() -> None:
    with pytest.raises(SpecError) as caught:
        card_of("uni2")
    assert caught.value.remedy == "The known encoders are: colour_stats, resnet18."


def test_a_card_that_wants_one_side_refuses_another() -> None:
    card = dataclasses.replace(RESNET18_CARD, input_px=224)
    check_batch(card, np.zeros((1, 224, 224, 3), dtype=np.uint8))
    with pytest.raises(EncoderError, match="takes patches of 224 x 224 px, got uint8") as caught:
        check_batch(card, np.zeros((1, 224, 256, 3), dtype=np.uint8))
    assert caught.value.remedy == "Set patch_px of the patch locations to 224."


def test_a_card_that_wants_no_side_takes_any() -> None:
    check_batch(COLOUR_STATS_CARD, np.zeros((1, 7, 9, 3), dtype=np.uint8))


def test_a_card_says_whether_its_features_are_for_training_on() -> None:
    assert CARDS["colour_stats"].weights == "none"
    assert CARDS["resnet18"].weights == "untrained"
    assert dataclasses.replace(CARDS["resnet18"], is_trained=True).weights == "trained"
