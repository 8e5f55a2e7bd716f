"""What decides an artifact's bytes besides this package's own code."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import version


@lru_cache(maxsize=1)
def software_versions() -> dict[str, str]:
    """Versions of what decides an artifact's bytes."""
    names = ("pathassets", "imagecodecs", "numpy", "opencv-python-headless", "openslide-python",
             "openslide-bin", "pandas", "pyarrow", "simplejpeg", "torch", "zarr")  # fmt: skip
    return {name: version(name) for name in names}
