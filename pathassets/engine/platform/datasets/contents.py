"""A planned version of a dataset -> the files of its artifact.

manifest.parquet, manifest.json   a row for each member: part, features and their SHA-256, what from
left_out.parquet                  who is not in it, and why
used_patches.parquet              which rows of the features are used, where rules say
verdicts.parquet                  by whose verdicts slides are in it or not, where it asks for any
splits.csv                        slide_id, patient, label, split, for a spreadsheet
report.json                       counts by part, label and site; findings that were accepted
recipe.json                       parameters of every entry that it goes back to; licences; whose
                                  features another tool made
croissant.json                    what these files are, for machines that know no pathassets
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd

from pathassets.adapters.parquet import save_table
from pathassets.core.datasets.croissant import describe
from pathassets.core.datasets.manifest import external_members
from pathassets.core.datasets.report import split_report
from pathassets.core.datasets.used_patches import used_table
from pathassets.core.external import EXTERNAL
from pathassets.core.recipe import Recipe
from pathassets.engine.datasets.folder import USED_TABLE
from pathassets.engine.platform.datasets.gather import guarded
from pathassets.engine.platform.datasets.plan import PlannedDataset
from pathassets.engine.platform.datasets.verdicts import counts_of

MANIFEST_TABLE = "manifest.parquet"
LEFT_OUT_TABLE = "left_out.parquet"
VERDICTS_TABLE = "verdicts.parquet"
MANIFEST_JSON, SPLITS, REPORT = "manifest.json", "splits.csv", "report.json"
RECIPE, CROISSANT = "recipe.json", "croissant.json"
DESCRIBED = (MANIFEST_TABLE, LEFT_OUT_TABLE, SPLITS)


def write_contents(folder: Path, recipe: Recipe, planned: PlannedDataset) -> None:
    """Write them all; equal versions give equal bytes."""
    save_table(folder / MANIFEST_TABLE, planned.manifest)
    save_table(folder / LEFT_OUT_TABLE, planned.left_out)
    planned.manifest.to_json(folder / MANIFEST_JSON, orient="records", indent=0)
    _save_splits(folder / SPLITS, planned.manifest)
    _save_json(folder / REPORT, report_of(planned))
    _save_json(folder / RECIPE, recipe_of(recipe, planned))
    described = [*DESCRIBED]
    if "n_used" in planned.manifest:
        save_table(folder / USED_TABLE, used_table(planned.manifest, planned.used))
        described.append(USED_TABLE)
    if len(planned.verdicts):
        save_table(folder / VERDICTS_TABLE, planned.verdicts)
        described.append(VERDICTS_TABLE)
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in described}
    _save_json(folder / CROISSANT, describe(planned.entry.name, planned.manifest, hashes))


def report_of(planned: PlannedDataset) -> dict[str, Any]:
    """What stands in report.json."""
    accepted = [
        {"finding": a.finding, "kind": a.kind, "message": a.message, "who": a.who, "why": a.why}
        for a in planned.accepted
    ]
    verdicts = {"verdicts": counts_of(planned.verdicts)} if len(planned.verdicts) else {}
    report = split_report(planned.manifest, planned.left_out)
    return {**report, "accepted": accepted, **verdicts}


def recipe_of(recipe: Recipe, planned: PlannedDataset) -> dict[str, Any]:
    """What stands in recipe.json; `external` only where another tool made some of it."""
    kin = recipe.lineage(planned.entry)
    licences = {one.card.name: one.card.licence for one in kin if one.card is not None}
    external = external_members(planned.manifest)
    said: dict[str, Any] = {"external": external} if external else {}
    if external:
        licences[EXTERNAL] = (
            f"not known: another tool made the features of {len(external)} of "
            f"{len(planned.manifest)} slides, by weights that only who imported them can tell"
        )
    return said | {
        "entries": {
            "/".join(one.key): {
                "parameters": one.parameters,
                "made_from": ["/".join(key) for key in one.parents],
                "code_version": one.code_version,
                "weights_sha256": one.weights_sha256,
            }
            for one in kin
        },
        "licences": licences,
    }


def _save_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _save_splits(path: Path, manifest: pd.DataFrame) -> None:
    table = manifest[["slide_id", "patient", "label", "split"]].fillna("").map(guarded)
    table.to_csv(path, index=False, lineterminator="\n")
