"""Patch locations -> features: together, each by itself, and continued after a kill."""

import hashlib
import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from pathassets.adapters.opencv import read_jpeg
from pathassets.adapters.store.partial import (
    KEPT_S,
    PARTIAL,
    Partial,
    hold_partials,
    sweep_partials,
)
from pathassets.adapters.store.store import Artifact
from pathassets.adapters.tifffile import corrupt_tile
from pathassets.adapters.zarr import feature_writer
from pathassets.core.address import Address
from pathassets.core.features.colour_stats import ColourStats
from pathassets.core.features.encoder import COLOUR_STATS_CARD
from pathassets.engine.slides.open import open_slide
from pathassets.engine.stages import features as stage
from pathassets.engine.stages import published, slide_task
from pathassets.engine.stages.slide_task import run_slide
from pathassets.engine.workers.writing import MOST_WAITING
from tests.engine.stages.chains import (
    ALL_MADE,
    SKIP,
    TWO_ENCODERS,
    by_name,
    group_of,
    run_with,
    states,
)

CHUNK = 64


class Spy(ColourStats):
    """Colour statistics that tell what they encode, and may go wrong."""

    rows = 16

    def __init__(self, name, act=lambda _batch: None):
        self.name = name
        self.sizes = []
        self._act = act

    def encode(self, batch):
        self._act(batch)
        self.sizes.append(len(batch))
        return super().encode(batch)

    def begin(self, batch):
        rows = self.encode(batch)
        return lambda: rows


def spoil(rows):
    rows[5] = np.nan
    return rows


@pytest.fixture
def task(reopen, register, make_task, slide):
    platform = reopen(TWO_ENCODERS)
    return make_task(platform, register(platform, slide)[0])


@pytest.fixture
def encoders(monkeypatch):
    """What is opened in place of each encoder, by the version asked for."""
    spies = {}

    def opened(key, _device):
        request = key.request
        return spies.setdefault(request.version, Spy(request.version))

    monkeypatch.setattr(stage, "_opened", opened)
    return spies


def test_encoders_of_the_same_patches_share_one_reading(task, monkeypatch):
    n_passes = []
    encode = slide_task.encode_slides

    def counted(works, how):
        n_passes.append([len(work.targets) for work in works])
        return encode(works, how)

    monkeypatch.setattr(slide_task, "encode_slides", counted)
    outcome = run_slide(task)
    assert states(outcome) == ALL_MADE
    assert n_passes == [[2], [1]]
    steps = by_name(outcome)
    assert steps["one"].stats is steps["two"].stats
    assert steps["one"].stats.n_patches == steps["one"].artifact.facts["n_patches"] > 500
    one, two = steps["one"], steps["two"]
    assert one.seconds + two.seconds > one.stats.held_s > 0  # each pass counts once
    assert one.own_s + two.own_s == pytest.approx(one.stats.computing_s)
    one, two = (group_of(task, steps[name])["features"][:] for name in ("one", "two"))
    assert np.array_equal(one, two)


def test_what_was_made_alone_has_the_same_bytes(task):
    together = by_name(run_slide(task))
    alone = {}
    for name in ("one", "two"):
        wanted = tuple(s for s in task.steps if s.entry.name in {"otsu", "grid", name})
        elsewhere = f"{task.store_root}-{name}"
        steps = by_name(run_slide(replace(task, steps=wanted, store_root=elsewhere)))
        alone[name] = steps[name].artifact
    assert {name: together[name].artifact for name in alone} == alone


def test_an_encoder_that_fails_stops_no_other_and_names_the_patch(task, encoders):
    def refuse(_batch):
        raise ZeroDivisionError("by zero")

    encoders["2"] = Spy("2", refuse)
    outcome = run_slide(task)
    assert states(outcome) == ALL_MADE | {"two": "failed", "peak": "blocked"}
    assert "ZeroDivisionError: by zero" in outcome.failure.message
    assert by_name(outcome)["two"].seconds is not None


def test_features_that_are_not_finite_fail_their_entry_alone(task, encoders):
    class Bad(Spy):
        def encode(self, batch):
            return spoil(super().encode(batch))

    encoders["2"] = Bad("2")
    outcome = run_slide(task)
    assert states(outcome) == ALL_MADE | {"two": "failed", "peak": "blocked"}
    failed = by_name(outcome)["two"]
    assert failed.reason == "features_not_finite"
    assert "features of patch 5 at level-0 point (" in failed.message
    assert task.slide_id in failed.message


