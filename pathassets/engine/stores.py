"""Settings, or what a task says -> the store, in this process."""

from __future__ import annotations

from pathlib import Path

from pathassets.adapters.store.opening import store_at
from pathassets.adapters.store.store import Store
from pathassets.engine.settings import Settings, cache_bytes


def store_of(settings: Settings) -> Store:
    """The store of a home; nothing is looked at yet.

    Raises:
        StoreError: the environment says something of its bucket that cannot be.
    """
    return store_at(str(settings.store), settings.work, settings.cache_bytes)


def store_of_task(where: str, work: str) -> Store:
    """The store that a task names, in the process that works on it."""
    return store_at(where, Path(work), cache_bytes())
