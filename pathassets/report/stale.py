"""What is stale, and which changes did it, for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from rich.markup import escape

from pathassets.core.text import counted, visible
from pathassets.engine.platform.provenance.causes import Reached, Stale
from pathassets.report.console import open_console
from pathassets.report.json_text import json_text

SHOWN_CHANGES = 5
"""Changes that are named of one artifact."""
SHOWN_SLIDES = 5
"""Slides that are named of those that one change made stale."""


def stale_json(found: Sequence[Stale]) -> str:
    """What is stale, for machines: each artifact with its cause."""
    return json_text(
        [
            {
                "address": str(one.address),
                "stage": one.address.stage,
                "name": one.address.name,
                "partition_key": one.address.partition_key,
                "wanted": one.wanted,
                "cause": asdict(one.changes[0].cause),
                "inherited_from": _behind(one.changes[0]),
                "also": [
                    asdict(change.cause) | {"inherited_from": _behind(change)}
                    for change in one.changes[1:]
                ],
            }
            for one in found
        ],
        indent=1,
    )


def stale_list(found: Sequence[Stale]) -> None:
    """Print what is stale: of each asset the changes, and which slides each concerns."""
    console = open_console()
    if not found:
        console.print("nothing is stale")
        return
    by_change: dict[tuple[str, str], list[str]] = {}
    for one in found:
        place = by_change.setdefault(("/".join(one.address.key), _why(one)), [])
        place.append(one.address.partition_key)
    for (asset, why), slides in by_change.items():
        console.print(f"[yellow]stale[/] [bold]{_plain(asset)}[/] {escape(why)}")
        named = ", ".join(_plain(one) for one in slides[:SHOWN_SLIDES])
        more = f", {len(slides) - SHOWN_SLIDES} more" if len(slides) > SHOWN_SLIDES else ""
        console.print(f"    {counted(len(slides), 'artifact')}: {named}{more}")
    counts = Counter("/".join(one.address.key) for one in found)
    said = ", ".join(f"{n} {_plain(asset)}" for asset, n in counts.items())
    console.print(f"{said}; pathassets run makes what is in force now")


def _behind(change: Reached) -> str | None:
    return None if change.inherited_from is None else "/".join(change.inherited_from)


def _why(one: Stale) -> str:
    """All changes that reach it; of more than a handful the first, and how many there are."""
    first, *others = one.changes
    also = "; ".join(map(str, others[: SHOWN_CHANGES - 1]))
    n_more = len(one.changes) - SHOWN_CHANGES
    more = f"; {n_more} more: --json has all" if n_more > 0 else ""
    return visible(f"{first} (also {also}{more})" if also else str(first))


def _plain(said: object) -> str:
    return escape(visible(str(said)))
