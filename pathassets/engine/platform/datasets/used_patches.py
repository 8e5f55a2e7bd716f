"""Features and quality of a slide -> which rows of the features a dataset uses, a bit for each.

in the newest version with the same rules? ─yes─▶ its bits
                 │no
                 ▼
table of the slide's patches, its bytes checked ─▶ rows that keep the rules
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from pathassets.adapters.parquet import load_table
from pathassets.core.address import Address
from pathassets.core.datasets.manifest import USED
from pathassets.core.datasets.used_patches import pack_used
from pathassets.core.quality.rules import kept_by, limits_of
from pathassets.core.recipe import Entry
from pathassets.engine.datasets.folder import open_folder
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.absence import read_present
from pathassets.engine.stages.quality.patch_quality import QUALITY
from pathassets.errors import ArtifactCorrupt, ArtifactMissing, StoreError


class Row(NamedTuple):
    """What of a slide decides which of its patches are used; by these names in the manifest."""

    slide_id: str
    patch_quality_digest: str
    patch_locations_digest: str
    features_digest: str
    n_patches: int


class UsedPatches:
    """Finds which patches of slides a dataset uses."""

    def __init__(self, platform: Platform, entry: Entry) -> None:
        self._platform, self._store = platform, platform.store
        self._rules, self._quality = entry.spec.patch_rules, entry.beside or ("", "")
        self._known = _of_version_before(platform, entry)

    def find(self, row: Row, skipped: Iterable[int]) -> bytes | str:
        """Bits of a slide's rows; or, in a few words, why they are not known.

        `skipped` are places of the patch locations that the features have no row of.

        Raises:
            StoreError: the store does not answer, so that nobody knows.
        """
        if row in self._known:
            return self._known[row]
        address = Address(*self._quality, row.slide_id, row.patch_quality_digest)
        try:
            read_present(self._platform, address)
            kept = kept_by(self._rules, load_table(self._store.fetch(address) / QUALITY))
        except (ArtifactMissing, ArtifactCorrupt, KeyError):
            return "patch quality damaged"
        is_used = np.delete(kept, [*skipped])
        if not row.patch_locations_digest or len(is_used) != row.n_patches:
            return "patch quality of other patches"
        return pack_used(is_used)


def _of_version_before(platform: Platform, entry: Entry) -> Mapping[Row, bytes]:
    """Bits of the newest version of a dataset that has the same rules: a table, for any cohort."""
    rules = limits_of(entry.spec.patch_rules)
    versions = [
        one
        for one in platform.catalog.artifacts(*entry.key)
        if one.spec.get("patch_rules") == rules and one.code_version == entry.code_version
    ]
    if not versions:
        return {}
    newest = max(versions, key=lambda one: (one.made_at, one.address))
    try:
        platform.store.read_checked(newest.address)
        folder = open_folder(platform.store.fetch(newest.address))
        bits = folder.used
    except StoreError:
        return {}
    if USED not in folder.manifest:
        return {}
    rows = folder.manifest[list(Row._fields)].fillna("").itertuples(index=False)
    return {row: bits[row.slide_id] for row in map(Row._make, rows)}
