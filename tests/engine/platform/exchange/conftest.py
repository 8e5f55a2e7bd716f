from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pathassets.adapters.exchange.parts.listed import LIST
from pathassets.engine.platform.exchange.export import ExportRequest, export
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.platform import open_platform
from tests.engine.imports import all_rows, rows_of


@pytest.fixture
def slides(platform, get_ready):
    """Two slides without anything made of them, a.svs and b.svs."""
    return get_ready(platform, 2)


@pytest.fixture(scope="session")
def exports(ready_home, tmp_path_factory):
    """What was exported of the same two slides, in a folder for each tool, and their rows."""
    folder = tmp_path_factory.mktemp("exports")
    with open_platform(ready_home(2, is_run=True)) as platform:
        for tool in ("trident", "clam", "stamp"):
            list(export(platform, ExportRequest(
                tool=tool, what="features/stats", to=folder / tool)))  # fmt: skip
        rows = {p.slide_id[0]: rows_of(platform, p) for p in plan_slides(platform)}
        yield folder, {name: (all_rows(r), r.boxes_px0) for name, r in rows.items()}


@pytest.fixture
def exported(exports, tmp_path):
    """A copy without the lists of what was exported: files as another's tool leaves them."""
    ignored = shutil.ignore_patterns(LIST)
    return Path(shutil.copytree(exports[0], tmp_path / "exported", ignore=ignored))


@pytest.fixture
def ours(exports, tmp_path):
    """A copy with the lists."""
    return Path(shutil.copytree(exports[0], tmp_path / "ours"))
