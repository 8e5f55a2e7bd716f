"""Factories of encoders for the tests, as a user's package would have them."""

import torch
from torch import nn

from pathassets.core.colour_stats import ColourStats
from pathassets.core.preprocessing import Preprocessing

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
