"""Files of another tool -> the slides that they are of, by content and by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pathassets.core.text import quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a file says of whose it is."""

    path: str
    name: str
    """What the file is called, without its ending."""
    stated_name: str = ""
    """What it says within that the slide is called; empty where it does not."""
    slide_sha256: str = ""
    is_asked: bool = True
    """Whether its encoder and patch size, where it says them, are those that are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The slide that a file is of, or why there is none."""

    slide_id: str = ""
    fault: str = ""
    is_other: bool = False
    """Whether it is of another encoder or patch size, beside one that is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSlides:
    """Slides, as other tools may name them."""

    by_name: Mapping[str, set[str]]
    by_sha256: Mapping[str, str]


def match_all(labels: Iterable[Label], known: KnownSlides) -> list[Match]:
    """The match of each label, in order; several files of one slide are refused, all of them."""
    listed = list(labels)
    found = [_match(label, known) for label in listed]
    asked = Counter(
        m.slide_id for m, label in zip(found, listed, strict=True) if m.slide_id and label.is_asked
    )
    return [
        _alone(match, label, asked[match.slide_id]) if match.slide_id else match
        for match, label in zip(found, listed, strict=True)
    ]


def _alone(match: Match, label: Label, n_asked: int) -> Match:
    if not label.is_asked and n_asked:
        return Match(slide_id=match.slide_id, is_other=True)
    if label.is_asked and n_asked > 1:
        return Match(
            slide_id=match.slide_id,
            fault=f"{n_asked} files are of slide {match.slide_id}: leave one, or name its folder",
        )
    return match


def _match(label: Label, known: KnownSlides) -> Match:
    if label.stated_name not in {"", label.name}:
        return Match(
            fault=f"it is called {quoted(label.name)}, and says it is of "
            f"{quoted(label.stated_name)}"
        )
    named = known.by_name.get(label.name, set())
    if label.slide_sha256:
        return _match_content(label.slide_sha256, named, known)
    if not named:
        return Match(fault=f"no slide is called {quoted(label.name)}")
    if len(named) > 1:
        slides = ", ".join(sorted(named))
        return Match(fault=f"{len(named)} slides are called {quoted(label.name)}: {slides}")
    return Match(slide_id=next(iter(named)))


def _match_content(sha256: str, named: Collection[str], known: KnownSlides) -> Match:
    """The slide of a content, unless slides of another content are called like the file."""
    slide_id = known.by_sha256.get(sha256, "")
    if not slide_id:
        return Match(fault=f"no slide has the SHA-256 that it says, {sha256[:12]}…")
    if named and slide_id not in named:
        others = ", ".join(sorted(named))
        fault = f"it is called like {others}, and says it is of {slide_id}"
        return Match(slide_id=slide_id, fault=fault)
    return Match(slide_id=slide_id)
