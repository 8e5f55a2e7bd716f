"""What our exports say of where they are from, beside what their readers ask for.

Readers leave attributes alone that they do not know. By these an import finds the slide again by
its content, whatever the file is called by then.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from pathassets.adapters.exchange.parts.hdf5 import attributes_of, is_own, open_h5, plain
from pathassets.core.exchange.bags import Bag
from pathassets.errors import PathAssetsError

PREFIX = "pathassets_"
SOURCE = f"{PREFIX}source"
HDF5 = frozenset({".h5", ".h5ad"})


def claims_of(bag: Bag) -> dict[str, Any]:
    """Attributes that name slide, artifact, encoder, its weights and the footprint."""
    return {
        f"{PREFIX}encoder": bag.encoder,
        f"{PREFIX}patch_mpp": bag.footprint.mpp,
        f"{PREFIX}patch_px": bag.footprint.patch_px,
        f"{PREFIX}side_px0": bag.footprint.side_px0,
        f"{PREFIX}slide_id": bag.slide.slide_id,
        f"{PREFIX}slide_sha256": bag.slide.sha256,
        SOURCE: bag.source,
        f"{PREFIX}weights_sha256": str(bag.attributes.get("weights_sha256") or ""),
    }


def claimed_source(path: Path) -> str:
    """Address that an HDF5 file says it was exported from; "" where it says none, or is another.

    It is a stranger's word until the catalog knows the address.
    """
    if path.suffix not in HDF5 or not path.is_file():
        return ""
    with suppress(PathAssetsError), open_h5(path) as file:
        # Of a slide's vector the coordinates say what it was made of, and its features what it is.
        items = [file, *(file[name] for name in ("features", "coords") if is_own(file, name))]
        for said in map(attributes_of, items):
            if isinstance(said.get(SOURCE), str):
                return str(said[SOURCE])
        if is_own(file, "uns") and is_own(file["uns"], SOURCE):  # AnnData has no attributes
            kept = file["uns"][SOURCE]
            return str(plain(kept[()])) if kept.shape == () else ""
    return ""
