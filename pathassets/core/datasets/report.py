"""Manifest -> what is in each part: slides, patients, labels, sites; and what was left out."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pathassets.core.datasets.manifest import USED

NO_LABEL = ""


def split_counts(manifest: pd.DataFrame) -> pd.DataFrame:
    """Count slides, patients and patches: one row for each `split` and `label` ("" for none)."""
    table = manifest.assign(
        label=manifest["label"].fillna(NO_LABEL),
        patient=manifest["patient"].replace("", pd.NA).fillna(manifest["slide_id"]),
    )
    counted = table.groupby(["split", "label"], sort=True).agg(
        slides=("slide_id", "size"),
        patients=("patient", "nunique"),
        patches=(_counted_column(manifest), "sum"),
    )
    return counted.reset_index()


def _counted_column(manifest: pd.DataFrame) -> str:
    """Patches that are used, where rules say which."""
    return USED if USED in manifest else "n_patches"


def split_report(manifest: pd.DataFrame, left_out: pd.DataFrame) -> dict[str, Any]:
    """The same in plain JSON, with sites where the split goes by them, and reasons."""
    report: dict[str, Any] = {
        "n_slides": len(manifest),
        "n_left_out": len(left_out),
        "parts": {
            str(part): _counts(of_part) for part, of_part in manifest.groupby("split", sort=True)
        },
        "left_out": _counted(left_out["why"]),
    }
    return report


def _counts(rows: pd.DataFrame) -> dict[str, Any]:
    groups = rows["patient"].replace("", pd.NA).fillna(rows["slide_id"])
    labels = rows["label"].fillna(NO_LABEL)
    counts = {
        "slides": len(rows),
        "patients": int(groups.nunique()),
        "patches": int(rows[_counted_column(rows)].sum()),
        "patients_by_label": {
            str(label): int(n) for label, n in groups.groupby(labels).nunique().items()
        },
        "slides_by_label": _counted(labels),
    }
    if "site" in rows:
        sites = rows["site"].fillna("")
        counts["patients_by_site"] = {
            str(site): int(n) for site, n in groups.groupby(sites).nunique().items()
        }
    return counts


def _counted(values: pd.Series) -> dict[str, int]:
    return {str(value): int(n) for value, n in values.value_counts().sort_index().items()}
