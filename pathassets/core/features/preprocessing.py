"""RGB uint8 patches -> what a model was trained on: size, scale, mean and deviation.

    uint8 (n, y, x, 3) ─▶ resize ─▶ centre crop ─▶ scale ─▶ -mean ─▶ /std ─▶ float (n, 3, y, x)

It is a part of the encoder: one model under two preprocessings makes two sets of features.
`pathassets.adapters.torch` carries it out on the device.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic.dataclasses import dataclass as spec_dataclass

from pathassets.core.spec import STRICT

Interpolation = Literal["bilinear", "bicubic"]


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value  # YAML knows no tuples


Side = Annotated[int, Field(ge=1, le=8192)]
Rgb = Annotated[tuple[float, float, float], BeforeValidator(_as_tuple)]
"""One number for red, green and blue."""


@spec_dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Preprocessing:
    """How pixels become a model's input. The default is RGB in [0, 1], of the patch's own size."""

    resize_px: Side | None = None
    """Shorter side that patches are resampled to, antialiased; None leaves them."""
    crop_px: Side | None = None
    """Side of the square cut from the centre thereafter; None leaves all."""
    interpolation: Interpolation = "bicubic"
    scale: Annotated[float, Field(gt=0.0)] = 1 / 255
    """Factor of the pixel values."""
    mean: Rgb = (0.0, 0.0, 0.0)
    """Taken off, after scaling."""
    std: Rgb = (1.0, 1.0, 1.0)
    """Divided by, last."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not all(value > 0 for value in self.std):
            raise ValueError("std: each of the three is more than 0")
        if self.resize_px and self.crop_px and self.crop_px > self.resize_px:
            raise ValueError("crop_px: no more than resize_px can be cut")
        return self

    def side_of(self, patch_px: int) -> int:
        """Side of the model's input, in pixels, for square patches of `patch_px`.

        >>> Preprocessing(resize_px=248, crop_px=224).side_of(512)
        224
        """
        return self.crop_px or self.resize_px or patch_px


IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Red, green, blue, of pixels in [0, 1]. Source: torchvision's models, as published."""
IMAGENET_STD = (0.229, 0.224, 0.225)
