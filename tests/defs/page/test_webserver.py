"""What the page does about definitions that it could not load."""

from __future__ import annotations

import time
from pathlib import Path

import dagster as dg
import pytest

from pathassets.defs.dagster_internals import failed_locations, open_workspace
from pathassets.defs.page.webserver import loading_again


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Error loading repository location:UserWarning")  # it is one
def test_definitions_that_could_not_be_loaded_are_loaded_once_they_can_be(tmp_path: Path) -> None:
    database, code = tmp_path / "database", tmp_path / "code.py"
    code.write_text(
        f"import dagster as dg\nopen({str(database)!r}).close()\ndefs = dg.Definitions()\n"
    )
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(f"load_from: [{{python_file: {code}}}]")
    with (
        dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
        open_workspace(instance, workspace, dg.__version__) as context,
    ):
        assert failed_locations(context) == ["code.py"]
        database.touch()
        with loading_again(context, (0.05,)):
            until_s = time.monotonic() + 60
            while failed_locations(context):
                assert time.monotonic() < until_s
                time.sleep(0.1)
