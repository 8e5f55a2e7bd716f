"""What a person calls a dataset -> the folder that its manifest is in."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pathassets.adapters.store.store import Store
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.datasets.names import DatasetName, parse_dataset_name
from pathassets.engine.datasets.folder import MANIFEST_TABLE
from pathassets.engine.settings import own_catalog, read_settings
from pathassets.errors import SpecError, did_you_mean

STAGE = "dataset"
_THERE = ("made", "current")
"""States of an attempt after which the version is there."""


def find_dataset(what: str | Path, store: Path | None) -> Path:
    """Find the folder of a dataset: a path as it is, a name by the catalog.

    Raises:
        SpecError: it is no name of a version, or no such dataset was built.
        CatalogError: there is no such release, or the catalog cannot be read.
    """
    if isinstance(what, Path) or os.sep in what or (Path(what) / MANIFEST_TABLE).is_file():
        return Path(what).expanduser().absolute()
    name = parse_dataset_name(what)
    root, url = _store_and_catalog(store)
    digest = name.digest or _digest_by_catalog(url, name)
    return Store(root).path_of(Address(STAGE, name.dataset, ALL_SLIDES, digest))


def _store_and_catalog(store: Path | None) -> tuple[Path, str]:
    """Those of the home; a store that is named brings its catalog, unless one is set elsewhere."""
    settings = read_settings()
    if store is not None:
        root = Path(store).expanduser().absolute()
        url = own_catalog(root) if settings.has_own_catalog else settings.catalog_url
        settings = replace(settings, store=root, catalog_url=url)
    return settings.store, settings.catalog_url


def _digest_by_catalog(url: str, name: DatasetName) -> str:
    """Digest of a release, or of the version that was last made or found to be in force."""
    from pathassets.catalog.catalog import Catalog  # noqa: PLC0415 - 0.4 s that no folder needs

    with Catalog.open_to_read(url) as catalog:
        if name.version is not None:
            return catalog.release(name.dataset, name.version).digest
        built = {
            attempt.address.name: attempt.address.digest
            for attempt in catalog.attempts(partition_key=ALL_SLIDES)
            if attempt.address.stage == STAGE and attempt.state in _THERE
        }
    return built[name.dataset] if name.dataset in built else _refuse(name, built)


def _refuse(name: DatasetName, built: Iterable[str]) -> str:
    known = sorted(built)
    raise SpecError(
        f"dataset {name.dataset}: no version of it was built",
        remedy=did_you_mean(name.dataset, known) if known else "pathassets run builds datasets",
    )
