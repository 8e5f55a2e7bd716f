"""What becomes of a known path whose file is no slide any more."""

from __future__ import annotations

import shutil

import pytest

from pathassets.engine.platform.ingestion.ingest import ingest
from pathassets.engine.platform.upkeep.slide_files import check_slides

PAGE = "<html><body>log in</body></html>"


def register(platform, *paths):
    return list(ingest(platform, list(paths)))


def paths_of(platform, slide_id):
    return [one.path for one in platform.catalog.paths(slide_id)]


@pytest.mark.usefixtures("here")
def test_a_path_at_which_something_else_is_refused_is_taken_from_a_slide_with_another_whole_file(
    platform, make_slide, caplog
):
    path = make_slide()
    [slide] = register(platform, path)
    moved = path.rename(path.with_name("moved.svs"))
    register(platform, moved)
    path.write_text(PAGE)
    [found] = check_slides(platform)
    assert (found.kind, str(path) in found.remedy) == ("slide_changed", True)
    [refused] = register(platform, path)  # as the remedy says
    assert refused.state == "refused"
    assert f"{path}: is no file of {slide.slide_id} any more, which has {moved}" in caplog.messages
    assert paths_of(platform, slide.slide_id) == [str(moved)]
    assert [one.path for one in platform.catalog.rejected_files()] == [str(path)]
    assert list(check_slides(platform)) == []
    shutil.copy(moved, path)
    [back] = register(platform, path)
    assert (back.state, back.slide_id) == ("known", slide.slide_id)


@pytest.mark.usefixtures("here")
def test_the_only_file_of_a_slide_stays_known_and_its_remedy_is_no_ingest_that_was_refused(
    platform, make_slide
):
    path = make_slide()
    [slide] = register(platform, path)
    whole = path.read_bytes()
    path.write_text(PAGE)
    assert [one.state for one in register(platform, path)] == ["refused"]
    assert paths_of(platform, slide.slide_id) == [str(path)]
    [found] = check_slides(platform)
    assert found.kind == "slide_changed"
    [refused] = platform.catalog.rejected_files()
    fact = refused.message.removeprefix(f"{path}: ")
    assert found.remedy == f"Put the old file back: the one that is there was refused: {fact}"
    assert "pathassets ingest" not in found.remedy
    path.write_text("another text")  # of which nobody knows yet what it is
    [found] = check_slides(platform)
    assert "pathassets ingest" in found.remedy
    path.write_bytes(whole)
    assert [one.state for one in register(platform, path)] == ["known"]
    assert list(check_slides(platform)) == []


@pytest.mark.usefixtures("here")
def test_a_path_of_a_slide_whose_other_file_is_not_whole_stays(platform, make_slide):
    path = make_slide()
    [slide] = register(platform, path)
    copy = shutil.copy(path, path.with_name("copy.svs"))
    register(platform, copy)
    copy.write_text(PAGE)
    path.write_text(PAGE)
    register(platform, path, copy)
    assert sorted(paths_of(platform, slide.slide_id)) == sorted([str(path), str(copy)])


@pytest.mark.usefixtures("here")
def test_a_path_at_which_nothing_is_stays(platform, make_slide):
    path = make_slide()
    [slide] = register(platform, path)
    register(platform, shutil.copy(path, path.with_name("copy.svs")))
    path.unlink()
    assert [one.state for one in register(platform, path)] == ["refused"]
    assert len(paths_of(platform, slide.slide_id)) == 2
