"""A planned dataset -> what its parts share, told from names, and from what slides look like.

thumbnails ─▶ hashes, kept in the catalog ─▶ pairs across parts ─▶ aligned, correlated ─▶ the same
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from pathassets.adapters.opencv import read_jpeg
from pathassets.catalog.releases.records import FindingRecord
from pathassets.core.datasets.leaks import Leak, find_leaks, same_slide
from pathassets.core.datasets.similarity import (
    METHOD,
    Likeness,
    confirm,
    hash_picture,
    near_pairs,
)
from pathassets.engine.platform.datasets.plan import PlannedDataset
from pathassets.engine.platform.platform import Platform
from pathassets.errors import LeakageFound

N_KEPT = 1000
"""Hashes that are kept at once: a build that is killed goes on from there."""
LEAKS_TOLD = 5
"""Findings that the error tells; the catalog keeps all."""


def require_no_leak(platform: Platform, planned: PlannedDataset) -> None:
    """Let a version through whose parts share nothing, or what was accepted.

    Raises:
        LeakageFound: they share more; what blocks it is kept.
    """
    accepted = {a.finding for a in planned.accepted}
    open_leaks = [leak for leak in leaks_of(platform, planned) if leak.finding not in accepted]
    name = planned.entry.name
    platform.catalog.set_findings(name, planned.address.digest, map(_record, open_leaks))
    if open_leaks:
        raise _blocked(name, open_leaks)


def leaks_of(platform: Platform, planned: PlannedDataset) -> list[Leak]:
    """All that the parts of a version share, accepted or not."""
    manifest = planned.manifest
    alike = find_alike(platform, manifest)
    return [*find_leaks(manifest), *same_slide(manifest, alike)]


def find_alike(platform: Platform, manifest: pd.DataFrame) -> Iterator[Likeness]:
    """Slides of different parts that show the same tissue; one without a thumbnail shows none."""
    ids = manifest["slide_id"].tolist()
    hashes = _hashes(platform, ids)
    told = [slide_id for slide_id in ids if hashes.get(slide_id)]
    part_of = dict(zip(ids, manifest["split"], strict=True))
    pairs = near_pairs([hashes[s] for s in told], [part_of[s] for s in told])
    for one, other, bits in pairs:
        pair = (told[one], told[other])
        pictures = {s: read_jpeg(data) for s, data in platform.catalog.thumbnails(pair)}
        correlation = confirm(*(pictures[s] for s in pair))
        if correlation is not None:
            yield Likeness(one=pair[0], other=pair[1], distance_bits=bits, correlation=correlation)


def _hashes(platform: Platform, slide_ids: list[str]) -> dict[str, bytes]:
    """Hash of every slide that has a thumbnail, made where it is not kept yet."""
    known = platform.catalog.slide_hashes(METHOD)
    missing = [slide_id for slide_id in slide_ids if slide_id not in known]
    made: dict[str, bytes] = {}
    for slide_id, data in platform.catalog.thumbnails(missing):
        made[slide_id] = hash_picture(read_jpeg(data))
        if len(made) == N_KEPT:
            platform.catalog.keep_slide_hashes(METHOD, made)
            known, made = known | made, {}
    platform.catalog.keep_slide_hashes(METHOD, made)
    return known | made


def _record(leak: Leak) -> FindingRecord:
    return FindingRecord(
        finding=leak.finding,
        kind=leak.kind,
        one=leak.one,
        other=leak.other,
        message=leak.message,
        remedy=leak.remedy,
        evidence={**leak.evidence, "slides": list(leak.slides)},
    )


def _blocked(name: str, leaks: list[Leak]) -> LeakageFound:
    told = [f"[{leak.finding}] {leak.message}: {leak.remedy}" for leak in leaks[:LEAKS_TOLD]]
    more = [f"{len(leaks) - LEAKS_TOLD} more"] if len(leaks) > LEAKS_TOLD else []
    return LeakageFound(
        name,
        "; ".join([*told, *more]),
        remedy=f"Mend them, or let one pass: pathassets dataset accept {name} "
        f"{leaks[0].finding} --who … --why …; pathassets dataset show {name} lists them",
    )
