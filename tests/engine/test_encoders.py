import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pathassets.core.encoder import CARDS, COLOUR_STATS_CARD
from pathassets.engine.encoders import FACTORIES, card_of, encoder_names, open_encoder
from pathassets.errors import EncoderError, SpecError

ROOT = Path(__file__).parents[2]


def test_every_card_has_a_factory_and_every_factory_a_card() -> None:
    assert set(FACTORIES) == set(CARDS) == set(encoder_names())
    assert encoder_names() == ("colour_stats", "resnet18")


@pytest.mark.parametrize("name", encoder_names())
def test_an_opened_encoder_is_the_one_of_its_card(name) -> None:
    encoder = open_encoder(name)
    assert encoder.card is card_of(name)
    assert encoder.encode(np.zeros((1, 32, 32, 3), dtype=np.uint8)).shape == (1, encoder.card.dim)


def test_a_card_is_found_without_opening_anything() -> None:
    assert card_of("colour_stats") is COLOUR_STATS_CARD


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(SpecError, match="Did you mean resnet18") as caught:
        open_encoder("resnet_18")
    assert str(caught.value).startswith("encoder resnet_18: there is no such encoder. ")


def test_an_encoder_for_the_cpu_is_not_silently_opened_elsewhere() -> None:
    with pytest.raises(EncoderError, match="runs on the CPU alone, not on 'cuda:0'") as caught:
        open_encoder("colour_stats", device="cuda:0")
    assert caught.value.remedy == "Open it with device='cpu'."


def test_a_device_that_is_not_here_is_refused() -> None:
    with pytest.raises(EncoderError, match="there is no device 'cuda:99'"):
        open_encoder("resnet18", device="cuda:99")


def test_cards_and_colour_statistics_do_not_import_torch() -> None:
    code = """if True:
        import sys
        from pathassets.engine.encoders import card_of, encoder_names, open_encoder
        assert [card_of(name).dim for name in encoder_names()] == [25, 512]
        open_encoder("colour_stats")
        assert "torch" not in sys.modules
        open_encoder("resnet18")
        assert "torch" in sys.modules"""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
