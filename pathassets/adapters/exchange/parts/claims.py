"""What our exports say of where they are from, beside what their readers ask for.

Readers leave attributes alone that they do not know. By these an import finds the slide again by
its content, whatever the file is called by then.
"""

from __future__ import annotations

from typing import Any

from pathassets.core.exchange.bags import Bag

PREFIX = "pathassets_"


def claims_of(bag: Bag) -> dict[str, Any]:
    """Attributes that name slide, artifact, encoder and footprint."""
    return {
        f"{PREFIX}encoder": bag.encoder,
        f"{PREFIX}patch_mpp": bag.footprint.mpp,
        f"{PREFIX}patch_px": bag.footprint.patch_px,
        f"{PREFIX}side_px0": bag.footprint.side_px0,
        f"{PREFIX}slide_id": bag.slide.slide_id,
        f"{PREFIX}slide_sha256": bag.slide.sha256,
        f"{PREFIX}source": bag.source,
    }
