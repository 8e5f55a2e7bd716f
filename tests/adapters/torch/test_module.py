# ruff: noqa: ARG001, ARG005 - what a module is given and does not use
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from pathassets.adapters.torch.module import TorchEncoder
from pathassets.core.features.encoder import EncoderCard
from pathassets.core.features.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from pathassets.errors import EncoderError


def card(**known) -> EncoderCard:
    fields = {
        "name": "probe", "version": "1", "dim": None, "input_px": None, "is_trained": False,
        "precision": "bfloat16", "weights_sha256": "", "licence": "", "description": "",
    }  # fmt: skip
    return EncoderCard(**(fields | known))


def patches(n: int, height_px: int = 32, width_px: int = 32) -> np.ndarray:
    rng = np.random.default_rng(7)
    return rng.integers(0, 256, (n, height_px, width_px, 3), dtype=np.uint8)


def net() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(), nn.Conv2d(8, 5, 3)
    )


class Gives(nn.Module):
    """Gives what `make` makes of the pixels' means and their map."""

    def __init__(self, make) -> None:
        super().__init__()
        self.make = make

    def forward(self, x):
        return self.make(x.mean((2, 3)), x)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_features_are_those_of_a_forward_by_hand(interpolation):
    how = Preprocessing(
        resize_px=24, crop_px=19, interpolation=interpolation, mean=IMAGENET_MEAN, std=IMAGENET_STD
    )
    batch, model = patches(11, 40, 61), net()
    encoder = TorchEncoder(model, card(preprocessing=how))
    assert encoder.card.dim == 5
    assert encoder.card.precision == "float32"
    x = torch.from_numpy(batch).permute(0, 3, 1, 2).float()
    x = functional.interpolate(
        x, (24, 36), mode=interpolation, antialias=True, align_corners=False
    ).clamp(0, 255)
    x = x[:, :, 2:21, 8:27] / 255
    mean, std = (torch.tensor(c)[:, None, None] for c in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.no_grad():
        wanted = model((x - mean) / std).mean((2, 3)).numpy()
    np.testing.assert_allclose(encoder.encode(batch), wanted, atol=1e-5)


def test_a_patch_has_the_same_bytes_in_any_company():
    encoder, batch = TorchEncoder(net(), card()), patches(19)
    alone = np.concatenate([encoder.encode(batch[i : i + 1]) for i in range(19)])
    assert alone.tobytes() == encoder.encode(batch).tobytes()


@pytest.mark.parametrize(
    "make",
    [
        lambda m, x: m,
        lambda m, x: [m, x],
        lambda m, x: (m,),
        lambda m, x: m.numpy(),
        lambda m, x: m.double(),
        lambda m, x: {"anything": m},
        lambda m, x: OrderedDict(other=x, pooler_output=None, last_hidden_state=m),
        lambda m, x: {"last_hidden_state": x, "embedding": m},
        lambda m, x: x,
        lambda m, x: torch.stack([m, m + 1], dim=1),
    ],
)
def test_outputs_of_every_kind_become_rows(make):
    batch = patches(9)
    found = TorchEncoder(Gives(make), card()).encode(batch)
    assert (found.dtype, found.shape) == (np.float32, (9, 3))
    np.testing.assert_allclose(found, batch.mean((1, 2)) / 255, atol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda m, x: None, lambda m, x: {}, lambda m, x: {"a": m, "b": m}, lambda m, x: [],
        lambda m, x: m[:-1], lambda m, x: m[0], lambda m, x: list(m),
        lambda m, x: m.to(torch.cfloat),
        lambda m, x: "m",
    ],
)  # fmt: skip
def test_outputs_that_are_no_features_are_refused(make):
    with pytest.raises(EncoderError, match="encoder probe: "):
        TorchEncoder(Gives(make), card()).encode(patches(3))


