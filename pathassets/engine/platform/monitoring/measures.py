"""Catalog, disks -> numbers for what watches many machines: how many, how long, how much is left.

No number names a slide, a patient or a path: they are kept elsewhere, and longer.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import psutil

from pathassets.adapters.telemetry.prometheus import Measure
from pathassets.core.recipe import Key
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.platform.status import dataset_cells
from pathassets.engine.settings import disks_of


def measure_platform(platform: Platform) -> Iterator[Measure]:
    """Measure where a platform stands; some queries, whatever the number of slides.

    Raises:
        CatalogError: the catalog cannot be read.
    """
    began_s = time.monotonic()
    platform = platform.readable
    plan_id = refresh_wanted(platform)
    yield Measure(
        name="pathassets_slides", said="Slides that are registered.",
        values={(): platform.catalog.n_slides()},
    )  # fmt: skip
    yield from _states(platform, plan_id)
    yield from _attempts(platform)
    yield from _disks(platform)
    yield Measure(
        name="pathassets_measuring_seconds", said="How long it took to measure all of this.",
        values={(): time.monotonic() - began_s},
    )  # fmt: skip


def _states(platform: Platform, plan_id: int) -> Iterator[Measure]:
    counts = platform.catalog.state_counts(plan_id)
    yield Measure(
        name="pathassets_assets", labels=("asset", "state"),
        said="Slides that stand in a state at an asset of the recipe.",
        values={(asset(key), state): n for key, of in counts.items() for state, n in of.items()},
    )  # fmt: skip
    failed: Counter[tuple[str, ...]] = Counter(
        (asset(cell.key), cell.reason) for cell in platform.catalog.cells_in(plan_id, "failed")
    )
    yield Measure(
        name="pathassets_failed_assets", labels=("asset", "reason"), values=failed,
        said="Slides that failed at an asset, by the reason's code.",
    )  # fmt: skip
    cells = dataset_cells(platform, plan_id, is_exact=False)
    yield Measure(
        name="pathassets_datasets", labels=("asset", "state"),
        said="1 for the state that a dataset is in.",
        values={(asset(cell.key), cell.state): 1 for cell in cells},
    )  # fmt: skip
    rejected: Counter[tuple[str, ...]] = Counter(
        (file.reason,) for file in platform.catalog.rejected_files()
    )
    yield Measure(
        name="pathassets_rejected_files", labels=("reason",), values=rejected,
        said="Files that ingestion refused, by the reason's code.",
    )  # fmt: skip
    oldest_at = platform.catalog.look_age(plan_id).oldest_at
    if oldest_at is not None:
        yield Measure(
            name="pathassets_oldest_look_timestamp_seconds",
            said="When the artifact was seen whole that was not seen for longest.",
            values={(): oldest_at.timestamp()},
        )


def _attempts(platform: Platform) -> Iterator[Measure]:
    totals = platform.catalog.attempt_totals()
    yield Measure(
        name="pathassets_attempts_total", kind="counter", labels=("asset", "state"),
        said="What was tried, and what became of it.",
        values={(asset(one.key), one.state): one.n for one in totals},
    )  # fmt: skip
    made = [one for one in totals if one.state == "made"]
    yield Measure(
        name="pathassets_making_seconds_total", kind="counter", labels=("asset",),
        said="Time that was spent on what was made.",
        values={(asset(one.key),): one.seconds for one in made},
    )  # fmt: skip
    last = max((one.last_at.timestamp() for one in totals), default=None)
    if last is not None:
        yield Measure(
            name="pathassets_last_attempt_timestamp_seconds",
            said="When something was last tried.", values={(): last},
        )  # fmt: skip


def _disks(platform: Platform) -> Iterator[Measure]:
    places = disks_of(platform.settings)
    disks = {name: psutil.disk_usage(str(place)) for name, place in places.items()}
    yield Measure(
        name="pathassets_disk_free_bytes", labels=("place",),
        said="What is left of the disk that a folder lies on.",
        values={(name,): disk.free for name, disk in disks.items()},
    )  # fmt: skip
    yield Measure(
        name="pathassets_disk_size_bytes", labels=("place",),
        said="Size of the disk that a folder lies on.",
        values={(name,): disk.total for name, disk in disks.items()},
    )  # fmt: skip


def asset(key: Key) -> str:
    """How an asset is called in a number's label.

    >>> asset(("features", "colour_stats"))
    'features/colour_stats'
    """
    return "/".join(key)
