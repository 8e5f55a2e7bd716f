"""How commands are loaded: of what stays, no collection of garbage looks at anything."""

import gc
import subprocess
import sys

import pytest

from pathassets import cli

LOADED = """
import gc
from pathassets.cli import main
main(["status", "--help"], standalone_mode=False)
print(gc.isenabled(), gc.get_freeze_count() > 10_000)
"""


def test_what_a_command_has_loaded_is_no_garbage_and_what_comes_after_it_may_be():
    command = [sys.executable, "-W", "error", "-c", LOADED]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert done.stdout.splitlines()[-1] == "True True"


def test_a_module_that_is_not_there_leaves_the_collector_on():
    with pytest.raises(ModuleNotFoundError):
        cli._load("pathassets.cli.no_such_module")
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off(monkeypatch):
    monkeypatch.delitem(sys.modules, "tabnanny", raising=False)
    gc.disable()
    try:
        assert cli._load("tabnanny") is sys.modules["tabnanny"]
        assert not gc.isenabled()
    finally:
        gc.enable()
