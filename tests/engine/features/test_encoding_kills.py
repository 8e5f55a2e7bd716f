from __future__ import annotations

import pytest

KILLED_TEN_TIMES = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
from tests.core.formula_slide import FormulaSlide
from pathassets.adapters.zarr.feature_writer import FeatureWriter, is_finished
from pathassets.core.features.colour_stats import ColourStats
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches.read_plan import ReadSpec
from pathassets.engine.features.encoding import encode_slides
from pathassets.engine.features.works import EncodingHow, SlideWork, Target

class Slide(FormulaSlide):
    def __enter__(self):
        return self
    def __exit__(self, *_):
        pass

class Noting(ColourStats):
    def begin(self, batch):
        os.write(log, b"." * len(batch))
        return super().begin(batch)

n, folder = 12_000, Path(sys.argv[1])
i = np.arange(n)
locations = PatchLocations(
    x_px0=i % 60 * 4, y_px0=i // 60 * 16, tissue_share=np.ones(n, np.float32), side_px0=16,
    patch_px=16, mpp=0.5,
)

def encode(path):
    writer = FeatureWriter(
        path, shape=(25,), boxes={"coordinates": locations.boxes_px0}, attributes={}
    )
    slide = Slide(256, 4096, tile_px=(64, 64), damaged={0: {5, 100}})
    work = SlideWork(
        name="a", open=lambda: slide, locations=locations,
        targets=(Target(encoder=Noting(), writer=writer),),
        spec=ReadSpec(bad_tiles="skip", max_bad_tile_share=0.5),
    )
    for done in encode_slides([work], EncodingHow(n_threads=2)):
        assert not done.error and not done.target_errors, done
        writer.finish(**done.bad_tiles.facts())
    return len(done.bad_tiles.skipped)

def n_noted():
    return (folder / "log").stat().st_size

def content(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}

folder.mkdir(exist_ok=True)
log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
n_skipped = encode(folder / "once")
assert n_skipped > 0
whole, n_killed = n_noted(), 0
assert whole == n - n_skipped
rng = random.Random(5)
for _ in range(10):
    before = n_noted()
    pid = os.fork()
    if not pid:
        encode(folder / "killed")
        os._exit(0)
    stop = rng.randrange(200, 2600)
    is_over = False
    while not is_over and n_noted() - before < stop:
        time.sleep(0.0005)
        is_over = os.waitpid(pid, os.WNOHANG)[0] == pid
    if not is_over:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        n_killed += 1
    if is_finished(folder / "killed"):
        break
else:
    encode(folder / "killed")
again = n_noted() - 2 * whole
assert 0 < again <= n_killed * (1024 + 128), (again, n_killed)
assert content(folder / "killed") == content(folder / "once")
print(n_killed)
"""


@pytest.mark.slow
def test_killed_ten_times_inside_a_slide_it_recomputes_a_chunk_each_and_has_the_same_bytes(
    tmp_path, start_python
):
    process = start_python(KILLED_TEN_TIMES, tmp_path / "f")
    out, said = process.communicate()
    assert process.returncode == 0, said
    assert int(out) >= 5
