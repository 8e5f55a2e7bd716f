"""The demo's cohort, store and slides once on a disk and once in buckets: the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pathassets.adapters.objects.place import open_place
from tests.defs.daemon import pathassets
from tests.test_demo_in_a_bucket import made_in


def made_in_bucket(url: str) -> dict[str, str]:
    place, found = open_place(url), {}
    for one in place.objects():
        if one.key.endswith("/artifact.json"):
            folder = one.key.removesuffix("/artifact.json")
            for file in json.loads(place.read(one.key))["files"]:
                found[f"{folder}/{file['path']}"] = file["sha256"]
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_whole_demo_with_store_and_slides_in_buckets(tmp_path: Path, bucket: str) -> None:
    near, far, scans = tmp_path / "near", tmp_path / "far", tmp_path / "scans"
    near.mkdir()
    far.mkdir()
    pathassets(near, "sample", str(scans))
    for slide in scans.glob("*.svs"):
        open_place(bucket).put_file(f"scans/{slide.name}", slide)
    table = ("--cohort", str(scans / "cohort.csv"))
    pathassets(near, "ingest", str(scans), *table)
    pathassets(near, "run", code=1)
    store = f"{bucket}/store"
    pathassets(far, "ingest", f"{bucket}/scans", *table, PATHASSETS_STORE=store)
    pathassets(far, "run", code=1, PATHASSETS_STORE=store)
    assert made_in_bucket(store) == made_in(near)
    assert len(made_in(near)) > 40
