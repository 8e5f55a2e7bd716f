from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tifffile
from click.testing import CliRunner, Result

from pathassets.adapters import torch as torch_adapter
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.migrations import VERSION_TABLE
from pathassets.cli import main
from pathassets.defs.assets.annotations import reported_annotations
from pathassets.defs.events.slide_events import WITHDRAWN
from pathassets.defs.instance import open_instance
from pathassets.engine.settings import read_settings
from pathassets.engine.workers import devices
from tests.bounded_slides import write_scn
from tests.catalog.merges import remember_merge
from tests.defs.daemon import COMMAND, environment, pathassets
from tests.defs.dagster_state import copy_state
from tests.defs.small_slides import RECIPE, write_corrupt_slide, write_slide, write_slow_recipe
from tests.engine.annotations import write_boxes
from tests.engine.line_encoders import NAME
from tests.engine.workers_here import workers_here

pytestmark = pytest.mark.usefixtures("cheap_databases")

Prepare = Callable[[Path], None]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without state: what refuses a request may have made none."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def here(home: Path, dagster_state: Path) -> Iterator[None]:
    """Start no worker processes and make no databases: for tests of what commands say."""
    copy_state(dagster_state, home)
    with workers_here():
        yield


def invoke(*arguments: str | Path) -> Result:
    """Run the command in this process, where Dagster is imported once."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def output(*arguments: str | Path, code: int = 0) -> str:
    """What a command prints that ends with this exit code."""
    result = invoke(*arguments)
    assert result.exit_code == code, result.output
    assert result.stderr == ""
    return result.stdout


def rejected_file(result: Result) -> str:
    """What a command says that cannot do what it was asked: cause and remedy on one line.

    A selection's are on several, which show the place.
    """
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    line, *more = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert bool(more) == line.startswith("error: selection: ")
    return " ".join([line, *more]).removeprefix("error: ")


def status() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output("status", "--json"))
    return found


# Bad input


@pytest.mark.parametrize(
    ("old", "new", "said", "remedy"),
    [
        ("method: otsu", "methd: otsu", "recipe.yaml:2: unknown key", "method"),
        ("method: otsu", "method: magic", "recipe.yaml:2", "otsu"),
        ("mpp: 8.0", "mpp: -1", "recipe.yaml:2: tissue_mask.otsu.mpp = -1", "docs/recipe.md"),
        ("tissue_mask: otsu,", "tissue_mask: oTsu,", "recipe.yaml:3: patch_locations/grid", "otsu"),
        (
            "encoder: colour_stats",
            "encoder: colour",
            "recipe.yaml:4: encoder colour: there is no such encoder",
            "colour_stats",
        ),
        (
            "tissue_mask: {otsu",
            "tisue_mask: {otsu",
            "recipe.yaml:2: unknown section",
            "tissue_mask",
        ),
        ("{method", "{method: otsu, method", "recipe.yaml:2: 'method' is given twice", "Keep one"),
        ("tissue_mask: {", "tissue_mask: [", "recipe.yaml:2: not YAML", "Mend the line"),
    ],
)
def test_a_recipe_that_cannot_be_built_is_refused_with_its_line(
    home: Path, old: str, new: str, said: str, remedy: str
) -> None:
    assert old in RECIPE
    (home / "recipe.yaml").write_text(RECIPE.replace(old, new, 1))
    line = rejected_file(invoke("status"))
    assert said in line
    assert remedy in line.split(said)[1]


def make_folder_without_slides(home: Path) -> None:
    (home / "slides").mkdir()
    (home / "slides" / "notes.txt").write_text("no slide")


def make_table(text: str) -> Prepare:
    def make(home: Path) -> None:
        write_slide(home / "a.svs", 1)
        (home / "cohort.csv").write_text(text)

    return make


def make_nothing(home: Path) -> None:
    assert home.is_dir()


STATED = ("--name", "tumour", "--who", "Ann", "--why", "review of 3 May")
INGEST_TABLE = ("ingest", "a.svs", "--cohort", "cohort.csv")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("prepare", "arguments", "said"),
    [
        (
            make_folder_without_slides,
            ("ingest", "slides"),
            r"slides: no slides in this folder\. Name ",
        ),
        (
            make_nothing,
            ("ingest", "nope.svs"),
            r"nope\.svs: no such file or folder\. Look at its sp",
        ),
        (
            make_table("name,label\n"),
            INGEST_TABLE,
            r"csv: no column 'file', found name, label\. Nam",
        ),
        (
            make_table("file,mpp\na.svs,big\n"),
            INGEST_TABLE,
            r"csv:2: mpp 'big' is not a number\. Gi",
        ),
        (
            make_table("file,mpp\na.svs,500\n"),
            INGEST_TABLE,
            r"500 um per pixel is not between 0\.01",
        ),
        (
            make_table("file,patient\na.svs,p1,\n"),
            INGEST_TABLE,
            r"csv:2: 3 cells, where the header has 2\. Put a cell",
        ),
        (
            make_table("file,patient\nb.svs,p1\n"),
            INGEST_TABLE,
            r"csv: none of its lines fits a file, such as 'b\.svs'; .*\. Write",
        ),
        (
            make_table("file,slide_id\na.svs,-rf\n"),
            (*INGEST_TABLE, "--id-scheme", "manifest"),
            r"csv:2: slide_id '-rf' cannot name a folder\. Use",
        ),
        (
            make_table("file\na.svs\na.svs\n"),
            INGEST_TABLE,
            r"csv: a\.svs is in it twice, in lines 2 and 3\. Keep one",
        ),
        (make_table(""), INGEST_TABLE, r"csv: cannot read the table: .*\. Give a CSV"),
        (
            make_table("file\na.svs\n"),
            (*INGEST_TABLE, "--id-scheme", "manifest"),
            r"a\.svs: the cohort table gives no slide_id for it\. Add it to",
        ),
        (
            make_nothing,
            ("run", "--slides", "nope"),
            r"selection: slide nope: not in the catalog +nope +\^{4} +pathassets status lists",
        ),
        (make_nothing, ("mpp", "show", "nope"), r"slide nope: not in the catalog\. "),
        (
            make_nothing,
            ("mpp", "set", "nope", "0.5", "--who", "a", "--why", "b"),
            r"slide nope: not in the catalog\. ",
        ),
        (
            make_nothing,
            ("mpp", "set", "nope", "250", "--who", "a", "--why", "b"),
            r"nope: 250 um per pixel is not between 0\.01 and 100\. Give micrometres",
        ),
        (
            make_nothing,
            ("mpp", "set", "x", "nan", "--who", "a", "--why", "b"),
            r"x: nan um per pix",
        ),
        (
            make_nothing,
            ("annotations", "set", "nope", "x.geojson", *STATED),
            r"--name tumour: the recipe has no annotations/tumour\. Add to it 'annotations: ",
        ),
        (
            make_nothing,
            ("annotations", "add", ".", *STATED),
            r"--name tumour: the recipe has no annotations/tumour\. Add to it 'annotations: ",
        ),
        (make_nothing, ("annotations", "show", "nope"), r"slide nope: not in the catalog\. "),
        (
            make_nothing,
            ("lineage", "recipe.yaml"),
            r"recipe\.yaml: is not inside the store .*\. Name a",
        ),
        (
            make_nothing,
            ("lineage", "store/x"),
            r"store/x: the catalog knows no artifact here\. Name a",
        ),
    ],
)
def test_a_request_that_is_impossible_says_why_and_what_to_do(
    home: Path, prepare: Prepare, arguments: tuple[str, ...], said: str
) -> None:
    prepare(home)
    assert re.search(said, rejected_file(invoke(*arguments)))


@pytest.mark.usefixtures("here")
def test_a_refused_file_that_is_gone_is_forgotten_by_the_next_ingest(home: Path) -> None:
    (home / "scans").mkdir()
    bad = home / "scans" / "bad.svs"
    slide = write_slide(home / "scans" / "a.svs", 1)
    bad.write_bytes(slide.read_bytes()[:9000])
    output("ingest", bad, code=1)
    assert [one["path"] for one in status()["refused"]] == [str(bad)]
    bad.unlink()
    output("ingest", slide)
    assert status()["refused"] == []


@pytest.mark.usefixtures("here")
def test_a_cohort_table_says_how_it_was_read_and_which_words_mean_unknown(home: Path) -> None:
    write_slide(home / "a.svs", 1)
    (home / "cohort.csv").write_text("file;patient;label\na;NA;None\n")
    said = output(*INGEST_TABLE)
    assert said.startswith(
        "cohort.csv: 1 line, UTF-8, separated by semicolons; "
        "taken as unknown: 'NA' once, 'None' once\n"
    )
    (row,) = status()["slides"]
    assert (row["patient"], row["label"]) == (None, None)
    said = output(*INGEST_TABLE, "--na-values", "NA")
    assert said.startswith(
        "cohort.csv: 1 line, UTF-8, separated by semicolons; taken as unknown: 'NA' once\n"
    )
    (row,) = status()["slides"]
    assert (row["patient"], row["label"]) == (None, "None")


def test_who_and_why_say_something() -> None:
    for words in (["mpp", "set", "x", "0.5"], ["annotations", "withdraw", "x", "--name", "y"]):
        result = invoke(*words, "--who", " ", "--why", "asked")
        assert result.exit_code == 2
        assert "it says nothing" in result.output


@pytest.mark.usefixtures("here")
def test_an_unknown_asset_is_refused_with_those_there_are(home: Path) -> None:
    write_slide(home / "a.svs", 1)
    assert invoke("ingest", "a.svs").exit_code == 0
    said = rejected_file(invoke("run", "--select", "features/nope"))
    assert "features/nope: the recipe has no such entry. Did you mean 'features/colour'?" in said
    said = rejected_file(invoke("run", "--select", "annotations/tumour"))
    assert said == (
        "--select annotations/tumour: annotations are recorded, not made. "
        "Record some: pathassets annotations set"
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PATHASSETS_WORKERS", "many", "PATHASSETS_WORKERS: 'many' is neither a number nor the"),
        ("PATHASSETS_WORKERS", "0", "PATHASSETS_WORKERS: '0' is not above 0. For example"),
        ("PATHASSETS_DEVICE", "tpu", "PATHASSETS_DEVICE: unknown device 'tpu'. Use auto, cpu or"),
        ("PATHASSETS_RECIPE", "nope.yaml", "nope.yaml: cannot read the recipe"),
        ("PATHASSETS_CATALOG", "nonsense", "catalog URL"),
        ("PATHASSETS_CATALOG", "mysql://x/y", "neither SQLite nor PostgreSQL. Write it as sqlite"),
    ],
)
def test_a_setting_that_is_impossible_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    assert home.is_dir()
    monkeypatch.setenv(name, value)
    assert said in rejected_file(invoke("status"))


@pytest.mark.usefixtures("here")
def test_a_gpu_that_is_not_there_is_refused_before_any_slide_is_tried(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATHASSETS_DEVICE", "cuda")
    monkeypatch.setattr(devices, "may_have_gpu", lambda: False)
    monkeypatch.setattr(torch_adapter, "cuda_uuids", dict)
    encoder = f"{{name: '{NAME}', version: '1', kwargs: {{way: raise}}}}"
    own = f"own: {{patch_locations: grid, encoder: {encoder}}}"
    recipe = RECIPE.replace("features: {", f"features: {{{own}, ")
    (home / "recipe.yaml").write_text(recipe)
    output("ingest", write_slide(home / "a.svs", 0))
    said = rejected_file(invoke("run"))
    assert said == "device cuda: torch sees no GPU. Use PATHASSETS_DEVICE=auto or cpu"
    with Catalog.open(f"sqlite:///{home / 'store' / 'catalog.sqlite'}") as catalog:
        assert catalog.attempts() == []
    output("run", "--select", "tissue_mask,patch_locations,features/colour")
    assert "device cuda" in rejected_file(invoke("run"))


def test_a_store_that_cannot_be_written_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").write_text("no folder")
    store = home / "file" / "store"
    monkeypatch.setenv("PATHASSETS_STORE", str(store))
    (home / "a.svs").touch()
    said = rejected_file(invoke("ingest", home / "a.svs"))
    assert said.startswith(f"{store}: the store is not writable: Not a directory. Grant write")


def test_a_slip_in_the_name_of_the_store_makes_none_but_by_ingesting(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "a.svs").touch()
    for store in (home / "tpyo" / "store", home / "there"):
        monkeypatch.setenv("PATHASSETS_STORE", str(store))
        (home / "there").mkdir(mode=0o777, exist_ok=True)
        for asked in (("status",), ("plan",), ("run",), ("select", "list"), ("gc",), ("doctor",)):
            said = rejected_file(invoke(*asked))
            assert said.startswith(f"PATHASSETS_STORE {store}: was never a store. Look at its name")
        assert not (home / "tpyo").exists()
        assert list((home / "there").iterdir()) == []
    assert invoke("ingest", home / "a.svs").exit_code == 1  # it is no slide
    assert "refused" in output("status")


def test_a_catalog_of_a_newer_version_is_left_alone(home: Path) -> None:
    assert invoke("status").exit_code == 0
    catalog = home / "store" / "catalog.sqlite"
    with sqlite3.connect(catalog) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999_the_future'")  # noqa: S608
    connection.close()
    said = rejected_file(invoke("status"))
    assert f"{catalog}: its revision 9999_the_future is of a newer pathassets. Upgrade" in said


def test_exit_codes_and_messages_are_those_of_the_real_command(home: Path) -> None:
    done = pathassets(home, "check", home / "nope", code=2)  # which imports no Dagster
    assert done.stdout == ""
    assert done.stderr == f"error: {home}/nope: no such file or folder. Look at its spelling\n"
    usage = invoke("ingest")
    assert usage.exit_code == 2
    assert "Missing argument 'PATHS...'" in usage.stderr


def test_a_port_that_is_taken_is_refused_before_anything_starts(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = rejected_file(invoke("ui", "--port", str(port)))
    assert said.startswith(f"port {port}: Address already in use. Stop what listens")
    assert not (home / ".dagster").exists()


# The cohort


def test_without_slides_there_is_nothing_to_run(home: Path) -> None:
    for command in ("run", "status"):
        result = invoke(command)
        assert result.exit_code == 0
        assert result.output == "no slides yet: pathassets ingest PATH…\n"
    assert not (home / "store" / "dataset").exists()
    assert json.loads(invoke("status", "--json").output) == {
        "slides": [],
        "datasets": {"dataset/cohort": {"state": "missing", "digest": ANY_DIGEST}},
        "refused": [],
        "doubts": [],
        "left_out": {},
        "removals_begun": [],
    }


class _AnyDigest:
    def __eq__(self, other: object) -> bool:
        return re.fullmatch("[0-9a-f]{16}", str(other)) is not None

    def __hash__(self) -> int:
        return 0


ANY_DIGEST = _AnyDigest()


def test_a_cohort_from_ingestion_to_lineage(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATHASSETS_WORKERS", "1")
    folder = home / "slides"
    folder.mkdir()
    write_slide(folder / "a.svs", 1)
    write_slide(folder / "b.svs", 2, mpp=None)
    write_corrupt_slide(folder / "c.svs", 3)
    (folder / "d.svs").write_bytes(b"not a slide")
    (home / "cohort.csv").write_text("file,patient,label\na.svs,p1,x\nb.svs,p2,y\n")

    said = output("ingest", folder, "--cohort", "cohort.csv", code=1)
    assert said.endswith("3 new slides, 0 known, 1 refused\n")
    said = output("ingest", folder / "a.svs")
    assert said.endswith("0 new slides, 1 known, 0 refused\n")

    foretold = output("run", "--dry-run")
    assert "tissue_mask/otsu: 2 to compute (2 missing), 0 current, 1 not tried (1 mi" in foretold
    [skipped] = [line for line in foretold.splitlines() if line.startswith("skipped")]
    assert "1 slide, resolution_missing: b-" in skipped
    assert skipped in output("plan")

    ran = output("run", code=1)
    assert "ran 3 slides, built 1 dataset; 2 slides failed" in ran

    found = status()
    a, b, c = found["slides"]
    keys = ["tissue_mask/otsu", "patch_locations/grid", "features/colour"]
    assert [list(row["assets"]) for row in (a, b, c)] == [keys] * 3
    assert [a["patient"], a["label"], b["patient"], c["patient"]] == ["p1", "x", "p2", None]
    assert {asset["state"] for asset in a["assets"].values()} == {"current"}
    assert b["assets"][keys[0]]["reason"] == "resolution_missing"
    assert c["assets"][keys[2]]["reason"] == "tile_unreadable"
    assert [refused["path"] for refused in found["refused"]] == [str(folder / "d.svs")]

    shown = output("status")
    assert all(row["slide_id"] in shown for row in (a, b, c))
    assert f"pathassets mpp set {b['slide_id']}" in shown

    # The options that narrow a run take commas and repetition alike.
    narrow = ("--slides", f"{a['slide_id']},{c['slide_id']}", "--select", "tissue_mask,features")
    again = output("run", *narrow, code=1)
    assert "nothing to do: 1 current slide, 1 failed before and would fail again" in again

    # What failed and was not asked for is not counted, and c has its mask.
    of_masks = ("--slides", f"{a['slide_id']},{c['slide_id']}", "--select", "tissue_mask")
    assert output("run", *of_masks) == "nothing to do: 2 current slides\n"
    assert "failed" not in output("run", *of_masks, "--dry-run")

    output("mpp", "set", b["slide_id"], "0.5", "--who", "me", "--why", "the scanner")
    assert "me: 0.5 um per pixel" in output("mpp", "show", b["slide_id"])
    others = output("run", "--slides", f"!id:{a['slide_id']}", code=1)
    assert "ran 1 slide," in others
    assert "; 0 slides failed, 1 failed before and would fail again" in others

    (features,) = (home / "store" / "features" / "colour" / a["slide_id"]).iterdir()
    traced = output("lineage", features / "features.zarr")
    assert a["sha256"] in traced
    assert "tissue_mask/otsu" in traced


@pytest.mark.slow
def test_ctrl_c_ends_a_run_with_one_line_and_the_next_goes_on(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_slow_recipe(home, pause_s=0.5)  # on a device line, beside a worker
    monkeypatch.syspath_prepend(home)
    python = {"PYTHONPATH": str(home)}
    paths = [write_slide(home / f"{i}.svs", i) for i in range(6)]
    with workers_here():
        output("ingest", *paths)
    process = subprocess.Popen(  # noqa: S603  (our own command)
        [COMMAND, "run"],
        env=environment(home, PATHASSETS_WORKERS="1", **python),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("1/6 ")
    started = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers, too
    _, error = process.communicate(timeout=60)
    assert not [one for one in started if one.is_running()]
    assert process.returncode == 130
    assert error.splitlines() == [
        "error: interrupted; what was finished is kept, the same command does the rest"
    ]
    done = pathassets(home, "run", **python).stdout
    assert re.search(r"^ran [1-5] slides?, built 1 dataset; 0 slides failed$", done, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.usefixtures("home")
def test_real_slides_with_and_without_a_resolution(shared: Path) -> None:
    said = output("ingest", shared / "slides")
    assert said.endswith("4 new slides, 0 known, 0 refused\n")
    ran = output("run", code=1)
    rows = {row["slide_id"].rpartition("-")[0]: row for row in status()["slides"]}
    cmu, tcga = rows["CMU-1-Small-Region"], rows["TCGA-CR-7395-01A-01-TS1"]
    assert cmu["assets"]["features/colour"]["state"] == "current"
    assert cmu["assets"]["features/colour"]["n_patches"] > 10

    failed = tcga["assets"]["tissue_mask/otsu"]
    assert failed["reason"] == "resolution_missing"
    assert failed["remedy"].startswith("State it once you know it: pathassets mpp set TCGA-CR-7395")
    assert failed["remedy"] in ran
    for name in ("camelyon_jpeg", "camelyon_jpeg2000"):
        refused = rows[name]["assets"]["tissue_mask/otsu"]
        assert refused["reason"] == "resolution_implausible"
        assert "28.969" in refused["message"]

    stated = ("--who", "a test", "--why", "the scanner's usual")
    output("mpp", "set", tcga["slide_id"], "0.25", *stated)
    output("run", "--slides", tcga["slide_id"])
    (again,) = (r for r in status()["slides"] if r["slide_id"] == tcga["slide_id"])
    assert {asset["state"] for asset in again["assets"].values()} == {"current"}


@pytest.mark.usefixtures("here")
def test_a_name_that_is_no_text_is_shown_and_ends_nothing(home: Path) -> None:
    path = write_slide(home / "latin1_\udce9.svs", 1)
    result = invoke("check", path)
    assert result.exit_code == 0
    assert "latin1_\\udce9.svs: every tile can be read" in result.output


# Annotations

DRAWN = RECIPE.replace(
    "min_tissue_share: 0.5",
    "min_tissue_share: 0.5, region: annotations, annotations: tumour",
).replace("patch_px: 256", "patch_px: 128") + "annotations: {tumour: {}}\n"  # fmt: skip
LEFT, WHOLE = (128.0, 128.0, 512.0, 640.0), (0.0, 0.0, 1024.0, 768.0)


def cells(slide: dict[str, Any]) -> list[str]:
    return [
        cell["reason"] if cell["state"] == "failed" else cell["state"]
        for cell in slide["assets"].values()
    ]


@pytest.mark.usefixtures("here")
def test_what_is_drawn_on_a_slide_from_recording_to_lineage(home: Path) -> None:
    assert DRAWN.count("tumour") == 2
    (home / "recipe.yaml").write_text(DRAWN)
    output("ingest", write_slide(home / "a.svs", 1), write_slide(home / "b.svs", 2))
    a, b = (slide["slide_id"] for slide in status()["slides"])
    file = write_boxes(home / "drawn" / "a.svs.geojson", LEFT, labels=("Tumor",))

    assert output("annotations", "add", "drawn", *STATED, "--dry-run") == (
        f"fits {file}: {a}\n1 file: 1 fits\n"
    )
    assert output("annotations", "show").startswith("no annotations are recorded: pathassets ")
    said = f"{a}: tumour, 1 polygon from a.svs.geojson\n1 file: 1 recorded\n"
    assert output("annotations", "add", "drawn", *STATED) == f"new {said}"
    assert output("annotations", "add", "drawn", *STATED) == f"known {said}"

    said = output("run", code=1)
    assert f"patch_locations/grid: {b}: no annotations/tumour is recorded for it" in said
    assert f"pathassets annotations set {b} FILE --name tumour" in said
    first, second = status()["slides"]
    assert cells(first) == ["current"] * 3
    assert cells(second) == ["current", "annotations_missing", "blocked"]
    assert first["annotations"]["tumour"]["labels"] == {"Tumor": 1}
    assert second["annotations"] == {}
    assert "nothing to do" in output("run", code=1)

    nothing = write_boxes(home / "none.geojson")
    said = output("annotations", "set", b, nothing, *STATED)
    assert said == f"new {b}: tumour, 0 polygons from none.geojson\n"
    output("run")
    assert [cells(slide) for slide in status()["slides"]] == [["current"] * 3] * 2

    write_boxes(file, WHOLE)
    output("annotations", "set", a, file, *STATED)
    assert cells(status()["slides"][0]) == ["current", "stale", "stale"]
    said = output("annotations", "withdraw", a, "--name", "tumour", "--who", "Bob", "--why", "no")
    assert said == f"{a}: tumour is withdrawn; what was made with it is stale now\n"
    [history] = [json.loads(output("annotations", "show", a, "--json"))]
    assert [(one["who"], one["n_polygons"]) for one in history] == [
        ("Bob", 0),
        ("Ann", 1),
        ("Ann", 1),
    ]
    assert [one["slide_id"] for one in json.loads(output("annotations", "show", "--json"))] == [b]
    [folder] = (home / "store" / "patch_locations" / "grid" / b).iterdir()
    said = output("lineage", folder / "locations.parquet")
    assert f"annotations/tumour/{b}/" in said
    assert "none.geojson by Ann at " in said


@pytest.mark.usefixtures("here")
def test_what_is_withdrawn_by_an_id_that_was_merged_is_withdrawn_in_dagster_too(home: Path) -> None:
    (home / "recipe.yaml").write_text(DRAWN)
    output("ingest", write_slide(home / "a.svs", 1))
    [slide_id] = [slide["slide_id"] for slide in status()["slides"]]
    output("annotations", "set", slide_id, write_boxes(home / "a.geojson", WHOLE), *STATED)
    with Catalog.open(f"sqlite:///{home / 'store' / 'catalog.sqlite'}") as catalog:
        remember_merge(catalog, "old", into=slide_id)
    said = output("annotations", "withdraw", "old", *STATED)
    assert said.startswith(f"{slide_id}: tumour is withdrawn")
    with open_instance(read_settings()) as instance:
        assert reported_annotations(instance, "tumour", [slide_id]) == {slide_id: WITHDRAWN}


@pytest.mark.usefixtures("here")
def test_the_frame_of_a_drawing_is_asked_for_where_a_slide_has_bounds(home: Path) -> None:
    (home / "recipe.yaml").write_text(DRAWN)
    scan = np.full((512, 512, 3), 240, np.uint8)
    output("ingest", write_scn(home / "a.scn", scan, (900, 800), (300, 200)))
    [slide] = status()["slides"]
    write_boxes(home / "drawn" / "a.geojson", (10.0, 10.0, 200.0, 300.0))
    said = rejected_file(
        invoke("annotations", "set", slide["slide_id"], "drawn/a.geojson", *STATED)
    )
    assert "has bounds, 512 x 512 px of 900 x 800 px from (300, 200) on" in said
    assert "--frame bounds where QuPath wrote them" in said
    said = output("annotations", "add", "drawn", *STATED, code=1)
    assert said.startswith("refused ")
    assert said.endswith("1 file: 1 refused\n")
    said = output("annotations", "add", "drawn", *STATED, "--frame", "bounds")
    assert "1 polygon from a.geojson, frame bounds\n" in said
    [told] = json.loads(output("annotations", "show", "--json"))
    assert told["frame"] == "bounds"
    assert "frame" in output("annotations", "show")


@pytest.mark.usefixtures("here")
def test_a_folder_with_files_that_fit_nothing_or_are_malformed_says_which(home: Path) -> None:
    (home / "recipe.yaml").write_text(DRAWN)
    output("ingest", write_slide(home / "a.svs", 1), write_slide(home / "b.svs", 2))
    write_boxes(home / "drawn" / "zzz.geojson", LEFT)
    write_boxes(home / "drawn" / "b.geojson", LEFT)
    (home / "drawn" / "a.xml").write_text("<ASAP")
    said = output("annotations", "add", "drawn", *STATED, code=1)
    bad, good, foreign, end = said.splitlines()
    assert bad.startswith(f"refused {home / 'drawn' / 'a.xml'}: ")
    assert good.startswith("new b-")
    assert foreign == f"unmatched {home / 'drawn' / 'zzz.geojson'}: no slide is called so"
    assert end == "3 files: 1 unmatched, 1 recorded, 1 refused"


# Checking slides


def zero_count(path: Path, tile: int) -> None:
    """Say in a slide's table that a level-0 tile is not stored."""
    with tifffile.TiffFile(path) as file:
        at = file.pages.first.tags["TileByteCounts"].valueoffset + 4 * tile
    with path.open("r+b") as opened:
        opened.seek(at)
        opened.write(bytes(4))


