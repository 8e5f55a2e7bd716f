"""What people call slides -> their ids: the one rule of all commands and tables.

    name ─▶ an id, also one of before slides were merged
         ─▶ a path of a file, or the end of one
         └▶ the same without the file's suffix

The first that any slide has counts; where several slides have it, the name is no use.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.forgotten import Forgotten, find_gone
from pathassets.core.text import quoted
from pathassets.engine.platform.forgotten import require_staying
from pathassets.engine.platform.merged_slides import heirs_of
from pathassets.engine.platform.selections.file_names import FileNames, is_whole
from pathassets.errors import CatalogError

MAX_NEAR = 5
"""Unknown names of which the nearest known one is looked for: among 100,000 it takes 0.3 s each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """Names, and what they stand for."""

    slides: Mapping[str, tuple[str, ...]]
    """Slide ids of each name that is known: of several the name is no use."""
    near: Mapping[str, str]
    """Of some of the unknown names the known one that is most like it."""
    gone: Mapping[str, Forgotten] = field(default_factory=dict)
    """Those of the unknown names that are of slides which were taken out, or are being."""


def match_slides(catalog: Catalog, names: Iterable[str], *, is_near: bool = True) -> Matches:
    """Find the slides that names stand for, each by itself; `is_near`: look for what is like them.

    Costs three small queries where all names are ids, else one of all paths. A slide whose removal
    was begun is none of them.
    """
    asked, begun = dict.fromkeys(names), catalog.begun_removals()
    every, paths = _find(catalog, asked, begun)
    slides = _staying(every, begun)
    if len(slides) == len(asked) or not is_near:
        return Matches(slides=slides, near={})
    going = {name: begun[ids[0]] for name, ids in every.items() if name not in slides}
    unknown = [name for name in asked if name not in every]
    forgotten = catalog.forgotten() if unknown else []
    gone = {name: one for name in unknown if (one := find_gone(forgotten, name)) is not None}
    unknown = [name for name in unknown if name not in gone]
    files = {Path(path).name for some in paths.values() for path in some} if unknown else set()
    return Matches(slides=slides, near=nearest(unknown, files | set(paths)), gone=gone | going)


def _find(
    catalog: Catalog, asked: Collection[str], begun: Collection[str]
) -> tuple[dict[str, tuple[str, ...]], dict[str, list[str]]]:
    """Slides of each name that is one's, be its removal begun; paths, if they were looked at."""
    heirs = heirs_of(catalog)
    ids = {name: heirs.get(name, name) for name in asked}
    known = catalog.known_slides(ids.values()).union(begun)
    slides: dict[str, tuple[str, ...]] = {n: (id_,) for n, id_ in ids.items() if id_ in known}
    rest = [name for name in asked if name not in slides]
    if not rest:
        return slides, {}
    places = catalog.places()
    return slides | _match_files(rest, places), places


def _staying(
    found: Mapping[str, tuple[str, ...]], begun: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Of each name the slides of which no removal was begun, where there are any."""
    staying = {name: tuple(one for one in ids if one not in begun) for name, ids in found.items()}
    return {name: ids for name, ids in staying.items() if ids}


def slides_named(catalog: Catalog, names: Iterable[str], *, is_going: bool = False) -> list[str]:
    """Ids of the slides that somebody named, each once; `is_going`: be their removal begun.

    Raises:
        SlideForgotten: one was taken out, or is being.
        CatalogError: a name is that of none, or of several.
    """
    asked = list(names)
    begun = catalog.begun_removals()
    found, _ = _find(catalog, asked, begun)
    if not is_going:  # where a name is of one that stays, too, that is meant
        found |= _staying(found, begun)
    ids = list(dict.fromkeys(_only(catalog, name, found.get(name, ())) for name in asked))
    if not is_going:
        require_staying(catalog, ids)
    return ids


def slide_named(catalog: Catalog, name: str, *, is_going: bool = False) -> str:
    """Id of the slide that somebody named; `is_going`: be its removal begun.

    Raises:
        SlideForgotten: it was taken out, or is being.
        CatalogError: it is the name of none, or of several.
    """
    return slides_named(catalog, [name], is_going=is_going)[0]


def several(name: str, ids: Collection[str]) -> tuple[str, str]:
    """What speaks against a name that several slides have, and what helps."""
    one, other, *_ = sorted(ids)
    fact = f"{quoted(name)} fits {len(ids)} slides, such as {one} and {other}"
    return fact, "Give more of the path, or the slide id"


def at_odds(matches: Matches, name: str, other: str) -> tuple[str, str] | None:
    """What speaks against a line in which a slide is named twice, and what helps.

    None where both names can be those of one slide: the other may be empty, or known of none.
    """
    ids = matches.slides.get(name, ())
    others = matches.slides.get(other, ids)
    if len(ids) != 1 or ids[0] in others:
        return None
    fact = f"{quoted(name)} is slide {ids[0]}, and {quoted(other)} is {others[0]}"
    return fact, "Name one slide in a line"


def _only(catalog: Catalog, name: str, ids: Collection[str]) -> str:
    if len(ids) > 1:
        fact, remedy = several(name, ids)
        raise CatalogError(fact, remedy=remedy)
    return next(iter(ids), "") or catalog.slide(name).slide_id  # tells what is like it


def _match_files(
    names: Collection[str], paths: Mapping[str, Iterable[str]]
) -> dict[str, tuple[str, ...]]:
    """Slides of each name that is a path of one, or the end of it, be it without the suffix."""
    asked = FileNames(names)
    whole: defaultdict[str, set[str]] = defaultdict(set)
    stems: defaultdict[str, set[str]] = defaultdict(set)
    for slide_id, places in paths.items():
        for place in places:
            for name in asked.of(place):
                found = whole if is_whole(name, place) else stems
                found[name].add(slide_id)
    return {name: tuple(sorted(ids)) for name, ids in (stems | whole).items()}


def nearest(unknown: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Of the first unknown names, the known one that is most like each."""
    found = {}
    for name in list(unknown)[:MAX_NEAR]:
        close = difflib.get_close_matches(Path(name).name or name, sorted(known), n=1)
        if close:
            found[name] = close[0]
    return found
