"""README and docs/: what they tell a reader to type is typed, what they name is there.

A fenced block is told by its language:

    python   run in a folder with the slide that it names; `print(…)  # this` is what it prints
    sh       `pathassets …` run in a home, `make …` as a dry run; the rest is what the Makefile does
    yaml     a part of a recipe: all of docs/recipe.md is built on a slide, the rest is parsed
    sql      asked of a catalog of either kind by tests/catalog/test_views.py
    console  `$ pathassets …` and what it prints, but for seconds

What `make demo` prints stands in README, and is held by tests/test_demo.py.
"""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from pathassets.cli import main
from pathassets.core.recipe_file import parse_recipe
from pathassets.core.selection.fields import FIELDS
from pathassets.core.selection.parser import parse
from pathassets.engine import settings
from pathassets.engine.datasets.copy import copy_dataset
from tests.defs.small_slides import write_slide
from tests.engine.annotations import write_boxes
from tests.engine.datasets.bag_store import write_dataset
from tests.engine.workers_here import workers_here

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pathassets"
README, CONTRIBUTING = ROOT / "README.md", ROOT / "CONTRIBUTING.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [README, CONTRIBUTING, ROOT / "CHANGELOG.md", *DOCS]
RECIPE, OPERATIONS = ROOT / "docs" / "recipe.md", ROOT / "docs" / "operations.md"
REAL_SLIDE = "CMU-1-Small-Region.svs"

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([\w-]+))?\)")
CODE = re.compile(r"`([^`\n]+)`")
PRINTED = re.compile(r"print\(.*\)(?:  # |\n\s+# )(.*)$", re.MULTILINE)
OF_PACKAGE = re.compile(r"(?:core|adapters|catalog|engine|defs|report|cli)/[\w/.]*")
OF_CHECKOUT = re.compile(r"(?:pathassets|tests|benchmarks|docs)/[\w/.-]*")
SECONDS = re.compile(r"\d+\.\d+ s|\d+ patches/s")


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(page.read_text()) if found == language]


def prose(page: Path) -> str:
    return BLOCK.sub("", page.read_text())


def spans() -> Iterator[str]:
    """What is written as code within sentences and tables."""
    for page in PAGES:
        yield from CODE.findall(prose(page))


def cases(language: str) -> list[Any]:
    return [
        pytest.param(text, id=f"{page.stem}-{n}")
        for page in PAGES
        for n, text in enumerate(blocks(page, language))
    ]


# What they name


def test_the_front_page_and_the_guide_are_short() -> None:
    assert len(README.read_text().splitlines()) <= 150
    assert len(CONTRIBUTING.read_text().splitlines()) <= 120


def test_every_page_is_linked_from_the_front_page() -> None:
    linked = {path for path, _ in LINK.findall(README.read_text())}
    pages = {path.relative_to(ROOT).as_posix() for path in PAGES}
    assert pages - {"README.md"} - linked == set()


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for path, anchor in LINK.findall(prose(page)):
        if path.startswith("http"):
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.is_file(), path
        assert not anchor or anchor in anchors(there), f"{path}#{anchor}"


def test_every_file_that_is_named_is_there() -> None:
    named = {(PACKAGE, span) for span in spans() if OF_PACKAGE.fullmatch(span)}
    named |= {(ROOT, span) for span in spans() if OF_CHECKOUT.fullmatch(span)}
    assert [span for root, span in sorted(named) if not (root / span).exists()] == []
    assert len(named) > 40


def test_the_tree_of_the_front_page_is_the_package() -> None:
    (tree,) = [text for text in blocks(README, "") if text.startswith("pathassets/\n")]
    named = re.findall(r"^  ([\w.]+)/? ", tree, re.MULTILINE)
    there = {path.name for path in PACKAGE.iterdir() if not path.name.startswith("__")}
    assert set(named) == there - {"recipe.yaml", "dagster.yaml", "py.typed"}


def test_the_house_says_why_of_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {re.match(r"[\w-]+", each)[0] for each in project["dependencies"]}
    _, _, table = (ROOT / "docs" / "house.md").read_text().partition("## Dependencies")
    assert {word for word in named if not re.search(rf"\b{word}\b", table)} == set()


