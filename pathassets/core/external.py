"""Features that another tool made: who they are here, so that nobody takes them for our own.

    entry of the recipe ─┐
    slide's version ─────┼─▶ digest ─▶ features/<entry>/<slide>/<digest>, spec with `external`
    source: tool, files ─┘

An entry's own artifact has the digest of spec and patch locations. One that was adopted for the
same entry has the digest of spec, slide and source: another place in the store, never that of what
our code would make. It counts for the entry as long as entry and slide are what they were when it
was looked through: with another encoder, patch size, resolution or content the digest that follows
is another one, the adopted artifact is none of the entry's any more, and the slide is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pathassets.core.locations.location_spec import LocationSpec
from pathassets.core.recipe import Entry
from pathassets.core.spec import digest_of

EXTERNAL = "external"
"""Provenance of such features; in their spec, the key of what is known of their source."""
CODE_VERSION = "external"
"""In place of the version of code that made them: none of ours did."""

UNKNOWN_TOOL = "TOOL"
"""In a command, where nobody knows any more which tool it was."""

FITTED = ("patch_px", "mpp", "level", "within_bound")
"""What of the locations' spec adopted patches have to fit; where they lie is the tool's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """Features that the catalog knows to be another tool's."""

    name: str
    """Entry of the recipe that they were adopted for."""
    slide_id: str
    digest: str
    source: Mapping[str, Any]
    """Tool, version, parameters, SHA-256 of its files."""


def external_spec(entry: Entry, source: Mapping[str, Any]) -> dict[str, Any]:
    """What an adopted artifact says it is: what the entry asks for, and where it is from."""
    return {**entry.parameters, EXTERNAL: dict(source)}


def external_digest(
    entry: Entry, locations: LocationSpec, slide_version: str, source: Mapping[str, Any]
) -> str:
    """Digest of features of a source, for an entry and the patches it asks for, of a slide.

    No version of our code is in it: none made them.
    """
    return digest_of(
        {
            "section": entry.stage.name,
            "spec": entry.parameters,
            "weights_sha256": entry.weights_sha256,
            "patches": {name: getattr(locations, name) for name in FITTED},
            "slide": slide_version,
            EXTERNAL: dict(source),
        }
    )


def counts_for(entry: Entry, locations: LocationSpec, slide_version: str, adopted: Adopted) -> bool:
    """Whether what was adopted once is what the entry asks for now."""
    if adopted.name != entry.name:
        return False
    return adopted.digest == external_digest(entry, locations, slide_version, adopted.source)
