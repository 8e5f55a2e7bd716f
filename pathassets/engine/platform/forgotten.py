"""A slide that was taken out for good -> the error that keeps its file out; how that is ended."""

from __future__ import annotations

from pathassets.adapters.objects.remote_file import FilePlace
from pathassets.engine.platform.platform import Platform
from pathassets.errors import SlideError


def refuse_forgotten(platform: Platform, path: FilePlace, fingerprint: str) -> SlideError | None:
    """The error of a file whose slide was taken out; None where it was not."""
    for one in platform.catalog.forgotten():
        if one.has_content(fingerprint):
            return SlideError(
                path,
                f"its slide was {one.told}",
                remedy="Move the file away; docs/upkeep.md says how a slide is let in again",
                reason="slide_forgotten",
            )
    return None


def forget_again(platform: Platform, slide_id: str) -> str:
    """Build the command that ends the removal of a slide which is in the catalog still."""
    releases = platform.catalog.releases_with(platform.catalog.ids_of(slide_id))
    also = " --from-releases" if releases else ""
    return f"pathassets forget {slide_id} --who NAME --why …{also}"
