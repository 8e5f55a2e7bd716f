"""Slides -> what a page shows of them: rows, looks, places on the map, oddities.

chosen slides, worst first ─▶ pages of 500 ─▶ rows ─▶ looks, by worker processes ─▶ PageSlide
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock

from pathassets.catalog.part import portions
from pathassets.core.quality.slide_measures import SlideMeasures
from pathassets.engine.platform.cohort_page.asked import Asked, asked_of
from pathassets.engine.platform.cohort_page.kept import SIZES, Kept, PictureSize
from pathassets.engine.platform.cohort_page.outliers import odd_ones, oddities_of
from pathassets.engine.platform.cohort_page.rows import PageRow, Shown, choose_shown, page_rows
from pathassets.engine.platform.cohort_page.survey import (
    Place,
    Survey,
    draw_slides,
    place_of,
    survey,
    with_current,
)
from pathassets.engine.platform.cohort_page.task import (
    LookTask,
    SlideLook,
    look_at_slide,
    measured_on,
)
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.slides.scratch import scratch_for

N_PER_PAGE = 500
MAX_PAGE_BYTES = 20_000_000
BESIDE_PICTURE_BYTES = 13_700
"""The most that a slide takes on a page beside its picture: outline, grid and map, and 1 kB of
words, which most take half of."""
AS_TEXT = 4 / 3
"""Bytes of base64 for each that is written so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PagedCohort:
    """All slides that are shown, and what they are compared by."""

    slide_ids: Sequence[str]
    """Those with troubles first, else in order of registration."""
    shown: Shown
    survey: Survey

    @property
    def pages(self) -> list[Sequence[str]]:
        """Ids page by page; one page without any where there are none."""
        starts = range(0, max(1, len(self.slide_ids)), N_PER_PAGE)
        return [self.slide_ids[start : start + N_PER_PAGE] for start in starts]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSlide:
    """One slide on the page."""

    row: PageRow
    measures: SlideMeasures
    oddities: tuple[str, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)
    """Of the oddities that are rules: what the slide has, and what the rule asks for."""
    asked: Asked = field(default_factory=Asked)
    """What selections know of it beside its row."""
    place: Place | None = None
    """On the map of the cohort, x and y in [0, 1]."""
    look: SlideLook | None = None
    """None where pictures are asked for one by one."""
    thumbnail: bytes = b""
    """JPEG, where there is no picture."""
    has_thumbnail: bool = False
    """Whether there is one to be asked for, where pictures are."""


@dataclass(kw_only=True)
class Surveys:
    """The last survey, for who serves pages: it is made anew where other slides could be drawn."""

    _asked: tuple[object, ...] = ()
    _found: Survey = field(default_factory=Survey)
    _looking: Lock = field(default_factory=Lock)

    def of(self, platform: Platform, shown: Shown) -> Survey:
        """The survey of all slides as they are now."""
        current = with_current(platform, shown.features)
        measured = with_current(platform, shown.quality)
        asked = (shown, refresh_wanted(platform), current, measured)
        with self._looking:
            if asked != self._asked:
                self._found = survey(platform, shown, draw_slides(current))
                self._asked = asked
            return self._found


def open_cohort(
    platform: Platform,
    *,
    features: str = "",
    chosen: Collection[str] | None = None,
    surveys: Surveys | None = None,
) -> PagedCohort:
    """Read what all pages share; of all slides, or of those that were chosen.

    Slides that were chosen are compared with each other; where `surveys` are kept, with all slides.

    Raises:
        SpecError: the recipe has no features of that name.
    """
    shown = choose_shown(platform.recipe, features)
    every = [one for page in platform.catalog.slide_pages() for one in page]
    meant = None if chosen is None else {*chosen}
    ids = every if meant is None else [one for one in every if one in meant]
    keys = [entry.key for entry in platform.recipe.per_slide]
    if surveys is None:
        current = with_current(platform, shown.features)
        found = survey(platform, shown, draw_slides(current if meant is None else current & meant))
    else:
        found = surveys.of(platform, shown)
    bad = platform.catalog.slides_in(refresh_wanted(platform), keys, ("failed", "damaged"))
    return PagedCohort(
        slide_ids=[*(i for i in ids if i in bad), *(i for i in ids if i not in bad)],
        shown=shown,
        survey=found,
    )


def size_for(n_slides: int) -> PictureSize:
    """The best size of pictures of which a page of so many slides stays under 20 MB.

    >>> [size_for(n).side_px for n in (1, 141, 142, 257, 258, 500)]
    [1600, 1600, 1280, 1280, 1024, 1024]
    """
    for size in SIZES:
        if n_slides * (size.max_bytes * AS_TEXT + BESIDE_PICTURE_BYTES) <= MAX_PAGE_BYTES:
            return size
    return SIZES[-1]


