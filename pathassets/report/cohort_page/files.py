"""Slides of a cohort -> its page as a file, or several pages and their index.

    all pages beside their places, unseen ─▶ all renamed, the index last ─▶ pages of before removed

Whoever opens the page meanwhile, or after a kill, has the former one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from urllib.parse import quote

from pathassets.adapters.named_files import head_of, refuse_taken
from pathassets.core.text import counted
from pathassets.core.units import volume
from pathassets.engine.platform.cohort_page.page import (
    N_PER_PAGE,
    PagedCohort,
    look_at_slides,
    open_cohort,
    size_for,
)
from pathassets.engine.platform.platform import Platform
from pathassets.errors import SpecError
from pathassets.report.cohort_page.html import (
    GENERATOR,
    Page,
    PageLine,
    index_html,
    page_html,
    page_line,
    title_of,
)

PAGE = "cohort.html"
"""Name of the page, in the home, where nobody names another."""
LEFT_BEHIND_S = 86_400
"""Age from which an unfinished file is that of a run that was killed."""
_NO_SCRIPT = b"sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
"""In the policy of an index, which has no script; before, an index did not say what made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPages:
    """What was written."""

    path: Path
    n_slides: int
    n_pages: int
    n_bytes: int

    def __str__(self) -> str:
        slides, pages = counted(self.n_slides, "slide"), counted(self.n_pages, "page")
        return f"{slides} on {pages}, {volume(self.n_bytes)}: {self.path}"


def write_pages(
    platform: Platform,
    path: Path | None = None,
    *,
    chosen: Collection[str] | None = None,
    features: str = "",
    begin: Callable[[int], Callable[[str], None]] = lambda _: lambda _: None,
) -> WrittenPages:
    """Write the page, of all slides or some; of more than 500 slides the path is the index.

    `begin` is told how many slides there are, and gives what hears of each that was looked at.

    Raises:
        SpecError: the place cannot be written, or the recipe has no such features.
        OutputExists: something is there that is no page of such.
    """
    path, platform = place_of(platform, path), platform.readable
    cohort = open_cohort(platform, features=features, chosen=chosen)
    for name in _names(path, len(cohort.pages)):
        _refuse_foreign(path.with_name(name))
    advance = begin(len(cohort.slide_ids))
    parts: dict[Path, Path] = {}
    try:
        for target, text in _texts(platform, cohort, path, advance):
            parts[target] = _write_aside(target, text)
        n_bytes = sum(part.stat().st_size for part in parts.values())
        for target, part in parts.items():
            part.replace(target)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    n_pages = len(cohort.pages)
    _remove_former(path, n_pages)
    return WrittenPages(
        path=path, n_slides=len(cohort.slide_ids), n_pages=n_pages, n_bytes=n_bytes
    )  # fmt: skip


def place_of(platform: Platform, path: Path | None) -> Path:
    """Where the page is written; refused before all slides are looked at, not behind it.

    Raises:
        SpecError: its folder is not there or not writable, or it is a folder itself.
        OutputExists: something is there that is no page of such.
    """
    found = (platform.settings.home / PAGE if path is None else path).absolute()
    if found.is_dir() or not os.access(found.parent, os.W_OK | os.X_OK):
        raise SpecError(
            f"{found}: no file can be written there",
            remedy="Name a file in a folder of yours: --to",
        )
    _refuse_foreign(found)
    return found


def _refuse_foreign(path: Path) -> None:
    refuse_taken(path, remedy="Name another file with --to, or move it away", is_own=_is_ours)


def _names(path: Path, n_pages: int) -> list[str]:
    """What the pages are called."""
    return [path.name] if n_pages == 1 else [_numbered(path, n + 1) for n in range(n_pages)]


def _texts(
    platform: Platform, cohort: PagedCohort, path: Path, advance: Callable[[str], None]
) -> Iterator[tuple[Path, str]]:
    """Each page and its place, the index last."""
    title, pages = title_of(platform.settings.home), cohort.pages
    names = _names(path, len(pages))
    links = [quote(name) for name in names]
    size = size_for(min(N_PER_PAGE, len(cohort.slide_ids)))
    lines: list[PageLine] = []
    for number, (name, slide_ids) in enumerate(zip(names, pages, strict=True), start=1):
        seen = look_at_slides(platform, cohort, slide_ids, size=size, advance=advance)
        page = Page(title=title, slides=seen, survey=cohort.survey, number=number, links=links)
        yield path.with_name(name), page_html(page)
        lines += [page_line(links[number - 1], seen)] if seen else []
    if len(names) > 1:
        yield path, index_html(title, lines)


def _numbered(path: Path, number: int) -> str:
    """Name of one page of several.

    >>> _numbered(Path("cohort.html"), 7)
    'cohort-007.html'
    """
    return f"{path.stem}-{number:03d}{path.suffix}"


def _write_aside(target: Path, text: str) -> Path:
    """Write a file beside its place, for its owner alone: it has patients' names."""
    for part in target.parent.glob(f".{escape(target.name)}.*.part"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > LEFT_BEHIND_S:
                part.unlink()
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.touch(mode=0o600)
        part.write_text(text, encoding="utf-8")
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return part


def _remove_former(path: Path, n_pages: int) -> None:
    """Remove pages of a cohort that had more of them; what is no page of ours stays."""
    number = n_pages + 1 if n_pages > 1 else 1
    while _is_ours(head_of(found := path.with_name(_numbered(path, number))) or b""):
        with suppress(OSError):
            found.unlink()
        number += 1


def _is_ours(head: bytes) -> bool:
    """Whether a file that begins so is a page, or an index of pages."""
    said = (f'content="{GENERATOR}"'.encode(), _NO_SCRIPT)
    return head.startswith(b"<!doctype html>") and any(one in head for one in said)


def _unwritable(path: Path, error: OSError) -> SpecError:
    return SpecError(
        f"{path}: cannot be written: {error.strerror or error}",
        remedy="Name another place with --to",
    )
