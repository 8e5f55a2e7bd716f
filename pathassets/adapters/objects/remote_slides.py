"""Objects -> the slides among them: which objects are one slide, and how they look.

A slide of one file is one object. Of MRXS it is the object and all below the folder of its name, of
VMS and VMU what the index names beside it. Of DICOM it is all `.dcm` of one folder: to which series
each belongs only its content says, and is looked at when they were copied.

Keys are strangers' words: one with `..`, an empty part, control characters, `?` or `#` is no
slide's, nor is what lies under a hidden name, as programs write that copy. Of a key that ends in a
slash a listing shows all but the slash: of no bytes it stands for a folder, else it can't be asked
for.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from pathassets.adapters.files import FileStamp
from pathassets.adapters.objects.listing import list_past_odd_keys, warn_once
from pathassets.adapters.objects.place import ObjectPlace, StoredObject, open_place
from pathassets.adapters.objects.remote_file import FilePlace, RemoteFile
from pathassets.adapters.objects.urls import BUCKETS, WEB, is_key
from pathassets.adapters.openslide.members import SUFFIXES, names_in_index, slide_stamp
from pathassets.errors import (
    ObjectMissing,
    SlideUnreadable,
    SpecError,
    StorageUnavailable,
    StoreError,
)

_PASSED = (".", "~")
"""Names that begin so are being written, or of no concern."""
_INDEX_BYTES = 1_000_000
_ETAG_CHARS = 128
"""S3 and Azure write up to 40; of a longer one the hash is kept."""
_WEAK = "W/"
"""So begin ETags that do not promise the same bytes. Source: RFC 9110, 8.8.1."""
DICOM = ".dcm"
_NOT_IN_URLS = frozenset("?#")
"""What begins a query or a fragment: read again, the URL would be of something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSlide:
    """A slide's objects, as they look."""

    file: RemoteFile
    """The one that is opened."""
    members: tuple[StoredObject, ...]
    """All of them, their keys below the folder of that one; it comes first."""

    @property
    def size_bytes(self) -> int:
        """Of all of them."""
        return sum(one.size_bytes for one in self.members)

    @property
    def stamp(self) -> FileStamp:
        """By what a change shows: ETags, sizes and the newest time, whole seconds, as HTTP has it.

        Whoever overwrites an object gives it another time; within the same second, another ETag.
        """
        return FileStamp(
            size_bytes=self.size_bytes,
            mtime_ns=max(int(one.modified_s) for one in self.members) * 10**9,
            ctime_ns=0,
            etag=_etag_of(self.members),
        )

    @property
    def folder(self) -> ObjectPlace:
        """Where its objects are."""
        return _open(self.file.parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundObjects:
    """What is below a URL."""

    slides: list[RemoteSlide]
    others: list[tuple[RemoteFile, FileStamp]]
    """Objects that may be no slides, and were asked for."""
    is_whole: bool
    """Whether all was seen that is there."""


def look_at(file: RemoteFile) -> RemoteSlide:
    """Ask which objects are a slide, and how they look: one request, of a slide of several a few.

    Raises:
        SlideUnreadable: there is no such object.
        StoreError: the storage cannot be asked, or has no such bucket.
    """
    place = _open(file.parent)
    try:
        own = _readable(place.head(file.name), place)
        return RemoteSlide(file=file, members=tuple(_with_others(file, own, place)))
    except ObjectMissing as error:
        raise _missing(file, place) from error


def answers(file: RemoteFile) -> bool:
    """Whether the storage of an object answers at all, be it with a refusal."""
    try:
        next(_open(file.parent).objects(), None)
    except StorageUnavailable:
        return False
    except StoreError:
        pass
    return True


def find_remote_slides(folder: RemoteFile) -> tuple[list[RemoteFile], bool]:
    """Slides below a URL, or the one that it names, and whether all there are could be listed.

    Each bears how it looked.

    Raises:
        SpecError: there is no slide.
        StoreError: the storage cannot be asked, or not for a list.
    """
    if _is_slide_name(folder.name):
        try:
            return [replace(folder, seen=look_at(folder).stamp)], True
        except SlideUnreadable:
            pass  # it may be a folder of such a name
    if folder.url.scheme in WEB:
        raise SpecError(
            f"{folder}: no slide is there, and a web server lists none",
            remedy="Name the slide's own URL (.svs, .tif, .ndpi …)",
        )
    found = objects_in(folder)
    files = [replace(one.file, seen=one.stamp) for one in found.slides]
    if not files:
        raise SpecError(
            f"{folder}: no slides are there",
            remedy="Name a bucket, a folder or an object with slides (.svs, .tif, .ndpi, .mrxs …)",
        )
    return sorted(files, key=str), found.is_whole


def slides_below(folder: RemoteFile) -> list[RemoteSlide]:
    """Slides below a URL, from one listing.

    Raises:
        StoreError: the storage cannot be asked.
    """
    return objects_in(folder).slides


def objects_in(folder: RemoteFile, suffixes: Collection[str] = ()) -> FoundObjects:
    """Slides below a URL, and other objects whose names end so, from one listing.

    Raises:
        StoreError: the storage cannot be asked.
    """
    by_folder: dict[str, list[StoredObject]] = defaultdict(list)
    others: list[tuple[RemoteFile, FileStamp]] = []
    endings = tuple(suffixes)
    listing = list_past_odd_keys(_open(folder))
    folders = _folders_of(listing.objects)
    for one in listing.objects:
        is_folder = not one.size_bytes and one.key in folders
        if not is_folder and is_of_slide(one.key, str(folder)):
            by_folder[one.key.rpartition("/")[0]].append(one)
            if endings and one.key.lower().endswith(endings):
                file = folder.below(one.key)
                others.append((file, RemoteSlide(file=file, members=(one,)).stamp))
    slides = [one for above in sorted(by_folder) for one in _slides_in(folder, above, by_folder)]
    return FoundObjects(slides=slides, others=others, is_whole=listing.is_whole)


def _open(folder: RemoteFile) -> ObjectPlace:
    return open_place(str(folder), is_only_read=True)


def _folders_of(objects: Iterable[StoredObject]) -> set[str]:
    """Folders that objects are in, at any depth."""
    found = {""}
    for above in {one.key.rpartition("/")[0] for one in objects}:
        while above not in found:
            found.add(above)
            above = above.rpartition("/")[0]  # noqa: PLW2901 - one up
    return found


def _slides_in(
    root: RemoteFile, above: str, by_folder: dict[str, list[StoredObject]]
) -> Iterator[RemoteSlide]:
    """Slides whose file is in one folder of a listing."""
    here = {one.key.rpartition("/")[2]: one for one in by_folder[above]}
    folder = root.below(above) if above else root
    dicom = [name for name in sorted(here) if name.lower().endswith(DICOM)]
    for name in sorted(here.keys() - {*dicom[1:]}):
        if not _is_slide_name(name):
            continue
        file = folder.below(name)
        own = replace(here[name], key=name)
        others: Iterable[StoredObject] = ()
        if name in dicom[:1]:
            others = (replace(here[one], key=one) for one in dicom[1:])
        elif file.suffix.lower() == ".mrxs":
            others = _listed_below(f"{above}/{file.stem}".strip("/"), file.stem, by_folder)
        elif file.suffix.lower() in {".vms", ".vmu"}:
            others = _named_beside(file, _open(folder))
        yield RemoteSlide(file=file, members=(own, *others))


def _listed_below(
    key: str, stem: str, by_folder: dict[str, list[StoredObject]]
) -> Iterator[StoredObject]:
    """Objects of a listing in a folder, at any depth."""
    for above in sorted(by_folder):
        if above == key or above.startswith(f"{key}/"):
            for one in by_folder[above]:
                yield replace(one, key=stem + one.key[len(key) :])


def _with_others(file: RemoteFile, own: StoredObject, place: ObjectPlace) -> Iterator[StoredObject]:
    """An object, and those that are the same slide."""
    yield own
    kind = file.suffix.lower()
    if kind == ".mrxs":
        for one in place.objects(file.stem):
            if is_of_slide(one.key, str(place.url)):
                yield _readable(one, place)
    elif kind in {".vms", ".vmu"}:
        yield from _named_beside(file, place)
    elif kind == DICOM:
        for one in place.files():
            is_other = one.key != own.key and one.key.lower().endswith(DICOM)
            if is_other and is_of_slide(one.key, str(place.url)):
                yield _readable(one, place)


def _named_beside(file: RemoteFile, place: ObjectPlace) -> Iterator[StoredObject]:
    """Objects that a Hamamatsu index names and that are there."""
    index = place.read(file.name, start=0, end=_INDEX_BYTES).decode("utf-8", errors="replace")
    for name in sorted(names_in_index(index)):
        if is_key(name) and "/" not in name and name != file.name:
            try:
                yield _readable(place.head(name), place)
            except ObjectMissing:
                continue


def _readable(one: StoredObject, place: ObjectPlace) -> StoredObject:
    """An object as it can be asked for again: no server takes a weak ETag for the same bytes."""
    is_weak = place.url.scheme in WEB and (one.etag or "").startswith(_WEAK)
    return replace(one, etag=None) if is_weak else one


def is_of_slide(key: str, folder: str) -> bool:
    """Whether a key can be one of a slide's: what copying programs write is passed over."""
    if not is_key(key):
        fact = "no file can have such a name; rename or remove the object"
    elif not _NOT_IN_URLS.isdisjoint(key):
        fact = "'#' and '?' cannot stand in a name that is read by its URL; rename the object"
    else:
        fact = ""
    if fact:
        warn_once(f"{folder}/{key}", f"is passed over: {fact}")
        return False
    return not any(part.startswith(_PASSED) for part in key.split("/"))


def _is_slide_name(name: str) -> bool:
    return f".{name.rpartition('.')[2].lower()}" in SUFFIXES and not name.startswith(_PASSED)


def _etag_of(members: tuple[StoredObject, ...]) -> str:
    """One for all of a slide's objects; empty where the storage gives none."""
    etags = [one.etag or "" for one in members]
    if len(etags) == 1 and len(etags[0]) <= _ETAG_CHARS and etags[0].isprintable():
        return etags[0]
    lines = sorted(f"{one.key}\t{etag}\n" for one, etag in zip(members, etags, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest() if any(etags) else ""


def _missing(file: RemoteFile, place: ObjectPlace) -> SlideUnreadable:
    """What is said of an object that isn't there.

    Raises:
        ObjectMissing: nor is its bucket.
    """
    if _with_slash(file.name, place) is not None:
        return SlideUnreadable(
            file,
            "its key ends in a slash, as no file's name can",
            remedy="Rename the object",
            reason="bad_name",
        )
    return SlideUnreadable(
        file,
        "no such object",
        remedy="Look whether it was removed or renamed, or ingest it where it is now",
        reason="file_missing",
    )


def _with_slash(name: str, place: ObjectPlace) -> StoredObject | None:
    """The object for which one that isn't there is listed: its key has a slash more.

    Raises:
        ObjectMissing: there is no bucket.
    """
    if place.url.scheme not in BUCKETS:
        return None
    try:
        first = next(place.objects(name), None)
    except StoreError as error:  # it is missing all the same
        if isinstance(error, ObjectMissing) and error.uri == place.url.root:
            raise  # of which the answer on the object says nothing
        return None
    return first if first is not None and first.key == name else None


def stamp_at(place: FilePlace) -> FileStamp:
    """How a slide looks, wherever it is; of a file that is no slide, how that one does.

    Raises:
        SlideUnreadable: it is missing or forbidden.
        StoreError: its storage cannot be asked.
    """
    if not isinstance(place, RemoteFile):
        return slide_stamp(place)
    try:
        return look_at(place).stamp
    except SlideUnreadable:
        own = _with_slash(place.name, _open(place.parent))
        if own is None:
            raise
        return RemoteSlide(file=place, members=(own,)).stamp  # as the listing shows it
