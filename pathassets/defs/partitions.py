"""Slides as partitions: one dynamic partition a slide, its key the slide id, in the order of names.

https://docs.dagster.io/guides/build/partitions-and-backfills/partitioning-assets
"""

from collections.abc import Iterator, Mapping

import dagster as dg

from pathassets.defs.dagster_internals import sort_partitions
from pathassets.engine.platform.platform import Platform

SLIDES = dg.DynamicPartitionsDefinition(name="slides")
SLIDE_KEY = dg.AssetKey("slide")
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
PARTITION = "dagster/partition"

PART = 900
"""Partitions in one call: Dagster binds a variable for each, and SQLite takes 32,766 of them, or
999 where it is old."""


FEW = 50
"""Slides that are asked about one by one."""


def slide_order(instance: dg.DagsterInstance) -> list[str]:
    """All partitions, in the order that ranges refer to."""
    return list(instance.get_dynamic_partitions(str(SLIDES.name)))


def add_slides(instance: dg.DagsterInstance, slide_ids: list[str]) -> None:
    """Make partitions; those that are there stay. All stand in the order of their names then.

    Dagster runs ranges: slides that people take for neighbours are to be some.
    """
    for part in parts(sorted(slide_ids)):
        instance.add_dynamic_partitions(str(SLIDES.name), part)
    if slide_ids:
        sort_partitions(instance, str(SLIDES.name))


def partitions_among(instance: dg.DagsterInstance, slide_ids: list[str]) -> set[str]:
    """Those of some slides that are partitions; all are read only where those are many."""
    if len(slide_ids) > FEW:
        return {*slide_ids}.intersection(slide_order(instance))
    name = str(SLIDES.name)
    return {one for one in slide_ids if instance.has_dynamic_partition(name, one)}


def parts(keys: list[str]) -> Iterator[list[str]]:
    """Cut keys into as many as one query takes."""
    for start in range(0, len(keys), PART):
        yield keys[start : start + PART]


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


def range_tags(stretch: list[str]) -> dict[str, str]:
    """Tags of a run over neighbours."""
    return {RANGE_START: stretch[0], RANGE_END: stretch[-1]}


def range_of(tags: Mapping[str, str], ordered: list[str]) -> list[str]:
    """Partitions that a run's tags stand for; none where it has none, or they are gone.

    >>> range_of(range_tags(["b", "c"]), ["a", "b", "c", "d"])
    ['b', 'c']
    >>> range_of({PARTITION: "d"}, ["a", "b", "c", "d"])
    ['d']
    """
    start = tags.get(RANGE_START, tags.get(PARTITION))
    end = tags.get(RANGE_END, start)
    if start not in ordered or end not in ordered:
        return []
    return ordered[ordered.index(start) : ordered.index(end) + 1]


def forget_merged(instance: dg.DagsterInstance, platform: Platform) -> set[str]:
    """Take the partitions away of ids that were merged into other slides: nothing can run on them.

    Their events stay. Returns all such ids.
    """
    merged = {one.slide_id for one in platform.catalog.merged()}
    for slide_id in merged.intersection(slide_order(instance) if merged else ()):
        instance.delete_dynamic_partition(str(SLIDES.name), slide_id)
    return merged