def test_what_is_there_is_not_encoded_again(task, encoders):
    first = replace(task, steps=tuple(s for s in task.steps if s.entry.name != "two"))
    assert states(run_slide(first))["one"] == "made"
    n_before = sum(encoders[""].sizes)
    outcome = run_slide(task)
    assert states(outcome) == dict.fromkeys(ALL_MADE, "current") | {"two": "made", "peak": "made"}
    assert sum(encoders[""].sizes) == n_before


def test_features_tell_what_they_are_from(task):
    steps = by_name(run_slide(task))
    told = dict(group_of(task, steps["one"]).attrs)
    assert told["is_complete"] is True
    assert told["slide_id"] == task.slide_id
    assert told["slide_sha256"] == task.fingerprint
    assert told["patch_locations"] == steps["grid"].step.address.digest
    assert told["tissue_mask"] == steps["otsu"].step.address.digest
    assert told["n_patches"] == steps["one"].artifact.facts["n_patches"]
    assert told["n_skipped"] == 0
    assert {"preprocessing", "precision", "weights_sha256", "software", "encoder"} <= set(told)


@pytest.mark.usefixtures("encoders")
def test_what_the_recipe_calls_its_entries_decides_no_byte(
    task, reopen, register, make_task, slide
):
    called = {
        "otsu": "tissue",
        "grid": "squares",
        "one": "first",
        "two": "second",
        "mean": "centre",
    }
    text = TWO_ENCODERS
    for old, new in called.items():
        text = re.sub(rf"\b{old}\b", new, text)
    before = by_name(run_slide(task))
    platform = reopen(text)
    after = by_name(run_slide(make_task(platform, register(platform, slide)[0])))
    for old, new in called.items():
        assert after[new].state == "made"
        assert after[new].step.address.digest == before[old].step.address.digest
        assert after[new].artifact.content_sha256 == before[old].artifact.content_sha256


def test_facts_hold_no_clock(task):
    names = set(by_name(run_slide(task))["one"].artifact.facts)
    assert not {name for name in names if "second" in name or name.endswith("_s")}


def test_the_picture_shows_the_squares(task):
    step = by_name(run_slide(task))["one"]
    picture = read_jpeg(step.preview)
    assert len(step.preview) <= 12_000
    corner = picture[:2, :2].reshape(-1, 3).astype(int)
    assert np.abs(corner - corner.mean()).max() < 12  # glass, faded


def test_a_changed_slide_leaves_nothing_that_could_be_continued(task, slide, encoders):
    def touch(_batch):
        with slide.open("ab") as file:
            file.write(b"x")

    encoders[""] = Spy("", touch)
    outcome = run_slide(task)
    assert states(outcome)["one"] == states(outcome)["two"] == "failed"
    assert by_name(outcome)["one"].reason == "slide_changed"
    assert not [p for p in Path(task.store_root, PARTIAL).iterdir() if p.is_dir()]


def test_what_would_fail_again_leaves_nothing_that_could_be_continued(
    reopen, register, make_task, slide
):
    platform = reopen(TWO_ENCODERS)
    corrupt_tile(slide, level=0, tile_index=34)
    outcome = run_slide(make_task(platform, register(platform, slide)[0]))
    assert by_name(outcome)["one"].reason == "tile_unreadable"
    assert outcome.failure.is_final
    assert not [p for p in (platform.store.root / PARTIAL).iterdir() if p.is_dir()]


def test_the_features_are_those_of_the_pixels_at_the_coordinates(made, slide):
    artifact, folder = made["features"]
    group = zarr.open_group(folder / "features.zarr", mode="r")
    boxes = group["coordinates"][:]
    with open_slide(slide, backend="openslide") as opened:
        patches = [
            opened.read_region(int(x), int(y), level=0, width_px=64, height_px=64)
            for x, y in boxes[:, :2]
        ]
    assert np.array_equal(group["features"][:], ColourStats().encode(np.stack(patches)))
    assert (boxes[:, 2:] - boxes[:, :2] == 64).all()
    assert artifact.facts["n_patches"] == len(boxes)
    assert artifact.facts["dim"] == COLOUR_STATS_CARD.dim
    assert artifact.facts["device"] == "cpu"


