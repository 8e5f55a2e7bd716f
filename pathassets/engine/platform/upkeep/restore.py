"""A backup -> a home again, beside whatever is left of the store.

    every hash checked ─▶ who was forgotten, and what released, since (forgotten_since)
        ─▶ what is in the way put aside (--force) ─▶ recipe ─▶ catalog, without those slides, with
        those releases ─▶ annotations, without theirs

The catalog is there last: killed before, the same command does it all again. What of the store is
whole is taken over by the next run, and what is not is made again.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pathassets.adapters.bundle import Bundle, unpacked
from pathassets.adapters.files import keep_private
from pathassets.adapters.store.damage import MANIFEST
from pathassets.adapters.store.folder_store import FolderStore
from pathassets.adapters.store.folder_upkeep import FolderUpkeep
from pathassets.adapters.store.folders import write_synced
from pathassets.adapters.store.opening import upkeep_of
from pathassets.adapters.store.store import Store
from pathassets.adapters.store.upkeep import find_held
from pathassets.catalog.database.urls import name_of, parse_url
from pathassets.catalog.upkeep.dump import is_empty, load_catalog, releases_in
from pathassets.catalog.upkeep.numbered import CarriedOver
from pathassets.catalog.upkeep.outliving import KeptOut, Outlived
from pathassets.catalog.upkeep.stated import WentOver
from pathassets.core.address import Address
from pathassets.core.recipe import ANNOTATIONS
from pathassets.core.text import names_one
from pathassets.engine.platform.other_catalogs import drop_former
from pathassets.engine.platform.recipe import open_recipe
from pathassets.engine.platform.upkeep.backup import DAGSTER, RECIPE, STORE, TABLES, WHAT
from pathassets.engine.platform.upkeep.forgotten_since import BEFORE, read_forgotten_since
from pathassets.engine.settings import DEFAULT_RECIPE, Settings
from pathassets.engine.stores import store_of
from pathassets.errors import CatalogError, SpecError, StoreError

RESTORING = ".restoring"
"""Folder of the home that a backup is unpacked in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was restored."""

    n_slides: int
    n_annotations: int
    aside: Path | None
    """Where what was in the way is now; None where nothing was."""
    lacking: tuple[str, ...]
    """Annotations that the backup could not keep, and why; but for those of `kept_out`."""
    kept_out: tuple[KeptOut, ...]
    """Slides of the backup that were forgotten since."""
    carried: tuple[CarriedOver, ...]
    """Releases that the backup has not, or under another number."""
    went_over: WentOver
    """What people stated after the backup: what is carried over, and what is not."""
    not_known: str
    """Why others may have been, and nobody knows; empty where all are known."""
    unread: tuple[str, ...]
    """Files that the recipe names, no backup carries, and nobody can read here: where, and why."""


def restore_backup(
    settings: Settings, source: Path, *, is_forced: bool, instead_of: str = ""
) -> Restored:
    """Make a home of a backup; slides that were forgotten since stay out.

    `instead_of` is the URL of the catalog that knows which, where it is not the home's.

    Raises:
        StoreError: the backup is damaged, or the home is in use or not empty; `is_forced` moves
            aside what is there.
        CatalogError: the catalog cannot be made, the backup is of a newer version, or the catalog
            at `instead_of` cannot be read.
    """
    with unpacked(source.absolute(), settings.home / RESTORING, what=WHAT) as bundle:
        folder = settings.home / RESTORING
        about = _about(source, bundle)
        known = releases_in(_tables(folder, bundle))
        since = read_forgotten_since(settings, instead_of, known)
        aside = _make_room(settings, folder, is_forced=is_forced)
        for target, name in _texts(settings):
            _restore_text(folder / name, target)
        store = store_of(settings)
        store.open()
        files = _Files(store=store, kept=FolderStore(folder / STORE))
        tables, revision = _tables(folder, bundle), about["revision"]
        load_catalog(settings.catalog_url, revision, tables, since.outliving, files.settle)
        drop_former(store, name_of(parse_url(settings.catalog_url)))
    return Restored(
        n_slides=about["n_slides"] - len(files.outlived.kept_out),
        n_annotations=files.n_annotations,
        aside=aside,
        lacking=tuple(one for one in map(str, about["lacking"]) if not names_one(one, files.out)),
        kept_out=tuple(files.outlived.kept_out),
        carried=tuple(files.outlived.carried),
        went_over=files.outlived.went_over,
        not_known=since.not_known,
        unread=tuple(_unread(settings)),
    )


@dataclass(slots=True, kw_only=True)
class _Files:
    """What of a store is restored, once it is known which slides stay out."""

    store: Store
    kept: FolderStore
    outlived: Outlived = field(default=Outlived(kept_out=(), carried=()))
    n_annotations: int = 0

    @property
    def out(self) -> set[str]:
        """Ids of the slides that stay out."""
        return {slide_id for one in self.outlived.kept_out for slide_id in one.slide_ids}

    def settle(self, outlived: Outlived) -> None:
        """Publish annotations, but for those slides; what else lies in the store of them goes."""
        self.outlived = outlived
        gone = [i for one in outlived.kept_out if not one.are_artifacts_kept for i in one.slide_ids]
        with self.store.staging(f"restore-{uuid.uuid4().hex}") as bin_:
            upkeep_of(self.store).remove_slides(gone, bin_)
        self.n_annotations = _restore_annotations(self.store, self.kept, self.out)


def _about(source: Path, bundle: Bundle) -> dict[str, Any]:
    """What a backup says of itself, each of the kind that it should be."""
    kinds = {"revision": str, "n_slides": int, "lacking": list}
    for name, kind in kinds.items():
        if not isinstance(bundle.about.get(name), kind):
            raise StoreError(source, f"does not say its {name}", remedy="Use another backup")
    return bundle.about


def _make_room(settings: Settings, folder: Path, *, is_forced: bool) -> Path | None:
    """Refuse a home that is not empty, or put aside what is in the way."""
    held = find_held(store_of(settings))
    if held:
        raise StoreError(settings.store, f"run {held[0]} is working", remedy="Wait for its end")
    in_the_way = list(_in_the_way(settings, folder))
    if not in_the_way:
        return None
    if not is_forced:
        raise StoreError(
            settings.home,
            f"is not empty: {', '.join(str(path) for path in in_the_way)}",
            remedy="Restore into another PATHASSETS_HOME, or put this aside with --force",
        )
    aside = settings.home / f"{BEFORE}{datetime.now(UTC):%Y-%m-%dT%H%M%S}"
    for path in in_the_way:
        keep_private(aside)
        path.rename(aside / path.name)
    return aside


def _in_the_way(settings: Settings, folder: Path) -> Iterator[Path]:
    """What of a home would contradict what is restored; the store's artifacts never do."""
    place = parse_url(settings.catalog_url)
    if place.get_backend_name() == "sqlite" and _holds_rows(settings.catalog_url):
        database = Path(place.database or "")
        yield from (
            path
            for path in (database, Path(f"{database}-wal"), Path(f"{database}-shm"))
            if path.exists()
        )
    for target, name in _texts(settings):
        if target.exists() and _differs(target, folder / name):
            yield target
    if settings.has_own_dagster and settings.dagster_home.exists():
        yield settings.dagster_home


