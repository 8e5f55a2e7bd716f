import json
import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pathassets.adapters.torch import TorchEncoder
from pathassets.adapters.torch.weights import load_weights
from pathassets.adapters.transformers import Tokens, open_folder
from pathassets.core.features.encoder import EncoderRequest
from pathassets.core.features.encoder_cards import card_of
from pathassets.core.features.preprocessing import Preprocessing
from pathassets.errors import EncoderError

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.usefixtures("model_libraries")

PIXELS = {
    "do_resize": True, "size": {"height": 32, "width": 32}, "resample": 2, "do_rescale": True,
    "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
}  # fmt: skip
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32}


def vit(**others):
    torch.manual_seed(1)
    config = transformers.ViTConfig(**SIZES, intermediate_size=32, patch_size=8, **others)
    return transformers.ViTModel(config, add_pooling_layer=False).eval()


def dinov2(n_registers=0):
    torch.manual_seed(1)
    sizes = {**SIZES, "patch_size": 8, "use_swiglu_ffn": True}
    if not n_registers:
        return transformers.Dinov2Model(transformers.Dinov2Config(**sizes)).eval()
    config = transformers.Dinov2WithRegistersConfig(**sizes, num_register_tokens=n_registers)
    return transformers.Dinov2WithRegistersModel(config).eval()


def written(folder, model, pixels=PIXELS):
    model.save_pretrained(folder)
    if pixels is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(pixels))
    return folder


def card(folder, **others):
    return card_of(EncoderRequest(name=f"transformers:{folder}", **others))


def opened(folder, **others):
    return open_folder(str(folder), card=card(folder, **others))


def patches(n=3):
    return np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("pooling", ["auto", "cls", "mean", "cls+mean"])
@pytest.mark.parametrize(
    ("make", "n_prefix"),
    [(vit, 1), (dinov2, 1), (lambda: dinov2(4), 5)],
    ids=["vit", "dino", "reg"],
)
def test_features_are_pooled_from_the_tokens_of_the_model_called_by_hand(
    tmp_path, make, n_prefix, pooling
):
    module, found = opened(written(tmp_path, make()), pooling=pooling)
    assert found.n_prefix_tokens == n_prefix
    got = TorchEncoder(module, found).encode(patches())
    pixels = torch.from_numpy(patches()).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(PIXELS[k]).view(3, 1, 1) for k in ("image_mean", "image_std"))
    with torch.inference_mode():
        tokens = make()(pixel_values=(pixels - mean) / std).last_hidden_state
    parts = {"cls": tokens[:, 0], "mean": tokens[:, n_prefix:].mean(dim=1)}
    parts["auto"] = parts["cls"]
    wanted = torch.cat([parts[part] for part in pooling.split("+")], dim=1)
    np.testing.assert_allclose(got, wanted.numpy(), atol=1e-5)
    assert found.dim == wanted.shape[1]


def test_a_pickled_folder_gives_the_same_features(tmp_path):
    folder = written(tmp_path, vit())
    first = TorchEncoder(*opened(folder)).encode(patches()).tobytes()
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert TorchEncoder(*opened(folder)).encode(patches()).tobytes() == first


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_that_executes_code_is_refused(tmp_path):
    folder = written(tmp_path / "model", vit())
    (folder / "model.safetensors").unlink()
    torch.save({"a": Evil(str(tmp_path / "done"))}, folder / "pytorch_model.bin")
    with pytest.raises(EncoderError, match="cannot open"):
        opened(folder)
    (folder / "pytorch_model.bin").write_bytes(
        pickle.dumps(Evil(str(tmp_path / "done")), protocol=2)
    )
    with pytest.raises(EncoderError, match="cannot open"):
        opened(folder)
    assert not (tmp_path / "done").exists()


def test_a_folder_that_lacks_something_is_refused_with_what(tmp_path):
    with pytest.raises(EncoderError, match="no folder"):
        opened(tmp_path / "absent")
    with pytest.raises(EncoderError, match=r"has no config\.json"):
        opened(tmp_path)
    written(tmp_path, vit(), pixels=None)
    with pytest.raises(EncoderError, match=r"has no preprocessor_config\.json"):
        opened(tmp_path)
    asked = Preprocessing(resize_px=32)
    assert opened(tmp_path, preprocessing=asked)[1].preprocessing == asked
    (tmp_path / "model.safetensors").write_bytes(b"junk" * 99)
    with pytest.raises(EncoderError, match="cannot open"):
        opened(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match="cannot open"):
        opened(tmp_path)


