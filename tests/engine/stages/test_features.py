"""Features and embeddings of one slide: together, each by itself, and continued after a kill."""

import hashlib
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from pathassets.adapters.opencv import read_jpeg
from pathassets.adapters.store.partial import KEPT_S, PARTIAL, hold_partials, sweep_partials
from pathassets.adapters.store.store import Artifact
from pathassets.adapters.tifffile import corrupt_tile
from pathassets.adapters.zarr import features as feature_store
from pathassets.core.address import Address
from pathassets.core.features.colour_stats import ColourStats
from pathassets.engine.stages import features as feature_stations
from pathassets.engine.stages import slide_task
from pathassets.engine.stages.slide_task import run_slide

TWO = """\
tissue_mask:
  otsu: {mpp: 8.0}
patch_locations:
  grid: {tissue_mask: otsu, patch_px: 16, mpp: 0.5}
features:
  one: {patch_locations: grid, encoder: colour_stats}
  two: {patch_locations: grid, encoder: {name: FACTORY, version: "2"}}
  fast: {patch_locations: grid, encoder: colour_stats, fast: true}
slide_embedding:
  mean: {features: one}
  peak: {features: two, method: max}
""".replace("FACTORY", "tests.engine.encoder_factories:make_encoder")
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
def slide(make_slide):
    return make_slide()


@pytest.fixture
def task(reopen, register, make_task, slide):
    platform = reopen(TWO)
    return make_task(platform, register(platform, slide)[0])


@pytest.fixture
def encoders(monkeypatch):
    """What is opened in place of each encoder, by the version asked for."""
    spies = {}

    def opened(question, _device):
        request = question.request
        return spies.setdefault(request.version, Spy(request.version))

    monkeypatch.setattr(feature_stations, "_opened", opened)
    return spies


def by_name(outcome):
    return {step.step.entry.name: step for step in outcome.steps}


def states(outcome):
    return {name: step.state for name, step in by_name(outcome).items()}


def group_of(task, step):
    folder = Path(task.store_root, str(step.step.address))
    return zarr.open_group(folder / f"{step.step.entry.stage.name.split('_')[-1]}.zarr", mode="r")


ALL_MADE = dict.fromkeys(["otsu", "grid", "one", "two", "fast", "mean", "peak"], "made")


def test_encoders_of_the_same_patches_share_one_reading(task, monkeypatch):
    n_passes = []
    encode = feature_stations.encode_slides

    def counted(works, how):
        n_passes.append([len(work.targets) for work in works])
        return encode(works, how)

    monkeypatch.setattr(feature_stations, "encode_slides", counted)
    outcome = run_slide(task)
    assert states(outcome) == ALL_MADE
    assert n_passes == [[2], [1]]
    steps = by_name(outcome)
    assert steps["one"].stats is steps["two"].stats
    assert steps["one"].stats.n_patches == steps["one"].artifact.facts["n_patches"] > 500
    assert steps["one"].seconds >= steps["one"].stats.wall_s / 2
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
    assert told["patch_locations"] == str(steps["grid"].step.address)
    assert told["tissue_mask"] == str(steps["otsu"].step.address)
    assert told["n_patches"] == steps["one"].artifact.facts["n_patches"]
    assert told["n_skipped"] == 0
    assert {"preprocessing", "precision", "weights_sha256", "software", "encoder"} <= set(told)


def test_facts_hold_no_clock(task):
    names = set(by_name(run_slide(task))["one"].artifact.facts)
    assert not {name for name in names if "second" in name or name.endswith("_s")}


def test_the_picture_shows_the_squares(task):
    step = by_name(run_slide(task))["one"]
    picture = read_jpeg(step.preview)
    assert len(step.preview) <= 12_000
    corner = picture[:2, :2].reshape(-1, 3).astype(int)
    assert np.abs(corner - corner.mean()).max() < 12  # glass, faded


def test_an_embedding_is_made_of_all_rows(task):
    steps = by_name(run_slide(task))
    features = group_of(task, steps["one"])["features"][:]
    for name, wanted in (
        ("mean", features.mean(axis=0, dtype=float)),
        ("peak", features.max(axis=0)),
    ):
        found = group_of(task, steps[name])
        np.testing.assert_allclose(found["embedding"][:], wanted, rtol=1e-6)
        facts = steps[name].artifact.facts
        assert facts["n_patches"] == len(features)
        assert facts["norm"] == pytest.approx(np.linalg.norm(wanted))
        assert found.attrs["slide_id"] == task.slide_id