def test_the_features_tell_a_stranger_where_they_are_from(made, register, platform):
    folder = made["features"][1]
    attributes = dict(zarr.open_group(folder / "features.zarr", mode="r").attrs)
    [planned] = register(platform)
    assert attributes["slide_id"] == planned.slide_id
    assert attributes["slide_sha256"] == planned.record.fingerprint
    assert (attributes["slide_mpp"], attributes["patch_mpp"]) == (0.5, 0.5)
    assert attributes["encoder"] == "colour_stats"
    assert attributes["feature_names"] == list(COLOUR_STATS_CARD.feature_names)


def test_patches_on_a_bad_tile_are_left_out_and_listed(reopen, register, make_task, make_slide):
    healthy, platform = run_with(reopen, register, make_task, make_slide("good.svs"), SKIP)
    bad_slide = make_slide("bad.svs")
    corrupt_tile(bad_slide, 0, 34)  # tiles of 64 px, ten a row: from (256, 192) to (320, 256)
    made, _ = run_with(reopen, register, make_task, bad_slide, SKIP)
    assert [step.state for step in made.values()] == ["made"] * 3

    facts = made["features"].artifact.facts
    assert facts["n_bad_tiles"] == 1
    [fault] = facts["bad_tiles"]
    assert (fault["level"], fault["tile"], fault["reason"]) == (0, 34, "undecodable")
    assert (fault["x_px"], fault["y_px"], fault["width_px"]) == (256, 192, 64)

    def read(step):
        group = zarr.open_group(platform.store.path_of(step.step.address) / "features.zarr")
        return group["coordinates"][:], group["features"][:]

    whole_boxes, whole = read(healthy["features"])
    boxes, features = read(made["features"])
    x0, y0, x1, y1 = whole_boxes.T
    touches = (x0 < 320) & (x1 > 256) & (y0 < 256) & (y1 > 192)
    assert facts["skipped"] == np.flatnonzero(touches).tolist()
    assert facts["n_skipped"] == touches.sum() > 1
    assert facts["n_patches"] == len(boxes) == (~touches).sum()
    assert np.array_equal(boxes, whole_boxes[~touches])
    assert np.array_equal(features, whole[~touches])
    assert not np.isnan(features).any()


def test_more_bad_tiles_than_allowed_fail_the_slide(reopen, register, make_task, make_slide):
    slide = make_slide()
    corrupt_tile(slide, 0, 34)
    recipe = SKIP.replace("max_bad_tile_share: 0.05", "max_bad_tile_share: 0.01")
    made, _ = run_with(reopen, register, make_task, slide, recipe)
    failed = made["features"]
    assert (failed.state, failed.reason, failed.is_final) == ("failed", "tile_unreadable", True)
    assert "more than 1.00% of the" in failed.message
    assert "level 0, tile 34 at (256, 192), 64 x 64 px" in failed.message
    assert "max_bad_tile_share" in failed.remedy


def test_a_bad_tile_fails_the_slide_unless_it_is_allowed_to_skip(
    reopen, register, make_task, make_slide
):
    slide = make_slide()
    corrupt_tile(slide, 0, 34)
    recipe = SKIP.replace("bad_tiles: skip, max_bad_tile_share: 0.05", "bad_tiles: fail")
    made, _ = run_with(reopen, register, make_task, slide, recipe)
    assert made["features"].state == "failed"
    assert "level 0, tile 34 at (256, 192), 64 x 64 px" in made["features"].message


# Kills. A forked child dies where it is told to, as by kill -9 from outside.


def in_child(task):
    """Run the slide in a process of its own; the signal that ended it, or 0."""
    pid = os.fork()
    if not pid:
        try:
            run_slide(task)
        finally:
            os._exit(0)
    return os.waitpid(pid, 0)[1] & 0x7F


def files_of(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.relative_to(root).parts[0].startswith((".", "catalog"))
    }


def die(*_args, **_kwargs):
    os.kill(os.getpid(), signal.SIGKILL)


class Mortal(Spy):
    """Dies in its n-th batch; notes outside of the process how many patches it has encoded."""

    def __init__(self, log, n):
        super().__init__("")
        self._log, self._n = log, n

    def encode(self, batch):
        self._n -= 1
        if not self._n:
            die()
        with self._log.open("a") as log:
            log.write(f"{len(batch)}\n")
        return super().encode(batch)