def below(command: click.Group) -> dict[str, click.Command]:
    """Commands of a group, by name; each is imported when it is asked for."""
    context = click.Context(command)
    found = {name: command.get_command(context, name) for name in command.list_commands(context)}
    assert None not in found.values()
    return {name: child for name, child in found.items() if child is not None}


def command_paths(command: click.Command, path: str) -> Iterator[str]:
    """`pathassets a`, `pathassets a b`, ... of all commands that do something."""
    if isinstance(command, click.Group):
        for name, child in below(command).items():
            yield from command_paths(child, f"{path} {name}")
    else:
        yield path


def test_operations_name_every_command_and_every_setting() -> None:
    text = OPERATIONS.read_text()
    assert [path for path in command_paths(main, "pathassets") if path not in text] == []
    read = set(re.findall(r'"(PATHASSETS_\w+)"', Path(settings.__file__).read_text()))
    assert set(re.findall(r"PATHASSETS_\w+", text)) == read


@pytest.mark.parametrize(
    "span", sorted({span for span in spans() if re.match(r"pathassets [a-z]", span)})
)
def test_a_command_within_a_sentence_has_the_options_that_are_named(span: str) -> None:
    words = span.split()[1:]
    command: click.Command = main
    while isinstance(command, click.Group) and words:
        command = below(command)[words.pop(0)]
    known = {option for each in command.params for option in each.opts}
    assert [word for word in words if word.startswith("--") and word not in known] == []


def selections_section() -> str:
    _, _, section = OPERATIONS.read_text().partition("## Selections\n")
    return section.partition("\n## ")[0]


def test_every_field_of_a_selection_is_documented_and_no_other() -> None:
    cells = [line.split("|")[1] for line in selections_section().splitlines() if "|" in line[:1]]
    named = {name.partition(".")[0] for cell in cells for name in CODE.findall(cell)}
    assert named == set(FIELDS)


# What they tell a reader to type


def test_every_documented_selection_can_be_read() -> None:
    (text,) = re.findall(r"^```\n(.*?)^```$", selections_section(), re.MULTILINE | re.DOTALL)
    lines = [re.split(r" {3,}", line)[0] for line in text.splitlines()]
    assert len([str(parse(line)) for line in lines]) > 4


def test_no_block_is_of_another_kind() -> None:
    found = {language for page in PAGES for language, _ in BLOCK.findall(page.read_text())}
    assert found <= {"", "python", "sh", "sql", "yaml", "console"}


@pytest.mark.parametrize("text", cases("python"))
def test_an_example_runs_and_prints_what_it_says(
    text: str,
    shared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / REAL_SLIDE).symlink_to(shared / "slides" / REAL_SLIDE)
    if "load_dataset(" in text:
        copy_dataset(write_dataset(tmp_path / "store"), tmp_path / "luad")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.py").write_text(text)
    runpy.run_path("example.py")
    printed = capsys.readouterr().out.splitlines()
    said = [line for comment in PRINTED.findall(text) for line in comment.split(", then ")]
    for line in said:
        if more := re.fullmatch(r"(\d+) more", line):
            assert len(printed) == int(more[1]) + 1
        else:
            assert line in printed
    assert bool(said) == ("print(" in text)


def merged(*parts: str) -> dict[str, Any]:
    """Sections of a recipe, each with the entries of all parts."""
    recipe: dict[str, Any] = {}
    for part in parts:
        for stage, entries in yaml.safe_load(part).items():
            recipe.setdefault(stage, {}).update(entries)
    return recipe


def test_the_first_recipe_is_the_default_one() -> None:
    default = yaml.safe_load((PACKAGE / "recipe.yaml").read_text())
    assert yaml.safe_load(blocks(RECIPE, "yaml")[0]) == default


@pytest.mark.parametrize("text", cases("yaml"))
def test_every_part_of_a_recipe_is_one(text: str) -> None:
    whole = merged((PACKAGE / "recipe.yaml").read_text(), text)
    parse_recipe(whole, str, lambda path: (path, "0" * 64))


