"""The demo's cohort, its slides once on a disk and once in a bucket: the same bytes are made."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pathassets.adapters.objects.place import open_place
from tests.defs.daemon import pathassets
from tests.s3_server import KEY_ID, SECRET


def made_in(home: Path) -> dict[str, str]:
    """SHA-256 of every file of every artifact, by where it is in the store."""
    found = {}
    for manifest in (home / "store").glob("*/*/*/*/artifact.json"):
        folder = manifest.parent.relative_to(home / "store")
        for file in json.loads(manifest.read_bytes())["files"]:
            found[f"{folder}/{file['path']}"] = file["sha256"]
    return found


def states_in(home: Path) -> dict[str, dict[str, tuple[str, str]]]:
    slides = json.loads(pathassets(home, "status", "--json").stdout)["slides"]
    return {
        row["slide_id"]: {
            name: (asset["state"], asset.get("reason", "")) for name, asset in row["assets"].items()
        }
        for row in slides
    }


@pytest.mark.slow
@pytest.mark.timeout(900)  # two runs of the demo
def test_the_demo_of_a_bucket_makes_the_bytes_of_the_demo_of_a_disk(
    tmp_path: Path, bucket: str
) -> None:
    near, far, scans = tmp_path / "near", tmp_path / "far", tmp_path / "scans"
    near.mkdir()
    far.mkdir()
    pathassets(near, "sample", str(scans))
    for slide in scans.glob("*.svs"):
        open_place(bucket).put_file(f"scans/{slide.name}", slide)
    table = ("--cohort", str(scans / "cohort.csv"))
    for home, place in ((near, str(scans)), (far, f"{bucket}/scans")):
        pathassets(home, "ingest", place, *table)
        pathassets(home, "run", code=1)  # one of the slides is corrupt, on purpose
    assert states_in(far) == states_in(near)
    assert made_in(far) == made_in(near)
    assert len(made_in(far)) > 40
    assert "6 known" in pathassets(far, "ingest", f"{bucket}/scans", *table).stdout
    assert not [*(far / "scratch").glob("[!.]*")]
    written = [file for file in far.rglob("*") if file.is_file()]
    assert not [file for file in written if re.search(_SECRETS, file.read_bytes())]


_SECRETS = f"{re.escape(KEY_ID)}|{re.escape(SECRET)}".encode()
