"""`pathassets report`: the slides of a cohort as one page, or as several with an index."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import click

from pathassets import report
from pathassets.engine.platform.cohort_page.page import (
    N_PER_PAGE,
    PagedCohort,
    PageSlide,
    look_at_slides,
    open_cohort,
    size_for,
)
from pathassets.engine.platform.platform import Platform, open_to_read
from pathassets.engine.platform.selection import choose_slides
from pathassets.engine.settings import read_settings
from pathassets.errors import SpecError
from pathassets.report.cohort_page.html import (
    Page,
    PageLine,
    index_html,
    page_html,
    page_line,
    title_of,
)
from pathassets.report.units import volume

PAGE = "cohort.html"
"""Name of the page, in the home, where nobody names another."""


@click.command("report")
@click.option("--slides", multiple=True, metavar="SELECTION", help="Of these alone, as run takes.")
@click.option("--to", "target", type=click.Path(path_type=Path), help=f"HOME/{PAGE} by default.")
@click.option("--features", default="", metavar="NAME", help="Those shown; the recipe's first.")
def report_command(slides: tuple[str, ...], target: Path | None, features: str) -> None:
    """Write a page that shows all slides: pictures, states, what is odd, a map; it needs nothing.

    Of more than 500 slides there are several pages, and FILE is their index.
    """
    settings = read_settings()
    path = (settings.home / PAGE if target is None else target).absolute()
    _require_place(path)
    with open_to_read(settings) as platform:
        chosen = choose_slides(platform, slides) if slides else None
        cohort = open_cohort(platform, features=features, chosen=chosen)
        n_slides = len(cohort.slide_ids)
        with report.progress("looking at slides", n_slides) as advance:
            n_bytes = sum(_write_all(platform, cohort, path, lambda _: advance("")))
    pages = report.counted(len(cohort.pages), "page")
    click.echo(f"{report.counted(n_slides, 'slide')} on {pages}, {volume(n_bytes)}: {path}")


def _write_all(
    platform: Platform, cohort: PagedCohort, path: Path, advance: Callable[[str], None]
) -> Iterator[int]:
    """Write each page, and the index where there are several; yields the size of each file."""
    title, pages = title_of(platform.settings.home), cohort.pages
    names = [path.name] if len(pages) == 1 else [_numbered(path, n + 1) for n in range(len(pages))]
    links = [quote(name) for name in names]
    size = size_for(min(N_PER_PAGE, len(cohort.slide_ids)))
    lines: list[PageLine] = []
    for number, (name, slide_ids) in enumerate(zip(names, pages, strict=True), start=1):
        seen = look_at_slides(platform, cohort, slide_ids, size=size, advance=advance)
        page = Page(
            title=title, slides=seen, map_of=cohort.survey.map_of, number=number, links=links
        )
        yield _write(path.with_name(name), page_html(page))
        lines += _line(links[number - 1], seen)
    if len(names) > 1:
        yield _write(path, index_html(title, lines))


def _require_place(path: Path) -> None:
    """Refuse a place that cannot be written before all slides are looked at, not behind it.

    Raises:
        SpecError: its folder is not there or not writable, or it is a folder itself.
    """
    if path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise SpecError(
            f"{path}: no file can be written there", remedy="Name a file in a folder of yours: --to"
        )


def _line(name: str, slides: Sequence[PageSlide]) -> list[PageLine]:
    return [page_line(name, slides)] if slides else []


def _numbered(path: Path, number: int) -> str:
    """Name of one page of several.

    >>> _numbered(Path("cohort.html"), 7)
    'cohort-007.html'
    """
    return f"{path.stem}-{number:03d}{path.suffix}"


def _write(path: Path, text: str) -> int:
    """Write a file whole or not at all, for its owner alone: it has patients' names.

    Raises:
        SpecError: the place cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    data = text.encode("utf-8")
    try:
        part.touch(mode=0o600)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SpecError(
            f"{path}: cannot be written: {error.strerror or error}",
            remedy="Name another place with --to",
        ) from error
    return len(data)
