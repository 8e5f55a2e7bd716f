"""A slide that was taken out, or is being -> the errors that say so; how a removal is ended."""

from __future__ import annotations

from collections.abc import Collection

from pathassets.adapters.objects.remote_file import FilePlace
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.forgotten import Forgotten
from pathassets.errors import SlideError, SlideForgotten


def refuse_forgotten(catalog: Catalog, path: FilePlace, fingerprint: str) -> SlideError | None:
    """The error of a file whose slide was taken out; None where it was not."""
    for one in catalog.forgotten():
        if one.has_content(fingerprint):
            return SlideError(
                path,
                f"its slide was {one.told}",
                remedy="Move the file away; docs/upkeep.md says how a slide is let in again",
                reason="slide_forgotten",
            )
    return None


def refuse_going(catalog: Catalog, path: FilePlace, slide_id: str, begun: Forgotten) -> SlideError:
    """Build the error of a file of a slide whose removal was begun."""
    return SlideError(
        path, f"its slide {slide_id} {_said(begun)}", remedy=_end(catalog, slide_id),
        reason="slide_forgotten",
    )  # fmt: skip


def removals_begun(catalog: Catalog) -> list[SlideForgotten]:
    """What is told of each slide whose removal was begun: it stands outside of all work."""
    return [_going(catalog, *one) for one in catalog.begun_removals().items()]


def require_staying(catalog: Catalog, slide_ids: Collection[str]) -> None:
    """Let slides pass of which no removal was begun.

    Raises:
        SlideForgotten: one was; the remedy is the command that ends it.
    """
    begun = catalog.begun_removals()
    for slide_id in slide_ids:
        if slide_id in begun:
            raise _going(catalog, slide_id, begun[slide_id])


def _going(catalog: Catalog, slide_id: str, begun: Forgotten) -> SlideForgotten:
    return SlideForgotten(f"slide {slide_id} {_said(begun)}", remedy=_end(catalog, slide_id))


def _said(begun: Forgotten) -> str:
    return f"is being taken out: its removal was begun on {begun.on}"


def _end(catalog: Catalog, slide_id: str) -> str:
    return f"End its removal: {forget_again(catalog, slide_id)}"


def forget_again(catalog: Catalog, slide_id: str) -> str:
    """Build the command that ends the removal of a slide which is in the catalog still."""
    releases = catalog.releases_with(catalog.ids_of(slide_id))
    also = " --from-releases" if releases else ""
    return f"pathassets forget {slide_id} --who NAME --why …{also}"
