"""Models that `features.py` measures with, in plain torch, their weights drawn."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


class MeanRgb(nn.Module):
    """The mean colour: as little as a model can do."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 3, y, x) -> (n, 3)."""
        return x.mean(dim=(2, 3))


class Block(nn.Module):
    """Two convolutions and the way around them."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.found = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(),
            nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out),
        )  # fmt: skip
        self.around: nn.Module = nn.Identity()
        if n_in != n_out:
            self.around = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add what the convolutions find to the input."""
        return torch.relu(self.found(x) + self.around(x))


def resnet18() -> nn.Module:
    """ResNet-18 up to its average pool."""
    stages = ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2))
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        *(block for n_in, n_out, stride in stages
          for block in (Block(n_in, n_out, stride), Block(n_out, n_out, 1))),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


class Vit(nn.Module):
    """A vision transformer with patches of 16 px and a class token, for images of 224 px.

    Source: Dosovitskiy et al. 2021, An Image is Worth 16x16 Words (arXiv:2010.11929).
    """

    def __init__(self, width: int, depth: int, n_heads: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, 16, 16)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.place = nn.Parameter(torch.randn(1, 197, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, n_heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True,
            norm_first=True,
        )  # fmt: skip
        self.layers = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 3, 224, 224) -> (n, width)."""
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], dim=1) + self.place
        return self.norm(self.layers(tokens)[:, 0])


MODELS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "mean_rgb": (MeanRgb, 256),
    "resnet18": (resnet18, 256),
    "vit_s16": (lambda: Vit(384, 12, 6), 224),
    "vit_l16": (lambda: Vit(1024, 24, 16), 224),
}
"""What makes each model, and the side of its patches."""
