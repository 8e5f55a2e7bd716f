"""Batches on a Ray cluster of two nodes: the bytes of one machine, whatever node is lost."""

import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pathassets.adapters.objects.place import open_place
from pathassets.adapters.store.partial import PARTIAL
from pathassets.adapters.store.staging import STAGING, SWEEP_LOCK
from pathassets.engine.platform.batch import run_batch
from tests.defs.daemon import COMMAND, environment, pathassets, wait_for
from tests.defs.small_slides import write_slow_recipe
from tests.engine import noted_encoder
from tests.engine.conftest import write_slide
from tests.engine.pool_tasks import workers_now
from tests.engine.ray_cluster import needs_ray, ray_cluster
from tests.engine.workers_contract import are_gone
from tests.test_demo import snapshot
from tests.test_demo_in_a_bucket import made_in
from tests.test_demo_in_buckets import made_in_bucket

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), needs_ray]

N_SLIDES = 40
RECIPE = """\
tissue_mask:
  otsu: {mpp: 8.0}
patch_locations:
  grid: {tissue_mask: otsu, patch_px: 64, mpp: 0.5}
features:
  resnet: {patch_locations: grid, encoder: resnet18}
  own: {patch_locations: grid, encoder: {name: 'ENCODER', version: '1', kwargs: {folder: FOLDER}}}
slide_embedding:
  mean: {features: own}
"""


def bytes_of(store):
    """SHA-256 of each file that was published."""
    return {name: sha256 for name, (_, sha256) in snapshot(store).items()}


def left_in(store):
    """What is neither published nor a lock."""
    staged = {path.name for path in (store / STAGING).iterdir()} - {SWEEP_LOCK}
    return staged | {path.parent.name for path in (store / PARTIAL).glob("*/files")}


@pytest.fixture(scope="module")
def noted(tmp_path_factory):
    """Where the encoder notes its processes."""
    return tmp_path_factory.mktemp("noted")


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    return [write_slide(folder / f"{i:02}.svs", seed=i) for i in range(N_SLIDES)]


@pytest.fixture
def planned(reopen, register, slides, noted):
    """A platform with 40 slides, of which nothing is made."""
    text = RECIPE.replace("ENCODER", noted_encoder.NAME).replace("FOLDER", f"'{noted}'")
    return register(reopen(text), *slides)


@pytest.fixture
def make_in(reopen, tmp_path, planned):
    """Make all in a store of its own, by these workers; its bytes."""

    def make_in(name, **settings):
        store = tmp_path / name
        (store / STAGING).mkdir(parents=True)
        platform = reopen(store=store, **settings)
        outcomes = list(run_batch(platform, planned, platform.recipe.per_slide, run_id=name))
        states = [step.state for one in outcomes for step in one.steps]
        assert states == ["made"] * 5 * N_SLIDES
        assert left_in(store) == set()
        return bytes_of(store)

    return make_in


@contextmanager
def lost_while_busy(cluster, node, noted):
    """Remove a node once its line and one of another node are seen to encode, both by now."""
    lost: list[int] = []
    is_over = threading.Event()

    def busy(one):
        now_s = time.time()
        at_work = {int(p.name) for p in noted.iterdir() if now_s - p.stat().st_mtime < 0.3}
        return at_work & {process.pid for process in cluster.workers(one)}

    def lose():
        others = [one for one in cluster.nodes if one is not node]
        while not is_over.wait(0.05):
            if (mine := busy(node)) and any(map(busy, others)):
                family = cluster.family(node)
                cluster.remove(node)
                lost.extend(mine)
                assert are_gone(family)
                return

    thread = threading.Thread(target=lose)
    thread.start()
    yield lost
    is_over.set()
    thread.join()


def test_forty_slides_have_the_bytes_of_one_machine_and_none_is_lost_with_a_node(
    make_in, noted, caplog
):
    expected = make_in("here")
    assert len(expected) > 5 * N_SLIDES
    with ray_cluster() as cluster:
        assert make_in("cluster", cluster=cluster.settings) == expected
        assert are_gone(cluster.workers())
        with lost_while_busy(cluster, cluster.nodes[1], noted) as lost:
            assert make_in("fewer", cluster=cluster.settings) == expected
        assert lost
        assert "of the Ray cluster was lost" in caplog.text
        assert are_gone(cluster.workers())
    assert workers_now() == []


HIDDEN = [shutil.which("unshare") or "unshare", "--mount", "sh", "-c"]
"""Runs a script whose mounts no other process sees."""