def _holds_rows(url: str) -> bool:
    """Whether a catalog is there that is not empty, be it damaged."""
    try:
        return not is_empty(url)
    except CatalogError:
        return True


def _texts(settings: Settings) -> tuple[tuple[Path, str], ...]:
    """Where the recipe and Dagster's settings belong, and what a backup calls them."""
    is_default = settings.recipe == DEFAULT_RECIPE
    recipe = settings.home / RECIPE if is_default else settings.recipe
    return (recipe, RECIPE), (settings.home / DAGSTER, DAGSTER)


def _differs(target: Path, source: Path) -> bool:
    return not source.is_file() or source.read_bytes() != target.read_bytes()


def _restore_text(source: Path, target: Path) -> None:
    """Write a text where it belongs, unless it is what holds without one."""
    if not source.is_file() or (target.name == RECIPE and not _differs(DEFAULT_RECIPE, source)):
        return
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_synced(aside, source.read_bytes())
    aside.replace(target)


def _unread(settings: Settings) -> Iterator[str]:
    """Which files that the recipe names cannot be read; or why the recipe itself cannot."""
    [(recipe, _), _] = _texts(settings)
    in_force = recipe if recipe.is_file() else DEFAULT_RECIPE
    try:
        entries = open_recipe(replace(settings, recipe=in_force)).entries
    except SpecError as error:
        yield error.message
        return
    yield from (entry.unread.message for entry in entries if entry.unread is not None)


def _restore_annotations(store: Store, kept: FolderStore, out: Collection[str]) -> int:
    """Publish annotations that the store does not have whole; returns how many there are.

    Those of slides that stay `out` are passed over.
    """
    n = 0
    for address in FolderUpkeep(kept).survey([ANNOTATIONS]):
        if not isinstance(address, Address) or address.stage != ANNOTATIONS:
            continue
        if address.partition_key in out:
            continue
        n += 1
        if store.is_intact(address):
            continue
        artifact = kept.read_checked(address)
        with store.staging(f"restore-{uuid.uuid4().hex}") as staging, store.writing(address):
            shutil.copytree(kept.path_of(address), staging / "annotation")
            (staging / "annotation" / MANIFEST).unlink()
            store.publish(replace(artifact, files=()), staging / "annotation")
    return n


def _tables(folder: Path, bundle: Bundle) -> dict[str, Iterator[str]]:
    names = [Path(path).stem for path in bundle.files if path.startswith(f"{TABLES}/")]
    return {name: _lines(folder / TABLES / f"{name}.jsonl") for name in names}


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        yield from file
