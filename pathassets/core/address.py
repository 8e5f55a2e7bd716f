"""Address: where an artifact stands among all others, as stage, name, partition key and digest."""

from __future__ import annotations

from dataclasses import dataclass

ALL_SLIDES = "all"
"""Partition key of an artifact over all slides, such as a dataset."""
SLIDE_STAGE = "slide"
"""Stage of the root: a slide itself, as a parent of what is made from it."""
_N_PARTS = 4


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Identity of one artifact, or of a slide as the parent of one.

    >>> str(Address("features", "resnet18_p256", "CMU-1-0123456789", "89abcdef01234567"))
    'features/resnet18_p256/CMU-1-0123456789/89abcdef01234567'
    """

    stage: str
    """Kind of artifact, such as `tissue_mask`; `slide` for a slide itself."""
    name: str
    """Entry of the recipe; empty for a slide itself."""
    partition_key: str
    """A slide id, or `all` for an artifact over all slides."""
    digest: str
    """Digest of spec, code version and parents; the data version for a slide itself."""

    @classmethod
    def of_slide(cls, slide_id: str, data_version: str) -> Address:
        """Address a slide itself: its content and the resolution in force."""
        return cls(SLIDE_STAGE, "", slide_id, data_version)

    @classmethod
    def parse(cls, text: object) -> Address | None:
        """Inverse of `str`; None of what is none. Whether it is any artifact's, the catalog tells.

        >>> Address.parse("features/stats/a-1/89ab") == Address("features", "stats", "a-1", "89ab")
        True
        """
        parts = text.split("/") if isinstance(text, str) else []
        return cls(*parts) if len(parts) == _N_PARTS else None

    @property
    def key(self) -> tuple[str, str]:
        """Which asset it belongs to: (stage, name)."""
        return self.stage, self.name

    def __str__(self) -> str:
        return f"{self.stage}/{self.name}/{self.partition_key}/{self.digest}"
