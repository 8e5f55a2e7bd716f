"""kill -9 at ten moments inside a slide: at most one chunk is made again, the bytes are equal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pathassets.adapters.zarr.feature_writer import CHUNK_ROWS
from pathassets.engine.features.extractor import DeepFeatureExtractor
from pathassets.engine.workers.writing import MOST_WAITING
from tests.engine.probe_encoder import Probe
from tests.formula_tiff import write_formula_tiff

N_PATCHES = 128 * 96
ROWS = 64
N_IN_FLIGHT = (MOST_WAITING + 4) * ROWS
"""Rows that are encoded and not yet written: those that wait to be, and those of the passes that
are computed, handed over and written now."""
ASKED = {
    "patch_mode": False, "auto_get_mask": False, "patch_input_shape": 16, "verbose": False,
    "input_resolutions": [{"units": "mpp", "resolution": 0.5}],
}  # fmt: skip

SCRIPT = """
import json, mmap, os, signal, struct, sys
from pathlib import Path
from pathassets import DeepFeatureExtractor
from tests.engine.probe_encoder import Probe

slide, out, limits, asked = sys.argv[1], Path(sys.argv[2]), *map(json.loads, sys.argv[3:5])
shared = mmap.mmap(-1, 8)  # outlives the children

class Dying(Probe):
    def encode(self, batch):
        rows = super().encode(batch)
        shared[:] = struct.pack("q", self.n_encoded)
        if self.n_encoded >= limit:
            os.kill(os.getpid(), signal.SIGKILL)
        return rows

for limit in limits:
    shared[:] = struct.pack("q", 0)
    child = os.fork()
    if not child:
        DeepFeatureExtractor(Dying(rows=64)).run([slide], save_dir=out, **asked)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    told = [one.read_bytes() for one in out.glob(".*.part/journal")]
    n_chunks = sum(text.count(b"\\n") - 1 for text in told)  # a chunk without a line is none
    encoded, = struct.unpack("q", shared[:])
    print(json.dumps([os.WIFSIGNALED(status), n_chunks, encoded]), flush=True)
"""


def bytes_of(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.slow
def test_a_run_that_was_killed_ten_times_makes_at_most_a_chunk_again_each_time(
    tmp_path, start_python
):
    slide = write_formula_tiff(tmp_path / "f.tiff")
    whole = DeepFeatureExtractor(Probe(ROWS)).run([slide], save_dir=tmp_path / "whole", **ASKED)
    limits = np.random.default_rng(7).integers(1, 1900, 10).tolist()
    killed = tmp_path / "killed"
    process = start_python(SCRIPT, slide, killed, json.dumps(limits), json.dumps(ASKED))
    told, problems = process.communicate()
    assert process.returncode == 0, problems
    n_before = 0
    outcomes = [json.loads(line) for line in told.splitlines()]
    assert len(outcomes) == 10
    for was_killed, n_chunks, n_encoded in outcomes:
        assert was_killed
        assert n_chunks * CHUNK_ROWS > n_before + n_encoded - CHUNK_ROWS - N_IN_FLIGHT
        n_before = n_chunks * CHUNK_ROWS
    assert 0 < n_before < N_PATCHES
    assert not (killed / "f.zarr").exists()
    probe = Probe(ROWS)
    found = DeepFeatureExtractor(probe).run([slide], save_dir=killed, **ASKED)
    assert probe.n_encoded == N_PATCHES - n_before
    assert bytes_of(found[slide]) == bytes_of(whole[slide])
    assert [path.name for path in killed.iterdir()] == ["f.zarr"]
