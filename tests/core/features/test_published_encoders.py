"""What is said of the published encoders agrees with itself; tests/adapters builds them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from types import MappingProxyType

import pytest

from pathassets.core.features.encoder import Argument, EncoderRequest
from pathassets.core.features.encoder_cards import OWN, card_of, kind_of
from pathassets.core.features.published_encoders import DECLARATIONS, Declaration
from pathassets.errors import SpecError

NAMES = (
    "uni", "uni2-h", "virchow", "virchow2", "prov-gigapath", "h-optimus-0", "h-optimus-1",
    "h0-mini", "phikon", "phikon-v2", "hibou-b", "hibou-l", "conch-v1.5", "kaiko-vits8",
    "kaiko-vits16", "kaiko-vitb8", "kaiko-vitb16", "kaiko-vitl14", "midnight-12k",
    "resnet50-imagenet",
)  # fmt: skip
"""Those that users asked for, as they type them."""
WIDTHS: Mapping[str, int] = MappingProxyType(
    {"small": 384, "base": 768, "large": 1024, "huge": 1280, "giant": 1536}
)
"""Of a token, by the size in a name of timm's."""

each = pytest.mark.parametrize("declared", DECLARATIONS, ids=lambda d: d.card.name)
each_vit = pytest.mark.parametrize(
    "declared",
    [d for d in DECLARATIONS if d.architecture != "resnet50"],
    ids=lambda d: d.card.name,
)


def number(declared: Declaration, key: str) -> int | None:
    """Return an argument that has to be a whole number, or None."""
    value = declared.kwargs.get(key)
    assert value is None or type(value) is int
    return value


def patch_px(declared: Declaration) -> int:
    """Side of a token's square, as the arguments or else timm's name tell it."""
    said = re.search(r"patch(\d+)", declared.architecture)
    side = number(declared, "patch_size") or (said and int(said[1]))
    assert side
    return side


def test_each_encoder_that_users_asked_for_is_declared_once() -> None:
    assert sorted(d.card.name for d in DECLARATIONS) == sorted(NAMES)


@each
def test_its_name_means_it_and_nothing_else(declared: Declaration) -> None:
    assert kind_of(declared.card.name) == "published"
    assert declared.card.name not in OWN
    assert declared.card.name == declared.card.name.lower()


@each
def test_its_card_is_filled_in(declared: Declaration) -> None:
    card = declared.card
    assert card.dim
    assert card.dim > 0
    assert card.input_px is None  # any patch will do: the preprocessing brings it to its size
    assert card.is_trained
    assert card.can_use_gpu
    assert card.precision in ("float32", "float16", "bfloat16")
    assert card.licence
    assert card.description.endswith(".")
    assert card.weights_sha256 == ""  # known from the user's file alone
    assert card.mpp is None or 0.2 <= card.mpp <= 2


@each
def test_it_says_where_its_weights_and_its_facts_are_from(declared: Declaration) -> None:
    place = re.fullmatch(r"([\w.-]+/[\w.-]+): ([\w.-]+)", declared.weights_file)
    assert place
    assert PurePath(place[2]).suffix in (".safetensors", ".bin", ".pt", ".pth")
    assert re.fullmatch(r"https://[\w.]+/[\w.-]+/[\w.-]+", declared.card.source)
    if declared.card.is_gated:  # who has to ask is sent to the page where it is asked
        assert declared.card.source == f"https://huggingface.co/{place[1]}"


@each
def test_pixels_are_brought_near_zero_and_to_one_square(declared: Declaration) -> None:
    pixels = declared.card.preprocessing
    assert all(0 < value < 1 for value in (*pixels.mean, *pixels.std))
    assert pixels.scale == 1 / 255
    assert pixels.crop_px  # else an oblong patch would stay oblong
    assert {pixels.side_of(side) for side in (96, 224, 256, 512)} == {pixels.crop_px}


@each_vit
def test_its_input_is_whole_tokens(declared: Declaration) -> None:
    side = declared.card.preprocessing.side_of(224)
    assert side % patch_px(declared) == 0
    trained_px = number(declared, "img_size") or number(declared, "image_size")
    assert trained_px is None or trained_px % patch_px(declared) == 0


@each_vit
def test_its_dim_follows_from_its_width_and_pooling(declared: Declaration) -> None:
    size = declared.architecture.split("_")[1:2]
    width = (
        number(declared, "pooler_dim")
        or number(declared, "hidden_size")
        or number(declared, "embed_dim")
        or WIDTHS[size[0]]
    )
    parts = 2 if declared.card.pooling == "cls+mean" else 1
    assert declared.card.dim == width * parts


@each_vit
def test_the_tokens_before_those_of_places_are_the_class_and_its_registers(
    declared: Declaration,
) -> None:
    if declared.library == "conch":  # its pooler takes them all
        assert declared.card.n_prefix_tokens is None
        return
    named = re.search(r"reg(\d+)", declared.architecture)
    n_registers = (
        number(declared, "reg_tokens")
        or number(declared, "num_register_tokens")
        or (int(named[1]) if named else 0)
    )
    assert declared.card.n_prefix_tokens == 1 + n_registers


@each
def test_its_arguments_are_plain_and_fit_its_library(declared: Declaration) -> None:
    assert all(isinstance(value, Argument) for value in declared.kwargs.values())
    if declared.library == "transformers":
        assert re.fullmatch(r"[A-Z]\w+Model", declared.architecture)
        hidden, heads = number(declared, "hidden_size"), number(declared, "num_attention_heads")
        assert hidden
        assert heads
        assert hidden // heads == 64  # every published one has heads of 64
    else:  # no classifier, and nothing pooled before the card's pooling
        assert declared.kwargs["num_classes"] == 0
        assert declared.kwargs["global_pool"] == ""


@each
def test_without_its_file_it_is_refused_and_with_it_its_card_is_known(
    declared: Declaration,
) -> None:
    name = declared.card.name
    with pytest.raises(SpecError, match=re.escape(declared.card.source)) as rejected_file:
        card_of(name)
    assert ("on request" in str(rejected_file.value)) == declared.card.is_gated
    assert card_of(EncoderRequest(name=name, weights="weights.safetensors")) == declared.card
