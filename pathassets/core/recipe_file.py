"""Mappings of a recipe file -> a recipe, or what is wrong with it, with place and remedy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pathassets.core.datasets.spec import DatasetSpec
from pathassets.core.features.embedding import EmbeddingSpec
from pathassets.core.features.encoder import EncoderRequest
from pathassets.core.features.features import FeatureSpec, files_of, with_files
from pathassets.core.features.preprocessing import Preprocessing
from pathassets.core.near_names import did_you_mean
from pathassets.core.quality.patch_quality import PatchQualitySpec
from pathassets.core.quality.rules import SlideRules, limits_of
from pathassets.core.recipe import Entry, Key, Recipe
from pathassets.core.spec import EntryName
from pathassets.core.stages import (
    ANNOTATIONS,
    PATCH_QUALITY,
    RULES,
    SLIDE,
    STAGES,
    Stage,
)
from pathassets.errors import SpecError

Where = Callable[[tuple[Any, ...]], str]
"""Place of an item of the file, such as `recipe.yaml:12`, from its path of keys."""
HashWeights = Callable[[str], tuple[str, str]]
"""Path of a file or folder with weights, as the recipe has it -> whole path, SHA-256 of it all. It
raises SpecError, saying neither place nor entry: the entry's digest is unknown then."""
_NESTED: Any = {PatchQualitySpec: {"checks": SlideRules}, DatasetSpec: RULES}
"""Keys of a spec that hold a spec."""
_ENTRY_NAME = TypeAdapter(EntryName)

_NUMBER = "Write a plain number without quotes: YAML takes 2e4 and '20000' for text"
_SPEC_REMEDIES = {"missing": "Add the key", "float_type": _NUMBER, "int_type": _NUMBER}
"""By pydantic's type of error."""


def _refuse_files(path: str) -> tuple[str, str]:
    raise SpecError(f"{path}: no file can be looked at here", remedy="Read the recipe from a file")


def parse_recipe(data: object, where: Where, hash_weights: HashWeights = _refuse_files) -> Recipe:
    """Check a recipe and give it types; `hash_weights` hashes the files with weights in it.

    Raises:
        SpecError: names the place, what is wrong there, and the remedy.
    """
    stages = _mapping(data, (), where, "a recipe")
    for name in stages:
        _known(name, STAGES, (name,), where, "section")
    entries = [
        _with_hashes(_parse_entry(stage, name, body, where), where, hash_weights)
        for stage in STAGES.values()
        for name, body in _mapping(
            stages.get(stage.name, {}), (stage.name,), where, "a section"
        ).items()
    ]
    if all(e.stage.scope == "recorded" for e in entries):
        raise SpecError(f"{where(())}: the recipe builds nothing", remedy="Add a tissue_mask entry")
    keys = {e.key for e in entries}
    for entry in entries:
        for parent in entry.parents:
            _require_entry(entry, parent, keys, where)
    recipe = Recipe(entries=tuple(entries))
    for entry in recipe.datasets:
        _check_quality(recipe, entry, where)
    return recipe


def _parse_entry(stage: Stage, name: object, body: object, where: Where) -> Entry:
    place = (stage.name, _parse_name(name, (stage.name, name), where))
    fields = dict(_mapping({} if body is None else body, place, where, "an entry"))
    known = {*stage.spec.__dataclass_fields__, stage.parent, stage.beside} - {SLIDE, ""}
    if stage.may_name_annotations:
        known.add(ANNOTATIONS)
    for field in fields:
        _known(field, known, (*place, field), where, f"key of {'/'.join(place)}")
    parent = None
    if stage.parent != SLIDE:
        parent = (stage.parent, _parse_parent(stage, fields, place, where))
    drawn = fields.pop(ANNOTATIONS, None) if stage.may_name_annotations else None
    beside = fields.pop(stage.beside, None) if stage.beside else None
    if stage.spec is FeatureSpec:
        _parse_encoder(fields, place, where)
    for key, inner in _NESTED.get(stage.spec, {}).items():
        if isinstance(fields.get(key), Mapping):
            for rule in fields[key]:
                _known(rule, inner.__dataclass_fields__, (*place, key, rule), where, "rule")
            fields[key] = _parse_spec(inner, fields[key], (*place, key), where)
    spec = _parse_spec(stage.spec, fields, place, where)
    annotation = None if drawn is None else (ANNOTATIONS, str(drawn))
    entry = Entry(
        stage=stage, name=place[1], spec=spec, parent=parent, annotation=annotation,
        beside=None if beside is None else (stage.beside, str(beside)),
    )  # fmt: skip
    _require_card(entry, where)
    _check_annotation(entry, where)
    return entry


def _parse_name(name: object, place: tuple[Any, ...], where: Where) -> str:
    try:
        return _ENTRY_NAME.validate_python(name, strict=True)
    except ValidationError as error:
        raise SpecError(
            f"{where(place)}: an entry of {place[0]} cannot be called {name!r}",
            remedy="Begin with a letter; up to 63 more letters, digits and underscores may follow",
        ) from error


def _parse_parent(stage: Stage, fields: dict[str, Any], place: Key, where: Where) -> str:
    """Take the parent's name out of the fields."""
    name = fields.pop(stage.parent, None)
    if name is None:
        raise SpecError(
            f"{where(place)}: {'/'.join(place)} does not say what it is made from",
            remedy=f"Add '{stage.parent}: NAME', naming an entry of that section",
        )
    return str(name)


