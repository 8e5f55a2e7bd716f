"""Writers of a bucket as processes: killed at any moment, and two at once with different bytes."""

from __future__ import annotations

import math
import random
import signal
import time
from pathlib import Path

import pytest

from pathassets.adapters.store import bucket_upkeep
from pathassets.adapters.store.opening import store_at, upkeep_of
from pathassets.core.address import Address
from pathassets.errors import ArtifactMissing

pytestmark = pytest.mark.slow

WRITER = """
import sys
from pathlib import Path
from pathassets.adapters.store.opening import store_at
from tests.adapters.store.test_bucket_writers import address_of, files_of
from tests.adapters.store.test_store import draft, fill
where, work, who = sys.argv[1:]
store = store_at(where, Path(work))
store.has(address_of(0))  # connected
print("ready", flush=True)
for line in sys.stdin:
    n = int(line)
    with store.staging(f"{who}-{n}") as staging:
        folder = fill(staging, files=files_of(who))
        print("begun", flush=True)
        made = store.publish(draft(address_of(n), facts={"by": who}), folder)
    print(made.facts["by"], flush=True)
"""
N_KILLS, N_RACES, N_FILES = 10, 8, 20


def address_of(n: int) -> Address:
    return Address("features", "stats", f"slide-{n}", "0" * 16)


def files_of(who: str) -> dict[str, bytes]:
    """Files whose names and sizes are the same of all writers, and whose bytes are not."""
    return {f"features.zarr/c/{n}": f"{who} {n:04}".encode() * 20_000 for n in range(N_FILES)}


def begin(writer, n: int) -> float:
    writer.stdin.write(f"{n}\n")
    writer.stdin.flush()
    assert writer.stdout.readline() == "begun\n"
    return time.monotonic()


def started(start_python, *args):
    writer = start_python(WRITER, *args)
    assert writer.stdout.readline() == "ready\n", writer.stderr.read()
    return writer


def require_whole(store, n: int) -> str:
    """Who wrote an artifact, every byte of which is that writer's, here and in the bucket."""
    artifact = store.read_checked(address_of(n))
    by = artifact.facts["by"]
    folder = store.fetch(artifact.address)
    assert {f.path: (folder / f.path).read_bytes() for f in artifact.files} == files_of(by)
    assert store.is_intact(artifact.address)
    return by


def test_ten_killed_writers_leave_an_artifact_whole_or_none(
    bucket: str, tmp_path: Path, start_python, monkeypatch
):
    where, rng = f"{bucket}/store", random.Random(16)  # noqa: S311 - when to kill
    whole = started(start_python, where, tmp_path / "whole", "a")
    takes_s = math.inf
    for n in (0, N_KILLS + 1, N_KILLS + 2):  # the first is slower than others
        began_s = begin(whole, n)
        assert whole.stdout.readline() == "a\n"
        takes_s = min(takes_s, time.monotonic() - began_s)
    reader = store_at(where, tmp_path / "reader")
    n_absent = 0
    for n in range(1, N_KILLS + 1):
        writer = started(start_python, where, tmp_path / "killed", "a")
        begin(writer, n)
        time.sleep(rng.uniform(0, takes_s) if n > 1 else 0.0)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        try:
            require_whole(reader, n)
        except ArtifactMissing:
            n_absent += 1
        begin(whole, n)  # the next makes it, or finds it
        assert whole.stdout.readline() == "a\n"
        assert require_whole(reader, n) == "a"
    assert n_absent >= 1  # how many more is the machine's chance
    upkeep = upkeep_of(store_at(where, tmp_path / "killed"))
    monkeypatch.setattr(bucket_upkeep, "KEPT_S", -60.0)
    assert len(list(upkeep.find_leftovers())) >= n_absent // 2
    upkeep.sweep()
    assert list(upkeep.find_leftovers()) == []
    assert {require_whole(reader, n) for n in range(N_KILLS + 1)} == {"a"}


def test_of_two_writers_with_different_bytes_one_is_there_whole_and_both_know_it(
    bucket: str, tmp_path: Path, start_python
):
    where = f"{bucket}/store"
    writers = [started(start_python, where, tmp_path / who, who) for who in "ab"]
    reader = store_at(where, tmp_path / "reader")
    winners = []
    for n in range(N_RACES):
        for writer in writers if n % 2 else reversed(writers):
            begin(writer, n)
        said = {writer.stdout.readline().strip() for writer in writers}
        assert said == {require_whole(reader, n)}
        winners.append(said.pop())
        assert len(list(reader.place.objects(str(address_of(n))))) == N_FILES + 1
    assert set(winners) == {"a", "b"}
