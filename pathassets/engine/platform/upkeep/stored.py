"""Catalog + store -> rows without files, files without rows, and what is neither.

    catalog, row by row     ─▶ its files: gone, of another size, with --bytes of other bytes: noted
                            ─▶ what of the rest was noted as damaged since bytes were read
    store, folder by folder ─▶ no row: adopted once it is proved, told, or put aside
                            ─▶ links, stray files, what killed runs left

Both are read as they come; nothing holds all of either.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice

from pathassets.adapters.store.damage import Damage
from pathassets.adapters.store.opening import upkeep_of
from pathassets.adapters.store.store import Artifact
from pathassets.adapters.store.upkeep import Stray, Upkeep, working_since_s
from pathassets.catalog.forgotten import find_gone
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.recipe import ANNOTATIONS, STAGES
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.presence import damage_noted
from pathassets.engine.platform.upkeep.adopt import (
    Unfounded,
    adopt,
    is_external,
    is_proved,
    unfounded,
)
from pathassets.engine.platform.upkeep.damaged import tell_damaged
from pathassets.engine.platform.upkeep.finding import Finding
from pathassets.engine.stages.recorded_annotation import ORIGINAL
from pathassets.errors import ArtifactCorrupt, ArtifactMissing, StoreError

FIX = "pathassets doctor --fix"
_N_ASKED = 500
"""Addresses that the catalog is asked about at once."""


def check_rows(platform: Platform, *, reads_bytes: bool) -> Iterator[Finding]:
    """Look at the files of every artifact that the catalog knows.

    What is damaged is noted where bytes are read: no look by sizes finds it again, and it is told
    by what was noted.
    """
    store = platform.store
    expected = platform.catalog.listed_files()
    looks = (
        store.find_damaged_bytes(expected, n_threads=platform.settings.n_workers)
        if reads_bytes
        else store.look_over(expected)
    )
    damaged = ((address, damage) for address, damage in looks if damage is not None)
    known = damaged if reads_bytes else _with_noted(platform, damaged)
    begun = platform.catalog.begun_removals()  # told of the slide
    staying = ((address, damage) for address, damage in known if address.partition_key not in begun)
    yield from tell_damaged(platform, staying, is_noted=reads_bytes)
    forgotten = platform.catalog.forgotten()  # their artifacts may have been kept
    for table, address in platform.catalog.homeless():
        if find_gone(forgotten, address.partition_key) is None:
            yield _of_no_slide(platform, table, address)


def _with_noted(
    platform: Platform, seen: Iterable[tuple[Address, Damage]]
) -> Iterator[tuple[Address, Damage]]:
    """What was seen to be damaged, then what else is noted as such by whoever read its bytes."""
    told: set[Address] = set()
    for address, damage in seen:
        told.add(address)
        yield address, damage
    for attempt in platform.catalog.failed_though_made():
        damage_then = damage_noted(attempt)
        if damage_then is not None and attempt.address not in told:
            fact = f"{damage_then.fact}, as was noted"
            yield attempt.address, replace(damage_then, fact=fact)


def _of_no_slide(platform: Platform, table: str, address: Address) -> Finding:
    return Finding(
        kind="row_of_no_slide",
        subject=f"{table} {address}",
        evidence=f"the catalog has no slide {address.partition_key}",
        remedy=f"{FIX} drops the row, and puts its files aside",
        mend=partial(_drop_row, platform, table, address),
    )


def _drop_row(platform: Platform, table: str, address: Address) -> str:
    """Drop a row, before its folder goes: a folder without a row is found, and says what it is."""
    if table != "artifact":
        platform.catalog.drop_attempts(address)
        return "its rows were dropped"
    platform.catalog.drop_rows(address)
    if upkeep_of(platform.store).is_bare(address):
        return "its row was dropped"
    where = platform.store.uri_of(address)
    return f"its row was dropped, its files are in {_put_aside(platform, where, is_file=False)}"


def check_store(platform: Platform, *, reads_bytes: bool) -> Iterator[Finding]:
    """Look at everything that lies in the store."""
    upkeep = upkeep_of(platform.store)
    for left in upkeep.find_leftovers():
        yield _leftover(upkeep, left)
    since_s = working_since_s(platform.store)
    found = upkeep.survey([ANNOTATIONS, *STAGES])
    refused: set[Address] = set()  # what an artifact is made from comes before it
    begun = platform.catalog.begun_removals()
    while page := list(islice(found, _N_ASKED)):
        strays = [one for one in page if isinstance(one, Stray)]
        listed = (one for one in page if isinstance(one, Address))
        addresses = [one for one in listed if one.partition_key not in begun]
        yield from (_stray(platform, one) for one in strays)
        known = platform.catalog.known_artifacts(addresses)
        slides = platform.catalog.slides_ever({one.partition_key for one in addresses})
        for address in addresses:
            if address not in known and not upkeep.is_newer(address, since_s):
                is_of_slide = address.partition_key in {ALL_SLIDES, *slides}
                yield from _unrecorded(platform, address, refused, is_of_slide=is_of_slide)
            elif address in known and reads_bytes:
                yield from _unlisted(platform, address)


def _leftover(upkeep: Upkeep, left: Stray) -> Finding:
    def sweep() -> str:
        upkeep.sweep()
        return "removed: it was never finished"

    return Finding(
        kind="leftover",
        subject=left.place,
        evidence=left.what,
        remedy="The next run removes it, as does " + FIX,
        mend=sweep,
    )


def _stray(platform: Platform, stray: Stray) -> Finding:
    """Something that nobody published; put aside only where nothing but the store's own may be."""
    top, _, _ = stray.place.removeprefix(f"{platform.store.where}/").partition("/")
    if top not in STAGES or _holds_slide(platform, stray.place):
        return _left_alone(stray.place, stray.what)
    return Finding(
        kind="stray",
        subject=stray.place,
        evidence=stray.what,
        remedy=f"Take it elsewhere; {FIX} puts it aside",
        mend=partial(_aside, platform, stray.place, is_file=stray.is_file),
    )