def _parse_encoder(fields: dict[str, Any], place: Key, where: Where) -> None:
    """Give an encoder that is a mapping its type."""
    request = fields.get("encoder")
    if not isinstance(request, Mapping):
        return
    spot, found = (*place, "encoder"), dict(request)
    for field in found:
        _known(field, EncoderRequest.__dataclass_fields__, (*spot, field), where, "encoder's key")
    if isinstance(found.get("preprocessing"), Mapping):
        inner = (*spot, "preprocessing")
        found["preprocessing"] = _parse_spec(Preprocessing, found["preprocessing"], inner, where)
    fields["encoder"] = _parse_spec(EncoderRequest, found, spot, where)


def _with_hashes(entry: Entry, where: Where, hash_weights: HashWeights) -> Entry:
    """The entry, with what is known of its encoder and of the files that it names."""
    spec, named = entry.spec, _files_named(entry.spec)
    try:
        files = {name: hash_weights(path) for name, path in named.items()}
    except SpecError as error:  # what is asked of the catalog needs no weights
        return replace(entry, unread=_placed(error, entry, where))
    paths = {name: path for name, (path, _) in files.items()}
    if isinstance(spec, FeatureSpec):
        spec = replace(spec, encoder=with_files(spec.encoder, paths))
    elif paths:
        spec = replace(spec, **paths)
    hashes = [sha256 for _, sha256 in files.values()]
    return replace(entry, spec=spec, file_sha256="+".join(hashes))


def _files_named(spec: Any) -> Mapping[str, str]:
    """Paths of the files that decide an entry's bytes, by the key that names each."""
    if isinstance(spec, FeatureSpec):
        return files_of(spec.encoder)
    key = {EmbeddingSpec: "weights", DatasetSpec: "split_file"}.get(type(spec), "")
    path = getattr(spec, key, None)
    return {} if path is None else {key: path}


def _placed(error: SpecError, entry: Entry, where: Where) -> SpecError:
    """The error, with the line of the recipe that it is about."""
    key = "encoder" if isinstance(entry.spec, FeatureSpec) else next(iter(_files_named(entry.spec)))
    return SpecError(f"{where((*entry.key, key))}: {error.message}", remedy=error.remedy)


def _require_card(entry: Entry, where: Where) -> None:
    """Refuse an encoder that there is not, or of which is asked what it has not."""
    try:
        _ = entry.card
    except SpecError as error:
        raise _placed(error, entry, where) from error


def _check_annotation(entry: Entry, where: Where) -> None:
    """Refuse annotations that nothing would be made from, and their lack."""
    need, place = entry.stage.annotation(entry.spec), "/".join(entry.key)
    if need == "required" and entry.annotation is None:
        raise SpecError(
            f"{where((*entry.key, 'region'))}: {place} has region {entry.spec.region} and does not "
            "say whose",
            remedy=f"Add '{ANNOTATIONS}: NAME', naming an entry of that section",
        )
    if need == "refused" and entry.annotation is not None:
        raise SpecError(
            f"{where((*entry.key, ANNOTATIONS))}: {place} names annotations, and its region is "
            f"{entry.spec.region}",
            remedy="Add 'region: annotations' or 'region: outside_annotations', or take it out",
        )


def _check_quality(recipe: Recipe, entry: Entry, where: Where) -> None:
    """Refuse rules of quality without numbers to hold them to, and rules of other patches."""
    rules = [name for name in RULES if limits_of(getattr(entry.spec, name))]
    place = "/".join(entry.key)
    if rules and entry.beside is None:
        raise SpecError(
            f"{where((*entry.key, rules[0]))}: {place} has {rules[0]}, and not the numbers for it",
            remedy=f"Add '{PATCH_QUALITY}: NAME', naming an entry of that section",
        )
    if entry.beside is None or entry.parent is None or "patch_rules" not in rules:
        return
    if recipe.entry(entry.parent).parent != recipe.entry(entry.beside).parent:
        raise SpecError(
            f"{where((*entry.key, PATCH_QUALITY))}: {'/'.join(entry.beside)} is of other patches "
            f"than {'/'.join(entry.parent)}",
            remedy="Name one that is made from the same patch_locations",
        )


def _parse_spec(
    spec: type[Any], fields: Mapping[str, Any], place: tuple[Any, ...], where: Where
) -> Any:
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
            remedy=_SPEC_REMEDIES.get(first["type"], "Change the value; see docs/recipe.md"),
        ) from error


def _require_entry(entry: Entry, parent: Key, keys: set[Key], where: Where) -> None:
    if parent in keys:
        return
    stage, name = parent
    known = sorted(n for s, n in keys if s == stage)
    raise SpecError(
        f"{where((*entry.key, stage))}: {'/'.join(entry.key)} is made from {stage}/{name}, "
        "which the recipe does not have",
        remedy=did_you_mean(
            name, known, f"Add {stage}/{name}{', or name one of' if known else ''}"
        ),
    )


def _mapping(value: object, place: tuple[Any, ...], where: Where, what: str) -> Mapping[Any, Any]:
    if isinstance(value, Mapping):
        return value
    raise SpecError(
        f"{where(place)}: {what} is a mapping of names, found "
        f"{'nothing' if value is None else type(value).__name__}",
        remedy="See docs/recipe.md",
    )


def _known(
    name: object, known: Collection[str], place: tuple[Any, ...], where: Where, what: str
) -> None:
    if name not in known:
        raise SpecError(
            f"{where(place)}: unknown {what}: {name!r}",
            remedy=did_you_mean(str(name), sorted(known)),
        )
