"""`pathassets demo`, the main job, by the recipe that ships with the package."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.defs.daemon import pathassets


def snapshot(store: Path) -> dict[str, tuple[int, str]]:
    """Time of change and content of every published file: none of the catalog's, and no lock."""
    return {
        str(path.relative_to(store)): (
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(store.rglob("*"))
        if path.is_file()
        and path.parent != store
        and not {".staging", ".partial", ".catalogs"} & {*path.parts}
    }


def said_by_the_readme(home: Path) -> tuple[str, str]:
    """What `make demo` prints, the first time and the second, as the README has it."""
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    _, _, section = readme.partition("## What the demo prints\n")
    first, second = re.findall(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[:2]
    return first.replace("/srv/pathassets", str(home)), second


def without_pace(text: str) -> list[str]:
    """Lines without what differs from run to run: the seconds, and which slide ends first."""
    counted = re.sub(r"^\d/6 ", "#/6 ", text, flags=re.MULTILINE)
    return sorted(re.sub(r"in \d+\.\d s", "in # s", counted).splitlines())


@pytest.mark.slow
def test_the_demo_shows_good_blank_and_corrupt_and_recomputes_nothing(tmp_path: Path) -> None:
    first = pathassets(tmp_path, "demo", COLUMNS="1000").stdout
    printed, printed_again = said_by_the_readme(tmp_path)
    assert without_pace(first) == without_pace(printed)
    rows = {
        row["paths"][0].rpartition("/")[2]: row["assets"]
        for row in json.loads(pathassets(tmp_path, "status", "--json").stdout)["slides"]
    }
    states = {name: {a["state"] for a in assets.values()} for name, assets in rows.items()}
    good = [f"demo-0{n}.svs" for n in range(1, 5)]
    assert states == {
        **{name: {"current"} for name in (*good, "demo-05-blank.svs")},
        "demo-06-corrupt.svs": {"current", "failed"},
    }
    assert all(rows[name]["features/resnet18_untrained"]["n_patches"] > 0 for name in good)
    assert rows["demo-05-blank.svs"]["features/colour_stats"]["n_patches"] == 0
    corrupt = rows["demo-06-corrupt.svs"]["features/colour_stats"]
    assert corrupt["reason"] == "tile_unreadable"
    assert first.count(corrupt["message"]) == 2  # as it happened, and in the table's footnote

    (lines,) = re.findall(r"load one:\n\n((?: {4}.*\n){3})", first)
    script = re.sub("^    ", "", lines, flags=re.MULTILINE) + 'print(bag["features"].shape)'
    shown = subprocess.run(  # noqa: S603  (what the demo tells a person to type)
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    n_patches = rows["demo-01.svs"]["features/colour_stats"]["n_patches"]
    assert shown.stdout.startswith(f"({n_patches}, ")

    before = snapshot(tmp_path / "store")
    second = pathassets(tmp_path, "demo").stdout
    assert printed_again in second
    assert snapshot(tmp_path / "store") == before
    assert len(before) > 6 * 4
