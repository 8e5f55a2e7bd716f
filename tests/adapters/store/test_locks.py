"""Locks are waited for as long as they say, and whoever gives up names the holder."""

from __future__ import annotations

import os
import time

import pytest

from pathassets.adapters.store import locks, partial
from pathassets.adapters.store.folder_store import FolderStore
from pathassets.adapters.store.locks import holding
from pathassets.adapters.store.partial import hold_partials
from pathassets.adapters.store.staging import REPLACE_LOCK, STAGING, Staging
from pathassets.core.address import Address
from pathassets.errors import StoreError

ADDRESS = Address("features", "one", "a", "0")
HOLDER = """
import sys
from pathlib import Path
from pathassets.adapters.store.locks import holding
with holding(Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""
PARTIAL_HOLDER = """
import sys
from pathlib import Path
from pathassets.adapters.store.folder_store import FolderStore
from pathassets.adapters.store.partial import hold_partials
from pathassets.core.address import Address
with hold_partials(FolderStore(Path(sys.argv[1])), [Address("features", "one", "a", "0")]):
    print("held", flush=True)
    input()
"""


def held(start_python, script, place):
    process = start_python(script, place)
    assert process.stdout.readline() == "held\n", process.stderr.read()
    return process


def let_go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def test_patience_ends_and_names_process_and_machine(tmp_path, start_python):
    holder = held(start_python, HOLDER, tmp_path / "a.lock")
    with (
        pytest.raises(StoreError, match=r"a\.lock: is held by process") as caught,
        holding(tmp_path / "a.lock", patience_s=0.1),
    ):
        pass
    assert f"process {holder.pid} on {os.uname().nodename} since 20" in caught.value.message
    assert f"rm {tmp_path / 'a.lock'}" in caught.value.remedy


def test_who_waits_gets_it_when_it_is_given_back(tmp_path, start_python):
    holder = held(start_python, HOLDER, tmp_path / "a.lock")
    holder.kill()
    with holding(tmp_path / "a.lock", patience_s=60.0):
        assert f"process {os.getpid()} " in (tmp_path / "a.lock").read_text()


def test_a_wait_is_logged_once(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(locks, "_TELL_S", 0.0)
    with (
        holding(tmp_path / "a.lock"),
        pytest.raises(StoreError),
        holding(tmp_path / "a.lock", patience_s=0.3),
    ):
        pass
    assert [one for one in caplog.messages if f"process {os.getpid()}" in one] == caplog.messages
    assert len(caplog.messages) == 1


def test_text_in_a_lock_is_shown_and_not_obeyed(tmp_path):
    with holding(tmp_path / "a.lock"):
        (tmp_path / "a.lock").write_text("\x1b[31mnobody\n" + "x" * 10_000)
        with pytest.raises(StoreError) as caught, holding(tmp_path / "a.lock", patience_s=0.0):
            pass
    assert "\x1b" not in caught.value.message
    assert len(caught.value.message) < 1000


def test_a_link_in_the_place_of_a_lock_is_not_written_through(tmp_path):
    (tmp_path / "precious").write_text("mine")
    lock = tmp_path / "a.lock"
    lock.symlink_to(tmp_path / "precious")
    locks._say_who(lock)
    assert locks._holder(lock) == "another process"
    assert (tmp_path / "precious").read_text() == "mine"


def test_an_artifact_that_another_makes_is_waited_for_and_not_for_ever(
    tmp_path, start_python, monkeypatch
):
    monkeypatch.setattr(partial, "PATIENCE_S", 0.1)
    store = FolderStore(tmp_path)
    holder = held(start_python, PARTIAL_HOLDER, tmp_path)
    with (
        pytest.raises(StoreError, match=f"is held by process {holder.pid} on"),
        hold_partials(store, [ADDRESS]),
    ):
        pass
    let_go(holder)
    holder.wait(60)
    with hold_partials(store, [ADDRESS]) as partials:
        assert partials[0].files.is_dir()


def test_a_damaged_artifact_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE_S", 0.1)
    store = FolderStore(tmp_path)
    store.open()
    began_s = time.monotonic()
    with (
        holding(tmp_path / STAGING / REPLACE_LOCK),
        pytest.raises(StoreError, match="is held by process"),
        Staging(tmp_path).lock(REPLACE_LOCK),
    ):
        pass
    assert time.monotonic() - began_s < 30
