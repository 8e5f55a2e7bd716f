import subprocess
import sys

import pytest

from pathassets.core.features.encoder import COLOUR_STATS_CARD, RESNET18_CARD, EncoderRequest
from pathassets.core.features.encoder_cards import (
    ALIASES,
    CARDS,
    OWN,
    PUBLISHED,
    card_of,
    kind_of,
    known_name,
)
from pathassets.core.features.features import FeatureSpec, recipe_value
from pathassets.core.features.preprocessing import Preprocessing
from pathassets.errors import SpecError

HALF = Preprocessing(mean=(0.5, 0.5, 0.5))


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


def test_a_card_is_found_by_name() -> None:
    assert card_of("resnet18") is RESNET18_CARD


def test_a_misspelt_encoder_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SpecError, match="encoder color_stats: there is no such encoder") as caught:
        card_of("color_stats")
    assert caught.value.remedy.startswith("Did you mean colour_stats? The known encoders are: ")
    assert caught.value.remedy.endswith(
        "Others: timm:MODEL, transformers:FOLDER, "
        "package.module:factory, a program (.pt2, .ts, .torchscript)."
    )


def test_an_encoder_unlike_any_other_is_refused_without_a_guess() -> None:
    with pytest.raises(SpecError) as caught:
        card_of("qqq")
    assert caught.value.remedy.startswith("The known encoders are: ")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("colour_stats", "own"),
        ("uni", "published"),
        ("timm:vit_small_patch16_224.augreg_in21k", "timm"),
        ("timm:hf-hub:owner/name", "timm"),
        ("transformers:/models/phikon", "transformers"),
        ("/models/vit.pt2", "program"),
        ("/a:b/vit.torchscript", "program"),
        ("vit.ts", "program"),
        ("my_models.vit:make", "factory"),
    ],
)
def test_a_name_tells_what_it_means(name, kind) -> None:
    assert kind_of(name) == kind


@pytest.mark.parametrize(
    "name", ["", "timm:", "transformers:", ":make", "my models:make", "a:b:c", "vit.pt", "a/b:c"]
)
def test_a_name_that_means_nothing_is_refused(name) -> None:
    with pytest.raises(SpecError, match="there is no such encoder"):
        kind_of(name)


def test_a_published_encoder_without_its_file_says_where_the_weights_are() -> None:
    with pytest.raises(SpecError, match="encoder uni: no file with its weights is named") as caught:
        card_of("uni")
    assert PUBLISHED["uni"].weights_file in caught.value.remedy
    assert "given out on request" in caught.value.remedy
    assert card_of(EncoderRequest(name="uni", weights="uni.bin")) == CARDS["uni"]


@pytest.mark.parametrize(
    ("request_", "refused"),
    [
        (EncoderRequest(name="resnet18", precision="bfloat16"), "precision"),
        (EncoderRequest(name="colour_stats", weights="a.pt"), "weights"),
        (
            EncoderRequest(name="colour_stats", preprocessing=HALF, version="2"),
            "preprocessing, ver",
        ),
        (EncoderRequest(name="uni", weights="a.pt", kwargs={"depth": 1}), "kwargs"),
        (EncoderRequest(name="vit.pt2", weights="a.pt"), "weights"),
        (EncoderRequest(name="transformers:vit", kwargs={}, weights="a.pt"), "kwargs, weights"),
    ],
)
def test_what_an_encoder_has_not_is_refused_and_not_ignored(request_, refused) -> None:
    with pytest.raises(SpecError, match=f"its {refused}") as caught:
        card_of(request_)
    assert caught.value.remedy.startswith("Of such an encoder can be chosen: ")


def test_what_is_asked_for_is_on_the_card() -> None:
    asked = EncoderRequest(
        name="uni", weights="a.pt", version="7", preprocessing=HALF, pooling="cls+mean"
    )
    card = card_of(asked)
    assert (card.version, card.preprocessing, card.pooling) == ("7", HALF, "cls+mean")
    assert card.dim is None  # of another pooling than declared: the open model tells


def test_of_what_is_not_open_nothing_is_claimed() -> None:
    card = card_of("my_models.vit:make")
    assert (card.dim, card.licence, card.weights_sha256) == (None, "not known here", "")


def test_cards_are_found_without_torch() -> None:
    code = """if True:
        import sys
        from pathassets.core.features.encoder_cards import card_of
        card_of("timm:x"), card_of("resnet18")
        assert not {"torch", "timm", "transformers"} & set(sys.modules)"""
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("UNI", "uni"), ("UNI2", "uni2-h"), ("UNI2-h", "uni2-h"), ("resnet50", "resnet50-imagenet"),
        ("Prov-GigaPath", "prov-gigapath"), ("gigapath", "prov-gigapath"), ("H0-mini", "h0-mini"),
        ("H-optimus-0", "h-optimus-0"), ("Virchow2", "virchow2"), ("conch_v1.5", "conch-v1.5"),
        ("phikon_v2", "phikon-v2"), ("Colour_Stats", "colour_stats"),
    ],
)  # fmt: skip
def test_another_spelling_is_the_encoder_that_has_the_name(name, meant) -> None:
    request = EncoderRequest(name=name, weights=None if meant in OWN else "w.bin")
    assert card_of(request).name == meant
    assert recipe_value(FeatureSpec(encoder=name).encoder) == meant


def test_no_two_encoders_have_spellings_of_one_name() -> None:
    assert {known_name(name) for name in CARDS} == set(CARDS)
    assert len({known_name(name.upper()) for name in CARDS}) == len(CARDS)
    assert set(ALIASES.values()) <= set(CARDS)


@pytest.mark.parametrize("name", ["a.b:make", "timm:UNI", "UNI.pt2", "transformers:uni", "conch"])
def test_what_is_called_otherwise_stays_what_it_is(name) -> None:
    assert known_name(name) == name