def test_code_of_the_folder_is_not_executed(tmp_path):
    config = {"model_type": "mine", "auto_map": {"AutoModel": "mine.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "mine.py").write_text("raise SystemExit(3)")
    with pytest.raises(EncoderError, match="code of its own"):
        opened(tmp_path)


def test_weights_that_do_not_fit_the_configuration_are_refused(tmp_path):
    folder = written(tmp_path, vit())
    config = json.loads((folder / "config.json").read_text())
    for layers, fact in ((3, "missing"), (1, "left over")):
        (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": layers}))
        with pytest.raises(EncoderError, match=fact):
            opened(folder)


def test_a_classifier_in_the_folder_is_left_out(tmp_path):
    torch.manual_seed(1)
    config = transformers.ViTConfig(**SIZES, intermediate_size=32, patch_size=8)
    whole = transformers.ViTForImageClassification(config).eval()
    module, found = opened(written(tmp_path, whole))
    pixels = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(module(pixels), whole.vit(pixel_values=pixels).last_hidden_state)
    assert found.pooling == "cls"


def test_a_model_without_a_class_token_pools_by_itself(tmp_path):
    torch.manual_seed(1)
    config = transformers.ConvNextConfig(hidden_sizes=[4, 8, 8, 16], depths=[1, 1, 1, 1])
    model = transformers.ConvNextModel(config).eval()
    module, found = opened(written(tmp_path, model))
    with torch.inference_mode():
        pixels = torch.rand(2, 3, 32, 32)
        assert torch.equal(module(pixels), model(pixels).pooler_output)
    with pytest.raises(EncoderError, match="no class token"):
        opened(tmp_path, pooling="cls")
    assert found.n_prefix_tokens == 0


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({}, {"resize_px": 32, "interpolation": "bilinear"}),
        ({"size": 32, "resample": 3}, {"resize_px": 32, "interpolation": "bicubic"}),
        (
            {"size": {"shortest_edge": 40}, "do_center_crop": True, "crop_size": 32},
            {"resize_px": 40, "crop_px": 32, "interpolation": "bilinear"},
        ),
        ({"do_resize": False}, {}),
    ],
)
def test_preprocessing_is_read(tmp_path, changed, wanted):
    written(tmp_path, vit(), {**PIXELS, **changed})
    assert opened(tmp_path)[1].preprocessing == Preprocessing(
        mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), **wanted
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"size": {"height": 32, "width": 40}}, {"resample": 1}, {"resample": None},
        {"image_mean": [0.5]}, {"size": None}, {"image_std": [0, 1, 1]},
        {"do_center_crop": True, "crop_size": 64}, {"image_mean": None},
    ],
)  # fmt: skip
def test_preprocessing_that_is_not_understood_is_refused(tmp_path, changed):
    written(tmp_path, vit(), {**PIXELS, **changed})
    with pytest.raises(EncoderError, match="is not understood"):
        opened(tmp_path)


def published(state):
    """Name weights as transformers 4 did, and the files that were published with it."""
    names = (
        ("layers.", "encoder.layer."), ("encoder.layer.encoder.layer.", "encoder.layer."),
        ("attention.q_proj", "attention.attention.query"),
        ("attention.k_proj", "attention.attention.key"),
        ("attention.v_proj", "attention.attention.value"),
        ("attention.o_proj", "attention.output.dense"),
        ("mlp.fc1", "intermediate.dense"), ("mlp.fc2", "output.dense"),
    )  # fmt: skip
    found = {}
    for key, own in state.items():
        renamed, value = key, own
        for new, old in names:
            renamed = renamed.replace(new, old)
        if "mlp.gate_proj" in renamed:
            value = torch.cat([value, state[key.replace("gate_proj", "up_proj")]])
            renamed = renamed.replace("gate_proj", "weights_in")
        if "mlp.up_proj" not in renamed:
            found[renamed.replace("mlp.down_proj", "mlp.weights_out")] = value
    return found


@pytest.mark.parametrize("make", [vit, dinov2, lambda: dinov2(4)], ids=["vit", "dino", "reg"])
@pytest.mark.parametrize("is_of_today", [True, False])
def test_weights_by_the_names_of_earlier_versions_load(tmp_path, make, is_of_today):
    saved, path = make(), tmp_path / "w.safetensors"
    state = saved.state_dict() if is_of_today else published(saved.state_dict())
    state |= {"pooler.dense.weight": torch.ones(16, 16), "pooler.dense.bias": torch.ones(16)}
    save_file(state, path)
    other = Tokens(make())
    with torch.no_grad():
        for weight in other.parameters():
            weight.fill_(0.5)
    with pytest.raises(EncoderError, match=r"2 unexpected \(pooler.dense.bias"):
        load_weights(other, path, "probe")
    load_weights(other, path, "probe", left_out=("pooler.",))
    for key, value in saved.state_dict().items():
        assert torch.equal(other.state_dict()[key], value), key


def test_weights_by_earlier_names_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    state = published(vit().state_dict())
    missing = next(key for key in state if key.endswith("attention.query.bias"))
    save_file({k: v for k, v in state.items() if k != missing}, path)
    with pytest.raises(EncoderError, match="1 missing"):
        load_weights(Tokens(vit()), path, "probe")
    save_file({**state, missing: torch.ones(3)}, path)
    with pytest.raises(EncoderError, match="shape"):
        load_weights(Tokens(vit()), path, "probe")
