"""Why an artifact is not in force any more: one change, all that reach it, and those of an entry.

Cause     one change: of a parameter, weights, code, an annotation, a resolution …
Reached   a cause, and the asset further back whose change it is
Stale     an artifact, and all that reach it
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

from pathassets.catalog.records import Superseded
from pathassets.core.address import SLIDE_STAGE, Address
from pathassets.core.recipe import Entry, Key, Recipe
from pathassets.core.spec import digests_by
from pathassets.core.stages import ANNOTATIONS

Change = Literal[
    "recipe", "weights", "code", "annotation", "mpp", "parent", "members", "import", "unknown"
]
"""recipe: the entry. members: of a dataset, its slides and what is known of them. import: of
features that another tool made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One change that makes an artifact stale."""

    change: Change
    what: str
    """Parameter, annotation or parent that changed."""
    old: str = ""
    new: str = ""
    who: str = ""
    """Who stated it, of annotations and resolutions."""

    def __str__(self) -> str:
        said = f"{self.change} {self.what}".strip()
        said += f": {self.old} → {self.new}" if self.old or self.new else ""
        return f"{said}, by {self.who}" if self.who else said


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A change that reaches an artifact."""

    cause: Cause
    inherited_from: Key | None = None
    """Asset whose change it is, further back; None where it is the artifact's own."""

    def __str__(self) -> str:
        behind = (
            "" if self.inherited_from is None else f"since {'/'.join(self.inherited_from)} is: "
        )
        return f"{behind}{self.cause}"


UNKNOWN = Reached(cause=Cause(change="unknown", what="its digest"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """An artifact that was made and is not in force any more."""

    address: Address
    """The newest that was made."""
    wanted: str
    """Digest of the one that is in force now."""
    changes: tuple[Reached, ...]
    """All that reach it, each once: its own first, then those of what it was made from."""


def inherited(behind: Stale) -> Iterator[Reached]:
    """What reaches an artifact by one that it was made from."""
    for one in behind.changes:
        yield replace(one, inherited_from=one.inherited_from or behind.address.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An artifact as the catalog has it."""

    record: Superseded
    parents: Sequence[Address]


class EntryCauses:
    """Causes that follow from an entry and what was recorded: of a whole cohort few, kept."""

    def __init__(self, recipe: Recipe) -> None:
        self._entries = {entry.key: entry for entry in recipe.per_slide}
        self.of_spec = cache(self._of_spec)
        self.of_code = cache(self._of_code)
        self.digester = cache(self._digester)

    def _of_spec(self, key: Key, spec: str) -> tuple[Cause, ...]:
        return tuple(spec_causes(self._entries[key], spec))

    def _of_code(self, key: Key, code_version: str) -> tuple[Cause, ...]:
        return tuple(code_cause(self._entries[key], code_version))

    def _digester(self, key: Key, spec: str, code_version: str) -> Callable[[list[str]], str]:
        """Gives the digest of what was recorded, with the weights of now, by its parents' ones."""
        said = {"spec": json.loads(spec), "code_version": code_version}
        return digests_by("parents", {**self._entries[key].identity, **said})


def spec_causes(entry: Entry, spec: str) -> Iterator[Cause]:
    """Parameters that are not what they were, in their order."""
    before, now = json.loads(spec), entry.parameters
    for name in dict.fromkeys((*now, *before)):
        old, new = before.get(name), now.get(name)
        if old != new:
            yield Cause(change="recipe", what=name, old=_plain(old), new=_plain(new))


def code_cause(entry: Entry, old: str) -> Iterator[Cause]:
    """Another version of the code that makes it."""
    new = entry.code_version
    if old != new:
        yield Cause(change="code", what="version", old=old, new=new)


def parent_cause(entry: Entry, made: Made) -> Iterator[Cause]:
    """The entry is made from another one than it was."""
    if entry.parent is None:
        return
    old = next((a.key for a in made.parents if a.stage == entry.parent[0]), None)
    if old is not None and old != entry.parent:
        yield Cause(change="recipe", what=entry.parent[0], old=old[1], new=entry.parent[1])


def versions_of(entry: Entry, made: Made) -> list[str]:
    """Digests of what an artifact was made from, as its own digest names them."""
    source = SLIDE_STAGE if entry.parent is None else entry.parent[0]
    versions = [a.digest for a in made.parents if a.stage == source]
    return versions + [a.digest for a in made.parents if a.stage == ANNOTATIONS]


def _plain(value: Any) -> str:
    return "not set" if value is None else str(value)
