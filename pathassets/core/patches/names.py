"""Slide, label, place -> names of images and folders that every disk takes, and no two share.

    [{label}/][set{N}/]{slide}_{manifest}_[{comment}_][level{L}|mpp{M}_][{label}_]x{X}_y{Y}.png

Slide, comment and label are what a person wrote. One that would do harm (a path, a pattern, a
control character, a name that some system takes for another) is cleaned, and gets a hash of what it
was; all others stay as they are.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pathassets.core.slides.resolution import LevelOrMpp
from pathassets.core.spec import canonical_json
from pathassets.errors import SpecError

IMAGE_TYPES = ("png", "jpg", "jpeg", "tif", "tiff", "webp")
"""In lower case; a user may write them as he likes."""
MANIFESTS = "manifests"
"""Folder of the manifests, beside the images."""

ID_CHARS = 8
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"

NAME_BYTES = 255
"""Longest name that ext4, NTFS and APFS take."""
PART_BYTES = 200
_TAIL_BYTES = 64
"""Room for a resolution, x, y and the count of a repeat."""
_SEPARATOR_BYTES = 16
_N_SEPARATORS = 6

_HASH_CHARS = 8
_MARKED = re.compile(rf"~[0-9a-f]{{{_HASH_CHARS}}}\Z")
"""What a changed part ends with; one that ends so by itself is changed, too."""
_HARMFUL = re.compile(
    r'[/\\:*?"<>|\[\]'
    r"\x00-\x1f\x7f-\x9f"  # controls
    "\u2028\u2029\u202a-\u202e\u2066-\u2069"  # line ends, and what turns the reading direction
    "\ud800-\udfff]"  # bytes of a file name that are no text
)
_LEADING, _TRAILING = re.compile(r"\A[. ]+"), re.compile(r"[. ]+\Z")
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9])(\..*)?\Z", re.IGNORECASE)
"""Source: Microsoft, Naming Files, Paths, and Namespaces."""
_OUR_FOLDERS = re.compile(rf"{MANIFESTS}\Z|(.*__)?set[0-9]+\Z", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchPlace:
    """One image, as its name and its manifest tell it."""

    index: int
    """Place of its patch among all of the object, before filtering."""
    label: str
    x_px0: int
    y_px0: int
    width_px: int
    height_px: int
    level_or_mpp: LevelOrMpp
    set_number: int | None
    """None where it belongs to no set."""
    repeat: int = 0
    """How many before it would have the same name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameSpec:
    """What a user says of names. Validated when it is made.

    Raises:
        SpecError: there is no such image type, or the separator would do harm.
    """

    image_type: str
    """Of `IMAGE_TYPES`, in any case; the suffix is written as it is here."""
    comment: str = ""
    separator: str = "_"
    create_subdirs: bool = False
    """Whether each label has a folder."""

    def __post_init__(self) -> None:
        check_image_type(self.image_type)
        check_separator(self.separator)


def check_image_type(image_type: str) -> str:
    """The image type in lower case.

    Raises:
        SpecError: there is none of that name.
    """
    known = str(image_type).lower()
    if known not in IMAGE_TYPES:
        raise SpecError(
            f"image_type: {image_type!r} is not known", remedy=f"Give one of {list(IMAGE_TYPES)}"
        )
    return known


def check_separator(separator: str) -> str:
    """Let a separator through that may stand between parts of a name.

    Raises:
        SpecError: it may not.
    """
    if _HARMFUL.search(separator) or len(separator.encode()) > _SEPARATOR_BYTES:
        raise SpecError(
            f"filename_separator: {separator!r} cannot stand in a file name",
            remedy=f"Give up to {_SEPARATOR_BYTES} bytes such as '_', without / \\ : * ? < > | [ ]",
        )
    return separator


def safe_part(text: str, *, max_bytes: int = PART_BYTES, is_shared: bool = False) -> str:
    """A part of a name: the text itself where it does no harm, else cleaned, with its hash.

    `is_shared` says that another text is the same to some file system. Two texts never give one
    part, but for a chance of 1 in 4e9.

    >>> safe_part("Tumor (invasive)"), safe_part("a/b"), safe_part("..")
    ('Tumor (invasive)', 'a_b~c14cddc0', '_~5ec1f7e7')
    """
    is_harmless = (
        not is_shared
        and len(text.encode("utf-8", "surrogatepass")) <= max_bytes
        and not (_HARMFUL.search(text) or _MARKED.search(text) or _DEVICE.match(text))
        and not (text.startswith(".") or text.endswith((".", " ")))
    )
    if is_harmless:
        return text
    clean = _TRAILING.sub("_", _LEADING.sub("_", _HARMFUL.sub("_", text)))
    room_bytes = max_bytes - _HASH_CHARS - 1
    return f"{clean.encode()[:room_bytes].decode(errors='ignore')}~{_hash_of(text)}"


def _hash_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_CHARS]


