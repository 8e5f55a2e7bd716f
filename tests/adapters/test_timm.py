from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pathassets.adapters.timm import open_model
from pathassets.adapters.torch import TorchEncoder
from pathassets.core.features.encoder import EncoderRequest
from pathassets.core.features.encoder_cards import card_of
from pathassets.core.features.preprocessing import Preprocessing
from pathassets.errors import EncoderError
from tests import torchvision_ops

pytestmark = pytest.mark.usefixtures("model_libraries")

VIT = "vit_small_patch16_224"
TINY = {"embed_dim": 32, "depth": 1, "num_heads": 2, "img_size": 32}
CARD = card_of(EncoderRequest(name=f"timm:{VIT}"))


def create_model(name, **kwargs):
    """Ask timm itself, which is imported where a test asks: it takes seconds."""
    import timm  # noqa: PLC0415

    return timm.create_model(name, **kwargs)


def net(**kwargs):
    torch.manual_seed(1)
    return create_model(VIT, **{**TINY, **kwargs}).eval()


def patches(side_px, n=3):
    return np.random.default_rng(0).integers(0, 256, (n, side_px, side_px, 3), dtype=np.uint8)


def opened(path, name=VIT, card=CARD, **kwargs):
    return open_model(name, weights=str(path), kwargs={**TINY, **kwargs}, card=card)


@pytest.fixture
def path(tmp_path):
    save_file(net(num_classes=0).state_dict(), tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def test_features_are_those_of_the_model_called_by_hand(path):
    module, card = opened(path)
    config = net().pretrained_cfg
    assert card.preprocessing.mean == config["mean"]
    assert (card.preprocessing.resize_px, card.preprocessing.crop_px) == (35, 32)  # 32 / 0.9
    batch = patches(32)
    card = replace(card, preprocessing=replace(card.preprocessing, resize_px=32))
    got = TorchEncoder(module, card).encode(batch)
    pixels = torch.from_numpy(batch).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(config[k]).view(3, 1, 1) for k in ("mean", "std"))
    with torch.inference_mode():
        wanted = net(num_classes=0)((pixels - mean) / std).numpy()
    assert wanted.std() > 0.1
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    assert (card.dim, card.n_prefix_tokens, card.pooling) == (32, 1, "cls")
    assert card.licence == "apache-2.0"
    assert card.source.startswith("https://")


@pytest.mark.parametrize("pooling", ["cls", "mean", "cls+mean"])
def test_tokens_are_pooled_as_asked(path, pooling):
    module, card = opened(path, card=replace(CARD, pooling=pooling), global_pool="")
    with torch.inference_mode():
        tokens = net(num_classes=0, global_pool="")(torch.zeros(1, 3, 32, 32))
    card = replace(card, preprocessing=Preprocessing())
    got = TorchEncoder(module, card).encode(np.zeros((1, 32, 32, 3), dtype=np.uint8))[0]
    parts = {"cls": tokens[0, 0], "mean": tokens[0, 1:].mean(dim=0)}
    wanted = torch.cat([parts[part] for part in pooling.split("+")])
    np.testing.assert_allclose(got, wanted.numpy(), atol=1e-5)


def test_every_kind_of_file_gives_the_same_features_with_a_classifier_or_without(tmp_path, path):
    features = []
    head = {"head.weight": torch.ones(1000, 32), "head.bias": torch.ones(1000)}
    torch.save({**net(num_classes=0).state_dict(), **head}, tmp_path / "with_head.pt")
    torch.save({"model": net(num_classes=0).state_dict()}, tmp_path / "w.bin")
    for file in (path, tmp_path / "with_head.pt", tmp_path / "w.bin"):
        module, card = opened(file)
        features.append(TorchEncoder(module, card).encode(patches(40)).tobytes())
    assert len(set(features)) == 1


def test_weights_of_another_architecture_are_refused_by_name(path):
    with pytest.raises(EncoderError, match=r"missing \(blocks.1.attn.proj.bias"):
        opened(path, depth=2)
    with pytest.raises(EncoderError, match=r"unexpected \(blocks.0.attn.proj.bias"):
        opened(path, depth=0)
    with pytest.raises(EncoderError, match="another shape"):
        opened(path, embed_dim=64)


