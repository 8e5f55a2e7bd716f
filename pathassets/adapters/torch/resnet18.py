"""The seeded ResNet-18: uint8 patches ─▶ 512 features of a network that learnt nothing."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from pathassets.adapters.torch.process import CPU_ROWS, CUDA_ROWS, settle, translate
from pathassets.adapters.torch.runner import Runner, RunnerEncoder
from pathassets.core.features.encoder import RESNET18_CARD, EncoderCard
from pathassets.core.features.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from pathassets.errors import EncoderError

Weights = Mapping[str, np.ndarray]
"""float32 arrays by torchvision's names, in the order of the network."""

SEED = 20160627
STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))
"""Channels and stride of the four stages of two blocks each.

Source: He et al. 2016, Deep Residual Learning for Image Recognition, table 1, 18 layers
(doi:10.1109/CVPR.2016.90).
"""
BATCH_NORM_EPS = 1e-5
"""Source: torch.nn.BatchNorm2d, its default, with which published ResNets were trained."""


class ResNet18Encoder(RunnerEncoder):
    """ResNet-18 up to its global average pool, with random weights: 512 features, untrained.

    Batch normalisation is folded into the convolutions; float32, channels last. On the CPU the
    features of a patch are the same bytes in any batch, at any place in it, in any process. With
    one version of torch they were also the same on one and two threads, and with AVX2 and AVX-512;
    other instruction sets, and GPUs, add up in another order (SSE4.1: 1e-4 of 98 away). A patch of
    256 px takes 49 CPU-ms.
    """

    def __init__(self, *, device: str = "cpu") -> None:
        """Draw the weights (0.6 CPU-s), verify them, and move them to `device`.

        Raises:
            EncoderError: the device is not here, or the weights are not the declared ones.
        """
        settle(self.card, device)
        weights = draw_weights(SEED)
        verify_weights(self.card, weights)
        with translate(self.card, device):
            network = ResNet18(weights, device)
        self._runner = Runner(
            lambda pixels: network.forward(normalise(pixels)),
            card=self.card,
            device=device,
            rows=CPU_ROWS if device == "cpu" else CUDA_ROWS,
        )

    @property
    def card(self) -> EncoderCard:
        """What it is."""
        return RESNET18_CARD


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    """Scale uint8 (n, y, x, 3) to [0, 1] and by ImageNet's constants: float32 (n, 3, y, x).

    The result is channels last. Whole lines of pixels are normalised at once: 0.6 CPU-ms per
    patch of 256 px, where broadcasting over three channels takes 1.6.
    """
    n, height_px, width_px, channels = pixels.shape
    mean = torch.tensor(IMAGENET_MEAN, device=pixels.device).repeat(width_px)
    std = torch.tensor(IMAGENET_STD, device=pixels.device).repeat(width_px)
    lines = pixels.to(torch.float32).view(n * height_px, width_px * channels)
    scaled = lines.div_(255.0).sub_(mean).div_(std)
    return scaled.view(n, height_px, width_px, channels).permute(0, 3, 1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution:
    """A convolution with the batch normalisation that follows it folded in."""

    weight: torch.Tensor
    bias: torch.Tensor
    stride: int

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve (n, c, y, x), padded so that a stride of 1 keeps y and x."""
        padding = self.weight.shape[2] // 2
        return functional.conv2d(x, self.weight, self.bias, stride=self.stride, padding=padding)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Two convolutions and the way around them."""

    first: Convolution
    second: Convolution
    shortcut: Convolution | None
    """None where input and output have one shape: the identity."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add what the convolutions find to the input."""
        around = x if self.shortcut is None else self.shortcut.forward(x)
        found = self.second.forward(functional.relu_(self.first.forward(x)))
        return functional.relu_(found.add_(around))


class ResNet18:
    """The network, without its classifier."""

    def __init__(self, weights: Weights, device: str) -> None:
        self._convolutions = {
            shape.name: fold(weights, shape, device) for shape in lay_convolutions()
        }
        self._blocks = [
            Block(
                first=self._convolutions[f"{block}.conv1"],
                second=self._convolutions[f"{block}.conv2"],
                shortcut=self._convolutions.get(f"{block}.downsample.0"),
            )
            for block in (f"layer{s}.{b}" for s in range(1, len(STAGES) + 1) for b in range(2))
        ]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map normalised float32 (n, 3, y, x) to features (n, 512)."""
        x = functional.relu_(self._convolutions["conv1"].forward(x))
        x = functional.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        for block in self._blocks:
            x = block.forward(x)
        return x.mean(dim=(2, 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvolutionShape:
    """A convolution of the network: its names and its numbers."""

    name: str
    norm: str
    """Name of the batch normalisation that follows."""
    n_in: int
    n_out: int
    side: int
    """Side of the kernel."""
    stride: int


def lay_convolutions() -> Iterator[ConvolutionShape]:
    """List the convolutions in the order in which their weights are drawn and hashed."""
    yield _shape("conv1", "bn1", (3, 64), side=7, stride=2)
    n_in = 64
    for stage, (n_out, stride) in enumerate(STAGES, start=1):
        yield from _lay_block(f"layer{stage}.0", (n_in, n_out), stride=stride)
        yield from _lay_block(f"layer{stage}.1", (n_out, n_out), stride=1)
        n_in = n_out


def _lay_block(block: str, channels: tuple[int, int], *, stride: int) -> Iterator[ConvolutionShape]:
    n_in, n_out = channels
    yield _shape(f"{block}.conv1", f"{block}.bn1", channels, side=3, stride=stride)
    yield _shape(f"{block}.conv2", f"{block}.bn2", (n_out, n_out), side=3, stride=1)
    if n_in != n_out:
        downsample = f"{block}.downsample"
        yield _shape(f"{downsample}.0", f"{downsample}.1", channels, side=1, stride=stride)


def _shape(
    name: str, norm: str, channels: tuple[int, int], *, side: int, stride: int
) -> ConvolutionShape:
    n_in, n_out = channels
    return ConvolutionShape(name=name, norm=norm, n_in=n_in, n_out=n_out, side=side, stride=stride)


def draw_weights(seed: int) -> Weights:
    """Draw a network with He's variance, 2 / fan-in, and batch normalisation that does nothing.

    A weight is the sum of four 16-bit words of PCG64, centred and scaled: near enough to normal,
    and the same bytes everywhere. numpy's `standard_normal` promises no stream from version to
    version, and its tail calls the C library's logarithm.

    Source: He et al. 2015, Delving Deep into Rectifiers (doi:10.1109/ICCV.2015.123).
    """
    bits = np.random.PCG64(seed)
    weights: dict[str, np.ndarray] = {}
    for shape in lay_convolutions():
        size = (shape.n_out, shape.n_in, shape.side, shape.side)
        fan_in = shape.n_in * shape.side**2
        drawn = _draw_near_normal(bits, math.prod(size), math.sqrt(2 / fan_in))
        weights[f"{shape.name}.weight"] = drawn.reshape(size)
        for part, value in _NEUTRAL_NORM.items():
            weights[f"{shape.norm}.{part}"] = np.full(shape.n_out, value, dtype=np.float32)
    return weights


_NEUTRAL_NORM = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}


def _draw_near_normal(bits: np.random.PCG64, n: int, deviation: float) -> np.ndarray:
    """Draw float32 (n,) of mean 0: exact integers, rounded once when they are scaled."""
    words = bits.random_raw(n).view(np.uint16).reshape(n, 4)
    total = np.full(n, -2 * 0xFFFF, dtype=np.int32)
    for k in range(4):
        total += words[:, k]
    deviation_of_total = math.sqrt(4 * (0x10000**2 - 1) / 12)
    return total.astype(np.float32) * np.float32(deviation / deviation_of_total)


def hash_weights(weights: Weights) -> str:
    """Hash names, shapes and little-endian float32 values, in the order they have."""
    digest = hashlib.sha256()
    for name, values in weights.items():
        digest.update(f"{name} {values.shape}\n".encode())
        digest.update(np.ascontiguousarray(values, dtype="<f4").data)
    return digest.hexdigest()


def verify_weights(card: EncoderCard, weights: Weights) -> None:
    """Refuse weights that are not the declared ones.

    Raises:
        EncoderError: their hash is not the card's.
    """
    found = hash_weights(weights)
    if found != card.weights_sha256:
        raise EncoderError(
            card.name,
            f"the weights drawn here have the SHA-256 {found}, not {card.weights_sha256}",
            remedy="Features of other weights cannot be compared: report this machine and its numpy"
            f" {np.__version__}.",
        )


def fold(weights: Weights, shape: ConvolutionShape, device: str) -> Convolution:
    """Multiply the batch normalisation into the convolution before it, in float64.

    norm(w * x) = gamma (w * x - mean) / sqrt(var + eps) + beta is itself a convolution.
    """
    gamma, beta, mean, var = (
        weights[f"{shape.norm}.{part}"].astype(np.float64) for part in _NEUTRAL_NORM
    )
    scale = gamma / np.sqrt(var + BATCH_NORM_EPS)
    weight = weights[f"{shape.name}.weight"] * scale[:, np.newaxis, np.newaxis, np.newaxis]
    bias = beta - mean * scale
    return Convolution(
        weight=torch.from_numpy(weight.astype(np.float32)).to(
            device, memory_format=torch.channels_last
        ),
        bias=torch.from_numpy(bias.astype(np.float32)).to(device),
        stride=shape.stride,
    )
