import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from pathassets.adapters.torch import CPU_ROWS, cuda_devices, prepare_process, translate
from pathassets.adapters.torch.resnet18 import (
    SEED,
    ResNet18,
    ResNet18Encoder,
    Weights,
    draw_weights,
    hash_weights,
    lay_convolutions,
    normalise,
    verify_weights,
)
from pathassets.core.features.encoder import RESNET18_CARD
from pathassets.core.features.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from pathassets.errors import EncoderError, SpecError
from tests.engine.encoder_contract import EncoderContract, draw_patches

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def encoder() -> ResNet18Encoder:
    return ResNet18Encoder()


@pytest.fixture(scope="module")
def weights() -> Weights:
    return draw_weights(SEED)


class TestResNet18EncoderKeepsTheContract(EncoderContract):
    pass


def run_alone(code: str) -> str:
    """Run Python in a process of its own."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def norm_by_torch(x: torch.Tensor, weights: Weights, name: str) -> torch.Tensor:
    mean, var, gamma, beta = (
        torch.from_numpy(weights[f"{name}.{part}"]).double()
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return functional.batch_norm(x, mean, var, gamma, beta, training=False)


def encode_by_the_paper(x: torch.Tensor, weights: Weights) -> torch.Tensor:
    """Table 1 of He et al. 2016, unfolded, in float64 and channels first."""

    def conv(x: torch.Tensor, name: str, stride: int, padding: int) -> torch.Tensor:
        kernel = torch.from_numpy(weights[f"{name}.weight"]).double()
        return functional.conv2d(x, kernel, stride=stride, padding=padding)

    x = functional.relu(norm_by_torch(conv(x, "conv1", 2, 3), weights, "bn1"))
    x = functional.max_pool2d(x, 3, 2, 1)
    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            name = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            y = conv(x, f"{name}.conv1", stride, 1)
            y = functional.relu(norm_by_torch(y, weights, f"{name}.bn1"))
            y = norm_by_torch(conv(y, f"{name}.conv2", 1, 1), weights, f"{name}.bn2")
            if stride == 2:
                x = conv(x, f"{name}.downsample.0", 2, 0)
                x = norm_by_torch(x, weights, f"{name}.downsample.1")
            x = functional.relu(x + y)
    return x.mean(dim=(2, 3))


def test_features_are_those_of_the_paper_s_network(encoder, weights) -> None:
    batch = draw_patches(3, 96)
    levels = torch.from_numpy(batch).permute(0, 3, 1, 2).double() / 255
    mean, std = (torch.tensor(c).double()[:, None, None] for c in (IMAGENET_MEAN, IMAGENET_STD))
    wanted = encode_by_the_paper((levels - mean) / std, weights).numpy()
    assert wanted.std() > 1
    np.testing.assert_allclose(encoder.encode(batch), wanted, rtol=1e-4, atol=1e-3)


def test_a_trained_batch_normalisation_is_folded_exactly(weights) -> None:
    rng = np.random.Generator(np.random.PCG64(3))
    lively = dict(weights)
    for shape in lay_convolutions():
        for part, low, high in (
            ("weight", 0.5, 1.5),
            ("bias", -0.5, 0.5),
            ("running_mean", -0.5, 0.5),
            ("running_var", 0.5, 2.0),
        ):
            drawn = rng.uniform(low, high, shape.n_out).astype(np.float32)
            lively[f"{shape.norm}.{part}"] = drawn
    x = torch.from_numpy(rng.standard_normal((2, 3, 64, 64)))
    wanted = encode_by_the_paper(x, lively).numpy()
    with torch.inference_mode():
        found = ResNet18(lively, "cpu").forward(x.float()).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)


def test_the_network_has_as_many_parameters_as_torchvision_s(weights) -> None:
    learnt = {k: v for k, v in weights.items() if "running" not in k}
    # 11,689,512 by torchvision's page of the model, less 513,000 of the classifier.
    assert sum(v.size for v in learnt.values()) == 11_689_512 - 513_000
    assert len(learnt) == 60
    assert list(weights)[:2] == ["conv1.weight", "bn1.weight"]
    assert weights["layer3.0.downsample.0.weight"].shape == (256, 128, 1, 1)


def test_weights_have_he_s_variance_and_the_shape_of_a_bell(weights) -> None:
    drawn = weights["layer4.1.conv2.weight"].astype(np.float64).ravel()
    standard = drawn / np.sqrt(2 / (512 * 9))
    assert standard.mean() == pytest.approx(0, abs=0.003)
    assert standard.std() == pytest.approx(1, abs=0.003)
    # Four uniform draws: the kurtosis is 3 - 6/20.
    assert (standard**4).mean() == pytest.approx(2.7, abs=0.02)
    assert np.mean(np.abs(standard) < 1) == pytest.approx(0.683, abs=0.02)


def test_weights_are_the_declared_ones_and_another_seed_s_are_not(weights) -> None:
    assert hash_weights(weights) == RESNET18_CARD.weights_sha256
    assert hash_weights(draw_weights(SEED + 1)) != RESNET18_CARD.weights_sha256


def test_one_changed_bit_of_the_weights_is_refused(weights) -> None:
    changed = dict(weights)
    changed["bn1.bias"] = np.nextafter(changed["bn1.bias"], np.float32(1))
    with pytest.raises(EncoderError, match="encoder resnet18: the weights drawn here have") as e:
        verify_weights(RESNET18_CARD, changed)
    assert RESNET18_CARD.weights_sha256 in e.value.message
    assert "report this machine" in e.value.remedy


def test_the_hash_sees_names_shapes_and_order() -> None:
    a, b = np.zeros((2, 3), dtype=np.float32), np.ones(2, dtype=np.float32)
    variants = [{"a": a, "b": b}, {"b": b, "a": a}, {"a": a.T, "b": b}, {"a": a, "c": b}]
    assert len({hash_weights(v) for v in variants}) == 4


def test_pixels_are_normalised_as_the_formula_says_and_lie_channels_last() -> None:
    batch = draw_patches(2, 5)[:, :4]
    found = normalise(torch.from_numpy(batch))
    assert found.shape == (2, 3, 4, 5)
    assert found.is_contiguous(memory_format=torch.channels_last)
    wanted = (batch / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    np.testing.assert_allclose(found.permute(0, 2, 3, 1).numpy(), wanted, atol=1e-6)


def test_rows_of_nine_passes_are_the_same_bytes_as_each_alone(encoder) -> None:
    batch = draw_patches(70, 32, seed=2)
    assert 70 % CPU_ROWS
    together = encoder.encode(batch)
    for i in (0, CPU_ROWS - 1, CPU_ROWS, 63, 64, 69):  # at the ends of the first and last passes
        assert encoder.encode(batch[i : i + 1]).tobytes() == together[i].tobytes(), i


def test_one_patch_at_every_place_of_a_pass_has_one_row(encoder) -> None:
    rows = encoder.encode(np.repeat(draw_patches(1, 256), CPU_ROWS, axis=0))
    assert len({row.tobytes() for row in rows}) == 1


@pytest.mark.slow
def test_a_process_is_prepared_even_after_work_and_gives_the_same_bytes_on_one_thread_or_two(
    encoder,
) -> None:
    code = """if True:
        import hashlib, os, sys, torch
        from pathassets.adapters.torch import ResNet18Encoder, prepare_process
        from tests.engine.encoder_contract import draw_patches
        if not os.fork():  # a process of its own, of which torch was set up by somebody else
            torch.set_num_interop_threads(2)
            prepare_process(1)
            assert (torch.get_num_threads(), torch.get_num_interop_threads()) == (1, 2)
            os._exit(7)
        print(os.waitstatus_to_exitcode(os.wait()[1]))
        prepare_process(1)
        encoder = ResNet18Encoder()
        for n_threads in (1, 2):
            prepare_process(n_threads)
            assert (torch.get_num_threads(), torch.get_num_interop_threads()) == (n_threads, 1)
            features = encoder.encode(draw_patches(9, 128))
            print(hashlib.sha256(features.tobytes()).hexdigest())
        assert not {"timm", "transformers"} & set(sys.modules)"""
    here = hashlib.sha256(encoder.encode(draw_patches(9, 128)).tobytes()).hexdigest()
    assert run_alone(code).split() == ["7", here, here]


def test_a_process_without_threads_is_refused() -> None:
    with pytest.raises(SpecError, match="threads 0"):
        prepare_process(0)


def test_a_device_that_is_not_here_is_refused_with_those_that_are() -> None:
    for device in ("cuda:99", "cuda", "gpu", ""):
        with pytest.raises(EncoderError, match=f"there is no device '{device}'") as caught:
            ResNet18Encoder(device=device)
        assert caught.value.remedy.endswith(f"sees here: {', '.join(('cpu', *cuda_devices()))}.")


def test_gpus_are_named_as_torch_names_them() -> None:
    assert [torch.device(name).index for name in cuda_devices()] == list(
        range(torch.cuda.device_count())
    )


def test_memory_that_runs_out_is_told_with_a_remedy() -> None:
    with (
        pytest.raises(EncoderError, match="encoder resnet18: memory ran out on cpu") as caught,
        translate(RESNET18_CARD, "cpu"),
    ):
        torch.empty(2**60, dtype=torch.uint8)
    assert "smaller patches" in caught.value.remedy
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_memory_that_runs_out_on_a_gpu_is_told_likewise() -> None:
    said = "CUDA out of memory. Tried to allocate 2.00 GiB.\nmore"
    with (
        pytest.raises(EncoderError, match="memory ran out on cuda:0: CUDA out of") as caught,
        translate(RESNET18_CARD, "cuda:0"),
    ):
        raise torch.OutOfMemoryError(said)
    assert "more" not in caught.value.message


def test_another_failure_of_torch_is_told_in_its_words() -> None:
    with (
        pytest.raises(EncoderError, match="torch failed on cpu: mat1 and mat2") as caught,
        translate(RESNET18_CARD, "cpu"),
    ):
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert caught.value.remedy == ""


@pytest.mark.gpu
@pytest.mark.skipif(not cuda_devices(), reason="needs a CUDA device")
def test_a_gpu_gives_the_features_of_the_cpu_within_rounding(encoder) -> None:
    batch = draw_patches(70, 64)
    on_gpu = ResNet18Encoder(device="cuda:0")
    found = on_gpu.encode(batch)
    np.testing.assert_allclose(found, encoder.encode(batch), rtol=1e-3, atol=1e-2)
    alone = np.concatenate([on_gpu.encode(batch[i : i + 1]) for i in range(70)])
    assert alone.tobytes() == found.tobytes()
