"""PatchLocations -> a patch set: what its images are, and the table that tells of each.

Pixels of patches can be read again for half a millisecond each, so features are made from the
slide; a patch set is for those who want files, or a packed store, to train from.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass as spec_dataclass

from pathassets.core.patches.names import NameSpec, PatchPlace, check_separator
from pathassets.core.patches.read_plan import ReadSpec
from pathassets.core.slides.resolution import LevelOrMpp, as_level_or_mpp
from pathassets.core.spec import STRICT
from pathassets.errors import SpecError

if TYPE_CHECKING:  # it takes a third of a second of each command
    import pandas as pd

CODE_VERSION = "1"

JPEG_QUALITY = 90
"""At 4:4:4: 0.13 of the bytes of the pixels, 41.6 dB."""
LOSSY = frozenset({"jpg", "jpeg", "webp"})
"""Image types that have a quality."""

Labels = Annotated[tuple[str, ...], Field(strict=False)]
"""YAML has lists where Python has tuples."""
Resolutions = Annotated[
    tuple[Annotated[LevelOrMpp, AfterValidator(as_level_or_mpp)], ...], Field(strict=False)
]


@spec_dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class PatchSetSpec(ReadSpec):
    """How the patches of a slide are kept as images."""

    store: Literal["files", "zarr", "webdataset"] = "files"
    """One file an image; one Zarr group; or tar shards."""
    image_type: Literal["png", "jpg", "tif", "webp"] = "png"
    quality: Annotated[int, Field(ge=1, le=100)] | None = None
    """Of jpg, where None is 90, and of webp, where None is lossless."""
    filename_comment: str = ""
    filename_separator: Annotated[str, AfterValidator(check_separator)] = "_"
    create_subdirs: bool = False
    """Whether each label has a folder; with `files`."""
    levels_or_mpps: Resolutions = ()
    """Resolutions of a set around the centre of each patch, an int a level, a float um per pixel;
    none: the patch as it is."""
    resampling_mode: Literal["tile", "wsi"] | None = "tile"
    included_labels: Labels = ()
    excluded_labels: Labels = ()
    shard_mb: Annotated[int, Field(ge=1, le=65536)] = 256
    """Size of a tar shard in millions of bytes; with `webdataset`."""

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        check_quality(self.quality, self.image_type)
        if self.included_labels and self.excluded_labels:
            raise SpecError(
                "patch set: labels are both included and excluded", remedy="Give one of the two"
            )
        return self

    @property
    def names(self) -> NameSpec:
        """How images are named."""
        return NameSpec(
            image_type=self.image_type, comment=self.filename_comment,
            separator=self.filename_separator, create_subdirs=self.create_subdirs,
        )  # fmt: skip


def check_quality(quality: object, image_type: str) -> int | None:
    """Let a quality through that this image type has.

    Raises:
        SpecError: it is not within 1 to 100, or the image type is lossless.
    """
    if quality is None:
        return None
    if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:  # noqa: PLR2004
        raise SpecError(f"quality: {quality!r} is not a whole number from 1 to 100")
    if image_type.lower() not in LOSSY:
        raise SpecError(
            f"quality: {image_type} is lossless and has none", remedy="Leave it out, or use jpg"
        )
    return quality


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPatch:
    """An image, ready to be kept."""

    place: PatchPlace
    path: str
    """Of its file, where it has one; relative, with forward slashes."""
    data: bytes
    sha256: str

    @classmethod
    def of(cls, place: PatchPlace, path: str, data: bytes) -> Self:
        """Take an image's bytes."""
        return cls(place=place, path=path, data=data, sha256=hashlib.sha256(data).hexdigest())


Row = dict[str, Any]
"""One image in a manifest."""

COLUMNS = (
    "label", "x_px0", "y_px0", "width_px", "height_px", "level", "mpp", "set", "index", "n_bytes",
    "sha256",
)  # fmt: skip
"""Of every manifest, after those that tell where an image is kept."""
_MISSING_INTS = ("level", "set")
_WHOLE = ("x_px0", "y_px0", "width_px", "height_px", "index", "n_bytes", "row", "start")


def row_of(patch: EncodedPatch, where: Row) -> Row:
    """Tell of an image: where it is kept, and what it shows."""
    place = patch.place
    is_mpp = isinstance(place.level_or_mpp, float)
    return where | {
        "label": place.label,
        "x_px0": place.x_px0,
        "y_px0": place.y_px0,
        "width_px": place.width_px,
        "height_px": place.height_px,
        "level": None if is_mpp else place.level_or_mpp,
        "mpp": place.level_or_mpp if is_mpp else None,
        "set": place.set_number,
        "index": place.index,
        "n_bytes": len(patch.data),
        "sha256": patch.sha256,
    }


def table_of(rows: Sequence[Row], where: Iterable[str]) -> pd.DataFrame:
    """Put rows into a table; `where` are the columns that tell where an image is kept.

    A label whose characters are no text (bytes of an old encoding) is written with escapes.
    """
    import pandas as pd  # noqa: PLC0415 - as above

    columns = [*where, *COLUMNS]
    return pd.DataFrame({name: _column(name, [row[name] for row in rows]) for name in columns})


def _column(name: str, values: list[Any]) -> pd.Series[Any]:
    import pandas as pd  # noqa: PLC0415 - as above

    if name in _MISSING_INTS:
        return pd.Series(values, dtype="Int64")
    if name == "mpp":
        return pd.Series(values, dtype="float64")
    if name in _WHOLE:
        return pd.Series(values, dtype="int64")
    return pd.Series([as_text(value) for value in values], dtype="string")


def as_text(text: str) -> str:
    r"""The text, with escapes for what is none.

    >>> as_text("a\udc80"), as_text("é")
    ('a\\udc80', 'é')
    """
    return text.encode("utf-8", "backslashreplace").decode()


def rows_of(table: pd.DataFrame) -> list[Row]:
    """The rows of a table of `table_of`, with None for what is missing."""
    records = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(name): value for name, value in record.items()} for record in records]


class PatchWriter(Protocol):
    """Keeps images, in whatever way; one way a slide."""

    where: tuple[str, ...]
    """Columns of the manifest that tell where an image is kept."""

    def store(self, patch: EncodedPatch) -> None:
        """Do what can be done out of order; from any thread."""

    def write(self, patches: Sequence[EncodedPatch]) -> list[Row]:
        """Keep the next images, in order, and tell of each; the images of a set come together."""

    def close(self) -> None:
        """Finish, once all are written."""


def facts_of(rows: Sequence[Row]) -> dict[str, Any]:
    """Count what was written: patches (or sets of them), images, bytes, and patches by label."""
    label_of = {row["index"]: row["label"] for row in rows}
    return {
        "n_patches": len(label_of),
        "n_sets": len({row["set"] for row in rows} - {None}),
        "n_images": len(rows),
        "n_bytes": sum(row["n_bytes"] for row in rows),
        "n_by_label": dict(sorted(Counter(label_of.values()).items())),
    }
