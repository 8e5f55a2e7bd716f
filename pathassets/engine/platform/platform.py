"""Settings -> Platform: store, catalog and recipe, opened and checked once."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from pathassets.adapters.objects.urls import ObjectUrl
from pathassets.adapters.store.store import Store
from pathassets.catalog.catalog import Catalog
from pathassets.core.recipe import Recipe
from pathassets.engine.platform.ledgers import encoders_of
from pathassets.engine.platform.merged_slides import adopt_annotations
from pathassets.engine.platform.other_catalogs import note_catalog
from pathassets.engine.platform.recipe import open_recipe
from pathassets.engine.settings import CATALOG_FILE, OWN_RECIPE, Settings
from pathassets.engine.stores import store_of
from pathassets.engine.workers.on_ray.workers import RayWorkers
from pathassets.engine.workers.pool import LocalWorkers, Workers
from pathassets.errors import SpecError, StoreError


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What every act needs: where things are, what exists, and what is to be built."""

    settings: Settings
    store: Store
    catalog: Catalog
    recipe: Recipe

    @property
    def workers(self) -> Workers:
        """Where slide tasks run."""
        settings = self.settings
        if settings.cluster is not None:
            return RayWorkers(cluster=settings.cluster, timeout_s=settings.slide_timeout_s)
        return LocalWorkers(
            n_workers=settings.n_workers,
            timeout_s=settings.slide_timeout_s,
            n_threads=settings.read_threads,
        )

    @property
    def readable(self) -> Self:
        """The platform without entries whose weights are gone: the others are made all the same.

        It is for who makes and tells, and says what was left out. Who removes needs them all.
        """
        recipe = self.recipe.readable
        return self if recipe == self.recipe else replace(self, recipe=recipe)

    def close(self) -> None:
        """Give the catalog's connections back."""
        self.catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_to_read(settings: Settings, *, needs_recipe: bool = True) -> Platform:
    """Open it for what only reads, be its store on a disk that cannot be written.

    What is worked out of the catalog is then kept in a copy, as long as it is open. For who needs
    no recipe, one that cannot be read counts as empty.

    Raises:
        SpecError: the recipe asks for something impossible, and is needed.
        StoreError: the home is not there, or the store is not and cannot be made, or was named and
            never was one; or it is not the one that the catalog knows.
        CatalogError: the catalog cannot be opened, or another version made it.
    """
    _require_store(settings, is_beginning=False)
    recipe = _recipe_of(settings, is_needed=needs_recipe)
    try:
        return _open(settings, recipe)
    except StoreError:
        if isinstance(settings.store, Path) and not settings.store.is_dir():
            raise
    return Platform(
        settings=settings,
        store=store_of(settings),
        catalog=Catalog.open_copy(settings.catalog_url),
        recipe=recipe,
    )


def _recipe_of(settings: Settings, *, is_needed: bool) -> Recipe:
    try:
        return open_recipe(settings)
    except SpecError:
        if is_needed:
            raise
        return Recipe(entries=())


def open_platform(settings: Settings, *, is_beginning: bool = True) -> Platform:
    """Open the recipe, the store and the catalog; `is_beginning`: be it that there is no store yet.

    Raises:
        SpecError: the recipe asks for something impossible.
        StoreError: the home is not there, or the store is not writable, or not the one that the
            catalog knows, or was named and never was one.
        CatalogError: the catalog cannot be opened, or a newer version made it.
    """
    recipe = open_recipe(settings)
    _require_store(settings, is_beginning=is_beginning)
    platform = _open(settings, recipe)
    note_catalog(platform.store, platform.catalog)
    platform.catalog.note_encoders(encoders_of(platform.recipe))
    return platform


def with_recipe_of_now(platform: Platform) -> Platform:
    """The platform with the recipe as its file has it now, for who stays open while it changes.

    Raises:
        SpecError: it asks for something impossible.
    """
    recipe = open_recipe(platform.settings)
    if recipe == platform.recipe:
        return platform
    platform.catalog.note_encoders(encoders_of(recipe))
    return replace(platform, recipe=recipe)


def _open(settings: Settings, recipe: Recipe) -> Platform:
    store = store_of(settings)
    store.open()
    catalog = Catalog.open(settings.catalog_url)
    adopt_annotations(store, catalog)
    return Platform(settings=settings, store=store, catalog=catalog, recipe=recipe)


def _require_store(settings: Settings, *, is_beginning: bool) -> None:
    """Refuse what is not the store that is meant, or, unless one is begun, no store at all."""
    _require_known(settings)
    if not is_beginning:
        _require_used(settings)


def _require_known(settings: Settings) -> None:
    """Refuse a home that is not there, and what was never a store but the catalog knows of one.

    The one is a slip of the pen, or a folder within the home that is meant: all would begin anew
    beside it. The other is where a disk is to be mounted, most likely, or another bucket is meant:
    everything would be made again there.
    """
    if not os.path.isdir(settings.home):  # noqa: PTH112 - never raises
        raise StoreError(
            f"PATHASSETS_HOME {settings.home}",
            "is no folder that can be seen",
            remedy="Look at its name; to begin a home there: "
            f"pathassets init {shlex.quote(str(settings.home))}",
        )
    store = store_of(settings)
    if not store.was_opened() and (above := _home_above(settings.home)) is not None:
        raise StoreError(
            settings.home,
            f"is no home, and lies in one, {above}",
            remedy=f"cd {shlex.quote(str(above))}; to begin another home here: pathassets init "
            f"{shlex.quote(str(settings.home))}",
        )
    if settings.has_own_catalog or store.was_opened():
        return
    with Catalog.open(settings.catalog_url) as catalog:
        if catalog.has_artifacts():
            look = "Mount its disk, or look" if isinstance(settings.store, Path) else "Look"
            raise StoreError(
                store.where,
                f"was never a store, and {catalog!r} knows artifacts",
                remedy=f"{look} at PATHASSETS_STORE. To make everything again, here: {store.mark}",
            )


def _require_used(settings: Settings) -> None:
    """Refuse a store that was named and never was one: a slip would look like an empty cohort."""
    store, own = store_of(settings), settings.home / "store"
    if settings.store == own or store.was_opened() or _has_catalog(settings.store):
        return
    raise StoreError(
        f"PATHASSETS_STORE {store.where}",
        "was never a store",
        remedy="Look at its name, or mount its disk; to begin a store there: pathassets ingest "
        "PATH…",
    )


def _has_catalog(place: Path | ObjectUrl) -> bool:
    """Whether a folder holds a catalog, be it that a copy has lost what else tells a store."""
    return isinstance(place, Path) and os.path.lexists(place / CATALOG_FILE)


def _home_above(folder: Path) -> Path | None:
    """The home within which a folder lies that is none itself; None where there is no such home."""
    if os.path.lexists(folder / OWN_RECIPE):
        return None
    above = (p for p in folder.parents if (p / OWN_RECIPE).is_file())
    return next((home for home in above if (home / ".dagster").is_dir()), None)
