"""Any nn.Module ─▶ an encoder.

uint8 patches ─▶ Runner's passes ─▶ Pixels ─▶ module ─▶ outputs.pool ─▶ float32 features
                                    (or its own preproc_func, infer_batch)
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any, cast, get_args

import numpy as np
import torch
from torch import nn

from pathassets.adapters.torch.outputs import find_tensor, pool
from pathassets.adapters.torch.pixels import InputPixels
from pathassets.adapters.torch.process import CPU_ROWS, CUDA_ROWS, settle, translate
from pathassets.adapters.torch.runner import Runner, RunnerEncoder
from pathassets.core.features.encoder import EncoderCard, Pooling, Precision
from pathassets.errors import EncoderError

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
LAID = torch.channels_last
"""How pixels lie that a module gets, and its weights with them: as they were decoded.

CPU-ms per patch of 224 px, one thread, 8 rows, channels first and last: ResNet-18 44-47 and 37-44,
ViT-Ti/16 36-38 and 35-41, as much as two runs of one of them differ; and to lay a patch of 256 px
channels first takes 0.4.
"""


class TorchEncoder(RunnerEncoder):
    """An nn.Module as an encoder.

    A plain module gets float32 (n, 3, y, x), prepared as its card says; one that has
    `preproc_func` and `infer_batch` is driven through them.
    """

    def __init__(  # noqa: PLR0913 - how a module is driven
        self,
        module: nn.Module,
        card: EncoderCard,
        *,
        device: str = "cpu",
        rows: int | None = None,
        precision: Precision = "auto",
        pooling: Pooling = "auto",
    ) -> None:
        """Move it to `device`; where the size of its input is known, encode blank patches.

        Raises:
            EncoderError: the device is not here, or the output cannot be used as features.
        """
        settle(card, device)
        self._device = device
        self._precision = _choose_precision(card, device, precision)
        self._pooling = _choose_pooling(card, pooling)
        self._is_measured = False
        self._card = replace(card, precision=self._precision)
        self._pixels = InputPixels(card.preprocessing, card.name)
        if self._precision == "float32" and device != "cpu":
            torch.backends.cuda.matmul.allow_tf32 = False
        with translate(card, device):
            self._module = module.to(device).eval()
            self._format: torch.memory_format = LAID
            self._module = self._module.to(memory_format=self._format)  # type: ignore[call-overload]
        fixed = getattr(module, "fixed_rows", None)
        default = CPU_ROWS if device == "cpu" else CUDA_ROWS
        self._runner = Runner(
            self._forward, card=card, device=device,
            rows=fixed or rows or default, is_fixed=fixed is not None,
        )  # fmt: skip
        side_px = card.input_px or card.preprocessing.resize_px or card.preprocessing.crop_px
        if side_px:
            self._runner.begin(np.zeros((1, side_px, side_px, 3), dtype=np.uint8))()

    @property
    def card(self) -> EncoderCard:
        """What it is; its dim may be known from the first batch on only."""
        return self._card

    def _forward(self, pixels: torch.Tensor) -> torch.Tensor:
        dtype = _DTYPES.get(self._precision)
        kind = torch.device(self._device).type
        how = torch.autocast(kind, dtype=dtype) if dtype else contextlib.nullcontext()
        with how:
            output = self._infer(pixels)
        found = find_tensor(output, self._card.name)
        features = pool(found, len(pixels), self._pooling, self._card)
        self._measure(features)
        return features

    def _infer(self, pixels: torch.Tensor) -> object:
        module = cast("Any", self._module)
        if hasattr(module, "preproc_func") and hasattr(module, "infer_batch"):
            prepared = [np.asarray(module.preproc_func(patch)) for patch in pixels.cpu().numpy()]
            batch = torch.from_numpy(np.stack(prepared))
            return module.infer_batch(module, batch, device=self._device)
        prepared_pixels = self._pixels.prepare(pixels).contiguous(memory_format=self._format)
        try:
            return module(prepared_pixels)
        except RuntimeError as error:
            # A module that views its maps as rows wants them channels first.
            is_view = "view size is not compatible" in str(error)
            if not is_view or self._format is torch.contiguous_format:
                raise
        self._format = torch.contiguous_format
        self._module = self._module.to(memory_format=self._format)  # type: ignore[call-overload]
        return cast("Any", self._module)(prepared_pixels.contiguous())

    def _measure(self, features: torch.Tensor) -> None:
        """Note the features' shape at first, and hold the model to it thereafter."""
        dim, map_shape = features.shape[1], tuple(features.shape[2:])
        known = self._card.shape if self._is_measured else (self._card.dim or dim, *map_shape)
        if known != (dim, *map_shape):
            raise EncoderError(
                self._card.name,
                f"gave features of shape {(dim, *map_shape)}, not {known}",
                remedy="Declare the dim that the model has, or give it patches of one size.",
            )
        self._card = replace(self._card, dim=dim, map_shape=map_shape)
        self._is_measured = True


def _choose_precision(card: EncoderCard, device: str, asked: Precision) -> str:
    if asked != "auto":
        return asked
    return "float32" if device == "cpu" else card.precision


def _choose_pooling(card: EncoderCard, asked: Pooling) -> Pooling:
    if asked == "auto" and card.pooling in get_args(Pooling):
        return cast("Pooling", card.pooling)
    return asked
