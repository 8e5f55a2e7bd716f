"""What the process of a line does, in this one, with an end of no pipe."""

import threading
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import pytest

from pathassets.adapters.store.partial import PARTIAL
from pathassets.adapters.store.staging import STAGING
from pathassets.adapters.tifffile import corrupt_tile
from pathassets.engine.features import encoding
from pathassets.engine.stages.line import encode_tasks
from pathassets.engine.stages.slide_task import run_slide
from pathassets.engine.workers.line_process import LineEnd
from tests.engine.line_encoders import BATCHES, NAME, OPENED, write_marked

ONE = """\
tissue_mask:
  otsu: {mpp: 8.0}
patch_locations:
  grid: {tissue_mask: otsu, patch_px: 64, mpp: 0.5}
features:
  own: {patch_locations: grid, encoder: {name: NAME, version: "VERSION", kwargs: {way: WAY}}}
""".replace("NAME", f"'{NAME}'")
TWO = (
    ONE.replace("features:", "  fine: {tissue_mask: otsu, patch_px: 48, mpp: 0.5}\nfeatures:")
    + """\
  second: {patch_locations: fine, encoder: {name: NAME, version: "VERSION", kwargs: {way: WAY 2}}}
  plain: {patch_locations: grid, encoder: colour_stats}
slide_embedding:
  mean: {features: own}
  module: {features: second, method: "tests.engine.stages.test_slide_embedding:double"}
"""
).replace("NAME", f"'{NAME}'")


def recipe(text, version, way="well"):
    """One whose encoder is another for each test: this process keeps those that it opened."""
    return text.replace("VERSION", version).replace("WAY", way)


class End(LineEnd):
    """A line's end of no pipe: its items are gone through at once, or as they are let."""

    def __init__(self, tasks, *, is_kept_open=False):
        self.device, self.n_threads = "cpu", 1
        self._waiting = SimpleQueue()
        for entry in enumerate(tasks):
            self._waiting.put(entry)
        if not is_kept_open:
            self._waiting.put(None)
        self.found = {}
        self.threads = set()

    def items(self):
        yield from iter(self._waiting.get, None)

    def done(self, number, result):
        assert number not in self.found
        self.found[number] = result
        self.threads.add(threading.current_thread().name)

    failed = done

    @property
    def outcomes(self):
        return [self.found[number] for number in range(len(self.found))]


def encode(tasks):
    end = End(tasks)
    encode_tasks(end)
    assert len(end.found) == len(tasks)
    return end


def states(outcome):
    return {one.step.entry.name: one.state for one in outcome.steps}


def content(platform, tasks):
    return {
        step.address: platform.store.read_checked(step.address).content_sha256
        for task in tasks
        for step in task.steps
    }


def assert_nothing_begun(task):
    assert list(Path(task.staging).glob("*")) == []
    assert list(Path(task.store_root, PARTIAL).glob("*/files")) == []


@pytest.fixture
def open_with(reopen, get_ready, make_task):
    """A platform with a recipe, and tasks of three slides."""

    def open_with(text):
        platform = reopen(text)
        return platform, [make_task(platform, one) for one in get_ready(platform, 3)]

    return open_with


def test_slides_have_the_bytes_that_each_has_by_itself(open_with, reopen, tmp_path):
    platform, tasks = open_with(recipe(TWO, "bytes"))
    end = encode(tasks)
    assert all(set(states(one).values()) == {"made"} for one in end.outcomes)
    assert [list(states(one)) for one in end.outcomes] == [
        [step.entry.name for step in task.steps] for task in tasks
    ]
    assert_nothing_begun(tasks[0])
    (tmp_path / "alone" / STAGING).mkdir(parents=True)
    alone = reopen(store=tmp_path / "alone")
    for task in tasks:
        run_slide(replace(task, store_root=str(alone.store.root)))
    assert content(alone, tasks) == content(platform, tasks)


def test_an_encoder_is_opened_once_and_its_batches_are_filled_across_slides(open_with, monkeypatch):
    _, tasks = open_with(recipe(ONE, "once", "once"))
    monkeypatch.setattr(encoding, "PATIENCE_S", 3.0)  # for the next slide, on whatever machine
    BATCHES.clear()
    end = encode(tasks)
    assert OPENED.count("once") == 1
    n_patches = [outcome.steps[-1].artifact.facts["n_patches"] for outcome in end.outcomes]
    assert not any(n % 32 == 0 for n in n_patches)
    n_whole, rest = divmod(sum(n_patches), 32)
    assert [32] * n_whole + [rest] == BATCHES
    usage = end.usage()
    assert (usage.n_slides, usage.n_patches) == (3, sum(n_patches))


