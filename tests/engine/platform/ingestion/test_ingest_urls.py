"""Slides in a bucket: registered, found again, refused, copied, and what is left of that."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pathassets.adapters.files import fingerprint_of
from pathassets.adapters.objects.place import open_place
from pathassets.adapters.objects.remote_file import place_of
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.ingestion.ingest import Registration, find_files, ingest
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.platform import Platform


def put(bucket: str, key: str, file: Path) -> str:
    open_place(bucket).put_file(key, file)
    return f"{bucket}/{key}"


def ingested(platform: Platform, *urls: str) -> list[Registration]:
    return list(ingest(platform, find_files([place_of(url) for url in urls])))


def run_all(platform: Platform, run_id: str = "run-1") -> list[str]:
    planned = plan_slides(platform)
    outcomes = list(run_batch(platform, planned, platform.recipe.per_slide, run_id=run_id))
    return [str(one.failure) for one in outcomes if one.failure is not None]


def bytes_of(platform: Platform) -> dict[str, str]:
    """What every file of every artifact holds."""
    found = {}
    for manifest in platform.store.root.glob("*/*/*/*/artifact.json"):
        for file in json.loads(manifest.read_bytes())["files"]:
            found[f"{manifest.parent.relative_to(platform.store.root)}/{file['path']}"] = file[
                "sha256"
            ]
    return found


@pytest.mark.usefixtures("here")
def test_a_slide_of_a_bucket_is_what_its_content_is(
    platform: Platform, bucket: str, make_slide: Callable[..., Path]
) -> None:
    local = make_slide("a.svs")
    url = put(bucket, "site 1/a.svs", local)
    (new,) = ingested(platform, bucket)
    assert (new.state, str(new.path)) == ("new", url)
    record = platform.catalog.slide(new.slide_id)
    assert record.fingerprint == fingerprint_of([local])
    (seen,) = platform.catalog.paths(new.slide_id)
    head = open_place(bucket).head("site 1/a.svs")
    assert (seen.path, seen.size_bytes, seen.etag) == (url, head.size_bytes, head.etag)
    assert [one.state for one in ingested(platform, f"{bucket}/site 1", url)] == ["known"]
    here = list(ingest(platform, find_files([local])))
    assert [(one.state, one.slide_id) for one in here] == [("known", new.slide_id)]
    assert not [*(platform.settings.home / "scratch").glob("[!.]*")]


@pytest.mark.usefixtures("here")
def test_artifacts_of_a_bucket_are_those_of_a_disk(
    platform: Platform, bucket: str, make_slide: Callable[..., Path]
) -> None:
    local = make_slide("a.svs")
    url = put(bucket, "a.svs", local)
    ingested(platform, url)
    assert run_all(platform) == []
    remote = bytes_of(platform)
    assert len(remote) > 4
    shutil.rmtree(platform.store.root / "features")
    shutil.rmtree(platform.store.root / "patch_locations")
    shutil.rmtree(platform.store.root / "tissue_mask")
    list(ingest(platform, find_files([local])))
    open_place(bucket).delete(["a.svs"])
    assert run_all(platform, "run-2") == []
    assert bytes_of(platform) == remote