def double():
    from torch import nn  # noqa: PLC0415 - seconds that only one test pays

    class Double(nn.Module):
        def forward(self, bag):
            return 2 * bag.mean(dim=0)

    return Double()


def nothing():
    from torch import nn  # noqa: PLC0415

    class Nothing(nn.Module):
        def forward(self, bag):
            return bag[0] / 0

    return Nothing()


def test_a_module_of_one_s_own_makes_the_embedding(reopen, register, make_task, slide):
    here = "tests.engine.stages.test_features"
    recipe = TWO.replace("method: max", f"method: '{here}:double'")
    platform = reopen(recipe + f"  bad: {{features: one, method: '{here}:nothing'}}\n")
    task = make_task(platform, register(platform, slide)[0])
    steps = by_name(run_slide(task))
    mean, double = (group_of(task, steps[name])["embedding"][:] for name in ("mean", "peak"))
    np.testing.assert_allclose(double, 2 * mean, rtol=1e-4)
    assert steps["bad"].reason == "features_not_finite"


def test_bare_glass_has_an_embedding_of_no_number(reopen, register, make_task, make_slide):
    platform = reopen(TWO)
    task = make_task(platform, register(platform, make_slide(blank=True))[0])
    outcome = run_slide(task)
    assert states(outcome) == ALL_MADE
    steps = by_name(outcome)
    assert group_of(task, steps["one"])["features"].shape == (0, 25)
    assert group_of(task, steps["mean"])["embedding"].shape == (0,)
    assert steps["mean"].artifact.facts["norm"] == 0.0
    assert steps["one"].preview.startswith(b"\xff\xd8")


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
    platform = reopen(TWO)
    corrupt_tile(slide, level=0, tile_index=34)
    outcome = run_slide(make_task(platform, register(platform, slide)[0]))
    assert by_name(outcome)["one"].reason == "tile_unreadable"
    assert outcome.failure.is_final
    assert not [p for p in (platform.store.root / PARTIAL).iterdir() if p.is_dir()]


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


def test_a_slide_killed_at_many_points_goes_on_and_has_the_same_bytes(task, monkeypatch, tmp_path):
    monkeypatch.setattr(feature_store, "CHUNK_ROWS", CHUNK)
    kept = tuple(s for s in task.steps if s.entry.name in {"otsu", "grid", "one"})
    task = replace(task, steps=kept)
    undisturbed = replace(task, store_root=str(tmp_path / "undisturbed"))
    whole = by_name(run_slide(undisturbed))["one"]
    n_patches = whole.artifact.facts["n_patches"]
    log = tmp_path / "log"

    def encoded():
        return sum(map(int, log.read_text().split())) if log.exists() else 0

    for n in (1, 3, 4, 6, 3, 5, 4):
        monkeypatch.setattr(feature_stations, "_opened", lambda *_, n=n: Mortal(log, n))
        assert in_child(task) == signal.SIGKILL
    monkeypatch.setattr(feature_stations, "_opened", lambda *_: Mortal(log, 10**6))
    batch = int(log.read_text().split()[0])
    points = [(feature_store.FeatureWriter, "finish"), (feature_stations._Pass, "_draw"),
              (slide_task, "_draft"), (feature_stations.Partial, "remove")]  # fmt: skip
    for holder, name in points:
        with monkeypatch.context() as patch:
            patch.setattr(holder, name, die)
            assert in_child(task) == signal.SIGKILL
    assert in_child(task) == 0
    assert files_of(Path(task.store_root)) == files_of(tmp_path / "undisturbed")
    n_kills = (
        8  # those that lost rows: seven in a batch, one before the last, short chunk was whole
    )
    assert n_patches <= encoded() <= n_patches + n_kills * (CHUNK + batch)


def test_a_kill_costs_one_chunk_at_most(task, monkeypatch, tmp_path):
    monkeypatch.setattr(feature_store, "CHUNK_ROWS", CHUNK)
    task = replace(
        task, steps=tuple(s for s in task.steps if s.entry.name in {"otsu", "grid", "one"})
    )
    log = tmp_path / "log"
    monkeypatch.setattr(feature_stations, "_opened", lambda *_: Mortal(log, 15))
    assert in_child(task) == signal.SIGKILL
    before = sum(map(int, log.read_text().split()))
    monkeypatch.setattr(feature_stations, "_opened", lambda *_: Mortal(log, 10**6))
    step = by_name(run_slide(task))["one"]
    again = sum(map(int, log.read_text().split())) - before
    n_patches = step.artifact.facts["n_patches"]
    assert step.state == "made"
    assert before + again - n_patches <= CHUNK
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
