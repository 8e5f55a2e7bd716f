"""Slide of several objects -> what of it has not arrived yet, as far as its own index says.

An object that is uploaded in parts is in no list until it is whole, and by then the small ones of
its slide have been there for long: stillness does not tell.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from pathassets.adapters.objects.place import StoredObject
from pathassets.adapters.objects.remote_slides import RemoteSlide
from pathassets.adapters.openslide.completeness import INDEX, INDEX_CHARS, lacking_by

_INDEXED = (".vms", ".vmu")
"""Those that are an index themselves."""


def index_of(slide: RemoteSlide) -> StoredObject | None:
    """The object that names the others; None where there is none, or not yet."""
    suffix = slide.file.suffix.lower()
    if suffix == ".mrxs":
        key = f"{slide.file.stem}/{INDEX}".lower()
        return next((one for one in slide.members if one.key.lower() == key), None)
    return slide.members[0] if suffix in _INDEXED else None


def lacking_of(slide: RemoteSlide, index: StoredObject) -> str:
    """What is known to lack of a slide by its index, in words; a request for that.

    What the index names is looked for among the slide's objects, and nothing else is asked for.

    Raises:
        ObjectMissing: the index is gone.
        ObjectChanged: the index was overwritten.
        StoreError: its storage does not give it.
    """
    n_bytes = min(index.size_bytes, INDEX_CHARS)
    data = slide.folder.read_of(index, start=0, end=n_bytes) if n_bytes else b""
    folder = PurePosixPath(index.key).parent
    there = {one.key for one in slide.members if one.size_bytes}
    text = data.decode("utf-8-sig", errors="replace")
    return lacking_by(
        text, PurePosixPath(slide.file.name), lambda name: str(folder / name) in there
    )