def can_hide():
    with suppress(OSError):
        return subprocess.run([*HIDDEN, "true"], capture_output=True, check=False).returncode == 0  # noqa: S603
    return False


@pytest.mark.skipif(not can_hide(), reason="only root has mounts that others do not see")
def test_nodes_without_any_disk_of_the_run_make_the_same_of_a_bucket(tmp_path, bucket, monkeypatch):
    home, run, scratch = tmp_path / "home", tmp_path / "run", tmp_path / "scratch"
    there = run / "home"
    (home / "demo").mkdir(parents=True)
    run.mkdir()
    pathassets(home, "sample", str(home / "scans"))
    table = ("--cohort", str(home / "scans" / "cohort.csv"))
    pathassets(home, "ingest", str(home / "scans"), *table)
    pathassets(home, "run", code=1)  # one of the six is corrupt
    for slide in (home / "scans").glob("*.svs"):
        open_place(bucket).put_file(f"scans/{slide.name}", slide)
    monkeypatch.setenv("PATHASSETS_SCRATCH", str(scratch))  # of the nodes
    with ray_cluster() as cluster:
        known = environment(
            there, PATHASSETS_STORE=f"{bucket}/store", PATHASSETS_LINE_GB="1",
            PATHASSETS_WORKERS=cluster.settings.address,
        )  # fmt: skip
        ingest = shlex.join([str(COMMAND), "ingest", f"{bucket}/scans", *table])
        script = f"""
            mount -t tmpfs tmpfs {run} && mkdir {there} &&
            unset PATHASSETS_SCRATCH && {ingest} && ! {COMMAND} run && {COMMAND} doctor &&
            ! ls {there}/scratch/*-*"""
        done = subprocess.run(  # noqa: S603 - our own script
            [*HIDDEN, script], env=known, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert are_gone(cluster.workers())
    assert made_in_bucket(f"{bucket}/store") == made_in(home)
    assert list(scratch.glob("*-*"))  # the next one that works there removes them
    assert not (there / "scratch").exists()


def test_the_demo_has_the_same_bytes_on_a_cluster(tmp_path):
    for home in ("here", "there"):
        (tmp_path / home).mkdir()
    pathassets(tmp_path / "here", "demo", PATHASSETS_WORKERS="2")
    with ray_cluster() as cluster:
        address = cluster.settings.address
        # The slides that the first has drawn: to draw them twice is no part of it.
        shutil.copytree(tmp_path / "here" / "demo", tmp_path / "there" / "demo")
        more = {"PATHASSETS_WORKERS": address, "PATHASSETS_LINE_GB": "1"}
        pathassets(tmp_path / "there", "demo", **more)
        assert are_gone(cluster.workers())
    here, there = (bytes_of(Path(tmp_path / home / "store")) for home in ("here", "there"))
    assert here == there
    assert len({hashlib.sha256(name.encode()).hexdigest() for name in here}) > 30
    assert left_in(tmp_path / "there" / "store") == set()


def interrupted(home, begun, number, **more):
    """Send a signal to a run while it waits for a line; what it says then."""
    begun.unlink(missing_ok=True)
    process = subprocess.Popen(  # noqa: S603 - our own command
        [COMMAND, "run"], env=environment(home, **more),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(begun.exists, "a line at work", within_s=60.0)
    time.sleep(1.0)  # so that there is nothing else to hear
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    return process.returncode, error.splitlines()


def test_a_run_that_is_interrupted_ends_with_one_line_and_the_next_goes_on(
    tmp_path, slides, monkeypatch
):
    write_slow_recipe(tmp_path, pause_s=6.0)
    model, begun = tmp_path / "slow_model.py", tmp_path / "begun"
    pause = f"open({str(begun)!r}, 'w').close(); time.sleep("
    model.write_text(model.read_text().replace("time.sleep(", pause))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)  # of the nodes, too
    pathassets(tmp_path, "ingest", *slides[:4], PATHASSETS_WORKERS="1")
    with ray_cluster() as cluster:
        more = {"PATHASSETS_WORKERS": cluster.settings.address, "PATHASSETS_LINE_GB": "1"}
        for number in (signal.SIGINT, signal.SIGTERM):
            assert interrupted(tmp_path, begun, number, **more) == (
                130,
                ["error: interrupted; what was finished is kept, the same command does the rest"],
            )
            assert are_gone(cluster.workers())
        done = pathassets(tmp_path, "run", **more).stdout
    assert re.search(r"^ran [1-4] slides?, built 1 dataset; 0 slides failed$", done, re.MULTILINE)
    pathassets(tmp_path, "doctor")  # what was made of slides half done was taken over