def _left_alone(place: str, what: str) -> Finding:
    return Finding(
        kind="stray",
        subject=place,
        evidence=f"{what}, and may be somebody's: it is left alone",
        remedy="Take it elsewhere, or give the store a folder of its own (PATHASSETS_STORE)",
        is_note=True,
    )


def _holds_slide(platform: Platform, place: str) -> bool:
    """Whether a registered slide is, or lies in, what is at a path or URL of the store."""
    beside = platform.catalog.paths_below([place.rpartition("/")[0]])
    return any(one == place or one.startswith(f"{place}/") for one in beside)


def _unlisted(platform: Platform, address: Address) -> Iterator[Finding]:
    try:
        artifact = platform.store.read(address)
    except StoreError:
        return  # told of its row
    yield from (_stray(platform, one) for one in upkeep_of(platform.store).find_unlisted(artifact))


def _unrecorded(
    platform: Platform, address: Address, refused: set[Address], *, is_of_slide: bool
) -> Iterator[Finding]:
    """A folder at an artifact's place, of which the catalog has no row."""
    if upkeep_of(platform.store).is_bare(address):
        return  # what an interrupted removal leaves
    try:
        artifact = platform.store.read_whole(address)
    except (ArtifactMissing, ArtifactCorrupt) as error:  # one that does not answer ends it all
        refused.add(address)
        place = platform.store.uri_of(address)
        if _holds_slide(platform, place):
            yield _left_alone(place, "is no artifact, and holds slides")
            return
        yield Finding(
            kind="artifact_broken",
            subject=str(address),
            evidence=f"the catalog does not know it, and it is not whole: {error.message}",
            remedy=f"{FIX} puts it aside",
            mend=partial(_aside, platform, place, is_file=False),
        )
        return
    told = _whole(platform, artifact, refused, is_of_slide=is_of_slide)
    if not told.can_fix:
        refused.add(address)
    yield told


