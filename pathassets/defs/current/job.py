"""The job `make_current`: what `pathassets run` does, in one run, without configuration.

    slides that need it, the first so many ─▶ so many at a time ─▶ their events, as the batch's
    datasets that would be another version ─▶ their events

https://docs.dagster.io/guides/build/jobs
"""

from collections import Counter
from collections.abc import Iterable

import dagster as dg

from pathassets.core.text import counted
from pathassets.defs.assets.batch import POOL, run_slides
from pathassets.defs.assets.dataset import build_in_op, find_due
from pathassets.defs.current.choose import Choice, Wanted, choose_slides, in_turn
from pathassets.defs.recovery import tried_again
from pathassets.defs.text import below_each_other, bullets, line
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.provenance.stale import find_stale

MAKE_CURRENT = "make_current"
MAX_AT_ONCE = 2_000
"""Slides of one run: its page reads some four events of each. The next run goes on."""
N_CHANGES = 10
"""Changes by which slides are stale that a run tells, the most frequent first."""


@dg.op(pool=POOL)
def make_what_is_not_current(
    context: dg.OpExecutionContext, platform: dg.ResourceParam[Platform]
) -> None:
    """Make what is missing, stale or failed and can be mended, then the datasets."""
    with tried_again(context, platform):
        _make_all(context, platform)


def _make_all(context: dg.OpExecutionContext, platform: Platform) -> None:
    recipe = platform.recipe
    wanted = Wanted(entries=(*recipe.per_slide, *recipe.datasets))
    choice = choose_slides(context.instance, platform, wanted)
    all_of_them = in_turn(platform, choice)
    now = all_of_them[:MAX_AT_ONCE]
    _tell(context, platform, choice, now, n_left=len(all_of_them) - len(now))
    problems = _make(context, platform, now)
    problems += _build_due(context, platform)
    if problems:
        raise _together(problems)


@dg.job(
    name=MAKE_CURRENT,
    description="Makes whatever is missing, stale, or failed and can be mended, then the datasets: "
    f"one run for up to {MAX_AT_ONCE:,} slides, wherever they stand; run it again for more. What "
    "failed by a slide's content alone is left. There is nothing to configure.",
)
def make_current() -> None:
    """Make whatever is not current: Dagster's backfills take ranges, and failures are scattered."""
    make_what_is_not_current()


def _make(
    context: dg.OpExecutionContext, platform: Platform, slide_ids: list[str]
) -> list[dg.Failure]:
    """Make what these slides need; returns what could not be made."""
    try:
        run_slides(context, platform, slide_ids, [*platform.recipe.per_slide])
    except dg.Failure as failure:
        return [failure]
    return []


def _tell(
    context: dg.OpExecutionContext, platform: Platform, choice: Choice, now: list[str], *,
    n_left: int,
) -> None:  # fmt: skip
    """Say in the run's log what it is about to do, and by which changes slides are stale."""
    untried, failed = choice.work.untried, choice.work.failed - choice.work.untried
    context.log.info(
        "%d slides: %d missing or stale, %d failed before, %d made and not shown",
        len(now) + n_left, len(untried), len(failed), len(choice.unshown - choice.work.slide_ids),
    )  # fmt: skip
    if n_left:
        context.log.warning(
            "this run takes %d of them: start %s again for the others, or switch on keep_current",
            len(now), MAKE_CURRENT,
        )  # fmt: skip
    if n_going := len(platform.catalog.begun_removals()):  # no log is to name them
        context.log.warning(
            "left alone, as their removal was begun: %s; pathassets doctor says which",
            counted(n_going, "slide"),
        )
    stale = find_stale(platform.readable, now) if untried else []
    by_change = Counter(
        (str(change), "/".join(one.address.key)) for one in stale for change in one.changes
    )
    for (change, asset), n_slides in by_change.most_common(N_CHANGES):
        context.log.info("stale: %s of %d slides: %s", asset, n_slides, line(change))


def _build_due(context: dg.OpExecutionContext, platform: Platform) -> list[dg.Failure]:
    """Build the datasets that are due, be it that one is kept back; returns what keeps any back."""
    entries = {entry.key: entry for entry in platform.recipe.datasets}
    due = find_due(context.instance, platform, entries)
    problems = [dg.Failure(bullets([f"{'/'.join(one.key)}: {one.told}"])) for one in due.unread]
    for key in due.keys:
        try:
            build_in_op(context, platform, entries[key])
        except dg.Failure as failure:
            problems.append(failure)
    return problems


def _together(problems: Iterable[dg.Failure]) -> dg.Failure:
    """One end of the run for all that kept it from its goal."""
    found = list(problems)
    return dg.Failure(
        below_each_other(found),
        metadata={name: value for one in found for name, value in one.metadata.items()},
        allow_retries=False,
    )
