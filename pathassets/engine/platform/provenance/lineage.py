"""A file of the store -> everything it was made from, out of the catalog.

dataset/cohort/all/… ─▶ features/… ─▶ patch_locations/… ─▶ tissue_mask/… ─▶ slide, its SHA-256
                                              └────────────────┴─▶ annotations/…, who and why
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathassets.catalog.records import ArtifactRecord
from pathassets.core.address import SLIDE_STAGE, Address
from pathassets.core.recipe import ANNOTATIONS
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.presence import damage_said
from pathassets.errors import CatalogError, StoreError


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestor:
    """One artifact or slide, and what it was made from."""

    address: Address
    facts: Mapping[str, Any]
    """What the catalog knows of it; for a slide its SHA-256, paths and resolution."""
    parents: tuple[Ancestor, ...]


def lineage_of(platform: Platform, path: Path) -> Ancestor:
    """Trace a file of the store to the slides it was made from, be it there still or not.

    Of what is not whole any more the facts say so, under `damaged`.

    Raises:
        StoreError: the path is not inside the store.
        CatalogError: the catalog knows no artifact there.
    """
    place, root = path.resolve(), platform.store.root.resolve()
    if not place.is_relative_to(root):
        raise StoreError(
            path,
            f"is not inside the store {platform.store.root}",
            remedy="Name a file of the store, or point PATHASSETS_STORE at its store",
        )
    uri = place.relative_to(root).as_posix()
    record = platform.catalog.find_artifact_at(uri)
    if record is None:
        raise CatalogError(
            f"{path}: the catalog knows no artifact here",
            remedy="Name a file inside <stage>/<name>/<slide>/<digest>/",
        )
    return _trace(platform, record, {})


def _trace(platform: Platform, record: ArtifactRecord, seen: dict[Address, Ancestor]) -> Ancestor:
    """Trace an artifact; `seen` holds what was traced, for each slide is met three times."""
    parents = []
    addresses = platform.catalog.parents_of(record.address)
    for address in sorted(addresses, key=lambda a: a.stage == SLIDE_STAGE):  # slides last
        if address not in seen:
            seen[address] = _ancestor(platform, record, address, seen)
        parents.append(seen[address])
    return Ancestor(
        address=record.address,
        facts={
            "made_at": record.made_at.isoformat(timespec="seconds"),
            "made_by": record.made_by,
            "code_version": record.code_version,
            "spec": dict(record.spec),
            **record.facts,
            **_recorded(platform, record.address),
            **_damaged(platform, record),
            "files": {f.path: f.sha256 for f in record.files},
        },
        parents=tuple(parents),
    )


def _ancestor(
    platform: Platform, child: ArtifactRecord, address: Address, seen: dict[Address, Ancestor]
) -> Ancestor:
    if address.stage == SLIDE_STAGE:
        return _slide(platform, address)
    record = platform.catalog.find_artifact(address)
    if record is None:
        raise CatalogError(
            f"{child.address}: its parent {address} is not in the catalog",
            remedy="Restore the catalog from its backup",
        )
    return _trace(platform, record, seen)


def _damaged(platform: Platform, record: ArtifactRecord) -> dict[str, Any]:
    """What a look at its files finds; nothing where they are there with their sizes."""
    damage = platform.store.check_sizes(record.address, record.files)
    return {} if damage is None else {"damaged": damage_said(record.address, damage)[1]}


def _recorded(platform: Platform, address: Address) -> dict[str, Any]:
    """Who recorded an annotation, and why; nothing of what was computed."""
    if address.stage != ANNOTATIONS:
        return {}
    history = platform.catalog.annotation_history(address.partition_key)
    return {
        "recorded": [
            f"{d.file} by {d.who} at {d.made_at:%Y-%m-%d %H:%M}: {d.why}"
            for d in history
            if (d.name, d.digest) == (address.name, address.digest)
        ]
    }


def _slide(platform: Platform, address: Address) -> Ancestor:
    slide = platform.catalog.slide(address.partition_key)
    stated = platform.catalog.mpp_history(slide.slide_id)
    return Ancestor(
        address=address,
        facts={
            "sha256": slide.fingerprint,
            "paths": [p.path for p in platform.catalog.paths(slide.slide_id)],
            "patient": slide.patient,
            "label": slide.label,
            "mpp_in_file": slide.mpp,
            "mpp_sources": {s.source: s.value for s in slide.mpp_sources},
            "mpp_stated": [
                f"{o.mpp:g} by {o.who} at {o.made_at:%Y-%m-%d %H:%M}: {o.why}" for o in stated
            ],
        },
        parents=(),
    )
