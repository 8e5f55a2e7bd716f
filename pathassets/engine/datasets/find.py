"""What a person calls a dataset -> its folder, opened, and which of its members are to be used.

"luad@3"              ─▶ catalog ─▶ folder in the store ─┐
a folder in a store   ─▶ its catalog, if it has one ─────┼▶ who was taken out since ─▶ opened
a copied folder       ─▶ forgotten.json ─────────────────┘
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pathassets.adapters.objects.remote_file import on_disk
from pathassets.adapters.objects.urls import is_meant_for_url, parse_url
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.datasets.names import DatasetName, parse_dataset_name, versions_there
from pathassets.core.near_names import did_you_mean
from pathassets.engine.datasets.folder import MANIFEST_TABLE, DatasetFolder, open_folder
from pathassets.engine.datasets.withdrawn import withdrawn_among
from pathassets.engine.settings import CATALOG_FILE, Settings, default_catalog, read_settings
from pathassets.engine.stores import store_of
from pathassets.errors import CatalogError, SpecError

if TYPE_CHECKING:
    from pathassets.catalog.catalog import Catalog

STAGE = "dataset"
_THERE = ("made", "current")
"""States of an attempt after which the version is there."""


def open_dataset(what: str | Path, store: Path | str | None) -> DatasetFolder:
    """Open a dataset: a path as it is, a name by the catalog, which also says who was taken out.

    Raises:
        SpecError: it is no name of a version, or no such dataset was built.
        CatalogError: there is no such version, or the catalog cannot be read.
        StoreError: the folder holds no dataset, or it is damaged.
    """
    if is_folder(what):
        return _at_path(on_disk(what, is_read=True).expanduser().absolute())
    name = parse_dataset_name(str(what))
    settings = _settings_with(store)
    with _opened(settings.catalog_url) as catalog:
        digest = _digest_by_catalog(catalog, name)
        kept = store_of(settings)
        folder = open_folder(kept.fetch(Address(STAGE, name.dataset, ALL_SLIDES, digest)))
        is_here = isinstance(settings.store, Path)
        return _as_told(folder if is_here else replace(folder, bucket=kept), catalog)


def is_folder(what: str | Path) -> bool:
    """Whether a path is meant, and no name of a dataset."""
    return isinstance(what, Path) or os.sep in what or (Path(what) / MANIFEST_TABLE).is_file()


def _at_path(path: Path) -> DatasetFolder:
    """Open a folder; where it lies in a store that has a catalog, ask that."""
    folder = open_folder(path)
    settings = _settings_with(folder.root)
    has_catalog = not settings.has_own_catalog or (folder.root / CATALOG_FILE).is_file()
    if folder.is_copy or not has_catalog:
        return folder
    with _opened(settings.catalog_url) as catalog:
        return _as_told(folder, catalog)


def _as_told(folder: DatasetFolder, catalog: Catalog) -> DatasetFolder:
    withdrawn = withdrawn_among(catalog.forgotten(), folder.manifest["slide_id"])
    return replace(folder, withdrawn=withdrawn)


def _settings_with(store: Path | str | None) -> Settings:
    """Those of the home; a store that is named brings its catalog, unless one is set elsewhere."""
    settings = read_settings()
    if store is None:
        return settings
    is_bucket = isinstance(store, str) and is_meant_for_url(store)
    place = parse_url(str(store)) if is_bucket else Path(store).expanduser().absolute()
    url = default_catalog(place, settings.home) if settings.is_catalog_default else None
    return replace(settings, store=place, catalog_url=url or settings.catalog_url)


@contextmanager
def _opened(url: str) -> Iterator[Catalog]:
    from pathassets.catalog.catalog import Catalog  # noqa: PLC0415 - 0.4 s that no copy needs

    with Catalog.open_to_read(url) as catalog:
        yield catalog


def _digest_by_catalog(catalog: Catalog, name: DatasetName) -> str:
    """Digest of a release, or of the version that was last made or found to be in force."""
    if name.version is not None:
        return catalog.release(name.dataset, name.version).digest
    if name.digest:
        return _known_digest(catalog, name)
    built = {
        attempt.address.name: attempt.address.digest
        for attempt in catalog.attempts(partition_key=ALL_SLIDES)
        if attempt.address.stage == STAGE and attempt.state in _THERE
    }
    if name.dataset not in built:
        raise SpecError(
            f"dataset {name.dataset}: no version of it was built",
            remedy=did_you_mean(name.dataset, sorted(built), "There are")
            if built
            else "pathassets run builds datasets",
        )
    return built[name.dataset]


def _known_digest(catalog: Catalog, name: DatasetName) -> str:
    made = sorted(catalog.artifacts(STAGE, name.dataset), key=lambda one: one.made_at)
    there = [f"{name.dataset}@{one.address.digest}" for one in made]
    if str(name) not in there:
        raise CatalogError(
            f"dataset {name}: there is no such version",
            remedy=versions_there(there) if there else "pathassets dataset list names all",
        )
    return name.digest
