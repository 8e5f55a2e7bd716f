"""Where a store is -> the store: a folder's, or a bucket's; and its upkeep.

What only buckets need is imported for a bucket alone.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pathassets.adapters.objects.urls import is_url
from pathassets.adapters.store.folder_store import FolderStore
from pathassets.adapters.store.folder_upkeep import FolderUpkeep
from pathassets.adapters.store.store import Store
from pathassets.adapters.store.upkeep import Upkeep

CACHE = "cache"
"""Folder of a bucket's work in which copies lie."""
CACHE_BYTES = 50 * 10**9


def store_at(where: str, work: Path, cache_bytes: int = CACHE_BYTES) -> Store:
    """The store in a folder, or at a URL; nothing is looked at yet.

    Args:
        where: Path or URL.
        work: Folder of this machine for a bucket's unfinished work and its copies.
        cache_bytes: What the copies may take.

    Raises:
        SpecError: the URL is none of a bucket.
        StoreError: the environment says something of it that cannot be.
    """
    return _bucket_at(where, work, cache_bytes) if is_url(where) else FolderStore(Path(where))


@lru_cache(maxsize=8)
def _bucket_at(url: str, work: Path, cache_bytes: int) -> Store:
    """One for all tasks of a worker: it keeps its connections."""
    from pathassets.adapters.objects.place import open_place  # noqa: PLC0415 - see above
    from pathassets.adapters.store.bucket_store import BucketStore  # noqa: PLC0415 - the same
    from pathassets.adapters.store.cache import CopyCache  # noqa: PLC0415 - the same

    return BucketStore(open_place(url), work, CopyCache(work / CACHE, cache_bytes))


def upkeep_of(store: Store) -> Upkeep:
    """How a store is looked through and tidied."""
    if isinstance(store, FolderStore):
        return FolderUpkeep(store)
    from pathassets.adapters.store.bucket_store import BucketStore  # noqa: PLC0415 - see above
    from pathassets.adapters.store.bucket_upkeep import BucketUpkeep  # noqa: PLC0415 - the same

    if isinstance(store, BucketStore):
        return BucketUpkeep(store)
    raise TypeError(f"no upkeep of a {type(store).__name__}")