def _folded(text: str) -> str:
    """What some file systems take for the same name: without case, and accents put together."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelNames:
    """How each label appears in names, by label."""

    parts: Mapping[str, str]
    folders: Mapping[str, str]


def name_labels(labels: Iterable[str], *, max_bytes: int = PART_BYTES) -> LabelNames:
    """Name all labels that may meet in one folder, so that no two share a part or a folder.

    >>> sorted(name_labels(["Tumor", "tumor", "set1"]).folders.values())
    ['Tumor~54746d08', 'set1~fb514134', 'tumor~ee03fb05']
    """
    labels = sorted({*labels} - {""})
    counts = Counter(_folded(label) for label in labels)
    shared = {label for label in labels if counts[_folded(label)] > 1}
    return LabelNames(
        parts={
            label: safe_part(label, max_bytes=max_bytes, is_shared=label in shared)
            for label in labels
        },
        folders={
            label: safe_part(
                label, is_shared=label in shared or _OUR_FOLDERS.match(label) is not None
            )
            for label in labels
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchNames:
    """Names of the images of one slide, relative to the folder they are written to."""

    spec: NameSpec
    slide: str
    """Its part of names."""
    manifest_id: str
    comment: str
    labels: LabelNames
    counts_globally: bool
    """Whether numbers of sets go on over slides; else the slide is part of the set's folder."""

    @property
    def manifest(self) -> str:
        """Path of the manifests, without suffix."""
        return f"{MANIFESTS}/manifest__{self.manifest_id}__{self.slide}"

    def folder_of(self, label: str, set_number: int | None) -> str:
        """Folder of the images of a label, and of a set; empty, or ends with a slash."""
        folder = f"{self.labels.folders[label]}/" if label and self.spec.create_subdirs else ""
        if set_number is None:
            return folder
        owner = "" if self.counts_globally else f"{self.slide}__"
        return f"{folder}{owner}set{set_number}/"

    def path_of(self, place: PatchPlace) -> str:
        """Path of an image, with forward slashes."""
        label, resolution = place.label, place.level_or_mpp
        parts = [self.slide, self.manifest_id, self.comment]
        if place.set_number is not None:
            parts.append(resolution_part(resolution))
        parts += [self.labels.parts[label] if label else "", f"x{place.x_px0}", f"y{place.y_px0}"]
        if place.repeat:
            parts.append(f"r{place.repeat + 1}")
        name = self.spec.separator.join(part for part in parts if part)
        return f"{self.folder_of(label, place.set_number)}{name}.{self.spec.image_type}"


def resolution_part(level_or_mpp: LevelOrMpp) -> str:
    """How a resolution appears in names.

    >>> resolution_part(1), resolution_part(1.0)
    ('level1', 'mpp1.0')
    """
    return f"mpp{level_or_mpp}" if isinstance(level_or_mpp, float) else f"level{level_or_mpp}"


def plan_names(
    slide_id: str, manifest_id: str, labels: Iterable[str], spec: NameSpec,
    *, counts_globally: bool = False,
) -> PatchNames:  # fmt: skip
    """Decide on all parts of names: no name is longer than 255 bytes.

    `labels` are those of all slides that are written to one folder.
    """
    labels = list(labels)
    room_bytes = (
        NAME_BYTES - ID_CHARS - _TAIL_BYTES - 1 - len(spec.image_type)
        - _N_SEPARATORS * len(spec.separator.encode())
    )  # fmt: skip
    longest = max((len(part.encode()) for part in name_labels(labels).parts.values()), default=0)
    lengths = [len(safe_part(text).encode()) for text in (slide_id, spec.comment) if text]
    most = min(PART_BYTES, _cut_at([*lengths, longest], room_bytes))
    return PatchNames(
        spec=spec, slide=safe_part(slide_id, max_bytes=most), manifest_id=manifest_id,
        comment=safe_part(spec.comment, max_bytes=most) if spec.comment else "",
        labels=name_labels(labels, max_bytes=most), counts_globally=counts_globally,
    )  # fmt: skip


def _cut_at(lengths: list[int], room: int) -> int:
    """The length that all longer parts are cut to, so that together they have room.

    >>> _cut_at([10, 20, 30], 60), _cut_at([10, 300, 40], 100), _cut_at([300, 300, 300], 99)
    (30, 50, 33)
    """
    for place, length in enumerate(sorted(lengths)):
        share = room // (len(lengths) - place)
        if length > share:
            return share
        room -= length
    return max(lengths)


def manifest_id_of(identity: Any) -> str:
    """Name an output by what it is: 8 characters of 0-9 and a-z, 41 bits.

    >>> manifest_id_of({"slide": "abc"}) == manifest_id_of({"slide": "abc"})
    True
    """
    digest = hashlib.sha256(canonical_json(identity).encode()).digest()
    number, chars = int.from_bytes(digest), []
    for _ in range(ID_CHARS):
        number, rest = divmod(number, len(_ALPHABET))
        chars.append(_ALPHABET[rest])
    return "".join(chars)
