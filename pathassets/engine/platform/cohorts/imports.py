"""Preview -> changed: the table's changes, all or none; and single changes by hand."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from pathassets.adapters.tables.table import trimmed
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.cohorts.state import LABEL, NAMED
from pathassets.catalog.records import ChangedBy, CohortChange, LabelKind, PastChange, Subject
from pathassets.core.text import quoted
from pathassets.engine.platform.cohorts.labels import FIXED, check_label_name, spelled
from pathassets.engine.platform.cohorts.preview import CohortPreview
from pathassets.engine.platform.cohorts.sheet import LABEL_CHARS
from pathassets.engine.platform.cohorts.words import (
    check_name,
    check_value,
    fits,
    kind_of,
    unfit,
)
from pathassets.engine.platform.selections.names import match_slides, slide_named, slides_named
from pathassets.errors import SpecError


def take_table(catalog: Catalog, preview: CohortPreview, *, who: str) -> None:
    """Make the changes of a preview, in one transaction.

    Raises:
        SpecError: something speaks against it.
        CatalogError: what it would change was changed meanwhile.
    """
    if preview.conflicts:
        first = preview.conflicts[0]
        more = f" ({len(preview.conflicts)} conflicts)" if len(preview.conflicts) > 1 else ""
        raise SpecError(f"{first.message}{more}; nothing was changed", remedy=first.remedy)
    by = ChangedBy(who=who, file=preview.source, sha256=preview.sha256)
    catalog.record_changes(preview.changes, by)


def history_of(catalog: Catalog, key: str) -> list[PastChange]:
    """Changes of a slide by its id, a patient or a label; else of the slide that is named so."""
    ids = match_slides(catalog, [key], is_near=False).slides.get(key, ())
    found = catalog.cohort_history(key)
    return found if found or len(ids) != 1 else catalog.cohort_history(ids[0])


def label_by_hand(
    catalog: Catalog, subject: Subject, key: str, labels: Mapping[str, str], *, who: str
) -> list[CohortChange]:
    """State labels of a slide or a patient; an empty value takes one away. Returns what changed.

    Values are without blanks around them, as those of tables.

    Raises:
        SpecError: a name or a value cannot be one, or the value is of another kind than the labels
            of that name.
        CatalogError: the slide or the patient is unknown.
    """
    key = slide_named(catalog, key) if subject == "slide" else key
    state = catalog.cohort_state([key], [key])
    if subject == "patient" and key not in state.patients:
        raise SpecError(
            f"patient {quoted(key)}: no slide is of this patient", remedy="Look at its spelling"
        )
    known = (state.slides if subject == "slide" else state.patients)[key]
    kinds = catalog.label_kinds()
    changes = []
    where = f"{subject} {key}"
    for name, value in _spelled(labels, kinds, where).items():
        field = LABEL if name == LABEL else NAMED + name
        new = check_value(value, name, where, max_chars=LABEL_CHARS) or None
        if new != known.get(field):
            kind = None if new is None else _kind_by_hand(new, name, where, kinds.get(name))
            changes.append(
                CohortChange(
                    subject=subject, key=key, field=field, old=known.get(field), new=new, kind=kind
                )
            )
    catalog.record_changes(changes, ChangedBy(who=who))
    return changes


def _spelled(labels: Mapping[str, str], known: Collection[str], where: str) -> dict[str, str]:
    """Labels by the names by which they are known."""
    said: dict[str, str] = {}
    for name, written in labels.items():
        value = trimmed(written)
        called = spelled(check_label_name(name, where), {*known, *FIXED, *said}, where)
        if said.setdefault(called, value) != value:
            raise SpecError(
                f"{where}: label {quoted(called)} is stated twice", remedy="State one value"
            )
    return said


def _kind_by_hand(value: str, name: str, where: str, known: LabelKind | None) -> LabelKind:
    """Kind of the labels of a name, of which one has this value; of the first its own."""
    if known is not None and not fits(value, known):
        fact, remedy = unfit(name, value, known)
        raise SpecError(f"{where}: {fact}", remedy=remedy)
    return known or kind_of([value])


def set_kind_by_hand(
    catalog: Catalog, name: str, kind: LabelKind, *, who: str
) -> list[CohortChange]:
    """Let all labels of a name be of a kind. Returns what changed.

    Raises:
        CatalogError: there are none, or one of them is of no such kind.
    """
    called = spelled(name, catalog.label_kinds(), "kind")
    return catalog.set_label_kind(
        called, kind, ChangedBy(who=who), fits=lambda value: fits(value, kind)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Tags, or cohorts, by name."""

    what: Literal["tag", "cohort"]
    names: tuple[str, ...]


def tag_by_hand(
    catalog: Catalog,
    members: Members,
    slide_ids: Iterable[str],
    *,
    who: str,
    is_removed: bool = False,
) -> list[CohortChange]:
    """Put slides under tags, or into cohorts, or take them out. Returns what changed.

    Raises:
        SpecError: a tag or a cohort cannot be called so.
        CatalogError: a slide is unknown.
    """
    chosen = slides_named(catalog, slide_ids)
    state = catalog.cohort_state(chosen, ())
    what, held = members.what, state.tags if members.what == "tag" else state.cohorts
    changes = [
        CohortChange(
            subject="slide", key=slide_id, field=what,
            old=name if is_removed else None, new=None if is_removed else name,
        )
        for name in dict.fromkeys(members.names)
        for slide_id in chosen
        if (check_name(name, what, what) in held.get(slide_id, ())) == is_removed
    ]  # fmt: skip
    catalog.record_changes(changes, ChangedBy(who=who))
    return changes