@pytest.mark.slow
def test_a_slide_killed_at_many_points_goes_on_and_has_the_same_bytes(task, monkeypatch, tmp_path):
    monkeypatch.setattr(feature_writer, "CHUNK_ROWS", CHUNK)
    kept = tuple(s for s in task.steps if s.entry.name in {"otsu", "grid", "one"})
    task = replace(task, steps=kept)
    undisturbed = replace(task, store_root=str(tmp_path / "undisturbed"))
    whole = by_name(run_slide(undisturbed))["one"]
    n_patches = whole.artifact.facts["n_patches"]
    log = tmp_path / "log"

    def encoded():
        return sum(map(int, log.read_text().split())) if log.exists() else 0

    for n in (1, 3, 4, 6, 3, 5, 4):
        monkeypatch.setattr(stage, "_opened", lambda *_, n=n: Mortal(log, n))
        assert in_child(task) == signal.SIGKILL
    monkeypatch.setattr(stage, "_opened", lambda *_: Mortal(log, 10**6))
    batch = int(log.read_text().split()[0])
    points = [(feature_writer.FeatureWriter, "finish"), (stage._SharedReading, "_draw"),
              (published, "_draft"), (Partial, "remove")]  # fmt: skip
    for holder, name in points:
        with monkeypatch.context() as patch:
            patch.setattr(holder, name, die)
            assert in_child(task) == signal.SIGKILL
    assert in_child(task) == 0
    assert files_of(Path(task.store_root)) == files_of(tmp_path / "undisturbed")
    n_kills = (
        8  # those that lost rows: seven in a batch, one before the last, short chunk was whole
    )
    assert n_patches <= encoded() <= n_patches + n_kills * (CHUNK + (MOST_WAITING + 4) * batch)


def test_a_kill_costs_one_chunk_at_most_and_what_waits_to_be_written(task, monkeypatch, tmp_path):
    monkeypatch.setattr(feature_writer, "CHUNK_ROWS", CHUNK)
    task = replace(
        task, steps=tuple(s for s in task.steps if s.entry.name in {"otsu", "grid", "one"})
    )
    log = tmp_path / "log"
    monkeypatch.setattr(stage, "_opened", lambda *_: Mortal(log, 15))
    assert in_child(task) == signal.SIGKILL
    sizes = [*map(int, log.read_text().split())]
    before = sum(sizes)
    monkeypatch.setattr(stage, "_opened", lambda *_: Mortal(log, 10**6))
    step = by_name(run_slide(task))["one"]
    again = sum(map(int, log.read_text().split())) - before
    n_patches = step.artifact.facts["n_patches"]
    assert step.state == "made"
    assert before + again - n_patches <= CHUNK + (MOST_WAITING + 4) * max(sizes)
    assert step.stats.n_patches == again


def test_a_killed_encoding_that_is_asked_for_no_more_is_swept(platform):
    old, new, done = (Address("features", "one", "a-b-c", digest) for digest in "012")
    with hold_partials(platform.store, [old, new, done]) as partials:
        for partial in partials:
            (partial.files / "x").write_text("x")
        assert sweep_partials(platform.store, kept_s=-1.0) == 0  # they are worked on
    (platform.store.root / PARTIAL / "features-one-x-3.lock").touch()  # killed at the very end
    draft = Artifact(
        address=done, spec={}, code_version="1", weights_sha256="", parents=(), facts={},
        software={},
    )  # fmt: skip
    with platform.store.staging("run") as staging:
        (staging / "made").mkdir()
        platform.store.publish(draft, staging / "made")
    long_ago = partials[0].folder.stat().st_mtime - 2 * KEPT_S
    for path in (partials[0].files / "x", partials[0].files, partials[0].folder):
        os.utime(path, (long_ago, long_ago))
    assert sweep_partials(platform.store) == 3
    left = {p.name for p in (platform.store.root / PARTIAL).iterdir()}
    assert left - {".guard.lock"} == {f"features-one-a-b-c-1{end}" for end in ("", ".lock")}


def test_locks_of_what_is_done_are_gone(task):
    run_slide(task)
    assert {p.name for p in Path(task.store_root, PARTIAL).iterdir()} <= {".guard.lock"}
