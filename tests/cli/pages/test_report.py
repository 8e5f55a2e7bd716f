"""`pathassets report`: one file, several with an index, some slides, and places that are none."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from click.testing import CliRunner, Result

from pathassets.cli import main
from pathassets.engine.platform.cohort_page import page as cohort_page
from pathassets.engine.platform.ingestion.ingest import find_files, ingest
from pathassets.engine.platform.platform import open_platform
from pathassets.engine.settings import read_settings
from pathassets.report.cohort_page import files
from tests.defs.small_slides import RECIPE, write_slide
from tests.engine.workers_here import workers_here


def ids_on(path: Path) -> list[str]:
    (data,) = re.findall(r'id="page">(.*?)</script>', path.read_text())
    return [slide["id"] for slide in json.loads(data)["slides"]]


def typed(*words: str) -> Result:
    with workers_here():
        return CliRunner().invoke(main, ["report", *words])


def test_a_report_is_one_file_or_several_with_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    page = tmp_path / "cohort.html"
    assert "0 slides on 1 page" in typed().output
    assert ids_on(page) == []

    scans = [write_slide(tmp_path / f"{seed}.svs", seed) for seed in range(3)]
    with workers_here(), open_platform(read_settings()) as platform:
        list(ingest(platform, find_files(scans)))
    assert "3 slides on 1 page" in typed().output
    first, second, third = ids_on(page)
    text = page.read_bytes()
    assert page.stat().st_mode & 0o077 == 0
    assert typed().exit_code == 0
    assert page.read_bytes() == text

    monkeypatch.setattr(cohort_page, "N_PER_PAGE", 2)
    several = tmp_path / "all #1.html"
    assert "3 slides on 2 pages" in typed("--to", str(several)).output
    names = ["all #1-001.html", "all #1-002.html"]
    hrefs = re.findall(r'<a href="([^"]*)"', several.read_text())
    assert [unquote(href) for href in hrefs] == names
    assert not any("#" in href for href in hrefs)
    assert [ids_on(tmp_path / name) for name in names] == [[first, second], [third]]
    theirs = tmp_path / "all #1-003.html"
    theirs.write_text("of somebody else")
    assert "1 slide on 1 page" in typed("--slides", second, "--to", str(several)).output
    assert ids_on(several) == [second]
    assert not [name for name in names if (tmp_path / name).exists()]
    assert theirs.read_text() == "of somebody else"

    refused = typed("--to", str(tmp_path / "nowhere" / "a.html"))
    assert refused.exit_code == 2
    assert "--to" in refused.output
    assert typed("--to", str(tmp_path)).exit_code == 2
    assert not [*tmp_path.glob(".*.part")]


def test_a_report_replaces_no_file_but_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    scans = [write_slide(tmp_path / f"{seed}.svs", seed) for seed in range(2)]
    with workers_here(), open_platform(read_settings()) as platform:
        list(ingest(platform, find_files(scans)))
    before = scans[0].read_bytes()
    refused = typed("--to", str(scans[0]))
    assert refused.exit_code == 2
    assert f"{scans[0]}: is there already" in refused.stderr
    assert scans[0].read_bytes() == before

    monkeypatch.setattr(cohort_page, "N_PER_PAGE", 1)
    theirs = tmp_path / "all-002.html"
    theirs.write_text("of somebody else")
    refused = typed("--to", str(tmp_path / "all.html"))
    assert refused.exit_code == 2
    assert f"{theirs}: is there already" in refused.stderr
    assert not [*tmp_path.glob("all.html"), *tmp_path.glob("all-001.html")]
    theirs.unlink()
    for _ in range(2):
        assert "2 slides on 2 pages" in typed("--to", str(tmp_path / "all.html")).output
    index = tmp_path / "all.html"  # as it was before it said what made it
    index.write_text(re.sub(r'<meta name="generator"[^>]*>\n', "", index.read_text()))
    assert "2 slides on 2 pages" in typed("--to", str(index)).output


def test_a_report_that_fails_midway_leaves_the_former_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    scans = [write_slide(tmp_path / f"{seed}.svs", seed) for seed in range(2)]
    with workers_here(), open_platform(read_settings()) as platform:
        list(ingest(platform, find_files(scans)))
    monkeypatch.setattr(cohort_page, "N_PER_PAGE", 1)
    assert "2 slides on 2 pages" in typed().output
    former = {path: path.read_bytes() for path in tmp_path.glob("cohort*.html")}
    assert len(former) == 3
    left_behind, at_work = (tmp_path / f".cohort-001.html.{n}.part" for n in (1, 2))
    for part in (left_behind, at_work):
        part.touch()
    os.utime(left_behind, (0, 0))

    def fail(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "index_html", fail)
    refused = typed("--features", "colour")
    assert (refused.exit_code, "No space left" in refused.output) == (2, True)
    assert {path: path.read_bytes() for path in tmp_path.glob("cohort*.html")} == former
    assert [*tmp_path.glob(".*.part")] == [at_work]
