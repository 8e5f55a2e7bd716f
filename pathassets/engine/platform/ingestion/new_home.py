"""Folder -> a home to begin in: what people change is there as files, with comments.

    recipe.yaml          what is built: the one that holds without it, to be changed
    cohort.csv.example   what a cohort table looks like; docs/operations.md explains its columns
    dagster.yaml, workspace.yaml     for `dagster dev`, and for who wants PostgreSQL
    .gitignore           what is made by running; recipe and settings are worth a history
    inbox/               where new scans may arrive

What is there already stays as it is. A file gets its name once it is whole.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pathassets.adapters.files import keep_private
from pathassets.adapters.store.folders import write_synced
from pathassets.engine.settings import DEFAULT_RECIPE, OWN_RECIPE
from pathassets.errors import SpecError

PACKAGE = DEFAULT_RECIPE.parent
RECIPE_HEAD = """\
# What this platform builds. Every entry becomes one asset, stage/name; changing one makes what is
# made from it stale, and nothing else. What else there is stands below with a '# ' before it.
"""
WORKSPACE = """\
# What `dagster dev` loads when it is started in this folder; `pathassets ui` needs no file.
load_from:
  - python_module: pathassets.definitions
"""
IGNORED = """\
# Made by running: Dagster's state, artifacts and catalog, slides, copies, hashes of weights.
# Cohort tables and the page of all slides name patients.
/.dagster/
/store/
/.store-*/
/inbox/
/demo/
/cache/
/scratch/
/.weights/
/.golden/
/.before-restore-*/
/.restoring/
/cohort*.html
/.cohort*.html.*
*.csv
*.tsv
*.xlsx
*.parquet
"""
TABLE = """\
file,patient,site,cohort,label.subtype,label.age,mpp
case-0001.svs,P0001,north,pilot,acinar,61,
case-0002.svs,P0001,north,pilot,acinar,61,
case-0003.ndpi,P0002,south,pilot,solid,58,0.25
"""
EXAMPLE = "cohort.csv.example"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """One file of a home."""

    path: Path
    is_new: bool
    """Whether it was written; else it was there, and stays as it is."""


def begin_home(folder: Path) -> Iterator[NewFile]:
    """Write what a home begins with; yields each file once it is there.

    Raises:
        SpecError: the folder cannot be made or written.
    """
    try:
        keep_private(folder)
        (folder / "inbox").mkdir(exist_ok=True)
        for name, text in _texts().items():
            yield NewFile(path=folder / name, is_new=_write_new(folder / name, text))
    except OSError as error:
        raise SpecError(
            f"{folder}: cannot be made a home: {error.strerror}",
            remedy="Name a folder that you may write to",
        ) from error


def _texts() -> dict[str, str]:
    recipe = DEFAULT_RECIPE.read_text(encoding="utf-8")
    _, _, entries = recipe.partition("\n\n")
    return {
        OWN_RECIPE: f"{RECIPE_HEAD}\n{entries}",
        EXAMPLE: TABLE,
        "dagster.yaml": (PACKAGE / "dagster.yaml").read_text(encoding="utf-8"),
        "workspace.yaml": WORKSPACE,
        ".gitignore": IGNORED,
    }


def _write_new(path: Path, text: str) -> bool:
    """Write a file unless something has its name; whether it was written."""
    if path.exists() or path.is_symlink():
        return False
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    write_synced(aside, text.encode())
    aside.replace(path)
    return True
