"""What commands say and do where the store is damaged, read-only, linked or without its catalog."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pathassets.adapters.store.damage import Damage, ListedFile
from pathassets.adapters.store.folder_store import FolderStore
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.records import CohortFacts
from pathassets.cli import main
from pathassets.core.address import Address
from tests.catalog.merges import remember_merge
from tests.defs.dagster_state import copy_state
from tests.defs.small_slides import RECIPE, write_slide
from tests.engine.workers_here import workers_here
from tests.unprivileged import bound_by_modes, read_only

pytestmark = pytest.mark.usefixtures("cheap_databases")

CHUNK = "features.zarr/features/c/0/0"


def invoke(*arguments: str | Path) -> Result:
    """Run the command in this process, where Dagster is imported once."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def output(*arguments: str | Path, code: int = 0) -> str:
    result = invoke(*arguments)
    assert result.exit_code == code, result.output
    return result.stdout


def rejected_file(*arguments: str | Path) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    (line,) = result.stderr.splitlines()
    return line


def states(home: Path) -> list[dict[str, str]]:
    assert home.is_dir()
    found: dict[str, Any] = json.loads(output("status", "--json"))
    return [{k: c["state"] for k, c in s["assets"].items()} for s in found["slides"]]


def features(home: Path, name: str) -> Path:
    [folder] = (home / "store" / "features" / "colour").glob(f"{name}-*/*")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, dagster_state: Path) -> Path:
    """Slides a and b after a run, and their dataset; not to be changed."""
    home = tmp_path_factory.mktemp("made")
    (home / "recipe.yaml").write_text(RECIPE)
    copy_state(dagster_state, home)
    with pytest.MonkeyPatch.context() as patched, workers_here():
        patched.setenv("PATHASSETS_HOME", str(home))
        output("ingest", *(write_slide(home / f"{n}.svs", i) for i, n in enumerate("ab")))
        output("run")
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it, to be changed but for the slides."""
    home = tmp_path / "home"
    shutil.copytree(made, home)
    monkeypatch.setenv("PATHASSETS_HOME", str(home))
    with workers_here():
        yield home


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.slow
def test_whatever_is_gone_is_told_and_made_again_by_run_alone(home: Path) -> None:
    a, b = features(home, "a"), features(home, "b")
    before = contents(home / "store" / "features")
    (a / CHUNK).unlink()
    (b / "artifact.json").write_bytes(b"")
    assert [s["features/colour"] for s in states(home)] == ["damaged", "damaged"]
    cell = json.loads(output("status", "--json"))["slides"][0]["assets"]["features/colour"]
    assert (cell["state"], cell["reason"]) == ("damaged", "artifact_corrupt")
    assert cell["message"].endswith(f"damaged: {CHUNK} is gone")
    assert cell["remedy"] == "pathassets run makes it anew"
    said = output("status")
    assert f"damaged features/colour: {a.parent.name}: features/colour was made, and is d" in said
    assert "pathassets run makes it anew" in said
    assert "ran 2 slides, built 0 datasets; 0 slides failed" in output("run")
    assert contents(home / "store" / "features") == before
    shutil.rmtree(home / "store" / "features")
    assert "artifact_missing" in output("status")
    assert "ran 2 slides, built 0 datasets; 0 slides failed" in output("run")
    assert contents(home / "store" / "features") == before
    assert output("run").startswith("nothing to do: 2 current slides")


def test_what_is_gone_is_made_again_where_only_it_is_asked_for(home: Path) -> None:
    a, b = features(home, "a"), features(home, "b")
    before = contents(a)
    shutil.rmtree(a)
    shutil.rmtree(b)
    asked = ("--select", "features/colour", "--slides", a.parent.name)
    assert "ran 1 slide" in output("run", *asked)
    assert contents(a) == before
    assert not b.exists()


def test_a_run_with_nothing_to_do_looks_at_each_artifact_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert home.is_dir()
    looked: Counter[Address] = Counter()
    check_sizes = FolderStore.check_sizes

    def counting(
        store: FolderStore, address: Address, files: Iterable[ListedFile]
    ) -> Damage | None:
        looked[address] += 1
        return check_sizes(store, address, files)

    monkeypatch.setattr(FolderStore, "check_sizes", counting)
    assert output("run").startswith("nothing to do")
    assert looked
    assert set(looked.values()) == {1}


def test_a_slide_is_run_by_the_id_that_it_had_before_it_was_merged(home: Path) -> None:
    a = features(home, "a")
    with Catalog.open(f"sqlite:///{home / 'store' / 'catalog.sqlite'}") as catalog:
        remember_merge(catalog, "old", into=a.parent.name)
    shutil.rmtree(a)
    assert "ran 1 slide" in output("run", "--slides", "old")
    assert a.is_dir()
    assert output("run", "--slides", "old").startswith("nothing to do: 1 current slide")


def test_a_flipped_bit_is_mended_by_the_run_that_builds_the_next_dataset(home: Path) -> None:
    a = features(home, "a")
    before = contents(a)
    flip(a / CHUNK)
    (home / "cohort.csv").write_text("file,label\na.svs,tumour\nb.svs,normal\n")
    output("ingest", *home.glob("*.svs"), "--cohort", home / "cohort.csv")
    assert "built 1 dataset; 0 slides failed" in output("run")
    assert contents(a) == before


@pytest.mark.parametrize("said", [b'{"a":', b"[]\n", b"null", b"\xff\xfe\0", None])
@pytest.mark.timeout(60)  # a pipe must not be waited for
def test_an_artifact_json_that_is_none_is_told_and_made_again(
    home: Path, said: bytes | None
) -> None:
    folder = features(home, "a")
    before = contents(folder)
    (folder / "artifact.json").unlink()
    if said is None:
        os.mkfifo(folder / "artifact.json")
    else:
        (folder / "artifact.json").write_bytes(said)
    assert [s["features/colour"] for s in states(home)] == ["damaged", "current"]
    assert "ran 1 slide, built 0 datasets; 0 slides failed" in output("run")
    assert contents(folder) == before


@pytest.mark.timeout(60)
def test_a_pipe_in_place_of_a_chunk_is_not_waited_for(home: Path) -> None:
    folder = features(home, "a")
    before = contents(folder)
    (folder / CHUNK).unlink()
    os.mkfifo(folder / CHUNK)
    assert "ran 1 slide, built 0 datasets; 0 slides failed" in output("run")
    assert contents(folder) == before


def test_lineage_of_what_is_gone_says_so(home: Path) -> None:
    a = features(home, "a")
    shutil.rmtree(a)
    said = " ".join(output("lineage", a / "features.zarr").split())
    assert "features/colour was made, and is gone from the store" in said
    assert "gone from the store" in json.loads(output("lineage", a, "--json"))["facts"]["damaged"]


def test_a_catalog_that_was_lost_beside_a_full_store_is_no_cohort_without_slides(
    home: Path,
) -> None:
    for file in (home / "store").glob("catalog.sqlite*"):
        file.unlink()
    for command in ("status", "run"):
        line = rejected_file(command)
        assert "the catalog knows no slide, and the store" in line
        assert "Restore it from its backup" in line


def test_an_empty_folder_where_the_catalog_knows_a_full_store_is_no_store_to_make_all_again_in(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = home / "catalog.sqlite"
    (home / "store" / "catalog.sqlite").rename(elsewhere)
    monkeypatch.setenv("PATHASSETS_CATALOG", f"sqlite:///{elsewhere}")
    assert {state for one in states(home) for state in one.values()} == {"current"}
    (home / "store").rename(home / "unmounted")
    (home / "store").mkdir()
    for command in (["status"], ["run"], ["ingest", home / "a.svs"]):
        line = rejected_file(*command)
        assert f"{home / 'store'}: was never a store" in line
        assert "Mount its disk" in line
    assert not any((home / "store").iterdir())
    (home / "store" / ".staging").mkdir()
    output("run")
    assert features(home, "a").is_dir()


def test_a_home_whose_name_was_mistyped_is_not_begun_beside_the_one_that_is_meant(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistyped = home.with_name("it's hom")
    monkeypatch.setenv("PATHASSETS_HOME", str(mistyped))
    for command in (["status"], ["doctor"], ["run"], ["sql", "select 1"], ["ingest", home]):
        line = rejected_file(*command)
        assert f"PATHASSETS_HOME {mistyped}: is no folder that can be seen" in line
        assert f"pathassets init {shlex.quote(str(mistyped))}" in line
    assert not mistyped.exists()


def test_a_store_that_one_may_not_enter_is_told_in_a_line(home: Path) -> None:
    (home / "store").chmod(0)
    try:
        with bound_by_modes():
            assert "the store is not writable: Permission denied" in rejected_file("run")
    finally:
        (home / "store").chmod(0o700)


def test_a_folder_within_a_home_is_no_home_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invoke("init", tmp_path / "lab").exit_code == 0
    (tmp_path / "lab" / ".dagster").mkdir()
    monkeypatch.chdir(tmp_path / "lab" / "inbox")
    for command in ("status", "plan"):
        said = rejected_file(command)
        assert "is no home, and lies in one" in said
        assert f"cd {tmp_path / 'lab'}" in said
    assert not (tmp_path / "lab" / "inbox" / "store").exists()
    assert invoke("init", tmp_path / "lab" / "inbox").exit_code == 0
    assert invoke("status").exit_code == 0


def test_on_a_store_that_is_read_only_what_reads_works_and_what_writes_refuses(home: Path) -> None:
    a = features(home, "a")
    whole = (states(home), output("lineage", a), output("status"))
    (home / "qc.csv").write_text(f"slide,verdict,why\n{a.parent.name},reject,blur\n")
    with read_only(home / "store"):
        assert (states(home), output("lineage", a), output("status")) == whole
        assert "0.5" in output("mpp", "show", a.parent.name)
        assert output("annotations", "show").startswith("no annotations are recorded: ")
        for command in (
            *(["run"], ["ingest", home / "a.svs"]),
            ["qc", "set", a.parent.name, "reject", "--who", "me", "--why", "blur"],
            *(["qc", "import", home / "qc.csv", "--who", "me"], ["inbox", "retry", home / "b.svs"]),
            ["select", "save", "mine", "id:a", "--who", "me"],
        ):
            assert "the store is not writable" in rejected_file(*command)
        assert "reject" in output("qc", "import", home / "qc.csv", "--who", "me", "--dry-run")
    assert output("qc", "show").startswith("no verdicts")
    assert {p.name for p in (home / "store").glob("catalog*")} == {"catalog.sqlite"}


def test_a_catalog_in_use_is_read_on_a_store_that_is_read_only(home: Path) -> None:
    """Another process writes it: what it committed lies in a log beside the file."""
    slide_id = features(home, "a").parent.name
    with Catalog.open(f"sqlite:///{home / 'store' / 'catalog.sqlite'}") as catalog:
        facts = CohortFacts(slide_id=slide_id, patient="just told", label=None)
        catalog.set_cohort_facts([facts])
        with read_only(home / "store"):
            assert "just told" in output("status")


def test_a_link_planted_in_the_store_stops_no_command(home: Path) -> None:
    elsewhere = home / "folder"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("kept")
    for place in (".staging/x", ".staging/x.lock", ".partial/features-colour-a-0", "planted"):
        (home / "store" / place).symlink_to(elsewhere)
    a = features(home, "a")
    before = contents(a)
    shutil.rmtree(a)
    a.symlink_to(elsewhere)
    assert [s["features/colour"] for s in states(home)] == ["damaged", "current"]
    assert "ran 1 slide" in output("run")
    assert contents(a) == before
    assert not a.is_symlink()
    assert list((home / "store" / ".staging").glob("x*")) == []
    assert list((home / "store" / ".partial").glob("features*")) == []
    assert [path.name for path in elsewhere.iterdir()] == ["kept"]


@pytest.mark.parametrize("name", [".staging", ".partial"])
def test_a_link_in_the_place_of_our_own_folder_is_refused_with_what_to_do(
    home: Path, name: str
) -> None:
    shutil.rmtree(home / "store" / name, ignore_errors=True)
    (home / "folder").mkdir()
    (home / "store" / name).symlink_to(home / "folder")
    shutil.rmtree(features(home, "a"))
    assert [s["features/colour"] for s in states(home)] == ["damaged", "current"]
    line = rejected_file("run")
    assert f"{name}: is a link, which is not followed. Remove it (rm " in line
    assert list((home / "folder").iterdir()) == []