def test_tokens_are_pooled_as_asked():
    def make(m, x):
        return torch.stack([m, m * 2, m * 4], dim=1)

    batch = patches(3)
    mean = batch.mean((1, 2)) / 255
    for pooling, wanted in (
        ("cls", mean), ("mean", mean * 7 / 3), ("cls+mean", np.hstack([mean, mean * 3])),
    ):  # fmt: skip
        found = TorchEncoder(Gives(make), card(), pooling=pooling).encode(batch)
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        declared = TorchEncoder(Gives(make), card(pooling=pooling)).encode(batch)
        assert declared.tobytes() == found.tobytes()
    with pytest.raises(EncoderError, match="no 'none'"):
        TorchEncoder(Gives(make), card(), pooling="none").encode(batch)


def test_a_map_is_kept_whole_where_asked():
    encoder = TorchEncoder(net(), card(input_px=32), pooling="none")
    assert encoder.card.shape == (5, 28, 28)
    assert encoder.encode(patches(3)).shape == (3, 5, 28, 28)
    assert encoder.encode(patches(0)).shape == (0, 5, 28, 28)
    with pytest.raises(EncoderError, match="there is no 'cls'"):
        TorchEncoder(net(), card(input_px=32), pooling="cls")


@pytest.mark.parametrize("wrap", [lambda x: [x.numpy()], lambda x: x.numpy(), lambda x: x])
def test_a_module_with_its_own_way_is_driven_through_it(wrap):
    class Own(nn.Module):
        seen = None

        @staticmethod
        def preproc_func(patch):
            assert patch.dtype == np.uint8
            return patch * np.float32(2)

        @staticmethod
        def infer_batch(model, batch, device):
            assert not model.training
            assert not torch.is_grad_enabled()
            Own.seen = (tuple(batch.shape), device)
            return wrap(batch.mean((1, 2)))

    batch = patches(11)
    found = TorchEncoder(Own(), card(), rows=4).encode(batch)
    assert Own.seen == ((4, 32, 32, 3), "cpu")
    np.testing.assert_allclose(found, 2 * batch.mean((1, 2)), rtol=1e-5)


def test_memory_that_runs_out_halves_the_rows_and_goes_on():
    def make(m, x):
        if len(m) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return m

    batch = patches(21)
    encoder = TorchEncoder(Gives(make), card(), rows=16)
    np.testing.assert_allclose(encoder.encode(batch), batch.mean((1, 2)) / 255, atol=1e-5)
    assert (encoder.rows, encoder.n_halved) == (2, 3)


def test_memory_that_does_not_do_for_one_patch_is_an_error():
    def make(m, x):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(EncoderError, match="memory ran out"):
        TorchEncoder(Gives(make), card(), rows=4).encode(patches(3))


def test_a_module_that_views_its_maps_is_no_stranger():
    class Views(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net()

        def forward(self, x):
            return self.net(x).view(len(x), -1)

    model, batch = Views(), patches(3, 8, 8)
    found = TorchEncoder(model, card()).encode(batch)
    with torch.no_grad():
        wanted = model(torch.from_numpy(batch).permute(0, 3, 1, 2).float().contiguous() / 255)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


def test_another_dim_than_declared_and_a_crop_beyond_the_patch_are_refused():
    with pytest.raises(EncoderError, match=r"shape \(5,\), not \(7,\)"):
        TorchEncoder(net(), card(dim=7, input_px=32))
    encoder = TorchEncoder(net(), card(preprocessing=Preprocessing(crop_px=40)))
    with pytest.raises(EncoderError, match="crops 40 px"):
        encoder.encode(patches(1))


def test_begin_leaves_the_batch_to_its_caller():
    encoder, batch = TorchEncoder(net(), card()), patches(5)
    wanted = encoder.encode(batch)
    wait = encoder.begin(batch)
    batch[:] = 0
    assert wait().tobytes() == wanted.tobytes()


def test_patches_of_changing_widths_are_normalised_by_channel():
    how = Preprocessing(mean=IMAGENET_MEAN, std=IMAGENET_STD)
    encoder = TorchEncoder(Gives(lambda m, x: m), card(preprocessing=how))
    for width_px in (32, 7, 32):
        batch = patches(3, 9, width_px)
        wanted = (batch.mean((1, 2)) / 255 - IMAGENET_MEAN) / IMAGENET_STD
        np.testing.assert_allclose(encoder.encode(batch), wanted, atol=1e-5)
