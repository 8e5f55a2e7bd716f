"""Bytes that were read and are not what was published -> attempts that failed, in the catalog.

    a look by sizes ─▶ whole                     ─▶ current, and a run skips it
    bytes read      ─▶ damaged: a failed attempt ─▶ status shows it, and the next run reads its
                                                    bytes again, to make it anew

Whoever reads bytes notes here what of them is damaged: a remedy that says `pathassets run` is true
once it is noted.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable

from pathassets.adapters.store.damage import Damage
from pathassets.catalog.records import AttemptRecord
from pathassets.core.address import Address
from pathassets.core.recipe import ANNOTATIONS, DATASET
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.presence import damage_said, tool_of
from pathassets.engine.stages.outcomes import import_again
from pathassets.errors import CatalogError

logger = logging.getLogger(__name__)

MAKES_ANEW = "pathassets run reads it again and makes it anew"
RUN_REMEDY = "pathassets run makes it anew where it is in force"
_NOT_NOTED = (
    "It could not be noted here: doctor --bytes does, where the store and its catalog can be "
    "written, and the next run makes it anew"
)


def enter_damage(
    platform: Platform, found: Iterable[tuple[Address, Damage | str]], *, by: str
) -> None:
    """Enter what is damaged, so that status shows it and a run doubts it; `by` begins the run's id.

    Of datasets only the version that was built last: an older one would count as built last then.

    Raises:
        CatalogError: it cannot be noted.
    """
    run_id = f"{by}-{uuid.uuid4()}"
    listed = [(address, damage) for address, damage in found if not _is_older(platform, address)]
    platform.catalog.record_attempts(
        [_attempt(platform, run_id, address, damage) for address, damage in listed]
    )


def remedy_once_noted(
    platform: Platform, address: Address, damage: Damage | str, *, by: str, usual: str = MAKES_ANEW
) -> str:
    """Note that an artifact is damaged; what helps against it, `usual` where a run makes it anew.

    Another remedy where it cannot be noted, such as of a store that is read-only.
    """
    own = remedy_of(platform, address)
    try:
        enter_damage(platform, [(address, damage)], by=by)
    except CatalogError as error:
        logger.warning("%s is damaged, which cannot be noted: %s", address, error.message)
        return own or _NOT_NOTED
    return own or usual


def remedy_of(platform: Platform, address: Address) -> str:
    """What helps against damage of what no run can make; empty where a run makes it anew."""
    if tool := tool_of(platform, address):
        return import_again(address, tool)
    if address.stage == ANNOTATIONS:
        from pathassets.engine.stages.recorded_annotation import record_again  # noqa: PLC0415 - shapely

        return record_again(address.partition_key, address.name)
    return ""


def _is_older(platform: Platform, address: Address) -> bool:
    """Whether a dataset was built after this version of it."""
    if address.stage != DATASET:
        return False
    newest = platform.catalog.latest_attempts([address.partition_key])
    last = newest.get((*address.key, address.partition_key))
    return last is not None and last.address != address


def _attempt(
    platform: Platform, run_id: str, address: Address, damage: Damage | str
) -> AttemptRecord:
    reason, message = damage_said(address, damage, tool_of(platform, address))
    return AttemptRecord(
        run_id=run_id, address=address, state="failed", reason=reason, message=message,
        remedy=remedy_of(platform, address) or MAKES_ANEW,
    )  # fmt: skip
