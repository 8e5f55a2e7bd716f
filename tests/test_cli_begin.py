"""`pathassets init`: a home to begin in, and the command as a module."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import yaml
from click.testing import CliRunner

from pathassets.adapters.yaml import load_recipe
from pathassets.cli import main
from pathassets.engine.platform.ingestion.cohort_table import read_cohort
from pathassets.engine.settings import DEFAULT_RECIPE


def test_a_new_home_has_what_people_change_and_keeps_what_is_there(tmp_path: Path) -> None:
    home = tmp_path / "ours & 'theirs"
    said = CliRunner().invoke(main, ["init", str(home)])
    assert said.exit_code == 0, said.output
    assert f"cd {shlex.quote(str(home))}" in said.output
    assert home.stat().st_mode & 0o077 == 0  # patients' names come here
    begun = {path.name for path in home.iterdir()}
    assert begun == {
        ".gitignore", "cohort.csv.example", "dagster.yaml", "inbox", "recipe.yaml", "workspace.yaml"
    }  # fmt: skip
    recipe = (home / "recipe.yaml").read_text()
    assert yaml.safe_load(recipe) == yaml.safe_load(DEFAULT_RECIPE.read_text())
    assert load_recipe(home / "recipe.yaml").datasets
    assert "Copy it" not in recipe
    assert read_cohort(home / "cohort.csv.example").rows[0].patient == "P0001"

    (home / "recipe.yaml").write_text("tissue_mask: {}\n")
    (home / ".gitignore").unlink()
    said = CliRunner().invoke(main, ["init", str(home)])
    assert f"kept {home / 'recipe.yaml'}" in said.output
    assert f"wrote {home / '.gitignore'}" in said.output
    assert (home / "recipe.yaml").read_text() == "tissue_mask: {}\n"
    assert {path.name for path in home.iterdir()} == begun


def test_a_file_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = CliRunner().invoke(main, ["init", str(tmp_path / "file")])
    assert said.exit_code == 2
    assert f"{tmp_path / 'file'}: cannot be made a home" in said.output


def test_the_command_is_a_module_too() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "pathassets", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.startswith("python -m pathassets, version")
