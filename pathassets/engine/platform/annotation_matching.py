"""A folder of annotations + registered slides -> which file is of which slide.

A file is a slide's when it is called like it: by its id, or by its file's name with or without the
ending. Two slides may have one name, and two files may be of one slide: then a person decides.
Files that look like annotations and cannot be read are listed, not left out without a word.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pathassets.adapters.annotations.halo import REMEDY as HALO_REMEDY
from pathassets.catalog.forgotten import Forgotten, find_gone
from pathassets.engine.platform.annotations import (
    AnnotationSource,
    Recorded,
    record_file,
    require_entry,
)
from pathassets.engine.platform.merged_slides import heirs_of
from pathassets.engine.platform.platform import Platform
from pathassets.engine.stages.recorded_annotation import MASK_PICTURES
from pathassets.errors import AnnotationError, SlideError, SpecError

_PACKED = "is packed: unpack it"
_LOSSY = "is a picture with loss, in which 0 is not 0: save the mask as PNG"
FOREIGN_FILES = {
    **dict.fromkeys((".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".7z", ".rar"), _PACKED),
    **dict.fromkeys((".jpg", ".jpeg", ".webp"), _LOSSY),
    ".annotations": f"is HALO's, which is not read: {HALO_REMEDY}",
    ".qpdata": "is QuPath's own: export the annotations from there as GeoJSON",
    ".qpproj": "is a project of QuPath's: export the annotations from there as GeoJSON",
    ".roi": "is ImageJ's: send the overlay to QuPath, and export GeoJSON from there",
    ".svg": "is an annotation without a slide's coordinates: export GeoJSON",
    ".wkt": "has no labels and no format of its own: export GeoJSON",
    ".db": "is a database, such as TIAToolbox's AnnotationStore: export GeoJSON",
}
"""Endings of files that look like annotations and cannot be read, and what to do with each."""
POLYGON_FILES = frozenset({".geojson", ".json", ".ndpa", ".xml"})
"""Endings of files with polygons; which format it is, the content tells."""

MatchState = Literal["fits", "unmatched", "ambiguous", "recorded", "refused", "passed over"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A file of a folder, and what became of it."""

    path: Path
    state: MatchState
    slide_id: str = ""
    """Of the one slide that it fits."""
    said: str = ""
    """Why it was not recorded."""
    recorded: Recorded | None = None


def match_files(
    platform: Platform, folder: Path, stated: AnnotationSource, *, is_dry: bool
) -> Iterator[Match]:
    """Find the slide of each file in a folder and those below, and record what the file draws.

    A dry run stops short of looking into files. One that is malformed is refused, the others go on.

    Raises:
        SpecError: it is no folder, no file in it could be an annotation, or the recipe has no such
            annotations.
        CatalogError: the catalog cannot be written.
        StoreError: the store cannot be written.
    """
    require_entry(platform, stated.name)
    for match in find_matches(platform, folder):
        is_done = is_dry or match.state != "fits"
        yield match if is_done else _record(platform, match, stated)


def find_matches(platform: Platform, folder: Path) -> list[Match]:
    """Find the slide of each file in a folder and those below, by names alone.

    Raises:
        SpecError: it is no folder, or no file in it could be an annotation.
    """
    found = _annotations_in(folder, _slide_files(platform))
    passed = [file for file in found if file.suffix.lower() in FOREIGN_FILES]
    files = [file for file in found if file.suffix.lower() not in FOREIGN_FILES]
    by_name = _slides_by_name(platform)
    fits = {file: sorted(_fitting(file, by_name)) for file in files}
    rivals: dict[str, list[Path]] = defaultdict(list)
    for file, slide_ids in fits.items():
        if len(slide_ids) == 1:
            rivals[slide_ids[0]].append(file)
    matches = [_match(file, slide_ids, rivals) for file, slide_ids in fits.items()]
    forgotten = platform.catalog.forgotten()
    matches = [_told_gone(match, forgotten) for match in matches]
    return sorted([*matches, *map(_passed_over, passed)], key=lambda match: match.path)


def _told_gone(match: Match, forgotten: Iterable[Forgotten]) -> Match:
    """The same; of a file that is called like a slide that was taken out, that it was."""
    gone = find_gone(forgotten, match.path.stem) if match.state == "unmatched" else None
    return match if gone is None else replace(match, said=f"its slide was {gone.told}")


def _record(platform: Platform, match: Match, stated: AnnotationSource) -> Match:
    try:
        done = record_file(platform, match.slide_id, match.path, stated)
    except (AnnotationError, SpecError, SlideError) as error:
        return replace(match, state="refused", said=str(error))
    return replace(match, state="recorded", recorded=done)


def _annotations_in(folder: Path, slide_files: set[Path]) -> list[Path]:
    """Files of a folder that may be annotations, or look like some, and are no slides."""
    if not folder.is_dir():
        raise SpecError(f"{folder}: no such folder", remedy="Look at its spelling")
    known = POLYGON_FILES | MASK_PICTURES
    looked_for = known | FOREIGN_FILES.keys()
    found = [
        path
        for path in sorted(folder.absolute().rglob("*"))
        if path.suffix.lower() in looked_for
        and not any(part.startswith(".") for part in path.relative_to(folder.absolute()).parts)
        and path.is_file()
        and path not in slide_files
    ]
    if not found:
        raise SpecError(
            f"{folder}: no annotations in this folder",
            remedy=f"Name a folder with files of these kinds: {' '.join(sorted(known))}",
        )
    return found


def _slide_files(platform: Platform) -> set[Path]:
    places = platform.catalog.places().values()
    return {Path(place) for of_slide in places for place in of_slide}


def _slides_by_name(platform: Platform) -> dict[str, set[str]]:
    """Slides by what an annotation of them may be called."""
    by_name: dict[str, set[str]] = defaultdict(set)
    begun = platform.catalog.begun_removals()
    for record in platform.catalog.slides():
        by_name[record.slide_id].add(record.slide_id)
    for old_id, slide_id in heirs_of(platform.catalog).items():
        by_name[old_id].add(slide_id)
    for slide_id, places in platform.catalog.places().items():
        for place in map(Path, places):
            by_name[place.name].add(slide_id)
            by_name[place.stem].add(slide_id)
    staying = {name: slide_ids - begun.keys() for name, slide_ids in by_name.items()}
    return {name: slide_ids for name, slide_ids in staying.items() if slide_ids}


def _fitting(file: Path, by_name: dict[str, set[str]]) -> set[str]:
    """Slides that a file is called like: `a.geojson` and `a.svs.geojson` are of `a.svs`."""
    return by_name.get(file.stem, set())


def _passed_over(file: Path) -> Match:
    return Match(path=file, state="passed over", said=FOREIGN_FILES[file.suffix.lower()])


def _match(file: Path, slide_ids: list[str], rivals: dict[str, list[Path]]) -> Match:
    if not slide_ids:
        return Match(path=file, state="unmatched", said="no slide is called so")
    if len(slide_ids) > 1:
        said = f"several slides are called so: {', '.join(slide_ids)}"
        return Match(path=file, state="ambiguous", said=said)
    others = [str(other) for other in rivals[slide_ids[0]] if other != file]
    if others:
        said = f"is of {slide_ids[0]}, as are {', '.join(others)}"
        return Match(path=file, state="ambiguous", said=said)
    return Match(path=file, state="fits", slide_id=slide_ids[0])
