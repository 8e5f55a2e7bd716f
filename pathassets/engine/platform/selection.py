"""Text of a selection + what is known -> the slides that it means.

text ─▶ tree ─▶ saved ones put in ─▶ ids, assets and words that there are ─▶ catalog: slide ids

Somebody who asks is refused an id or a word (of a cohort, a label …) that no slide has: it would
select nothing in silence. A dataset of the recipe may name what is imported later: it selects
nothing until then, and `doubts_of` says so. A pattern may match nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from pathassets.catalog.records import SavedSelection
from pathassets.catalog.selections.conditions import ASKS_PLAN
from pathassets.core.near_names import did_you_mean, near_names, perhaps
from pathassets.core.recipe import Entry
from pathassets.core.selection.faults import fault
from pathassets.core.selection.fields import FIELDS, OF_QUALITY
from pathassets.core.selection.nodes import (
    Condition,
    Field,
    Match,
    Saved,
    Selection,
    Value,
    conditions,
    either,
    match,
    replaced,
)
from pathassets.core.selection.parser import parse
from pathassets.core.spec import EntryName
from pathassets.core.stages import PATCH_QUALITY
from pathassets.core.text import quoted
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.selections.names import match_slides, several
from pathassets.engine.platform.selections.unknown import find_unknown
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.errors import SelectionError, SpecError

_NAME = TypeAdapter(EntryName)


def choose_slides(platform: Platform, texts: Sequence[str]) -> list[str]:
    """Ids of the slides that any of these selections means, in order of registration.

    Raises:
        SelectionError: one means nothing, or names a slide, an asset, a saved selection or a word
            that there is not.
    """
    return slides_of(platform, read_selection(platform, texts))


def choose_for(platform: Platform, entry: Entry) -> list[str]:
    """Ids of the slides that a dataset of the recipe selects; what no slide has selects none.

    Raises:
        SelectionError: it names an asset or a saved selection that there is not; the error names
            the dataset.
    """
    try:
        return slides_of(platform, _Reading.of(platform).read(entry.spec.slides))
    except SelectionError as error:
        raise error.named("/".join(entry.key)) from error


def doubts_of(platform: Platform) -> list[SelectionError]:
    """Ids and words that datasets of the recipe select by, and that no slide has."""
    found: list[SelectionError] = []
    for entry in platform.recipe.datasets:
        if not entry.spec.slides:
            continue
        doubts: list[SelectionError] = []
        try:
            _Reading.of(platform, doubts.append).read(entry.spec.slides)
        except SelectionError:
            continue  # it is not built, and says why
        found += [doubt.named("/".join(entry.key)) for doubt in doubts]
    return found


def slides_of(platform: Platform, selection: Selection) -> list[str]:
    """Ids of the slides that a selection means that was read, in order of registration."""
    asks_plan = any(
        not isinstance(one, Saved) and one.field.name in ASKS_PLAN for one in conditions(selection)
    )
    plan_id = refresh_wanted(platform) if asks_plan else None
    return platform.catalog.select_slides(selection, plan_id)


def read_selection(platform: Platform, texts: Sequence[str]) -> Selection:
    """What these selections mean together: without saved ones, with ids of today.

    Its text is the same whenever it means the same, whatever the saved ones are called.

    Raises:
        SelectionError: one means nothing, or names a slide, an asset, a saved selection or a word
            that there is not.
    """
    reading = _Reading.of(platform, _refuse)
    return either(reading.read(text) for text in texts)


def save_selection(platform: Platform, name: str, text: str, *, who: str) -> SavedSelection:
    """Give a selection a name, to be asked as `@name`.

    Raises:
        SelectionError: it means nothing, names itself, or what there is not.
        SpecError: it cannot be called so.
    """
    try:
        _NAME.validate_python(name, strict=True)
    except ValidationError as error:
        raise SpecError(
            f"selection: it cannot be called {quoted(name)}",
            remedy="Begin with a letter; up to 63 more letters, digits and underscores may follow",
        ) from error
    _Reading.of(platform, _refuse).read(text, within=(name,))
    return platform.catalog.save_selection(name, text, who=who)


def _refuse(doubt: SelectionError) -> None:
    raise doubt


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """What is known while selections are read."""

    platform: Platform
    saved: Mapping[str, SavedSelection]
    doubt: Callable[[SelectionError], None] | None
    """What is done of an id or a word that no slide has; None where nobody looks for any."""

    @classmethod
    def of(
        cls, platform: Platform, doubt: Callable[[SelectionError], None] | None = None
    ) -> _Reading:
        catalog = platform.catalog
        return cls(platform=platform, saved=catalog.saved_selections(), doubt=doubt)

    def read(self, text: str, within: tuple[str, ...] = ()) -> Selection:
        """Read one text; `within` are the names of the saved ones that it stands in."""
        parsed = parse(text)
        for one in conditions(parsed):
            if not isinstance(one, Saved):
                self._check_asset(text, one.field)
        here = replaced(parsed, lambda one: self._named(text, one))
        if self.doubt is not None:
            for found in find_unknown(self.platform, text, here):
                self.doubt(found.named(f"@{within[-1]}") if within else found)
        return replaced(here, lambda one: self._expand(text, one, within))

    def _expand(self, text: str, one: Condition, within: tuple[str, ...]) -> Selection:
        if not isinstance(one, Saved):
            return one
        if one.name in within:
            way = " in ".join(f"@{name}" for name in (one.name, *reversed(within)))
            raise fault(
                text, one.span, f"it names itself: {way}",
                remedy="Write what is meant, without that name",
            )  # fmt: skip
        found = self.saved.get(one.name)
        if found is None:
            near = perhaps(near_names(one.name, self.saved))
            known = f"{near}pathassets select list shows what was" if self.saved else ""
            raise fault(
                text, one.span, f"nothing was saved as {quoted(one.name)}",
                remedy=known or f"Save it: pathassets select save {one.name} EXPRESSION --who …",
            )  # fmt: skip
        return self.read(found.text, (*within, one.name))

    def _check_asset(self, text: str, field: Field) -> None:
        """Refuse an asset that the recipe does not have: no slide would ever match."""
        is_measured = any(e.stage.name == PATCH_QUALITY for e in self.platform.recipe.per_slide)
        if field.name in OF_QUALITY and not is_measured:
            raise fault(
                text, field.span, f"nothing measures {field.name}: the recipe has no patch_quality",
                remedy="Add an entry of patch_quality to the recipe, and run it",
            )  # fmt: skip
        if FIELDS[field.name].which != "asset" or not field.of:
            return
        stage, _, name = field.of.partition("/")
        recipe = self.platform.recipe
        try:
            recipe.entry((stage, name))
        except SpecError as error:
            known = ["/".join(entry.key) for entry in recipe.per_slide]
            raise fault(
                text, field.span, error.message, remedy=did_you_mean(field.of, known, "It has")
            ) from error

    def _named(self, text: str, one: Condition) -> Selection:
        """The same by ids of today, where it asks for ids: what else slides are called is one."""
        if not (isinstance(one, Match) and one.field.name == "id"):
            return one
        names = [value.text for value in one.values if value.text is not None]
        found = match_slides(self.platform.catalog, names, is_near=False).slides
        return match(one.field, [_id_of(text, value, found) for value in one.values])


def _id_of(text: str, value: Value, found: Mapping[str, Sequence[str]]) -> Value:
    """The id that is meant; a pattern, and what is no slide's, stay as they are."""
    ids = found.get(value.text, ()) if value.text is not None else ()
    if len(ids) > 1:
        fact, remedy = several(value.text or "", ids)
        raise fault(text, value.span, fact, remedy=remedy)
    return Value(glob=Value.of(ids[0]).glob, span=value.span) if ids else value
