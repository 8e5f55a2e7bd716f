"""Recipe file -> what this platform builds: entries, what each is made from, and who it is.

    slide ─▶ tissue_mask/… ─▶ patch_locations/… ─┬▶ features/… ─┬▶ dataset/…  over all slides
    (root)   per slide         per slide         ├▶ patch_set/… └▶ slide_embedding/…
                ▲                  ▲             └▶ patch_quality/… ┄▶ dataset/…
                └─ annotations/… ──┘                per slide
                   recorded by people, slide by slide

A section of the file is a stage of the chain. An entry has a name, a spec, and one parent: an entry
of a section before it, named by a key called like that section. One that can start from what people
drew names an entry of `annotations` as well, a dataset with rules one of `patch_quality`. Its asset
key is (stage, name).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pathassets.core.features.encoder import EncoderCard
from pathassets.core.features.encoder_cards import card_of
from pathassets.core.features.features import FeatureSpec
from pathassets.core.near_names import closest
from pathassets.core.spec import digests_by, digests_by_text, texts_json
from pathassets.core.stages import (
    ANNOTATIONS,
    DATASET,
    SLIDE,
    STAGES,
    Scope,
    Stage,
    parameters_of,
)
from pathassets.errors import SpecError

__all__ = ["ANNOTATIONS", "DATASET", "SLIDE", "STAGES", "Entry", "Key", "Recipe"]

Key = tuple[str, str]
"""(stage, name)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One asset of the recipe."""

    stage: Stage
    name: str
    spec: Any
    parent: Key | None
    """None for entries made from the slide itself."""
    annotation: Key | None = None
    """The annotations that it names; None where it names none."""
    beside: Key | None = None
    """What else it is made from: of a dataset, the quality of its patches."""
    file_sha256: str = ""
    """Of the files with weights that it names; their paths are no part of its identity."""
    unread: SpecError | None = None
    """Why those files could not be hashed, with the place in the recipe; None where they were."""

    @property
    def key(self) -> Key:
        """(stage, name)."""
        return self.stage.name, self.name

    @property
    def parents(self) -> tuple[Key, ...]:
        """All entries that it is made from, or may be."""
        named = (self.parent, self.annotation, self.beside)
        return tuple(key for key in named if key is not None)

    @property
    def needs_annotation(self) -> bool:
        """Whether nothing can be made of a slide whose annotations are not recorded."""
        return self.stage.annotation(self.spec) == "required"

    @property
    def code_version(self) -> str:
        """Version of all code that decides the bytes, the encoder's included."""
        card = self.card
        own = getattr(self.spec, "version", "")  # of a user's code
        added = card.version if card is not None else own
        return f"{self.stage.code_version}+{added}" if added else self.stage.code_version

    @property
    def card(self) -> EncoderCard | None:
        """What is known of its encoder; None where it has none."""
        return card_of(self.spec.encoder) if isinstance(self.spec, FeatureSpec) else None

    @property
    def parameters(self) -> dict[str, Any]:
        """What decides its bytes, in plain JSON, as an artifact and a page tell it; no path."""
        return parameters_of(self.spec)

    @property
    def weights_sha256(self) -> str:
        """Weights that decide the bytes; empty where there are none.

        Raises:
            SpecError: they could not be read; so do all that follow from it, as `digest`.
        """
        if self.unread is not None:
            raise SpecError(self.unread.message, remedy=self.unread.remedy)
        card = self.card
        return self.file_sha256 or ("" if card is None else card.weights_sha256)

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides the artifacts' bytes but for what they are made from."""
        return {
            "section": self.stage.name,  # what stages were called; another key, another digest
            "spec": self.parameters,
            "code_version": self.code_version,
            "weights_sha256": self.weights_sha256,
        }

    def digest(self, parent_versions: list[str]) -> str:
        """Identity of the artifact: spec, code, weights, and the versions it is made from."""
        return self.digester()(parent_versions)

    def digest_of_texts(self, texts: Iterable[Iterable[str]]) -> str:
        """`digest` of versions that are texts of a hundred megabytes, given piece by piece."""
        return digests_by_text("parents", self.identity)(texts_json(texts))

    def digester(self) -> Callable[[list[str]], str]:
        """The same for many artifacts: what they share is worked out once."""
        return digests_by("parents", self.identity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What this platform builds, parents before children."""

    entries: tuple[Entry, ...]

    def entry(self, key: Key) -> Entry:
        """The entry of that key.

        Raises:
            SpecError: the recipe has no such entry.
        """
        for entry in self.entries:
            if entry.key == key:
                return entry
        known = {e.name: "/".join(e.key) for e in self.entries if e.stage.name == key[0]}
        if close := closest(key[1], known):
            remedy = f"Did you mean {known[close]!r}?"
        else:
            remedy = f"It has {', '.join('/'.join(e.key) for e in self.entries)}"
        raise SpecError(f"recipe: no entry {'/'.join(key)}", remedy=remedy)

    @property
    def recorded(self) -> tuple[Entry, ...]:
        """Entries that people fill, slide by slide."""
        return self._of("recorded")

    @property
    def per_slide(self) -> tuple[Entry, ...]:
        """Entries made once for each slide."""
        return self._of("slide")

    @property
    def datasets(self) -> tuple[Entry, ...]:
        """Entries made from all slides."""
        return self._of("cohort")

    def _of(self, scope: Scope) -> tuple[Entry, ...]:
        return tuple(e for e in self.entries if e.stage.scope == scope)

    @property
    def left_out(self) -> Mapping[Key, SpecError]:
        """Entries of which nothing can be made, and why: files that they name could not be read.

        With them all that is made from one.
        """
        why: dict[Key, SpecError] = {}
        for entry in self.entries:  # parents before children
            behind = next((why[key] for key in entry.parents if key in why), None)
            if (error := entry.unread or behind) is not None:
                why[entry.key] = error
        return why

    @property
    def readable(self) -> Recipe:
        """The recipe without what is left out."""
        left_out = self.left_out
        return Recipe(entries=tuple(one for one in self.entries if one.key not in left_out))

    def lineage(self, entry: Entry) -> tuple[Entry, ...]:
        """The entry and all it is made from, each once, in the order of the recipe."""
        kin = {entry.key}
        for one in reversed(self.entries):  # children before parents
            if one.key in kin:
                kin.update(one.parents)
        return tuple(one for one in self.entries if one.key in kin)
