"""Recipe file -> what this platform builds: entries, what each is made from, and who it is.

    slide ─▶ tissue_mask/… ─▶ patch_locations/… ─▶ features/… ─▶ dataset/…
    (root)   per slide         per slide           per slide     over all slides

A section is a station of the chain. An entry has a name, a spec, and one parent: an entry of the
section before it, named by a key called like that section. Its asset key is (section, name).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pathassets.core import dataset, features, locations, patches, tissue
from pathassets.core.encoder import CARDS
from pathassets.core.spec import EntryName, digest_of
from pathassets.errors import SpecError

Key = tuple[str, str]
"""(section, name)."""
Where = Callable[[tuple[Any, ...]], str]
"""Place of an item of the file, such as `recipe.yaml:12`, from its path of keys."""

_ENTRY_NAME = TypeAdapter(EntryName)

SLIDE = "slide"
"""The root of every chain; ingestion makes it."""
DATASET = "dataset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One station: what its entries hold, and what they are made from."""

    name: str
    spec: type[Any]
    parent: str
    """Section before it, `slide` for the first."""
    code_version: str
    """Changes when the same spec and parents would give other bytes."""
    is_per_slide: bool = True


SECTIONS = {
    s.name: s
    for s in (
        Section(
            name="tissue_mask",
            spec=tissue.TissueSpec,
            parent=SLIDE,
            code_version=f"{tissue.CODE_VERSION}.{patches.CODE_VERSION}",
        ),
        Section(
            name="patch_locations",
            spec=locations.GridSpec,
            parent="tissue_mask",
            code_version=locations.CODE_VERSION,
        ),
        Section(
            name="features",
            spec=features.FeatureSpec,
            parent="patch_locations",
            code_version=f"{features.CODE_VERSION}.{patches.CODE_VERSION}",
        ),
        Section(
            name=DATASET,
            spec=dataset.DatasetSpec,
            parent="features",
            code_version=dataset.CODE_VERSION,
            is_per_slide=False,
        ),
    )
}
"""In the order of the data flow."""

_NUMBER = "Write a plain number without quotes: YAML takes 2e4 and '20000' for text"
_SPEC_REMEDIES = {"missing": "Add the key", "float_type": _NUMBER, "int_type": _NUMBER}
"""By pydantic's type of error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One asset of the recipe."""

    section: Section
    name: str
    spec: Any
    parent: Key | None
    """None for entries made from the slide itself."""

    @property
    def key(self) -> Key:
        """(section, name)."""
        return self.section.name, self.name

    @property
    def code_version(self) -> str:
        """Version of all code that decides the bytes, the encoder's included."""
        if isinstance(self.spec, features.FeatureSpec):
            return f"{self.section.code_version}+{CARDS[self.spec.encoder].version}"
        return self.section.code_version

    @property
    def parameters(self) -> dict[str, Any]:
        """The spec's fields by name, as an artifact and a page tell them."""
        return {name: getattr(self.spec, name) for name in self.spec.__dataclass_fields__}

    @property
    def weights_sha256(self) -> str:
        """Weights that decide the bytes; empty where there are none."""
        if isinstance(self.spec, features.FeatureSpec):
            return CARDS[self.spec.encoder].weights_sha256
        return ""

    def digest(self, parent_versions: list[str]) -> str:
        """Identity of the artifact: spec, code, weights, and the versions it is made from."""
        return digest_of(
            {
                "section": self.section.name,
                "spec": self.spec,
                "code_version": self.code_version,
                "weights_sha256": self.weights_sha256,
                "parents": parent_versions,
            }
        )


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
        known = ", ".join("/".join(e.key) for e in self.entries)
        raise SpecError(f"recipe: no entry {'/'.join(key)}", remedy=f"It has {known}")

    @property
    def per_slide(self) -> tuple[Entry, ...]:
        """Entries made once for each slide."""
        return tuple(e for e in self.entries if e.section.is_per_slide)

    @property
    def datasets(self) -> tuple[Entry, ...]:
        """Entries made from all slides."""
        return tuple(e for e in self.entries if not e.section.is_per_slide)

    def lineage(self, entry: Entry) -> tuple[Entry, ...]:
        """The entry and all it is made from, the entry last."""
        if entry.parent is None:
            return (entry,)
        return (*self.lineage(self.entry(entry.parent)), entry)


