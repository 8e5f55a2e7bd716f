"""Manifest -> what two parts of it share: names spelt in two ways, sites; what was seen on pixels.

A model is praised for what it has seen. That no patient is in two parts by his name is held by the
split itself; here is looked for one whose name, or whose slide, stands there twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

import pandas as pd

from pathassets.core.datasets.identities import spelt_differently
from pathassets.core.datasets.similarity import Likeness
from pathassets.core.spec import digest_of
from pathassets.core.text import quoted

LeakKind = Literal["patient_in_two_parts", "two_spellings", "site_in_two_parts", "same_slide"]
SLIDES_TOLD = 3
"""Slides that a message names of each side; the evidence has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """Something that two parts share."""

    kind: LeakKind
    one: str
    """A slide for `same_slide`, a site for `site_in_two_parts`, else a patient; first in order."""
    other: str
    """Likewise; the same name where that is what is in two parts."""
    message: str
    remedy: str
    slides: tuple[str, ...]
    """All slides that it is about."""
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def finding(self) -> str:
        """What a person names to accept it: the same wherever and whenever it is found."""
        return digest_of({"kind": self.kind, "pair": [self.one, self.other]})


def find_leaks(manifest: pd.DataFrame) -> list[Leak]:
    """What the manifest alone tells, by kind and name."""
    return [*_patients(manifest), *_spellings(manifest), *_sites(manifest)]


def is_accepted(manifest: pd.DataFrame, kind: str, one: str, other: str) -> bool:
    """Whether an accepted finding is about what a manifest has still, in two parts."""
    column = {"same_slide": "slide_id", "site_in_two_parts": "site"}.get(kind, "patient")
    if column not in manifest:
        return False
    parts = [{*manifest.loc[manifest[column] == name, "split"]} for name in (one, other)]
    return bool(parts[0] and parts[1]) and len(parts[0] | parts[1]) > 1


def same_slide(manifest: pd.DataFrame, likeness: Iterable[Likeness]) -> list[Leak]:
    """Slides of two parts that were seen to show the same tissue."""
    part_of = dict(zip(manifest["slide_id"], manifest["split"], strict=True))
    found = []
    for like in likeness:
        one, other = sorted((like.one, like.other))
        found.append(
            Leak(
                kind="same_slide",
                one=one,
                other=other,
                slides=(one, other),
                message=f"slides {one} ({part_of[one]}) and {other} ({part_of[other]}) show the "
                f"same tissue: aligned, their overviews correlate by {like.correlation:.2f}",
                remedy="Give both one patient, or leave one out",
                evidence={
                    "distance_bits": like.distance_bits,
                    "correlation": round(like.correlation, 4),
                    "parts": [part_of[one], part_of[other]],
                },
            )
        )
    return sorted(found, key=lambda leak: (leak.one, leak.other))


def _patients(manifest: pd.DataFrame) -> Iterator[Leak]:
    for name, parts in _in_several_parts(manifest, "patient"):
        yield _of_names(
            manifest, "patient", "patient_in_two_parts", (name,),
            f"patient {quoted(name)} is in {' and '.join(parts)}",
            "Give all slides of a patient one part",
        )  # fmt: skip


def _sites(manifest: pd.DataFrame) -> Iterator[Leak]:
    if "site" not in manifest:
        return
    for name, parts in _in_several_parts(manifest, "site"):
        yield _of_names(
            manifest, "site", "site_in_two_parts", (name,),
            f"site {quoted(name)} is in {' and '.join(parts)}: a patient of it was placed before "
            "he was known to be of it",
            "Correct the site, or count up the seed, which places everybody anew",
        )  # fmt: skip


def _spellings(manifest: pd.DataFrame) -> Iterator[Leak]:
    known = manifest[manifest["patient"].fillna("") != ""]
    part_of = dict(zip(known["patient"], known["split"], strict=True))
    for names in spelt_differently(part_of):
        for one, other in combinations(names, 2):
            if part_of[one] != part_of[other]:
                yield _of_names(
                    manifest, "patient", "two_spellings", (one, other),
                    f"patients {quoted(one)} ({part_of[one]}) and {quoted(other)} "
                    f"({part_of[other]}) are one name in two spellings",
                    "Spell it in one way",
                )  # fmt: skip


def _in_several_parts(manifest: pd.DataFrame, column: str) -> Iterator[tuple[str, list[str]]]:
    known = manifest.loc[manifest[column].fillna("") != "", [column, "split"]].drop_duplicates()
    twice = known[known[column].duplicated(keep=False)]
    for name, parts in twice.groupby(column, sort=True)["split"]:
        yield str(name), sorted(parts)


def _of_names(  # noqa: PLR0913, PLR0917 - what a leak says
    manifest: pd.DataFrame, column: str, kind: LeakKind, names: Collection[str], message: str,
    remedy: str,
) -> Leak:  # fmt: skip
    """A leak by names, with the slides that bear them."""
    slides = [sorted(manifest.loc[manifest[column] == name, "slide_id"]) for name in names]
    told = "; ".join(_listed(one) for one in slides)
    one, *rest = names
    return Leak(
        kind=kind,
        one=one,
        other=rest[0] if rest else one,
        slides=tuple(slide for of_name in slides for slide in of_name),
        message=f"{message} (slides {told})",
        remedy=remedy,
    )


def _listed(slides: list[str]) -> str:
    more = f" and {len(slides) - SLIDES_TOLD} more" if len(slides) > SLIDES_TOLD else ""
    return ", ".join(slides[:SLIDES_TOLD]) + more