def test_what_timm_does_not_know_is_refused_with_what_is_close(path):
    with pytest.raises(EncoderError, match=r"no 'vit_smal_patch16_224'. Did you mean vit_small"):
        opened(path, name="vit_smal_patch16_224")
    with pytest.raises(EncoderError, match=r"no weights 'augreg_in22k'.*augreg_in21k"):
        opened(path, name=f"{VIT}.augreg_in22k")
    with pytest.raises(EncoderError, match=r"cannot make .*no_such"):
        opened(path, no_such=3)


def test_a_preprocessing_that_was_asked_for_is_kept(path):
    asked = Preprocessing(resize_px=32, mean=(0.1, 0.2, 0.3))
    assert opened(path, card=replace(CARD, preprocessing=asked))[1].preprocessing == asked
    asked = Preprocessing(mean=(0.1, 0.2, 0.3))
    assert opened(path, card=replace(CARD, preprocessing=asked))[1].input_px == 32


@pytest.mark.parametrize(
    ("name", "dim"),
    [("resnet10t", 512), ("mobilenetv3_small_050", 1024), ("convnext_atto", 320)],
)
def test_the_dim_of_a_convolutional_net_is_what_it_gives(tmp_path, name, dim):
    file = tmp_path / "w.pt"
    torch.save(create_model(name).state_dict(), file)
    module, card = open_model(name, weights=str(file), kwargs={}, card=CARD)
    assert card.dim == dim
    assert card.pooling in ("mean", "")
    pixels = torch.zeros(1, 3, 64, 64)
    assert module(pixels).shape == (1, dim)


def test_a_net_with_channels_last_gives_maps_with_channels_first(tmp_path):
    name = "swin_tiny_patch4_window7_224"
    kwargs = {"embed_dim": 12, "global_pool": ""}
    file = tmp_path / "w.pt"
    torch.save(create_model(name, embed_dim=12).state_dict(), file)
    card = replace(CARD, pooling="mean")
    module, card = open_model(name, weights=str(file), kwargs=kwargs, card=card)
    assert module(torch.zeros(1, 3, 224, 224)).shape == (1, 96, 7, 7)
    assert card.dim == 96


def test_a_saved_folder_of_the_hub_s_form_is_opened_without_its_classifier(tmp_path):
    from timm.models import save_for_hf  # noqa: PLC0415 - after timm is found

    saved = create_model("resnet10t", num_classes=5).eval()
    save_for_hf(saved, tmp_path, model_config={"num_classes": 5})
    name = f"local-dir:{tmp_path}"
    module, card = open_model(name, weights=None, kwargs={}, card=CARD)
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    saved.reset_classifier(0)
    with torch.inference_mode():
        assert torch.equal(module(pixels), saved(pixels))
    assert card.dim == 512


def test_without_network_and_weights_the_remedy_is_a_file(monkeypatch, tmp_path):
    constants = pytest.importorskip("huggingface_hub").constants
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # what HF_HUB_OFFLINE=1 sets at first
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    name = "vit_tiny_patch16_224"
    with pytest.raises(EncoderError, match=f"timm cannot get {name}") as caught:
        open_model(name, weights=None, kwargs={}, card=card_of(EncoderRequest(name=f"timm:{name}")))
    assert "name a file: weights" in str(caught.value)


PROGRAM = """
from pathassets.adapters.timm import open_model
from pathassets.core.features.encoder import EncoderRequest
from pathassets.core.features.encoder_cards import card_of
from pathassets.errors import EncoderError
try:
    name = "vit_tiny_patch16_224"
    open_model(name, weights=None, kwargs={}, card=card_of(EncoderRequest(name="timm:" + name)))
except EncoderError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_torchvision_of_another_torch_is_told(start_python):
    if not torchvision_ops._LIBRARIES:
        pytest.skip("torchvision fits torch")
    said, _ = start_python(PROGRAM).communicate(timeout=60)
    assert "torchvision, which was built for another torch" in said
    assert "--index-url" in said
