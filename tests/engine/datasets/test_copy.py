import hashlib
import json
import shutil
import sqlite3
from dataclasses import replace

import pandas as pd
import pytest
import torch

import pathassets
from pathassets.adapters.store.store import read_copy
from pathassets.engine.datasets import copy as copying
from pathassets.engine.datasets.folder import open_folder
from pathassets.engine.datasets.verify import verify_folder
from pathassets.errors import (
    ArtifactCorrupt,
    BagUnreadable,
    OutputExists,
    StorageUnavailable,
    StoreError,
    is_passing,
)
from tests.engine.datasets.bag_store import COHORT


@pytest.fixture
def folder(published, tmp_path):
    shutil.copytree(published.parents[3], tmp_path / "store")
    return tmp_path / "store" / published.relative_to(published.parents[3])


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_copy_has_every_file_byte_for_byte_and_none_besides(folder, tmp_path):
    told = []
    target = pathassets.copy_dataset(folder, tmp_path / "to" / "cohort", advance=told.append)
    assert told == [slide.slide_id for slide in COHORT]
    features = {
        f"features/{name}": sha256
        for name, sha256 in contents(tmp_path / "store" / "features").items()
    }
    assert contents(target) == features | contents(folder)
    assert [path.name for path in target.parent.iterdir()] == ["cohort"]


def test_a_copy_is_read_where_there_is_neither_store_nor_catalog(folder, tmp_path, monkeypatch):
    bags = list(pathassets.load_dataset(folder))
    moved = tmp_path / "elsewhere"
    pathassets.copy_dataset(folder, tmp_path / "cohort").rename(moved)
    shutil.rmtree(tmp_path / "store")

    def refuse(*_, **__):
        raise AssertionError("a catalog was asked")

    monkeypatch.setattr(sqlite3, "connect", refuse)
    monkeypatch.chdir(moved.parent)
    for what in (moved, str(moved), "./elsewhere", "elsewhere"):
        dataset = pathassets.load_dataset(what, verify=True)
        for bag, other in zip(dataset, bags, strict=True):
            assert torch.equal(bag.features, other.features)
            assert bag[2:] == other[2:]


def test_a_copy_can_be_copied(folder, tmp_path):
    first = pathassets.copy_dataset(folder, tmp_path / "one")
    second = pathassets.copy_dataset(first, tmp_path / "two")
    assert contents(first) == contents(second)


def test_what_is_there_is_not_written_over(folder, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for target in (tmp_path / "full", tmp_path / "full" / "file"):
        with pytest.raises(OutputExists, match="is there already"):
            pathassets.copy_dataset(folder, target)
    with pytest.raises(StoreError, match="cannot be written"):
        pathassets.copy_dataset(folder, tmp_path / "full" / "file" / "below")
    (tmp_path / "empty").mkdir()
    pathassets.copy_dataset(folder, tmp_path / "empty")


def chunk_of(tmp_path, slide):
    return tmp_path / "store" / str(slide.address) / "features.zarr/features/c/0/0"


@pytest.mark.parametrize("harm", ["changed", "gone", "link", "other"])
def test_features_other_than_the_dataset_names_are_not_copied(folder, tmp_path, harm):
    chunk = chunk_of(tmp_path, COHORT[1])
    data = chunk.read_bytes()
    chunk.unlink()
    if harm == "changed":
        chunk.write_bytes(data[:-1] + b"\x01")
    elif harm == "link":
        chunk.symlink_to(chunk_of(tmp_path, COHORT[0]))
    elif harm == "other":
        shutil.rmtree(chunk.parents[3])
        shutil.copytree(chunk_of(tmp_path, COHORT[0]).parents[3], chunk.parents[3])
    with pytest.raises(BagUnreadable, match=r"slide s2: .*pathassets run makes it anew"):
        pathassets.copy_dataset(folder, tmp_path / "to")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


class _Bucket:
    """A store that has its trouble with every artifact."""

    def __init__(self, error):
        self.error = error

    def fetch(self, _):
        raise self.error


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (StorageUnavailable("s3://b/x", "answered 500", remedy="Look at the network"), "Look at"),
        (StoreError("s3://b", "refuses this", remedy="Grant it"), "Grant it"),
        (ArtifactCorrupt("s3://b/x", "is gone", remedy="Make it"), "pathassets doctor --bytes"),
    ],
)
def test_what_helps_where_the_storage_fails_is_the_storage_s_own(
    folder, tmp_path, monkeypatch, error, remedy
):
    found = replace(open_folder(folder), bucket=_Bucket(error))
    monkeypatch.setattr(copying, "open_dataset", lambda *_: found)
    with pytest.raises(BagUnreadable, match=r"^slide s1: ") as told:
        pathassets.copy_dataset("cohort", tmp_path / "to")
    assert told.value.remedy.startswith(remedy)
    assert is_passing(told.value) == isinstance(error, StorageUnavailable)