def _whole(
    platform: Platform, artifact: Artifact, refused: set[Address], *, is_of_slide: bool
) -> Finding:
    address = artifact.address
    subject = str(address)
    if not is_of_slide:
        return _homeless(platform, address)
    if not is_proved(artifact, platform.recipe):
        return _unproved(artifact)
    if address.stage == ANNOTATIONS and not _is_stated(platform, address):
        return _unstated(platform, artifact)
    if (lacking := unfounded(platform, artifact, refused)) is not None:
        return _unfounded(platform, address, lacking)
    return Finding(
        kind="artifact_unrecorded",
        subject=subject,
        evidence="it is whole by its sizes, and the catalog does not know it",
        remedy=f"{FIX} reads its bytes and enters it",  # a run does so only where it is in force
        mend=partial(adopt, platform, address),
    )


def _unstated(platform: Platform, artifact: Artifact) -> Finding:
    """An annotation's file, which can be recorded once more: it lies in the store as it was."""
    address, folder = artifact.address, platform.store.fetch(artifact.address)
    kept = (folder / one.path for one in artifact.files if one.path.startswith(f"{ORIGINAL}/"))
    file = shlex.quote(str(next(kept, folder)))
    return Finding(
        kind="annotation_unstated",
        subject=str(address),
        evidence="it is whole, and the catalog does not say who recorded it",
        remedy="Restore the catalog; or record it again: pathassets annotations set "
        f"{address.partition_key} {file} --name {address.name} --who NAME --why …",
    )


def _unfounded(platform: Platform, address: Address, lacking: Unfounded) -> Finding:
    return Finding(
        kind="artifact_unrecorded",
        subject=str(address),
        evidence="it is whole by its sizes, the catalog does not know it, and it was made from "
        f"{lacking.parent}, {lacking.why}",
        remedy=f"{lacking.remedy}, or remove {platform.store.uri_of(address)}",
    )


def _homeless(platform: Platform, address: Address) -> Finding:
    """A whole folder of a slide that the catalog does not know, or that was taken out."""
    slide_id = address.partition_key
    gone = find_gone(platform.catalog.forgotten(), slide_id)
    return Finding(
        kind="artifact_of_no_slide",
        subject=str(address),
        evidence=f"it is whole, and the catalog has no slide {slide_id}"
        if gone is None
        else f"it is whole, and its slide was {gone.told}",
        remedy="Ingest its slide again, or restore the catalog; else remove it, unless another "
        "catalog uses this store"
        if gone is None
        else f"Remove {platform.store.uri_of(address)}",
    )


def _unproved(artifact: Artifact) -> Finding:
    subject = str(artifact.address)
    if is_external(artifact):
        return Finding(
            kind="external_unproved",
            subject=subject,
            evidence="another tool's features; their digest does not follow from the recipe's "
            "entry, the slide's version and the source that they state",
            remedy="Import them again: pathassets import; by the recipe that they were imported "
            f"with, {FIX} takes them over",
        )
    return Finding(
        kind="artifact_misplaced",
        subject=subject,
        evidence="its digest is not that of the spec and the parents that it states",
        remedy="Find out who put it there; it is never taken over",
    )


def _is_stated(platform: Platform, address: Address) -> bool:
    history = platform.catalog.annotation_history(address.partition_key)
    return any((one.name, one.digest) == (address.name, address.digest) for one in history)


def _aside(platform: Platform, place: str, *, is_file: bool) -> str:
    return f"put aside: {_put_aside(platform, place, is_file=is_file)}"


def _put_aside(platform: Platform, place: str, *, is_file: bool) -> str:
    upkeep = upkeep_of(platform.store)
    return upkeep.put_aside(place, f"{datetime.now(UTC):%Y-%m-%d}", is_file=is_file)
