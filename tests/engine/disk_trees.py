"""What extractors leave in a folder."""

import hashlib

import numpy as np

from pathassets.adapters.images.encode import decode_image
from tests.formula_tiff import formula_box


def tree_of(folder):
    """SHA-256 of all files below a folder, hidden ones too, by relative path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def images_in(folder):
    return sorted(name for name in tree_of(folder) if name.endswith((".png", ".jpg", ".webp")))


def is_right(path, level, x_px, y_px, side_px):
    """Whether a file has the pixels of a box of the formula slide."""
    expected = formula_box(level, x_px, y_px, side_px, side_px)
    return np.array_equal(decode_image(path.read_bytes()), expected)
