"""Images to be kept, made by arithmetic."""

import numpy as np

from pathassets.adapters.images.encode import encode_image
from pathassets.core.patches.names import PatchPlace
from pathassets.core.patches.patch_set import EncodedPatch


def pixels_of(index, level=0):
    """RGB 16 x 16, other for each patch and level."""
    y, x = np.mgrid[:16, :16]
    return np.stack([x + index, y + 16 * level, x ^ y], axis=-1).astype(np.uint8)


def encoded(index, level_or_mpp=0, *, is_set=False, label="", image_type="png"):
    place = PatchPlace(
        index=index, label=label, x_px0=256 * index, y_px0=-index, width_px=16, height_px=16,
        level_or_mpp=level_or_mpp, set_number=index + 1 if is_set else None,
    )  # fmt: skip
    data = encode_image(pixels_of(index, int(level_or_mpp)), image_type)
    return EncodedPatch.of(place, f"{label or 'none'}/{index}_{level_or_mpp}.{image_type}", data)
