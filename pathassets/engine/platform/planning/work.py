"""Recipe, standing, selection -> what a run would make of which slide, and what it would skip.

what is not current ─▶ can it be made? ─yes─▶ to do, by entry
                              │no
                              ▼
                 skipped, with the reason, and so is what is made from it
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from pathassets.catalog.planning.records import OpenStep, SlideSize
from pathassets.core.recipe import Entry, Key
from pathassets.core.slides.slide import stating_mpp
from pathassets.engine.platform.platform import Platform
from pathassets.errors import AnnotationsMissing, ResolutionMissing

N_NAMED = 3
NOT_SELECTED = "parent_not_selected"
"""What is made from something that is not there, and was not asked for."""
_REMEDIES = {
    ResolutionMissing.reason: stating_mpp("SLIDE"),
    AnnotationsMissing.reason: "pathassets annotations set SLIDE FILE --name … --who … --why …",
    NOT_SELECTED: "Select what it is made from, too",
}
_AGAIN = "It failed by the slide's content alone: --retry tries it again"
_ALL_AGAIN = "They failed by the slides' content alone: --retry tries them again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Slides of which something is not made, for one reason."""

    reason: str
    n_slides: int
    first: tuple[str, ...]
    """Ids of the first few."""
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a run would do."""

    n_slides: int
    """That were chosen."""
    n_current: int
    """Of which all is there."""
    to_do: Mapping[Key, Sequence[str]]
    """Ids of slides of which an entry would be made, in the order of the recipe."""
    sizes: Mapping[str, SlideSize]
    """Of every slide that there is something to do of."""
    skipped: tuple[Skipped, ...]


@dataclass(slots=True)
class _Sorting:
    """What was sorted so far."""

    to_do: dict[Key, list[str]] = field(default_factory=dict)
    reasons: dict[tuple[Key, str], str] = field(default_factory=dict)
    """Why an entry of a slide is not made."""

    def skipped(self) -> tuple[Skipped, ...]:
        """Each reason, and the slides of which it holds something back."""
        slides: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for (_, slide_id), reason in self.reasons.items():
            slides[reason][slide_id] = None
        return tuple(
            Skipped(
                reason=reason, n_slides=len(ids), first=tuple([*ids][:N_NAMED]),
                remedy=_REMEDIES.get(reason, _AGAIN if len(ids) == 1 else _ALL_AGAIN),
            )
            for reason, ids in sorted(slides.items())
        )  # fmt: skip


def find_work(  # noqa: PLR0913 - what `run` is asked
    platform: Platform,
    plan_id: int,
    entries: Sequence[Entry],
    slide_ids: Collection[str] | None = None,
    is_in: Callable[[str], bool] = lambda _: True,
    *,
    retry: bool = False,
) -> Work:
    """Sort what is not current, of all slides or of some, and of those that `is_in` takes."""
    catalog = platform.catalog
    chosen = _chosen(platform, slide_ids, is_in)
    kin = _kin(platform, entries)
    open_steps = [
        step for step in catalog.open_steps(plan_id, [entry.key for entry in kin])
        if step.slide_id in chosen
    ]  # fmt: skip
    wanted = {entry.key for entry in entries}
    not_current = {step.slide_id for step in open_steps if step.key in wanted}
    sizes = catalog.slide_sizes(not_current)
    sorting = _Sorting(to_do={entry.key: [] for entry in kin if entry.key in wanted})
    parents = {entry.key: entry.parent for entry in kin}
    for step in open_steps:
        parent = parents[step.key]
        of_parent = None if parent is None else sorting.reasons.get((parent, step.slide_id))
        if step.key not in wanted:
            if step.state != "damaged":  # that is mended on the way
                sorting.reasons[step.key, step.slide_id] = NOT_SELECTED
        elif step.slide_id in sizes:
            reason = of_parent or _reason(step, sizes[step.slide_id], retry=retry)
            if reason:
                sorting.reasons[step.key, step.slide_id] = reason
            else:
                sorting.to_do[step.key].append(step.slide_id)
    return _work_of(sorting, wanted, sizes, n_slides=len(chosen), n_open=len(not_current))


def _work_of(
    sorting: _Sorting, wanted: Collection[Key], sizes: Mapping[str, SlideSize], *,
    n_slides: int, n_open: int,
) -> Work:  # fmt: skip
    sorting.reasons = {
        place: reason for place, reason in sorting.reasons.items() if place[0] in wanted
    }
    busy = {slide_id for ids in sorting.to_do.values() for slide_id in ids}
    return Work(
        n_slides=n_slides, n_current=n_slides - n_open, to_do=sorting.to_do,
        sizes={slide_id: sizes[slide_id] for slide_id in busy}, skipped=sorting.skipped(),
    )  # fmt: skip


def _chosen(
    platform: Platform, slide_ids: Collection[str] | None, is_in: Callable[[str], bool]
) -> frozenset[str]:
    if slide_ids is not None:
        return frozenset(filter(is_in, slide_ids))
    pages = platform.catalog.slide_pages()
    return frozenset(one for page in pages for one in page if is_in(one))


def _kin(platform: Platform, entries: Sequence[Entry]) -> list[Entry]:
    """Entries and what they are made from, in the order of the recipe."""
    keys = {kin.key for entry in entries for kin in platform.recipe.lineage(entry)}
    return [entry for entry in platform.recipe.per_slide if entry.key in keys]


def _reason(step: OpenStep, size: SlideSize, *, retry: bool) -> str:
    """Why a step cannot be made, or would not be tried; empty where it would."""
    if size.mpp is None:
        return ResolutionMissing.reason
    if step.lacks:
        return AnnotationsMissing.reason
    return step.reason if step.state == "failed" and step.is_final and not retry else ""
