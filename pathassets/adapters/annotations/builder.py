"""Elements of an annotation file -> Annotations; what each format's reader writes into."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pathassets.core.annotations.annotations import (
    AnnotationPolygon,
    Annotations,
    faults_of,
    outlines_of,
)
from pathassets.errors import AnnotationError, SpecError

GetLabel = Callable[..., str]
"""Makes the label of what the file says about an element (its GeoJSON, its XML attributes): takes
them as one dict, or by keyword those that it names."""

NUMBER_SIGNS = "0123456789.,+-eE \t\r\n"
"""What numbers are written of; some programs write the decimal comma of their user's country.
`float` alone takes `nan`, `1_0` and digits of other scripts, too."""
_BY_PLACE = Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD, Parameter.VAR_POSITIONAL
WITHOUT_AREA = "without area"
MEND = "Mend or delete it in the program that drew it, and export it again"
ELLIPSE_PX = 0.25
"""How far the corners' outline of an ellipse may lie within it."""
ELLIPSE_CORNERS = (16, 1440)


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element of a file."""

    where: str
    """What errors call it."""
    label: str
    """By the format's own rule."""
    facts: dict[str, Any]
    """What the file says about it, for a label by the user's rule."""


class AnnotationBuilder:
    """The areas of one file, as far as they are read."""

    def __init__(self, source: str, get_label: GetLabel | None = None) -> None:
        self._source = source
        self._get_label = None if get_label is None else _of_facts(get_label)
        self._polygons: list[AnnotationPolygon] = []
        self._where: list[str] = []
        self._left_out: Counter[str] = Counter()

    def error(self, where: str, fact: str, *, remedy: str = "") -> AnnotationError:
        """Build the error that an element of this file is."""
        subject = f"{where}: " if where else ""
        return AnnotationError(self._source, f"{subject}{fact}", remedy=remedy)

    def add(self, element: Element, points: ArrayLike, holes: Sequence[ArrayLike] = ()) -> None:
        """Take an area, in level-0 pixels."""
        label = element.label
        if self._get_label is not None:
            label = self._get_label(element.facts)
        try:
            polygon = AnnotationPolygon(points=points, label=label, holes=holes)
        except SpecError as error:
            raise self.error(element.where, error.message, remedy=MEND) from error
        self._polygons.append(polygon)
        self._where.append(element.where)

    def leave_out(self, kind: str) -> None:
        """Count an element that is no area."""
        self._left_out[kind] += 1

    def finish(self, file_format: str) -> Annotations:
        """What the file holds."""
        empty = [outline.is_empty for outline in outlines_of(self._polygons)]
        for is_empty in empty:
            if is_empty:
                self.leave_out(WITHOUT_AREA)
        faults = faults_of(self._polygons)
        return Annotations(
            polygons=tuple(p for p, gone in zip(self._polygons, empty, strict=True) if not gone),
            file_format=file_format,
            n_left_out=dict(sorted(self._left_out.items())),
            repairs=tuple(
                f"{self._where[place]}: {fault}"
                for place, fault in faults.items()
                if not empty[place]
            ),
        )

    def number(self, text: str | None, where: str) -> float:
        """The number that a text is."""
        try:
            return number_of(text)
        except ValueError as error:
            raise self.error(where, str(error)) from error


def _of_facts(get_label: GetLabel) -> Callable[[dict[str, Any]], str]:
    """The function as one of a dict: what takes one argument by place gets all, others their own.

    >>> facts = {"name": "Region 1", "color": "#ff0000"}
    >>> [_of_facts(f)(facts) for f in (lambda d: d["name"], lambda color, **_: color)]
    ['Region 1', '#ff0000']
    """
    try:
        parameters = list(signature(get_label).parameters.values())
    except ValueError:  # some that are written in C
        return get_label
    kinds = [parameter.kind for parameter in parameters]
    takes_all = Parameter.VAR_KEYWORD in kinds
    must_have = [p for p in parameters if p.default is p.empty]
    if len(must_have) == 1 and must_have[0].kind in _BY_PLACE:
        return get_label
    names = {parameter.name for parameter in parameters}
    return lambda facts: get_label(**{k: facts[k] for k in facts if takes_all or k in names})


def number_of(text: str | None) -> float:
    """The number that a text is; a ValueError where it is none.

    >>> number_of("12,5")
    12.5
    """
    if text is not None and not text.strip(NUMBER_SIGNS):
        with suppress(ValueError):
            return float(text.replace(",", "."))
    raise ValueError(f"{text!r} is no number")


def ellipse_in(corners: np.ndarray) -> np.ndarray:
    """Corners of the ellipse that touches the sides of a rectangle, which may be turned.

    >>> ellipse_in(np.array([[0, 0], [8, 0], [8, 4], [0, 4]])).max(0).tolist()
    [8.0, 4.0]
    """
    centre = corners.mean(0)
    first, second = (corners[0] + corners[1]) / 2 - centre, (corners[1] + corners[2]) / 2 - centre
    radius = max(float(np.hypot(*first)), float(np.hypot(*second)))
    few, many = ELLIPSE_CORNERS
    n = many
    if radius > ELLIPSE_PX:
        n = math.ceil(math.pi / math.acos(1 - ELLIPSE_PX / radius) / 4) * 4
    angle = np.linspace(0, 2 * np.pi, min(max(n, few), many), endpoint=False)[:, None]
    return np.asarray(centre + first * np.cos(angle) + second * np.sin(angle))


def box_of(corners: np.ndarray) -> np.ndarray:
    """Corners of the upright rectangle around some points."""
    (x0, y0), (x1, y1) = corners.min(0), corners.max(0)
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
