"""What the doctor, a clearing and a backup cost on a store of many artifacts, one process each.

    python benchmarks/upkeep.py [n_slides]     three artifacts a slide; 33,334 slides by default

Slides and artifacts are written by arithmetic, of a few bytes each: looking is measured, not
hashing. Dagster's part is left out. Peak memory is that of the process, imports among it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import insert

from pathassets.adapters.files import stamp_of
from pathassets.adapters.store.store import Artifact, StoredFile, dump
from pathassets.catalog.database.connect import open_engine, writing
from pathassets.catalog.human_inputs import now
from pathassets.catalog.records import PathRecord, SlideRecord
from pathassets.catalog.rows import artifact_row, flat, parent_row, slide_row
from pathassets.catalog.tables import artifact, artifact_parent, slide, slide_path
from pathassets.core.address import Address
from pathassets.engine.platform.batch import artifact_record
from pathassets.engine.platform.platform import open_platform
from pathassets.engine.platform.upkeep.backup import write_backup
from pathassets.engine.platform.upkeep.clearing.garbage import find_garbage
from pathassets.engine.platform.upkeep.doctor import examine
from pathassets.engine.settings import read_settings

N_SLIDES = 33_334
RECIPE = """
tissue_mask: {otsu: {method: otsu, mpp: 8.0}}
patch_locations: {grid: {tissue_mask: otsu, patch_px: 256, mpp: 0.5, min_tissue_share: 0.5}}
features: {colour: {patch_locations: grid, encoder: colour_stats}}
"""
STAGES = (("tissue_mask", "otsu"), ("patch_locations", "grid"), ("features", "colour"))
_N_ROWS = 5_000


def make_home(home: Path, n_slides: int) -> None:
    """Write slides of a few bytes, and three artifacts of each, on disk and in the catalog."""
    (home / "scans").mkdir(parents=True)
    (home / "recipe.yaml").write_text(RECIPE)
    (home / "store" / ".staging").mkdir(parents=True)
    engine = open_engine(f"sqlite:///{home / 'store' / 'catalog.sqlite'}")
    for start in range(0, n_slides, _N_ROWS):
        numbers = range(start, min(start + _N_ROWS, n_slides))
        slides = [_write_slide(home, n) for n in numbers]
        made = [one for n in numbers for one in _write_artifacts(home / "store", f"s{n:06d}")]
        at = now()
        with writing(engine) as connection:
            connection.execute(
                insert(slide),
                [slide_row(s) | {"registered_at": at, "thumbnail": None} for s, _ in slides],
            )
            connection.execute(insert(slide_path), [flat(p) | {"seen_at": at} for _, p in slides])
            rows = [artifact_row(artifact_record(one, "run")) | {"made_at": at} for one in made]
            connection.execute(insert(artifact), rows)
            edges = [parent_row(one.address, parent) for one in made for parent in one.parents]
            connection.execute(insert(artifact_parent), edges)
    engine.dispose()


def _write_slide(home: Path, n: int) -> tuple[SlideRecord, PathRecord]:
    slide_id = f"s{n:06d}"
    path = home / "scans" / f"{slide_id}.svs"
    path.write_text(slide_id)
    record = SlideRecord(
        slide_id=slide_id, fingerprint=hashlib.sha256(slide_id.encode()).hexdigest(),
        size_bytes=len(slide_id), vendor="aperio", reader="tiff", width_px0=9, height_px0=9,
        n_levels=1, level_downsamples=(1.0,), mpp=0.5, mpp_sources=(),
    )  # fmt: skip
    return record, PathRecord(path=str(path), slide_id=slide_id, **flat(stamp_of([path])))


def _write_artifacts(store: Path, slide_id: str) -> Iterator[Artifact]:
    parents: tuple[Address, ...] = (Address.of_slide(slide_id, "0" * 16),)
    for stage, name in STAGES:
        data = f"{slide_id} {stage}".encode()
        sha256 = hashlib.sha256(data).hexdigest()
        one = Artifact(
            address=Address(stage, name, slide_id, sha256[:16]), spec={"mpp": 0.5},
            code_version="1", weights_sha256="", parents=parents, facts={"n_patches": 1},
            software={}, files=(StoredFile(path="data", size_bytes=len(data), sha256=sha256),),
        )  # fmt: skip
        folder = store / str(one.address)
        folder.mkdir(parents=True)
        (folder / "data").write_bytes(data)
        (folder / "artifact.json").write_bytes(dump(one))
        yield one
        parents = (one.address, *parents[-1:])


def act(what: str) -> None:
    """Do one thing in this process, and print what it cost."""
    with open_platform(read_settings()) as platform:
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        n = 0
        if what == "doctor":
            n = sum(1 for _ in examine(platform))
        elif what == "gc":
            n = find_garbage(platform, older_than_days=0).n.total()
        elif what == "backup":
            n = write_backup(platform, platform.settings.home / f"{os.getpid()}").n_bytes
        cost = {
            "what": what,
            "n": n,
            "wall_s": round(time.perf_counter() - began_s, 1),
            "cpu_s": round(time.process_time() - began_cpu_s, 1),
            "peak_mb": _peak_mb(),
        }
    print(json.dumps(cost))


def _peak_mb() -> int:
    """Peak memory of this process; `ru_maxrss` would count that of the one that started it, too."""
    [kb] = re.findall(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(kb) // 1024


def main() -> None:
    """Make the home, and do each thing in a process of its own."""
    n_slides = int(sys.argv[1]) if len(sys.argv) > 1 else N_SLIDES
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        make_home(home, n_slides)
        print(f"{n_slides} slides, {len(STAGES) * n_slides} artifacts")
        for what in ("doctor", "gc", "backup"):
            command = [sys.executable, __file__, "--act", what]
            subprocess.run(  # noqa: S603 - this script
                command, env=os.environ | {"PATHASSETS_HOME": str(home)}, check=True
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--act"]:
        act(sys.argv[2])
    else:
        main()
