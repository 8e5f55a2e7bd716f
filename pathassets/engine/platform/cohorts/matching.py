"""Names in a table -> the slides they are about: ids, paths, ends of paths, names of files."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.forgotten import Forgotten, find_gone
from pathassets.engine.platform.ingestion.cohort_table import Cohort, CohortRow
from pathassets.engine.platform.merged_slides import heirs_of

MAX_NEAR = 5
"""Unknown names of which the nearest known one is looked for: among 100,000 it takes 0.3 s each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """Names, and what they stand for."""

    slides: Mapping[str, tuple[str, ...]]
    """Slide ids of each name that is known: of several the name is no use."""
    near: Mapping[str, str]
    """Of some of the unknown names the known one that is most like it."""
    gone: Mapping[str, Forgotten]
    """Those of the unknown names that are ids of slides which were taken out."""


def match_slides(catalog: Catalog, known: Collection[str], names: Iterable[str]) -> Matches:
    """Find the slides that names stand for: by id, also one of old, else by path or file name.

    `known` are the ids of all slides.
    """
    asked = dict.fromkeys(names)
    heirs = heirs_of(catalog)
    paths = catalog.all_paths()
    found = {name: {heirs.get(name, name)} for name in asked if heirs.get(name, name) in known}
    rest = [name for name in asked if name not in found]
    by_file = _match_files(rest, {id_: [p.path for p in some] for id_, some in paths.items()})
    slides = {name: tuple(sorted(ids)) for name, ids in (found | by_file).items()}
    unknown = [name for name in rest if name not in slides]
    forgotten = catalog.forgotten() if unknown else []
    gone = {name: one for name in unknown if (one := find_gone(forgotten, name)) is not None}
    unknown = [name for name in unknown if name not in gone]
    files = {Path(one.path).name for some in paths.values() for one in some} if unknown else set()
    return Matches(slides=slides, near=nearest(unknown, files | set(known)), gone=gone)


def _match_files(names: Collection[str], paths: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """Slides of each name that is a path of one, or the end of it, be it without the suffix."""
    if not names:
        return {}
    table = Cohort(tuple(CohortRow(file=name) for name in names))
    found: defaultdict[str, set[str]] = defaultdict(set)
    for slide_id, places in paths.items():
        for place in places:
            if row := table.row_of(Path(place)):
                found[row.file].add(slide_id)
    return dict(found)


def nearest(unknown: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Of the first unknown names, the known one that is most like each."""
    found = {}
    for name in list(unknown)[:MAX_NEAR]:
        close = difflib.get_close_matches(Path(name).name or name, sorted(known), n=1)
        if close:
            found[name] = close[0]
    return found
