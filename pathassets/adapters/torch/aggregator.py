"""Bag of features -> one vector, by a user's module."""

from __future__ import annotations

import importlib

import numpy as np
import torch
from torch import nn

from pathassets.adapters.torch.process import seeded
from pathassets.adapters.torch.weights import load_weights
from pathassets.errors import EncoderError


def aggregate(factory: str, weights: str | None, bag: np.ndarray, *, device: str) -> np.ndarray:
    """Give a bag, float32 (n, d), to the module of `package.module:factory`: float32 (d',).

    The module may return (d',) or (1, d'), or a tuple whose first item is that.

    Raises:
        EncoderError: there is no such factory, it fails, or makes something else.
    """
    module = _open(factory, weights)
    try:
        with torch.inference_mode():
            made = module.to(device).eval()(torch.from_numpy(bag).to(device))
    except Exception as error:
        raise EncoderError(
            factory, f"failed on a bag of {bag.shape}: {type(error).__name__}: {error}",
            remedy="It is called with float32 (n, d) on the device that it is on",
        ) from error  # fmt: skip
    first = made[0] if isinstance(made, tuple) else made
    if isinstance(first, torch.Tensor) and first.shape[:-1] in {(), (1,)} and first.ndim:
        return np.asarray(first.float().cpu().numpy()).reshape(-1)
    shape = f"a tensor {tuple(first.shape)}" if isinstance(first, torch.Tensor) else repr(made)
    raise EncoderError(factory, f"made {shape:.200}", remedy="Let it return (d',) or (1, d')")


def _open(factory: str, weights: str | None) -> nn.Module:
    package, _, name = factory.partition(":")
    try:
        make = getattr(importlib.import_module(package), name)
        with seeded():  # one without weights of its own is the same in every process
            module = make()
    except Exception as error:
        raise EncoderError(
            factory, f"cannot be opened: {type(error).__name__}: {error}",
            remedy="Install its package where pathassets runs; it is called without arguments",
        ) from error  # fmt: skip
    if not isinstance(module, nn.Module):
        raise EncoderError(
            factory, f"made a {type(module).__name__}", remedy="Let it return a torch.nn.Module"
        )
    if weights is not None:
        load_weights(module, weights, factory)
    return module
