"""Arrays of squares -> rows as people read them: ((x, y), (width, height), label), made when asked.

100,000 patches are a few megabytes of arrays; as tuples they would be 30 times that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar, overload

import numpy as np

from pathassets.core.annotations.annotations import LARGEST_PX0
from pathassets.errors import SpecError

N = TypeVar("N", int, float)

_CHUNK = 4096
"""Rows that are made at once."""
_ROW_CHARS = 200
_SHOWN = 6
"""Rows that `repr` shows."""


@dataclass(frozen=True, eq=False, repr=False, slots=True, kw_only=True)
class PatchRows(Sequence[tuple[tuple[N, N], tuple[N, N], str]], Generic[N]):
    """A list of patches, to look at: it can be indexed, sliced, compared, added and iterated again.

    For what insists on a list (JSON, sorting in place) there is `list(rows)`.
    """

    x: np.ndarray
    """(n,): left edges."""
    y: np.ndarray
    width: np.ndarray
    """(n,), or () where all have the same."""
    height: np.ndarray
    labels: tuple[str, ...]
    codes: np.ndarray
    """int32 (n,): place of each one's label in `labels`."""

    def __len__(self) -> int:
        return len(self.x)

    @overload
    def __getitem__(self, index: int) -> tuple[tuple[N, N], tuple[N, N], str]: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._part(index)
        place = range(len(self))[index]  # counts from the end, and raises, as a list does
        return next(iter(self._part(slice(place, place + 1))))

    def _part(self, part: slice) -> Self:
        return type(self)(
            x=self.x[part], y=self.y[part],
            width=self.width[part] if self.width.ndim else self.width,
            height=self.height[part] if self.height.ndim else self.height,
            labels=self.labels, codes=self.codes[part],
        )  # fmt: skip

    def __iter__(self) -> Iterator[tuple[tuple[N, N], tuple[N, N], str]]:
        n = len(self)
        columns = [
            np.broadcast_to(c, n) for c in (self.x, self.y, self.width, self.height, self.codes)
        ]
        labels = self.labels
        for start in range(0, n, _CHUNK):
            part = [column[start : start + _CHUNK].tolist() for column in columns]
            for x, y, width, height, code in zip(*part, strict=True):
                yield (x, y), (width, height), labels[code]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PatchRows | list):
            return NotImplemented
        return len(self) == len(other) and all(
            mine == yours for mine, yours in zip(self, other, strict=True)
        )

    __hash__ = None  # type: ignore[assignment] # as a list

    def __add__(self, other: Iterable[Any]) -> list[Any]:
        return [*self, *other]

    def __radd__(self, other: Iterable[Any]) -> list[Any]:
        return [*other, *self]

    def __repr__(self) -> str:
        rows = [repr(row) for row in self[:_SHOWN]]
        rows = [row if len(row) <= _ROW_CHARS else f"{row[:_ROW_CHARS]}…" for row in rows]
        if len(self) > _SHOWN:
            rows.append(f"... {len(self)} patches")
        return f"[{', '.join(rows)}]"


def code_labels(labels: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Distinct labels, sorted, and the place of each one's label among them, int32 (n,).

    >>> names, codes = code_labels(["b", "a", "b"])
    >>> names, codes.tolist()
    (('a', 'b'), [1, 0, 1])
    """
    names = tuple(sorted(set(labels)))
    places = {name: place for place, name in enumerate(names)}
    return names, np.array([places[label] for label in labels], np.int32)


def as_array(shapes: Sequence[Any]) -> np.ndarray:
    """Objects as an array of them, object (n,), whatever they are."""
    array = np.empty(len(shapes), object)
    array[:] = shapes
    return array


def rows_of(patch_data: Iterable[Any]) -> PatchRows[int]:
    """Bring rows from elsewhere into arrays.

    Raises:
        SpecError: one is not ((x, y), (width, height), label) of whole numbers, a size above 0 and
            a text.
    """
    if isinstance(patch_data, PatchRows):
        return patch_data
    numbers, labels = [], []
    for place, row in enumerate(patch_data):
        numbers.append(_numbers_of(row, place))
        labels.append(str(row[2]))
    table = np.array(numbers, np.int64).reshape(-1, 4)
    names, codes = code_labels(labels)
    x, y, width, height = np.ascontiguousarray(table.T)
    return PatchRows(x=x, y=y, width=width, height=height, labels=names, codes=codes)


def _numbers_of(row: Any, place: int) -> list[int]:
    try:
        (x, y), (width, height), label = row
        numbers = [x, y, width, height]
        whole = [int(number) for number in numbers]
    except (TypeError, ValueError, OverflowError) as error:
        raise _no_row(row, place) from error
    is_whole = all(number == n for number, n in zip(numbers, whole, strict=True))
    is_near = max(map(abs, whole)) <= LARGEST_PX0
    if not (is_whole and is_near) or width < 1 or height < 1 or not isinstance(label, str):
        raise _no_row(row, place)
    return whole


def _no_row(row: Any, place: int) -> SpecError:
    return SpecError(
        f"patch_data: no patch at place {place}: {row!r}",
        remedy="Give ((x, y), (width, height), label): a corner in level-0 pixels, a size in "
        "pixels of the patch, and a text, which may be empty",
    )
