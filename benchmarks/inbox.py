"""What a look into an inbox of known files costs, in CPU and memory, as the sensor looks.

One slide is registered and run for real; its rows are copied for all others, and of each there is a
file of one byte in the inbox (`catalog.py` fills it). Then the sensor is evaluated some times in
one process, as Dagster's code server does: with nothing new, and with 1,000 files that nobody
knows. Without Dagster's events: a tick asks for none.

    .venv/bin/python benchmarks/inbox.py [--slides 100000]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from catalog import fill
from events import describe_machine, home_of

N_NEW = 1_000
TICKS = """
import time
from pathlib import Path
import dagster as dg
from pathassets.defs.build import build_definitions
from pathassets.defs.instance import open_instance
from pathassets.engine.platform.platform import open_platform
from pathassets.engine.settings import read_settings
settings = read_settings()

def peak_mb():  # ru_maxrss would be that of the process which started this one
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

with open_platform(settings) as platform, open_instance(settings) as instance:
    definitions = build_definitions(platform.recipe)
    (sensor,) = (s for s in definitions.sensors if s.name == "inbox")
    print(f"imports and definitions: {time.process_time():.2f} CPU-s, {peak_mb():.0f} MB")
    for what in ("all known", "all known, again", "NEW not known", "NEW not known, again"):
        if what == "NEW not known":
            for number in range(NEW):
                (settings.inboxes[0] / f"new{number}.svs").write_bytes(b"x")
        began_s = time.process_time()
        with dg.build_sensor_context(
            instance, resources={"platform": platform}, definitions=definitions
        ) as context:
            data = sensor.evaluate_tick(context)
        print(f"{what:22} {time.process_time() - began_s:.2f} CPU-s, {peak_mb():.0f} MB, "
              f"{len(data.run_requests or ())} requests, cursor {data.cursor!r}")
"""


def main() -> int:
    """Fill a home, measure, tidy up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slides", type=int, default=100_000)
    args = parser.parse_args()
    print(describe_machine(), flush=True)
    folder = Path(tempfile.mkdtemp(prefix="pathassets-inbox-"))
    try:
        with home_of(folder / "home"):
            fill(folder, args.slides, has_dagster=False)
            script = TICKS.replace("NEW", str(N_NEW))
            print(f"{args.slides:,} files known", flush=True)
            subprocess.run([sys.executable, "-c", script], check=True)  # noqa: S603 - our own
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
