"""An artifact that somebody wants and that is not here -> why, as far as the catalog knows.

in the catalog, its files gone       ─▶ was made, and is gone
its slide taken out                  ─▶ forgotten: when, by whom and why
last attempt failed, or was blocked  ─▶ that, with its remedy
an attempt made it                   ─▶ was made, and removed since
a release, or what is made from it   ─▶ was made, and nobody knows more
another digest at its place          ─▶ was never made with this one
none of these                        ─▶ was never made: no attempt at it is known
"""

from __future__ import annotations

from dataclasses import dataclass

from pathassets.adapters.store.store import Artifact
from pathassets.catalog.records import ArtifactRecord, AttemptRecord
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.recipe import ANNOTATIONS, DATASET
from pathassets.engine.datasets.withdrawn import withdrawn_among
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.presence import tool_of
from pathassets.engine.platform.standing.damaged import RUN_REMEDY, remedy_once_noted
from pathassets.engine.stages.outcomes import import_again
from pathassets.errors import ArtifactCorrupt, ArtifactMissing, MembersForgotten

_MADE = ("made", "current")
"""States of an attempt after which it was there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """Why an artifact is not here."""

    reason: str
    """Documented code: that of the failure, where it failed."""
    said: str
    """What goes on from its name: `features/uni failed on …`."""
    remedy: str


def read_present(platform: Platform, address: Address, *, reads_bytes: bool = True) -> Artifact:
    """Read an artifact once its files have their hashes, or only their sizes; or say why not.

    What bytes show to be damaged is noted, so that the next run makes it anew.

    Raises:
        ArtifactMissing: it is not here; the message says why.
        ArtifactCorrupt: a file is gone or has other bytes.
    """
    store = platform.store
    try:
        return store.read_checked(address) if reads_bytes else store.read_whole(address)
    except ArtifactMissing as error:
        raise absent(platform, address) from error
    except ArtifactCorrupt as error:
        if reads_bytes and platform.catalog.find_artifact(address) is not None:
            said = _without_place(error, store.uri_of(address))
            error.remedy = remedy_once_noted(platform, address, said, by="read", usual=RUN_REMEDY)
        raise


def _without_place(error: ArtifactCorrupt, place: str) -> str:
    """What is wrong with an artifact's file, which is named from its folder."""
    return error.message.removeprefix(place).lstrip("/").replace(": ", " ", 1)


def absent(platform: Platform, address: Address) -> ArtifactMissing:
    """The error of an artifact that is not here, with the reason why."""
    why, key = why_absent(platform, address), "/".join(address.key)
    if address.partition_key == ALL_SLIDES:
        error = ArtifactMissing(key, why.said, remedy=why.remedy)
    else:
        error = ArtifactMissing(address.partition_key, f"{key} {why.said}", remedy=why.remedy)
    error.reason = why.reason
    return error


def why_absent(platform: Platform, address: Address) -> Absence:
    """Why an artifact is not here."""
    record = platform.catalog.find_artifact(address)
    if record is not None:
        return _gone(platform, record)
    forgotten = withdrawn_among(platform.catalog.forgotten(), [address.partition_key])
    if forgotten:
        (one,) = forgotten
        said = f"is gone: its slide was forgotten on {one.on} by {one.who}: {one.why}"
        remedy = "docs/upkeep.md says how a slide is let in again"
        return Absence(reason=MembersForgotten.reason, said=said, remedy=remedy)
    return _by_attempts(platform, address)


def _gone(platform: Platform, record: ArtifactRecord) -> Absence:
    """Of one that the catalog knows: its files are gone, and to make it again may have failed."""
    address, tool = record.address, tool_of(platform, record.address)
    how = f"was imported from {tool}" if tool else "was made"
    said = f"{how} on {record.made_at:%Y-%m-%d}, and is gone from the store"
    last = platform.catalog.latest_attempts([address.partition_key]).get(
        (*address.key, address.partition_key)
    )
    if last is not None and last.address == address and last.state not in _MADE:
        return Absence(reason=last.reason, said=f"{said}; {_failed(last)}", remedy=last.remedy)
    remedy = import_again(address, tool) if tool else _remedy(platform, address)
    return Absence(reason=ArtifactMissing.reason, said=said, remedy=remedy)


def _by_attempts(platform: Platform, address: Address) -> Absence:
    """Of one that the catalog does not know any more, or never did."""
    tried = platform.catalog.attempts(partition_key=address.partition_key)
    own = [one for one in tried if one.address == address]
    if own and own[-1].state not in _MADE:
        return Absence(reason=own[-1].reason, said=_failed(own[-1]), remedy=own[-1].remedy)
    made = [one for one in own if one.state in _MADE]
    if made:
        said = (
            f"was made on {made[-1].at:%Y-%m-%d} by run {made[-1].run_id}, and was removed since, "
            "as gc does"
        )
    elif witness := _witness(platform, address):
        said = f"was made, since {witness}, and the catalog does not know it any more"
    elif any(platform.catalog.made_of([address.key], [address.partition_key])):
        said = f"was never made with digest {address.digest}, only with others"
    elif any(one.address.key == address.key for one in tried):
        said = f"was never made: the catalog knows no attempt at it with digest {address.digest}"
    else:
        said = "was never made: the catalog knows no attempt at it"
    return Absence(reason=ArtifactMissing.reason, said=said, remedy=_remedy(platform, address))


def _witness(platform: Platform, address: Address) -> str:
    """What shows that it was made, though no attempt is left that did; empty where nothing does."""
    if address.stage == DATASET:
        for one in platform.catalog.releases(address.name):
            if one.digest == address.digest:
                return f"it is release {one.name}"
    child = next(iter(platform.catalog.children_of(address)), None)
    return "" if child is None else f"{child} is made from it"


def _failed(last: AttemptRecord) -> str:
    """What an attempt says, without the slide's name, which the line has already.

    A message names its subject as `SLIDE: …`, or as `SLIDE (FILE): …`.
    """
    said = last.message.removeprefix(last.address.partition_key) or f": {last.reason}"
    joint = "" if said.startswith((":", " (")) else ": "
    return f"{last.state} on {last.at:%Y-%m-%d}{joint}{said}"


def _remedy(platform: Platform, address: Address) -> str:
    key, slide_id = "/".join(address.key), address.partition_key
    if address.stage == ANNOTATIONS:
        from pathassets.engine.stages.recorded_annotation import record_again  # noqa: PLC0415 - shapely

        return record_again(slide_id, address.name)
    if all(entry.key != address.key for entry in platform.recipe.entries):
        return f"The recipe has no {key}: enter it, and pathassets run makes it"
    slides = "" if slide_id == ALL_SLIDES else f" --slides {slide_id}"
    only = f" --select {key}" if address.stage == DATASET else ""  # else its parents are to be made
    return f"Make what is asked for now: pathassets run{only}{slides}"