MODELS = """
from torch import nn

def build(depth):
    layers = [nn.Linear(3, 3) for _ in range(depth)]
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *layers)
"""


def write_model(folder: Path) -> None:
    """Write the module and the weights that docs/recipe.md names."""
    from safetensors.torch import save_file  # noqa: PLC0415 - torch takes seconds

    for name in ("my_package", "models"):
        (folder / name).mkdir()
    (folder / "my_package" / "models.py").write_text(MODELS)
    (entry,) = [
        entry["encoder"]
        for entry in read_recipe()["features"].values()
        if "weights" in entry["encoder"]
    ]
    made = runpy.run_path(str(folder / "my_package" / "models.py"))["build"](**entry["kwargs"])
    save_file(made.state_dict(), folder / entry["weights"])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home whose recipe is all of docs/recipe.md, with the files that it names, and a slide."""
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(read_recipe()))
    write_model(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "scans").mkdir()
    write_slide(tmp_path / "scans" / "one.svs", 1)
    write_boxes(tmp_path / "one.geojson", (128, 128, 896, 640))
    (tmp_path / "cohort.csv").write_text("file,patient\none.svs,a\n")
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with workers_here():
        yield tmp_path


def typed(line: str) -> str:
    """Type a line of a shell; returns what it prints, if it ends well."""
    words = line.replace("/data/scans", "scans").split()[1:]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return result.output


def shell_lines(*pages: Path) -> list[str]:
    found = "".join(text for page in pages for text in blocks(page, "sh")).splitlines()
    return [line.partition("  #")[0].strip() for line in found if line]


@pytest.mark.slow
@pytest.mark.usefixtures("home")
def test_the_documented_recipe_is_built_by_the_documented_commands() -> None:
    ingest, run, status = [line for line in shell_lines(README) if re.match(r"pathassets ", line)]
    assert "1 new slide, 0 known, 0 refused" in typed(ingest)
    (slide,) = json.loads(typed("pathassets status --json"))["slides"]
    stated = f"{slide['slide_id']} one.geojson --name tumour --who Ann --why review"
    typed(f"pathassets annotations set {stated}")
    datasets = {f"dataset/{name}" for name in read_recipe()["dataset"]}
    assert f"ran 1 slide, built {len(datasets)} datasets" in typed(run)
    assert "stale" not in typed(status)
    (slide,) = json.loads(typed("pathassets status --json"))["slides"]
    named = {f"{stage}/{name}" for stage, entries in read_recipe().items() for name in entries}
    assert set(slide["assets"]) | {"annotations/tumour"} | datasets == named
    assert {asset["state"] for asset in slide["assets"].values()} == {"current"}


def read_recipe() -> dict[str, Any]:
    return merged(*blocks(RECIPE, "yaml"))


@pytest.mark.slow  # ten seconds of ResNet-18; that it is the same here, the gate holds elsewhere
@pytest.mark.parametrize("text", cases("console"))
def test_a_session_prints_what_it_says(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "300")
    command, *expected = text.splitlines()
    printed = SECONDS.sub("#", typed(command.removeprefix("$ ")))
    patterns = [re.escape(SECONDS.sub("#", line)).replace("…", ".*") for line in expected]
    assert re.fullmatch("\n".join(patterns) + "\n", printed)


@pytest.mark.parametrize("line", [line for line in shell_lines(*PAGES) if line.startswith("make ")])
def test_make_knows_what_it_is_told_to_make(line: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("needs make")
    done = subprocess.run(  # noqa: S603  (our own words)
        [*line.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_who_has_no_make_types_what_make_does() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("$(PYTHON)", "python3")
    makefile = makefile.replace("$(BIN)", ".venv/bin").replace("$(VENV)", ".venv")
    venv, install, demo, ui = [
        line for line in shell_lines(README) if not line.startswith(("make ", "pathassets "))
    ]
    assert f'echo "{venv}"' in makefile
    assert [demo, ui] == re.findall(r"^\t(\.venv/bin/pathassets \w+)$", makefile, re.MULTILINE)
    assert install == ".venv/bin/pip install -c constraints.txt -e ."
    assert (ROOT / "constraints.txt").is_file()
