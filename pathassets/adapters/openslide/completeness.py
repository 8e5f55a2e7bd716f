"""Slide of several files -> what of it has not arrived yet, as far as its own index says.

MRXS names its data files in Slidedat.ini, VMS and VMU their pictures; a DICOM file may say how many
instances its series has. Where nothing is said, stillness has to tell.

Source: https://openslide.org/formats/mirax/, https://openslide.org/formats/hamamatsu/;
DICOM PS3.6, (0020,1209) Number of Series Related Instances
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path, PurePath

from pathassets.adapters.openslide.beside import PipeBeside, require_plain_beside
from pathassets.adapters.openslide.reader import open_handle
from pathassets.core.text import shortened, visible
from pathassets.errors import SlideUnreadable

INDEX = "Slidedat.ini"
INDEX_CHARS = 4_000_000
"""Read of an index: of the largest known it is a tenth."""
_NAME_CHARS = 255
_SECTION = re.compile(r"\s*\[(.*)\]\s*")
_MRXS_SECTIONS = ("DATAFILE", "HIERARCHICAL")
"""Where OpenSlide looks for the files: others may number something else."""
_MRXS_FILE = re.compile(r"\s*(?:FILE_\d+|INDEXFILE)\s*=\s*(\S.*?)\s*")
_MRXS_COUNT = re.compile(r"\s*FILE_COUNT\s*=\s*(\d{1,6})\s*")
_OTHER_LAYER = r"\(0*[1-9]\d*,\d+,\d+\)"
"""Of a focal plane that OpenSlide does not read."""
_VMS_FILE = re.compile(rf"\s*(?:ImageFile(?!{_OTHER_LAYER})|MapFile|MacroImage)[^=]*=\s*(\S.*?)\s*")
_N_INSTANCES = "dicom.NumberOfSeriesRelatedInstances"


def lacking(path: Path) -> str:
    """What is known to lack of a slide, in words; empty where nothing is."""
    suffix = path.suffix.lower()
    try:
        require_plain_beside(path)
        if suffix == ".mrxs":
            return _lacking_mrxs(path)
        if suffix in {".vms", ".vmu"}:
            return lacking_by(_read(path), path, lambda name: _has_content(path.parent / name))
        return _lacking_dicom(path) if suffix == ".dcm" else ""
    except PipeBeside as error:
        return error.fact
    except (SlideUnreadable, OSError):  # registering it will say why
        return ""


def _lacking_mrxs(path: Path) -> str:
    folder = path.with_suffix("")
    if not folder.is_dir():
        return f"its folder {folder.name} is not there yet"
    if not (folder / INDEX).is_file():
        return f"{folder.name}/{INDEX} is not there yet"
    return lacking_by(_read(folder / INDEX), path, lambda name: _has_content(folder / name))


def lacking_by(index: str, slide: PurePath, has: Callable[[str], bool]) -> str:
    """What lacks of an MRXS, VMS or VMU by what its index says, wherever its files are.

    Args:
        index: What `Slidedat.ini` says, or the `.vms` or `.vmu` itself.
        slide: The file that is opened.
        has: Whether a file of a name lies beside the index, with something in it.
    """
    if slide.suffix.lower() != ".mrxs":
        return _not_there(_named_in(index, _VMS_FILE), has)
    index = _sections_of(index, _MRXS_SECTIONS)
    named = [*_named_in(index, _MRXS_FILE)]
    n_named = len(named) - 1  # the index of tiles is no data file
    n_files = next((int(n) for n in _named_in(index, _MRXS_COUNT)), n_named)
    if n_named < n_files:
        return f"{slide.stem}/{INDEX} names {max(0, n_named)} of its {n_files} files so far"
    return _not_there(named, has)


def _read(index: Path) -> str:
    with index.open(encoding="utf-8-sig", errors="replace") as file:
        return file.read(INDEX_CHARS)


def _sections_of(index: str, names: Collection[str]) -> str:
    """The lines of some sections."""
    kept, is_kept = [], False
    for line in index.splitlines():
        if found := _SECTION.fullmatch(line):
            is_kept = found[1] in names
        elif is_kept:
            kept.append(line)
    return "\n".join(kept)


def _named_in(index: str, pattern: re.Pattern[str]) -> Iterator[str]:
    """What lines of an index say."""
    for line in index.splitlines():
        if found := pattern.fullmatch(line):
            yield found[1]


def _not_there(names: Iterable[str], has: Callable[[str], bool]) -> str:
    """Say which of the files that an index names are not beside it, or empty."""
    plain = [name for name in dict.fromkeys(names) if PurePath(name).name == name]
    absent = [name for name in plain if not has(name)]
    if not absent:
        return ""
    such = visible(shortened(absent[0], _NAME_CHARS))
    return f"{len(absent)} of {len(plain)} files are not there yet, such as {such}"


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _lacking_dicom(path: Path) -> str:
    with open_handle(path) as handle:
        said = handle.properties.get(_N_INSTANCES, "")
    if not said.isdecimal():
        return ""
    # All of the folder: label and overview are of the series, too, and no members of the slide.
    n_files = sum(one.suffix.lower() == ".dcm" for one in path.parent.iterdir())
    return "" if n_files >= int(said) else f"{n_files} of {said} files of the series are there"
