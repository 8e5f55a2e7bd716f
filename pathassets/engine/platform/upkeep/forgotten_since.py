"""The catalog that a backup takes the place of -> what was forgotten or released since, or why not.

instead_of          ─▶ that one, or the error that it cannot be read
the home's          ─▶ that one, unless it is damaged
none, or an empty   ─▶ the newest that an earlier restore put aside: it may have been killed
none of these       ─▶ nobody knows
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pathassets.catalog.database.urls import parse_url
from pathassets.catalog.upkeep.dump import is_empty
from pathassets.catalog.upkeep.numbered import Numbered
from pathassets.catalog.upkeep.outliving import Outliving, read_outliving
from pathassets.engine.settings import Settings
from pathassets.errors import CatalogError

BEFORE = ".before-restore-"
"""How folders of a home begin into which a restore puts what was in its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgottenSince:
    """What is known of slides that were forgotten, and of releases, after a backup was written."""

    outliving: Outliving
    not_known: str
    """Why there may be more; empty where there are none."""


def read_forgotten_since(
    settings: Settings, instead_of: str = "", known: Collection[Numbered] = ()
) -> ForgottenSince:
    """Ask whichever catalog can tell; `known` are releases that the backup has.

    Raises:
        CatalogError: the one at `instead_of` cannot be read.
    """
    if instead_of:
        return ForgottenSince(outliving=read_outliving(instead_of, known), not_known="")
    try:
        if not is_empty(settings.catalog_url):
            outliving = read_outliving(settings.catalog_url, known)
            return ForgottenSince(outliving=outliving, not_known="")
    except CatalogError as error:
        return ForgottenSince(outliving=Outliving(), not_known=error.message)
    return _of_an_earlier(settings, known)


def _of_an_earlier(settings: Settings, known: Collection[Numbered]) -> ForgottenSince:
    """What the catalog knows that was put aside last."""
    name = Path(parse_url(settings.catalog_url).database or "").name
    for catalog in sorted(settings.home.glob(f"{BEFORE}*/{name}"), reverse=True):
        try:
            outliving = read_outliving(f"sqlite:///{catalog}", known)
        except CatalogError:
            continue
        said = f"no catalog was here, and {catalog.parent} has one of before"
        return ForgottenSince(outliving=outliving, not_known=said)
    return ForgottenSince(outliving=Outliving(), not_known="no catalog was here that could tell")