def test_a_list_of_files_that_leads_elsewhere_writes_nothing_there(folder, tmp_path):
    copied = pathassets.copy_dataset(folder, tmp_path / "one")
    (tmp_path / "one" / "evil").write_text("x")
    stated = json.loads((copied / "artifact.json").read_text())
    sha256 = hashlib.sha256(b"x").hexdigest()
    stated["files"].append({"path": "a/../../evil", "size_bytes": 1, "sha256": sha256})
    lines = sorted(f"{file['sha256']}  {file['path']}\n" for file in stated["files"])
    stated["content_sha256"] = hashlib.sha256("".join(lines).encode()).hexdigest()
    (copied / "artifact.json").write_text(json.dumps(stated, indent=1) + "\n")
    with pytest.raises(ArtifactCorrupt, match=r"lists 'a/\.\./\.\./evil'"):
        pathassets.copy_dataset(copied, tmp_path / "two")
    assert [path.name for path in tmp_path.iterdir()] in (["store", "one"], ["one", "store"])


def test_a_manifest_that_was_changed_in_the_copy_is_refused(folder, tmp_path):
    copied = pathassets.copy_dataset(folder, tmp_path / "one")
    table = pd.read_parquet(copied / "manifest.parquet")
    table.assign(split="test").to_parquet(copied / "manifest.parquet")
    with pytest.raises(ArtifactCorrupt, match=r"manifest.parquet"):
        pathassets.load_dataset(copied)


@pytest.mark.parametrize(
    "text", ["{", "7", "[7]", '[{"slide_id": 7, "on": "", "who": "", "why": ""}]', "[" * 9999]
)
def test_a_list_of_forgotten_members_that_nobody_could_write_is_refused(folder, tmp_path, text):
    copied = pathassets.copy_dataset(folder, tmp_path / "one")
    (copied / "forgotten.json").write_text(text)
    with pytest.raises(ArtifactCorrupt, match=r"forgotten.json: cannot be read: "):
        pathassets.load_dataset(copied, without_forgotten=True)


def test_a_copy_is_verified_without_a_catalog_and_each_change_of_it_is_named(
    folder, tmp_path, monkeypatch
):
    copy = pathassets.copy_dataset(folder, tmp_path / "cohort")
    shutil.rmtree(tmp_path / "store")
    monkeypatch.setattr(sqlite3, "connect", None)
    whole = verify_folder(copy, n_threads=2)
    assert (whole.n_slides, whole.faults) == (len(COHORT), ())
    assert whole.n_files == sum(len(read_copy(copy / str(s.address)).files) for s in COHORT)
    assert whole.content_sha256 == read_copy(copy).content_sha256

    changed, gone, other = (copy / str(slide.address) for slide in COHORT[:3])
    with (changed / "features.zarr/features/c/0/0").open("r+b") as file:
        file.write(b"\xff")
    shutil.rmtree(gone)
    shutil.copytree(changed, other, dirs_exist_ok=True)
    found = {one.name: (one.reason, one.said) for one in verify_folder(copy).faults}
    assert len(found) == 3
    assert found[COHORT[0].slide_id][0] == "artifact_corrupt"
    assert "features.zarr/features/c/0/0" in found[COHORT[0].slide_id][1]
    assert found[COHORT[1].slide_id] == ("artifact_missing", f"{gone} is gone")
    assert "to other bytes than the dataset names" in found[COHORT[2].slide_id][1]
    assert verify_folder(copy, features=False).faults == ()

    (copy / "artifact.json").unlink()
    (first, *_) = verify_folder(copy).faults
    assert "nothing tells what its own files were" in first.said


def test_a_copy_whose_manifest_was_changed_is_one_fault(folder, tmp_path):
    copy = pathassets.copy_dataset(folder, tmp_path / "cohort")
    with (copy / "manifest.parquet").open("ab") as file:
        file.write(b"x")
    found = verify_folder(copy)
    assert [one.reason for one in found.faults] == ["artifact_corrupt"]
    assert "manifest.parquet" in found.faults[0].said
