import os
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pathassets.adapters.torch.module import TorchEncoder
from pathassets.adapters.torch.programs import open_program
from pathassets.adapters.torch.weights import file_sha256, load_weights, weights_sha256_of
from pathassets.errors import EncoderError
from tests.adapters.torch.test_module import card, patches


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".bin"])
def test_weights_come_back_from_every_kind_of_file(tmp_path, suffix):
    path, saved, loaded = tmp_path / f"w{suffix}", net(1), net(2)
    assert weights_sha256_of(saved) != weights_sha256_of(loaded)
    (save_file if suffix == ".safetensors" else torch.save)(saved.state_dict(), path)
    load_weights(loaded, path, "probe")
    assert weights_sha256_of(saved) == weights_sha256_of(loaded)
    assert len(file_sha256(path)) == 64


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "teacher"])
@pytest.mark.parametrize("prefix", ["module.", "backbone.", "module.backbone."])
def test_wrappers_are_undone(tmp_path, wrapper, prefix):
    path, saved, loaded = tmp_path / "w.pt", net(1), net(2)
    inner = {prefix + k: v for k, v in saved.state_dict().items()}
    torch.save({wrapper: inner, "epoch": 3}, path)
    load_weights(loaded, path, "probe")
    assert weights_sha256_of(saved) == weights_sha256_of(loaded)


def test_missing_and_unexpected_weights_are_named_and_nothing_is_loaded(tmp_path):
    state = net(1).state_dict()
    state["head.weight"] = state.pop("0.bias")
    torch.save(state, tmp_path / "w.pt")
    module = net(2)
    before = weights_sha256_of(module)
    with pytest.raises(EncoderError, match=r"1 missing \(0.bias\); 1 unexpected \(head.weight\)"):
        load_weights(module, tmp_path / "w.pt", "probe")
    assert weights_sha256_of(module) == before


def test_a_file_that_is_absent_damaged_or_of_another_kind_is_refused(tmp_path):
    for name in ("a.pt", "a.safetensors", "a.onnx"):
        with pytest.raises(EncoderError):
            load_weights(net(), tmp_path / name, "probe")
    for name in ("b.pt", "b.safetensors", "b.bin"):
        for junk in (b"", b"junk" * 99):
            (tmp_path / name).write_bytes(junk)
            with pytest.raises(EncoderError, match="cannot be read"):
                load_weights(net(), tmp_path / name, "probe")


def test_another_shape_is_refused(tmp_path):
    torch.save(nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5)).state_dict(), tmp_path / "w.pt")
    with pytest.raises(EncoderError, match="another shape"):
        load_weights(net(), tmp_path / "w.pt", "probe")


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_that_executes_code_is_refused(tmp_path):
    torch.save({"0.weight": Evil(str(tmp_path / "done"))}, tmp_path / "w.pt")
    with pytest.raises(EncoderError, match="cannot be read"):
        load_weights(net(), tmp_path / "w.pt", "probe")
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize("dynamic", [False, True])
def test_an_exported_program_runs_and_tells_its_rows(tmp_path, dynamic):
    model = net().eval()
    shapes = ({0: torch.export.Dim("n")},) if dynamic else None
    exported = torch.export.export(model, (torch.zeros(3, 3, 16, 16),), dynamic_shapes=shapes)
    torch.export.save(exported, tmp_path / "p.pt2")
    encoder = TorchEncoder(open_program(tmp_path / "p.pt2")[0], card(input_px=16))
    assert encoder.rows == (8 if dynamic else 3)
    batch = patches(7, 16, 16)
    with torch.no_grad():
        wanted = model(torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255)[:, :, 0, 0]
    np.testing.assert_allclose(encoder.encode(batch), wanted.numpy(), atol=1e-5)


def test_a_program_of_two_inputs_is_not_called_damaged(tmp_path):
    class Two(nn.Module):
        def forward(self, x, y):
            return x + y

    x = torch.zeros(2, 3, 4, 4)
    torch.export.save(torch.export.export(Two(), (x, x)), tmp_path / "p.pt2")
    with pytest.raises(EncoderError, match=r"takes 2 inputs, not one\. Export a model of one"):
        open_program(tmp_path / "p.pt2")


def test_a_torchscript_file_runs(tmp_path):
    model, x = net().eval(), torch.rand(2, 3, 16, 16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(model, x).save(str(tmp_path / "m.ts"))
    assert torch.equal(open_program(tmp_path / "m.ts")[0](x), model(x))


@pytest.mark.parametrize("name", ["a.pt2", "a.ts", "a.torchscript", "a.pkl"])
def test_programs_that_are_absent_or_damaged_are_refused(tmp_path, name):
    with pytest.raises(EncoderError, match="no such file"):
        open_program(tmp_path / name)
    (tmp_path / name).write_bytes(b"junk" * 99)
    with pytest.raises(EncoderError, match=r"damaged|no program"):
        open_program(tmp_path / name)