def describe_slides(
    platform: Platform, cohort: PagedCohort, slide_ids: Collection[str]
) -> list[PageSlide]:
    """What is known of slides without opening one: of pixels, what was measured before."""
    rows = _rows(platform, cohort, slide_ids)
    kept = Kept.of(platform.settings.home)
    known = {
        row.slide_id: kept.measures(row.planned.record.fingerprint, measured_on(row.artifacts))
        for row in rows
        if cohort.survey.quality is None
    }
    surveyed = {slide_id: one for slide_id, one in known.items() if one is not None}
    with_thumbnail = platform.catalog.with_thumbnail([row.slide_id for row in rows])
    return [
        replace(one, has_thumbnail=one.row.slide_id in with_thumbnail)
        for one in _described(platform, cohort, rows, surveyed)
    ]


def look_at_slides(
    platform: Platform,
    cohort: PagedCohort,
    slide_ids: Collection[str],
    *,
    size: PictureSize,
    advance: Callable[[str], None] = lambda _: None,
) -> list[PageSlide]:
    """What is known of slides, and what is seen of them; `advance` hears each that is done.

    No slide stops another: one that ends its worker, or takes too long, has its thumbnail.
    """
    rows = _rows(platform, cohort, slide_ids)
    looks: dict[str, SlideLook] = {}
    paths = (place.path for row in rows for place in row.paths)
    with scratch_for(platform.settings, paths) as scratch:
        tasks = (
            replace(look_task(platform, row, cohort.survey, size), scratch=scratch) for row in rows
        )
        for task, look in platform.workers.imap(look_at_slide, tasks):
            looks[task.slide_id] = _of(task, look)
            advance(task.slide_id)
    described = _described(platform, cohort, rows, {i: one.measures for i, one in looks.items()})
    return with_looks(platform, described, looks)


def look_task(
    platform: Platform, row: PageRow, found: Survey, size: PictureSize, *, is_reading: bool = True
) -> LookTask:
    """Put together what a worker needs to look at a slide."""
    record = row.planned.record
    return LookTask(
        slide_id=row.slide_id, fingerprint=record.fingerprint, paths=row.paths,
        slide_mpp=row.planned.slide_mpp, width_px0=record.width_px0, height_px0=record.height_px0,
        store_root=platform.store.where, store_work=str(platform.store.work),
        artifacts=row.artifacts, kept=Kept.of(platform.settings.home), size=size,
        colours=found.colours, is_surveyed=found.quality is None, is_reading=is_reading,
    )  # fmt: skip


def with_looks(
    platform: Platform, slides: Iterable[PageSlide], looks: Mapping[str, SlideLook]
) -> list[PageSlide]:
    """Slides with what is seen of them; where there is no picture, with the thumbnail."""
    without = [one for one, look in looks.items() if not look.picture]
    thumbnails = dict(platform.catalog.thumbnails(without))
    return [
        replace(one, look=looks[one.row.slide_id], thumbnail=thumbnails.get(one.row.slide_id, b""))
        for one in slides
    ]


def _rows(platform: Platform, cohort: PagedCohort, slide_ids: Collection[str]) -> list[PageRow]:
    return [row for some in portions(slide_ids) for row in page_rows(platform, some, cohort.shown)]


def _described(
    platform: Platform, cohort: PagedCohort, rows: Sequence[PageRow],
    surveyed: Mapping[str, SlideMeasures],
) -> list[PageSlide]:  # fmt: skip
    """Rows with their measures: of the entry of `patch_quality`, or else of what was surveyed."""
    quality = cohort.survey.quality
    measures = surveyed if quality is None else quality.measures
    odd_pixels = (
        odd_ones({slide_id: one.facts for slide_id, one in surveyed.items()})
        if quality is None
        else quality.oddities
    )
    odd, asked = oddities_of(rows, odd_pixels), asked_of(platform, rows)
    return [
        PageSlide(
            row=row, measures=measures.get(row.slide_id, SlideMeasures()),
            oddities=odd[row.slide_id],
            broken={} if quality is None else quality.broken.get(row.slide_id, {}),
            asked=asked[row.slide_id],
            place=place_of(platform, row, cohort.survey),
        )
        for row in rows
    ]  # fmt: skip


def _of(task: LookTask, look: SlideLook | Exception) -> SlideLook:
    """A look; of one that could not be had, why."""
    if isinstance(look, SlideLook):
        return look
    return SlideLook(slide_id=task.slide_id, problems=(str(look),))