def test_a_good_slide_is_checked_and_the_exit_code_is_zero(home: Path) -> None:
    said = output("check", write_slide(home / "a.svs", 1))
    assert "a.svs: every tile can be read" in said
    assert "aperio, 0.5 um per pixel, read by tiles" in said
    assert "level 0: 1,024 x 768 px, 12 tiles, 0 bad" in said


def test_bad_tiles_are_listed_with_level_place_and_reason(home: Path) -> None:
    path = write_corrupt_slide(home / "a.svs", 1)
    zero_count(path, 2)
    said = output("check", path, code=1)
    assert "3 bad tiles" in said, said
    assert "undecodable  level 0, tile 5 at (256, 256), 256 x 256 px: " in said
    assert "missing      level 0, tile 2 at (512, 0), 256 x 256 px: " in said
    (facts,) = json.loads(output("check", path, "--json", code=1))
    assert facts["is_sound"] is False
    assert facts["path"] == str(path)
    assert facts["n_tiles"] == [12, 1]
    bad = {(tile["level"], tile["tile"]): tile["reason"] for tile in facts["bad_tiles"]}
    assert (bad[0, 2], bad[0, 5]) == ("missing", "undecodable")
    assert facts["slide"]["reader"].startswith("tiles")


def test_a_folder_is_checked_slide_by_slide(home: Path) -> None:
    (home / "scans").mkdir()
    write_slide(home / "scans" / "a.svs", 1)
    write_corrupt_slide(home / "scans" / "b.svs", 2)
    (home / "scans" / "c.svs").write_text("no slide")
    found = json.loads(output("check", home / "scans", "--json", code=1))
    assert [Path(facts["path"]).name for facts in found] == ["a.svs", "b.svs", "c.svs"]
    assert [facts["is_sound"] for facts in found] == [True, False, False]
    assert found[2]["error"]["reason"] == "not_a_slide"
    assert found[2]["error"]["remedy"]
    said = output("check", home / "scans", code=1)
    assert "c.svs: cannot be read" in said


@pytest.mark.usefixtures("here")
def test_a_registered_slide_is_checked_by_its_id_against_its_content(home: Path) -> None:
    path = write_slide(home / "a.svs", 1)
    output("ingest", path)
    (slide_id,) = (slide["slide_id"] for slide in status()["slides"])
    assert "every tile can be read" in output("check", slide_id)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    (facts,) = json.loads(output("check", slide_id, "--json", code=1))
    assert facts["error"]["reason"] == "slide_changed"
    assert f"pathassets ingest {path}" in facts["error"]["remedy"]


def test_an_unknown_slide_cannot_be_checked(home: Path) -> None:
    assert not (home / "nowhere-0123456789").exists()
    assert "nowhere-0123456789" in rejected_file(invoke("check", "nowhere-0123456789"))
