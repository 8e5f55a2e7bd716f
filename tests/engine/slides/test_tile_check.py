import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from pathassets import report
from pathassets.adapters.files import fingerprint_of
from pathassets.adapters.tifffile import corrupt_tile
from pathassets.engine.slides.open import READER
from pathassets.engine.slides.tile_check import CheckTask, check_slide, check_slides
from pathassets.engine.workers.pool import LocalWorkers
from pathassets.errors import SlideChanged, SlideUnreadable, WorkerLost

N_TILES = [80, 6]
"""Of the two levels of the test slide."""


@pytest.fixture
def slide(make_slide) -> Path:
    return make_slide()


def task_of(path: Path, fingerprint: str = "", n_threads: int = 2) -> CheckTask:
    return CheckTask(path=path, fingerprint=fingerprint, n_threads=n_threads)


def patch_table(path: Path, level: int, tag: str, tile: int, value: int) -> None:
    """Write another number into a level's table of tiles."""
    with tifffile.TiffFile(path) as file:
        entry = file.pages[level].tags[tag]
        at = entry.valueoffset + 4 * tile
    with path.open("r+b") as file:
        file.seek(at)
        file.write(value.to_bytes(4, "little"))


def test_a_healthy_slide_is_sound_and_all_its_tiles_were_read(slide) -> None:
    done = check_slide(task_of(slide))
    assert done.is_sound
    assert done.error is None
    assert done.faults == []
    assert [level.grid.n_tiles for level in done.levels] == N_TILES
    assert done.info.reader == READER


def test_every_bad_tile_is_named_with_level_place_and_reason(slide) -> None:
    corrupt_tile(slide, 0, 34)
    corrupt_tile(slide, 1, 5)
    patch_table(slide, 0, "TileByteCounts", 11, 0)
    patch_table(slide, 0, "TileOffsets", 20, 10**9)
    done = check_slide(task_of(slide))
    assert not done.is_sound
    assert done.error is None
    found = [(f.level, f.tile, f.x_px, f.y_px, f.reason) for f in done.faults]
    assert (0, 11, 64, 64, "missing") in found
    assert (0, 20, 0, 128, "beyond_end") in found
    assert (0, 34, 256, 192, "undecodable") in found
    assert (1, 5, 128, 64, "undecodable") in found
    assert [fault[:2] for fault in found if fault[0] == 0] == [(0, 11), (0, 20), (0, 34)]
    lines = [str(fault) for fault in done.faults]
    assert lines[0].startswith("level 0, tile 11 at (64, 64), 64 x 64 px: ")
    assert all(fault.message for fault in done.faults)


def test_a_tile_that_is_not_stored_and_drawn_from_a_finer_level_is_counted(slide, capsys) -> None:
    patch_table(slide, 1, "TileByteCounts", 4, 0)
    done = check_slide(task_of(slide))
    assert done.faults == []
    assert [level.drawn for level in done.levels] == [(), (4,)]
    report.check(done)
    said = capsys.readouterr().out
    assert "80 tiles, 0 bad\n" in said
    assert "6 tiles, 0 bad, 1 not stored, drawn from level 0\n" in said
    assert json.loads(report.checks_json([done]))[0]["drawn_tiles"] == [[], [4]]


def test_what_is_not_read_of_a_slide_is_said(tmp_path, capsys) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for _ in range(2):
            file.write(
                np.full((200, 300, 3), 200, np.uint8), tile=(64, 64), photometric="rgb",
                metadata=None,
            )  # fmt: skip
    report.check(check_slide(task_of(tmp_path / "a.tif")))
    assert "mind: of its 2 images of one size the first is read" in capsys.readouterr().out


def test_a_bad_tile_at_the_edge_is_as_large_as_what_is_lost(slide) -> None:
    corrupt_tile(slide, 0, 79)
    (fault,) = check_slide(task_of(slide)).faults
    assert (fault.x_px, fault.y_px, fault.width_px, fault.height_px) == (576, 448, 24, 52)


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_faults_come_row_by_row_for_any_number_of_threads(slide, n_threads) -> None:
    bad = [3, 34, 35, 70, 79]
    for tile in bad:
        corrupt_tile(slide, 0, tile)
    done = check_slide(task_of(slide, n_threads=n_threads))
    assert [fault.tile for fault in done.faults] == bad


def test_a_registered_slide_that_is_another_now_is_changed_and_not_read(slide) -> None:
    fingerprint = fingerprint_of([slide])
    assert check_slide(task_of(slide, fingerprint)).is_sound
    with slide.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))
    done = check_slide(task_of(slide, fingerprint))
    assert isinstance(done.error, SlideChanged)
    assert not done.is_sound
    assert done.levels == ()
    assert f"pathassets ingest {slide}" in done.error.remedy


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty_file"), (b"no slide", "not_a_slide")])
def test_what_is_no_slide_has_an_error_and_no_faults(tmp_path, content, reason) -> None:
    path = tmp_path / "a.svs"
    path.write_bytes(content)
    done = check_slide(task_of(path))
    assert isinstance(done.error, SlideUnreadable)
    assert done.error.reason == reason
    assert (done.info, done.levels, done.is_sound) == (None, (), False)


def test_a_slide_that_openslide_reads_is_checked_too(shared, tmp_path) -> None:
    path = tmp_path / "a.dcm"
    shutil.copy(shared / "slides" / "camelyon_jpeg.dcm", path)
    done = check_slide(task_of(path))
    assert done.is_sound
    assert done.info.vendor == "dicom"
    assert [level.grid.n_tiles for level in done.levels] == [
        level.grid.n_columns * level.grid.n_rows for level in done.levels
    ]
    data = bytearray(path.read_bytes())
    data[-3000:-1500] = bytes(1500)
    path.write_bytes(data)
    assert not check_slide(task_of(path)).is_sound


def test_slides_are_checked_in_workers_and_one_that_hangs_is_lost_alone(slide, tmp_path) -> None:
    bad = tmp_path / "text.svs"
    bad.write_text("no slide")
    workers = LocalWorkers(n_workers=1, timeout_s=60.0)
    done = {one.path: one for one in check_slides(workers, map(task_of, [slide, bad, slide]))}
    assert done[slide].is_sound
    assert done[bad].error.reason == "not_a_slide"
    (late,) = check_slides(LocalWorkers(n_workers=1, timeout_s=0.0), [task_of(slide)])
    assert isinstance(late.error, WorkerLost)
    assert late.path == slide
    assert not late.is_sound
