"""What is written to a disk, or read from one, refuses URLs before anything is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pathassets
from pathassets.adapters.objects.remote_file import on_disk
from pathassets.engine.platform.exchange.export import ExportRequest, export
from pathassets.errors import SpecError
from tests.engine.probe_encoder import Probe

URL = "s3://bucket/out"


def _run(to: str | Path) -> Any:
    return pathassets.DeepFeatureExtractor(Probe()).run(["a.svs"], patch_mode=False, save_dir=to)


def _infer(to: str | Path) -> Any:
    return pathassets.DeepFeatureExtractor(Probe()).infer_wsi([], save_path=to)


def _save(to: str | Path) -> Any:
    found = {"features": np.zeros((1, 2))}
    return pathassets.DeepFeatureExtractor(Probe()).save_predictions(found, "zarr", to)


def _extract(to: str | Path) -> Any:
    return pathassets.DiskPatchExtractorPool(
        patches_pool=[], proc_num_workers=1, thread_num_workers=1, output_dir=to, image_type="png"
    )


def _export(to: str | Path) -> Any:
    request = ExportRequest(tool="clam", what="features/x", to=Path(to))
    return list(export(None, request))  # type: ignore[arg-type] - it is not come to


@pytest.mark.parametrize("to", [URL, Path(URL)])
@pytest.mark.parametrize(
    "write",
    [lambda to: pathassets.copy_dataset("cohort", to), _run, _infer, _save, _extract, _export],
)
def test_an_output_that_is_a_url_is_refused(
    write: Callable[[str | Path], Any],
    to: str | Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=r"bucket/out': is a URL, and this is written to a disk"):
        write(to)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_read", [False, True])
def test_a_file_of_this_machine_is_named_by_its_path(*, is_read: bool) -> None:
    with pytest.raises(SpecError, match="is a URL, and this is") as caught:
        on_disk("file:///data/out", is_read=is_read)
    assert caught.value.remedy == "Leave out file://"


def test_a_dataset_is_read_from_a_disk() -> None:
    with pytest.raises(SpecError, match="is a URL, and this is read from a disk") as told:
        pathassets.load_dataset("s3://bucket/cohort")
    assert told.value.remedy.startswith("Copy it to a disk")


def test_paths_are_left_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gs:12").touch()
    for path in ("a/b", "./s3:x", "gs:12", "C:/x", Path("s3:x")):
        assert on_disk(path) == Path(path)
    with pytest.raises(SpecError, match=r"^'s3:x': is a URL"):
        on_disk("s3:x")