def parse_recipe(data: object, where: Where) -> Recipe:
    """Check a recipe and give it types.

    Raises:
        SpecError: names the place, what is wrong there, and the remedy.
    """
    sections = _mapping(data, (), where, "a recipe")
    for name in sections:
        _known(name, SECTIONS, (name,), where, "section")
    entries = [
        _parse_entry(section, name, body, where)
        for section in SECTIONS.values()
        for name, body in _mapping(
            sections.get(section.name, {}), (section.name,), where, "a section"
        ).items()
    ]
    if not entries:
        raise SpecError(f"{where(())}: the recipe builds nothing", remedy="Add a tissue_mask entry")
    keys = {e.key for e in entries}
    for entry in entries:
        _require_parent(entry, keys, where)
    return Recipe(entries=tuple(entries))


def _parse_entry(section: Section, name: object, body: object, where: Where) -> Entry:
    place = (section.name, _parse_name(name, (section.name, name), where))
    fields = dict(_mapping({} if body is None else body, place, where, "an entry"))
    known = {*section.spec.__dataclass_fields__, section.parent} - {SLIDE}
    for field in fields:
        _known(field, known, (*place, field), where, f"key of {'/'.join(place)}")
    parent = None
    if section.parent != SLIDE:
        parent = (section.parent, _parse_parent(section, fields, place, where))
    spec = _parse_spec(section.spec, fields, place, where)
    if isinstance(spec, features.FeatureSpec):
        _known(spec.encoder, CARDS, (*place, "encoder"), where, "encoder")
    return Entry(section=section, name=place[1], spec=spec, parent=parent)


def _parse_name(name: object, place: tuple[Any, ...], where: Where) -> str:
    try:
        return _ENTRY_NAME.validate_python(name, strict=True)
    except ValidationError as error:
        raise SpecError(
            f"{where(place)}: an entry of {place[0]} cannot be called {name!r}",
            remedy="Begin with a letter; up to 63 more letters, digits and underscores may follow",
        ) from error


def _parse_parent(section: Section, fields: dict[str, Any], place: Key, where: Where) -> str:
    """Take the parent's name out of the fields."""
    name = fields.pop(section.parent, None)
    if name is None:
        raise SpecError(
            f"{where(place)}: {'/'.join(place)} does not say what it is made from",
            remedy=f"Add '{section.parent}: NAME', naming an entry of that section",
        )
    return str(name)


def _parse_spec(spec: type[Any], fields: dict[str, Any], place: Key, where: Where) -> Any:
    try:
        return spec(**fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        # pydantic marks a bad key of a mapping by a last step of its own.
        spot = (*place, *(step for step in first["loc"] if step != "[key]"))
        said = first["msg"].removeprefix("Value error, ").replace("Input should", "it should", 1)
        # An error of the whole spec, or of a missing key, has no value of its own to show.
        has_value = first["loc"] and first["type"] != "missing"
        value = f" = {first['input']!r}" if has_value else ""
        raise SpecError(
            f"{where(spot)}: {'.'.join(map(str, spot))}{value}: {said}",
            remedy=_SPEC_REMEDIES.get(first["type"], "Change the value; the README has an example"),
        ) from error


def _require_parent(entry: Entry, keys: set[Key], where: Where) -> None:
    if entry.parent is None or entry.parent in keys:
        return
    section, name = entry.parent
    known = sorted(n for s, n in keys if s == section)
    raise SpecError(
        f"{where((*entry.key, section))}: {'/'.join(entry.key)} is made from {section}/{name}, "
        "which the recipe does not have",
        remedy=_remedy(name, known, f"Add {section}/{name}{', or name one of' if known else ''}"),
    )


def _mapping(value: object, place: tuple[Any, ...], where: Where, what: str) -> Mapping[Any, Any]:
    if isinstance(value, Mapping):
        return value
    raise SpecError(
        f"{where(place)}: {what} is a mapping of names, found "
        f"{'nothing' if value is None else type(value).__name__}",
        remedy="See the recipe in the README",
    )


def _known(
    name: object, known: Collection[str], place: tuple[Any, ...], where: Where, what: str
) -> None:
    if name not in known:
        raise SpecError(
            f"{where(place)}: unknown {what}: {name!r}",
            remedy=_remedy(str(name), sorted(known), "Known are"),
        )


def _remedy(name: str, known: list[str], otherwise: str) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"{otherwise} {', '.join(known)}".rstrip()
