"""Factories of encoders for the tests, as a user's package would have them."""

import torch
from torch import nn
from torch.nn import functional

from pathassets.core.features.colour_stats import ColourStats
from pathassets.core.features.preprocessing import Preprocessing

NO_FUNCTION = 3


class Means(nn.Module):
    """The mean of each channel, times a number, through a layer of random weights."""

    def __init__(self, n_features: int = 4) -> None:
        super().__init__()
        self.layer = nn.Linear(3, n_features)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.layer(pixels.mean(dim=(2, 3)))


class Declaring(Means):
    preprocessing = Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def make_means(n_features: int = 4) -> nn.Module:
    return Means(n_features)


def make_declaring() -> nn.Module:
    return Declaring()


def make_encoder() -> ColourStats:
    return ColourStats()


def make_nothing() -> str:
    return "nothing"


class Odd(Means):
    """Goes wrong in one of the ways that modules of users go wrong."""

    def __init__(self, way: str) -> None:
        super().__init__(6)
        self.way = way

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        features = super().forward(pixels)
        if self.way == "dropout":
            return functional.dropout(features, 0.5, training=True)
        if self.way == "batch norm":
            return functional.batch_norm(features, None, None, training=True)
        if self.way == "nan":
            return torch.where(features == features[5], torch.nan, features)
        return torch.ones_like(features)


def make_odd(way: str) -> nn.Module:
    return Odd(way)
