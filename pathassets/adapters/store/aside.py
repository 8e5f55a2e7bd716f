"""What lies in the store and should not -> a folder beside it, where a person can look at it.

    <store>/.aside/<when>/<as it lay in the store>

Nothing is removed. A rename either happened or did not.
"""

from __future__ import annotations

import itertools
import os
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
        free = _free(target)
        path.rename(free)
    except OSError as error:
        raise not_writable(store.root, error) from error
    return free


def _free(target: Path) -> Path:
    """A name that nothing has, be it a link that leads nowhere."""
    names = (target.with_name(f"{target.name}.{n}") for n in itertools.count(1))
    return next(one for one in itertools.chain([target], names) if not os.path.lexists(one))
