"""Slides as partitions: one dynamic partition a slide, its key the slide id.

https://docs.dagster.io/guides/build/partitions-and-backfills/partitioning-assets
"""

import dagster as dg

SLIDES = dg.DynamicPartitionsDefinition(name="slides")
SLIDE_KEY = dg.AssetKey("slide")


def stretches(ordered: list[str], wanted: set[str], fillers: set[str]) -> list[list[str]]:
    """Cut `wanted` partitions into runs of neighbours: Dagster runs ranges, not sets.

    Partitions of `fillers` may be taken along to close a gap: they cost an event, not work.

    >>> stretches(["a", "b", "c", "d", "e"], {"a", "c", "e"}, {"b"})
    [['a', 'b', 'c'], ['e']]
    """
    found: list[list[str]] = []
    gap: list[str] | None = None
    for key in ordered:
        if key in wanted:
            if gap is None:
                found.append([])
            found[-1] += [*(gap or []), key]
            gap = []
        elif gap is not None and key in fillers:
            gap.append(key)
        else:
            gap = None
    return found
