"""Artifacts in force -> what of them is there and whole, as the store has it now, in the catalog.

wanted and made ─▶ files there, with their sizes? ─▶ seen whole at …, or damage
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime, timedelta

from pathassets.adapters.store.damage import Damage
from pathassets.catalog.standing.looks import Files, InForce, LookAge
from pathassets.core.address import Address
from pathassets.core.recipe import Key
from pathassets.engine.platform.platform import Platform

MAX_LOOKED = 2_000
"""Artifacts that are looked at without being asked to: an eighth of a second."""
JUST_NOW = timedelta(minutes=1)
"""What was seen whole since is not noted again."""
N_RECORDED = 900
"""Artifacts of which one transaction records what was seen."""


def look(
    platform: Platform, plan_id: int, slide_ids: Collection[str] | None = None,
    key: Key | None = None,
) -> None:  # fmt: skip
    """Look at what a plan wants and was made: of all slides or of some, at all entries or at one.

    It costs 60 us an artifact, and is done side by side where the disk takes its time.
    """
    pages = platform.catalog.slide_pages() if slide_ids is None else [list(slide_ids)]
    taken: deque[InForce] = deque()

    def take() -> Iterator[tuple[Address, Files]]:
        for page in pages:
            for one in platform.catalog.in_force(plan_id, page):
                if key in (None, one.address.key):
                    taken.append(one)
                    yield one.address, one.files

    found = platform.store.look_over(take())
    n_noted = _record(platform, ((taken.popleft(), damage) for _, damage in found))
    if slide_ids is None and key is None and n_noted:
        platform.catalog.note_look(plan_id)


def look_where_quick(
    platform: Platform, plan_id: int, slide_ids: Collection[str] | None = None, *,
    is_looking: bool | None = None,
) -> LookAge | None:  # fmt: skip
    """Look at the store where that is quick or asked for; else how old the last look is."""
    if is_looking is None:
        counts = platform.catalog.state_counts(plan_id, slide_ids).values()
        n_made = sum(n.get("current", 0) + n.get("damaged", 0) for n in counts)
        is_looking = n_made <= MAX_LOOKED
    if not is_looking:
        return platform.catalog.look_age(plan_id)
    look(platform, plan_id, slide_ids)
    return None


def _record(platform: Platform, looks: Iterable[tuple[InForce, Damage | None]]) -> int:
    """Enter what was found, in batches; returns of how many artifacts."""
    n_noted = 0
    at = datetime.now(UTC)
    whole: list[Address] = []
    doubted: list[Address] = []

    def enter() -> None:
        if whole or doubted:
            platform.catalog.record_looks(whole, doubted, lambda *one: damage_of(platform, *one))
        whole.clear()
        doubted.clear()

    for one, damage in looks:
        n_before = len(whole) + len(doubted)
        if damage is not None or one.damage:
            doubted.append(one.address)
        elif one.seen_whole_at is None or at - one.seen_whole_at > JUST_NOW:
            whole.append(one.address)
        n_noted += len(whole) + len(doubted) - n_before
        if len(whole) + len(doubted) >= N_RECORDED:
            enter()
    enter()
    return n_noted


def damage_of(platform: Platform, address: Address, files: Files) -> str:
    """What is wrong with an artifact, as the catalog has it; empty where nothing is."""
    damage = platform.store.check_sizes(address, files)
    return "" if damage is None else str(damage)