def test_slides_are_drawn_and_published_beside_those_that_encode_and_prepare(open_with):
    _, tasks = open_with(recipe(ONE, "threads"))
    assert encode(tasks).threads == {"finish"}
    assert encode(tasks).threads == {"prepare"}  # what is current


def test_a_slide_that_cannot_be_read_fails_alone(open_with, make_slide, register, make_task):
    platform, tasks = open_with(recipe(ONE, "bad"))
    bad = make_slide("bad.svs", seed=9)
    corrupt_tile(bad, level=0, tile_index=34)
    gone = make_slide("gone.svs", seed=8)
    planned = register(platform, bad, gone)[-2:]
    gone.unlink()
    tasks[1:1] = [make_task(platform, one) for one in planned]
    found = [states(one) for one in encode(tasks).outcomes]
    assert found[1] == {"otsu": "made", "grid": "made", "own": "failed"}
    assert found[2] == {"otsu": "failed", "grid": "blocked", "own": "blocked"}
    assert [found[i] for i in (0, 3, 4)] == [dict.fromkeys(["otsu", "grid", "own"], "made")] * 3
    assert_nothing_begun(tasks[0])


def test_an_encoder_that_fails_at_a_slide_fails_that_alone(
    open_with, tmp_path, register, make_task
):
    platform, tasks = open_with(recipe(ONE, "fails", "raise"))
    marked = register(platform, write_marked(tmp_path / "pink.svs"))[-1]
    tasks.insert(1, make_task(platform, marked))
    outcomes = encode(tasks).outcomes
    assert [one.steps[-1].state for one in outcomes] == ["made", "failed", "made", "made"]
    assert "a pink slide" in outcomes[1].failure.message


def test_an_encoder_that_exits_as_it_is_opened_costs_no_line(open_with):
    _, tasks = open_with(recipe(ONE, "closed", "no opening"))
    outcomes = encode(tasks).outcomes
    assert all(isinstance(one, SystemExit) for one in outcomes)
    assert OPENED.count("no opening") == 3


@pytest.mark.timeout(60)
def test_an_encoder_that_exits_at_a_slide_is_the_end_of_the_line(
    open_with, tmp_path, register, make_task
):
    platform, _ = open_with(recipe(ONE, "exits", "exit"))
    marked = register(platform, write_marked(tmp_path / "pink.svs"))[-1]
    end = End([make_task(platform, marked)], is_kept_open=True)
    with pytest.raises(SystemExit) as e:
        encode_tasks(end)
    assert e.value.code == 7
    assert end.found == {}


def test_what_is_current_opens_no_encoder(open_with):
    _, tasks = open_with(recipe(ONE, "current", "current"))
    encode(tasks[:1])
    assert OPENED.count("current") == 1
    OPENED.clear()
    assert [states(one)["own"] for one in encode(tasks[:1]).outcomes] == ["current"]
    assert OPENED == []


def test_an_encoder_that_two_threads_want_at_once_is_opened_once(open_with):
    text = recipe(TWO, "wanted", "slow")
    _, tasks = open_with(text)
    for task in tasks[1:]:  # so that they begin with what the first goes on with
        own = [step for step in task.steps if step.entry.name in {"otsu", "grid", "plain"}]
        run_slide(replace(task, steps=tuple(own)))
    tasks = [tasks[0], *(_without(task, "own", "mean") for task in tasks[1:])]
    OPENED.clear()
    outcomes = encode(tasks).outcomes
    assert all(one.failure is None for one in outcomes)
    assert sorted(OPENED) == ["slow", "slow 2"]


def _without(task, *names):
    return replace(task, steps=tuple(s for s in task.steps if s.entry.name not in names))


def test_bare_glass_is_made_without_the_device(open_with, make_slide, register, make_task):
    platform, _ = open_with(recipe(ONE, "blank"))
    blank = register(platform, make_slide("blank.svs", blank=True))[-1]
    BATCHES.clear()
    [outcome] = encode([make_task(platform, blank)]).outcomes
    assert set(states(outcome).values()) == {"made"}
    assert sum(BATCHES) <= 1  # by which the shape of its features is known


def test_no_items_are_no_outcomes():
    assert encode([]).found == {}
