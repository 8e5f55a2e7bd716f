"""What lies in the store and should not -> a folder beside it, where a person can look at it.

    <store>/.aside/<when>/<as it lay in the store>

Nothing is removed. A rename either happened or did not.
"""

from __future__ import annotations

from pathlib import Path

from pathassets.adapters.store.folders import make_own_folder
from pathassets.adapters.store.staging import not_writable
from pathassets.adapters.store.store import Store

ASIDE = ".aside"


def put_aside(store: Store, path: Path, when: str) -> Path:
    """Move a file, folder or link of the store aside, the link itself; returns where it is now.

    Raises:
        StoreError: the store is not writable, or a link is in the place of the folder.
    """
    target = store.root / ASIDE / when / path.relative_to(store.root)
    try:
        make_own_folder(store.root / ASIDE)
        target.parent.mkdir(parents=True, exist_ok=True)
        n = 0
        while (free := target.with_name(f"{target.name}.{n}" if n else target.name)).exists():
            n += 1
        path.rename(free)
    except OSError as error:
        raise not_writable(store.root, error) from error
    return free
