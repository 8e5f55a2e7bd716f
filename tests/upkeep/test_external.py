"""Features of another tool without a row: taken over where their digest follows, told where not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.upkeep.home import ANNOTATED, findings, opened, output, status

COLOUR = "features: {colour: {patch_locations: grid, encoder: colour_stats}}"
BOTH = """features:
  colour: {patch_locations: grid, encoder: colour_stats}
  imported: {patch_locations: grid, encoder: colour_stats}"""


@pytest.fixture
def imported(home: Path) -> Path:
    """Features of both slides that were imported, and of which the catalog lost the rows."""
    output("export", "trident", "features/colour", home / "foreign")
    (home / "recipe.yaml").write_text(ANNOTATED.replace(COLOUR, BOTH))
    output("import", "trident", home / "foreign", "--features", "imported")
    return home


def lose_rows(home: Path) -> None:
    with opened(home) as catalog:
        for one in list(catalog.artifacts("features", "imported")):
            catalog.drop_rows(one.address)


def states() -> list[str]:
    return [one["assets"]["features/imported"]["state"] for one in status()["slides"]]


def test_a_folder_of_them_is_taken_over_once_its_digest_is_proved(imported: Path) -> None:
    assert states() == ["current", "current"]
    lose_rows(imported)
    assert states() == ["missing", "missing"]
    found = findings("--fix")
    assert "artifact_misplaced" not in found
    assert len(found["artifact_unrecorded"]) == 2
    assert states() == ["current", "current"]


def test_one_whose_source_or_entry_is_another_is_told_and_never_taken_over(imported: Path) -> None:
    lose_rows(imported)
    first, second = sorted((imported / "store" / "features" / "imported").glob("*/*"))
    said = json.loads((first / "artifact.json").read_text())
    said["spec"]["external"]["tool_version"] = "9"
    (first / "artifact.json").write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")
    found = findings()
    assert [one["subject"].rpartition("/")[2] for one in found["external_unproved"]] == [first.name]
    assert len(found["artifact_unrecorded"]) == 1
    (imported / "recipe.yaml").write_text(
        ANNOTATED.replace(COLOUR, BOTH).replace("patch_px: 256", "patch_px: 128")
    )
    told = findings("--fix")["external_unproved"]
    assert {Path(one["subject"]).name for one in told} == {first.name, second.name}
    assert not any(one["can_fix"] for one in told)


def test_one_that_only_dagster_shows_is_not_taken_over_unproved_either(imported: Path) -> None:
    output("run")  # Dagster is told of them
    lose_rows(imported)
    (imported / "recipe.yaml").write_text(
        ANNOTATED.replace(COLOUR, BOTH).replace("min_tissue_share: 0.5", "min_tissue_share: 0.6")
    )
    assert len(findings()["artifact_unrecorded"]) == 2  # where they lie is the tool's own
    (imported / "recipe.yaml").write_text(
        ANNOTATED.replace(COLOUR, BOTH).replace("patch_px: 256", "patch_px: 128")
    )
    told = findings("--fix")
    assert not any(one["done"] for one in told["event_of_nothing"])
    assert len(findings()["external_unproved"]) == 2


def test_of_one_whose_files_are_gone_nobody_says_that_a_run_makes_it(imported: Path) -> None:
    shutil.rmtree(imported / "store" / "features" / "imported")
    before = output("doctor", code=1).splitlines()
    assert "pathassets run" not in before[-1]
    told = findings("--fix", "--all")
    assert {one["kind"] for some in told.values() for one in some} == {"artifact_gone"}
    assert not any("pathassets run" in one["remedy"] for one in told["artifact_gone"])
    assert output("doctor", code=1).splitlines() == before


def test_of_a_dataset_of_such_nobody_says_that_a_run_makes_it_anew(imported: Path) -> None:
    recipe = imported / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("{features: colour,", "{features: imported,"))
    output("run")
    for made in ("features/imported", "dataset"):
        shutil.rmtree(imported / "store" / made)
    told = {one["subject"]: one["remedy"] for one in findings()["artifact_gone"]}
    [made_again] = (said for of, said in told.items() if "made anew" in said)
    first = min(one for one in told if one.startswith("features/"))
    assert made_again == f"Import {first} again, as its line says: then it is made anew"
    said = output("run", code=1)
    assert "2 left out" in said
    assert "pathassets run computes them, or says what helps" in said
    assert "pathassets run" not in output("doctor", code=1).splitlines()[-1]


def test_of_a_slide_embedding_of_such_no_run_is_promised_either(imported: Path) -> None:
    recipe = imported / "recipe.yaml"
    recipe.write_text(recipe.read_text() + "slide_embedding: {mean: {features: imported}}\n")
    output("run")
    for made in ("features/imported", "slide_embedding"):
        shutil.rmtree(imported / "store" / made)
    told = {one["subject"]: one["remedy"] for one in findings()["artifact_gone"]}
    embeddings = {said for of, said in told.items() if of.startswith("slide_embedding/")}
    imports = {of for of in told if of.startswith("features/imported/")}
    assert len(imports) == 2
    assert embeddings == {
        f"Import {one} again, as its line says: then it is made anew" for one in imports
    }
