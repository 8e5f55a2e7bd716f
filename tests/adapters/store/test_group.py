"""A store in which several people work: a folder that hands its group down."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pathassets.adapters.store.folder_store import FolderStore
from pathassets.adapters.store.staging import STAGING
from pathassets.errors import StoreError
from tests.unprivileged import bound_by_modes


@pytest.fixture
def group_store(tmp_path: Path) -> Path:
    root = tmp_path / "a store"
    root.mkdir()
    root.chmod(0o2770)
    return root


@contextmanager
def with_umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def opened(root: Path, mask: int) -> FolderStore:
    with with_umask(mask):
        store = FolderStore(root)
        store.open()
    return store


def test_who_closes_a_groups_store_to_the_others_is_told_how_it_is_opened(group_store, caplog):
    opened(group_store, 0o002)
    assert caplog.text == ""
    opened(group_store, 0o022)  # whoever made what is there
    assert f"setfacl -R -m g::rwX -d -m g::rwX '{group_store}'" in caplog.text


@pytest.mark.parametrize(("mode", "mask"), [(0o2770, 0o002), (0o700, 0o022), (0o2750, 0o022)])
def test_nothing_is_told_of_a_store_that_is_open_to_its_group_or_is_no_groups(
    group_store, caplog, mode, mask
):
    group_store.chmod(mode)
    opened(group_store, mask)
    assert caplog.text == ""


def test_who_finds_a_groups_store_closed_is_told_how_its_makers_open_it(group_store):
    opened(group_store, 0o002)
    (group_store / STAGING).chmod(0o2500)
    with bound_by_modes(), pytest.raises(StoreError, match="not writable: Perm") as caught:
        opened(group_store, 0o002)
    assert f"setfacl -R -m g::rwX -d -m g::rwX '{group_store}'" in caught.value.remedy
