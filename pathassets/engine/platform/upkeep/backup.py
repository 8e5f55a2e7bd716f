"""A home -> one file from which it can be made again: what no run could make, and what was made.

    tables/<table>.jsonl    the catalog, as it is at one moment
    store/annotations/…     what people drew, as the store keeps it
    recipe.yaml, dagster.yaml
    settings.json           where things were, without a password

Features and masks stay in the store: their rows are in the catalog, and a run makes again what is
lost, to the same bytes. The same home gives the same file.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from pathassets.adapters.bundle import write_bundle
from pathassets.catalog.database.urls import name_of, parse_url
from pathassets.core.recipe import ANNOTATIONS
from pathassets.engine.platform.platform import Platform
from pathassets.engine.settings import OWN_RECIPE, Settings
from pathassets.errors import StoreError

WHAT = "pathassets backup"
TABLES, STORE = "tables", "store"
RECIPE, DAGSTER = OWN_RECIPE, "dagster.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """What went into a backup."""

    n_bytes: int
    n_slides: int
    n_annotations: int
    lacking: tuple[str, ...]
    """Annotations whose files are gone or damaged, and why: they could not be kept."""


def write_backup(platform: Platform, target: Path) -> BackedUp:
    """Write catalog, annotations, recipe and settings into one file, whole or not at all.

    Raises:
        OutputExists: it is there already.
        StoreError: it cannot be written.
        CatalogError: the catalog cannot be read.
    """
    target = target.absolute()
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as place:
            folder = Path(place)
            n_slides, revision = _write_tables(platform, folder / TABLES)
            lacking = list(_copy_annotations(platform, folder / STORE))
            write_settings(platform.settings, folder)
            about = {"revision": revision, "n_slides": n_slides, "lacking": lacking}
            bundle = write_bundle(target, folder, what=WHAT, about=about)
    except OSError as error:
        if isinstance(error, StoreError):  # one that is a FileNotFoundError, too
            raise
        raise StoreError(
            target, f"cannot be written: {error.strerror or error}", remedy="Name another folder"
        ) from error
    manifests = [
        p for p in bundle.files if p.startswith(f"{STORE}/") and p.endswith("artifact.json")
    ]
    return BackedUp(
        n_bytes=target.stat().st_size,
        n_slides=n_slides,
        n_annotations=len(manifests),
        lacking=tuple(lacking),
    )


def _write_tables(platform: Platform, folder: Path) -> tuple[int, str]:
    """Write a file for each table; returns how many slides there are, and the tables' revision."""
    folder.mkdir()
    counts: dict[str, int] = {}

    def take(name: str, lines: Iterator[str]) -> None:
        counts[name] = 0
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for line in lines:
                file.write(f"{line}\n")
                counts[name] += 1

    revision = platform.catalog.dump(take)
    return counts["slide"], revision


def _copy_annotations(platform: Platform, folder: Path) -> Iterator[str]:
    """Copy what people drew, every byte checked; says of which that cannot be done."""
    for record in platform.catalog.artifacts(ANNOTATIONS):
        try:
            platform.store.read_checked(record.address)
        except StoreError as error:
            yield error.message
            continue
        source = platform.store.fetch(record.address)
        shutil.copytree(source, folder / str(record.address), symlinks=True)


def write_settings(settings: Settings, folder: Path) -> None:
    """Write recipe, Dagster's settings, and where things were."""
    shutil.copyfile(settings.recipe, folder / RECIPE)
    own = settings.home / DAGSTER
    if own.is_file():
        shutil.copyfile(own, folder / DAGSTER)
    said = {one.name: getattr(settings, one.name) for one in fields(settings)}
    said["catalog_url"] = name_of(parse_url(settings.catalog_url))
    plain = {name: v if isinstance(v, int | float) else str(v) for name, v in said.items()}
    (folder / "settings.json").write_text(json.dumps(plain, indent=1), encoding="utf-8")
