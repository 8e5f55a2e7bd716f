"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pathassets"
MODULES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = sorted((ROOT / "benchmarks").rglob("*.py"))

HEAVY = ["dagster", "openslide", "psutil", "sqlalchemy", "tifffile", "torch", "zarr"]
ENVIRONMENT_DOORS = {
    PACKAGE / "engine" / "settings.py",
    PACKAGE / "adapters" / "objects" / "endpoints.py",  # of what obstore reads
}
ENVIRONMENT_NAMES = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}

# In parts, so that this file does not name them itself.
PRIVATE_FOLDER = re.compile(r"(?<![\w.~-])/(?:work|root|home|Users|tmp|mnt)(?=/\w)")
HOST = re.compile(r"https?:" + r"//([\w.-]+)")
PUBLIC_HOSTS = {
    "127.0.0.1",
    "arxiv.org",
    "aws.amazon.com",
    "dicom.nema.org",
    "dagster-io.github.io",
    "docs.dagster.io",
    "docs.ray.io",
    "docs.mlcommons.org",
    "docs.openmicroscopy.org",
    "doi.org",
    "git-lfs.github.com",
    "github.com",
    "host",  # the word, where a remedy says what is to be written
    "huggingface.co",
    "keepachangelog.com",
    "localhost",
    "man7.org",
    "pathassets-ray-head-svc",  # KubeRay's word for the head of deploy/kuberay, within a cluster
    "mlcommons.org",
    "openlineage.io",
    "openslide.org",
    "purl.org",
    "prometheus.io",
    "pypi.org",
    "schema.org",
    "www.apache.org",
    "www.awaresystems.be",
    "www.leica-microsystems.com",
    "www.w3.org",
}


def named(path: Path, line: int = 0) -> str:
    return f"{path.relative_to(ROOT)}:{line}" if line else str(path.relative_to(ROOT))


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def n_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body, without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def repository_files() -> list[Path]:
    """What is, or would be, committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip(f"needs a git checkout: {listed.stderr.strip()}")
    return [path for name in listed.stdout.split("\0") if (path := ROOT / name).is_file()]


def test_core_needs_none_of_the_heavy_packages() -> None:
    script = f"""
import importlib, pkgutil, sys
import pathassets.core, pathassets.errors
for found in pkgutil.walk_packages(pathassets.core.__path__, "pathassets.core."):
    importlib.import_module(found.name)
print(*sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    result = subprocess.run(  # noqa: S603  (our own script)
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.stdout.split(), result.stderr, result.returncode) == ([], "", 0)


def test_dagster_modules_do_not_postpone_annotations() -> None:
    # Dagster reads the annotations of `context` and `config` as objects, not as text.
    wiring = [PACKAGE / "definitions.py", *(PACKAGE / "defs").rglob("*.py")]
    bad = [
        named(path)
        for path in wiring
        for node in parsed(path).body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]
    assert bad == []


def test_a_file_is_read_in_one_sitting() -> None:
    long = {
        named(path): n
        for path in MODULES + SCRIPTS
        if (n := len(path.read_text().splitlines())) > 400
    }
    assert long == {}


def test_a_folder_is_looked_through_at_a_glance() -> None:
    n_modules = Counter(path.parent for path in MODULES if path.name != "__init__.py")
    del n_modules[PACKAGE / "catalog" / "migrations" / "versions"]  # a log: one module a revision
    assert {named(folder): n for folder, n in n_modules.items() if n > 15} == {}


def test_a_function_fits_a_glance() -> None:
    long = {
        f"{named(path, function.lineno)} {function.name}": n
        for path in MODULES + SCRIPTS
        for function in functions(path)
        if (n := n_lines(function)) > 40
    }
    assert long == {}


def test_definitions_only_assemble() -> None:
    assert len((PACKAGE / "definitions.py").read_text().splitlines()) < 40


def test_an_asset_wires_and_does_not_compute() -> None:
    long = {
        f"{named(path, function.lineno)} {function.name}": n
        for path in (PACKAGE / "defs").rglob("*.py")
        for function in functions(path)
        if any("asset" in ast.unparse(decorator) for decorator in function.decorator_list)
        if (n := n_lines(function)) > 15
    }
    assert long == {}


def test_the_environment_is_read_by_its_doors_alone() -> None:
    readers = {
        named(path, node.lineno)
        for path in MODULES
        if path not in ENVIRONMENT_DOORS
        for node in ast.walk(parsed(path))
        if (isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT_NAMES)
        or (isinstance(node, ast.alias) and node.name in ENVIRONMENT_NAMES)
    }
    assert readers == set()


PRIVATE_DAGSTER_DOOR = PACKAGE / "defs" / "dagster_internals.py"


def test_dagster_s_private_modules_are_named_by_one_module() -> None:
    others = [path for path in MODULES if path != PRIVATE_DAGSTER_DOOR]
    assert [named(path) for path in others if "dagster._" in path.read_text()] == []


def test_help_does_not_wait_for_dagster() -> None:
    script = """
import sys
from pathassets.cli import main
for command in ("--help", "run --help", "ui --help", "annotations set --help"):
    main(command.split(), standalone_mode=False)
print("dagster" in sys.modules, file=sys.stderr)
"""
    result = subprocess.run(  # noqa: S603  (our own script)
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stderr == "False\n"


TEXT_DOOR = PACKAGE / "defs" / "text.py"
RENDERED = {"md", "MarkdownMetadataValue"}
"""What makes Markdown of a text."""
OUR_WORDS = {"words", "fault"}
"""Names of what is written in the same module."""


def door_names(tree: ast.Module) -> set[str]:
    """What a module imports from the door of strangers' text."""
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "pathassets.defs.text"
        for alias in node.names
    }


def is_safe(value: ast.expr, door: set[str]) -> bool:
    """Whether a description is written in place, and has what is not from the door."""
    safe = False
    match value:
        case ast.Constant():
            safe = True
        case ast.FormattedValue(format_spec=ast.JoinedStr(values=[ast.Constant(value="d")])):
            safe = True  # a number
        case ast.Call(func=ast.Name(id=name)):
            safe = name in door
        case ast.Name(id=name):
            safe = name in OUR_WORDS or name == name.upper()
        case ast.IfExp(body=one, orelse=other):
            safe = is_safe(one, door) and is_safe(other, door)
        case ast.JoinedStr(values=parts):
            safe = all(is_safe(part, door) for part in parts)
        case ast.FormattedValue(value=inner):
            safe = is_safe(inner, door)
    return safe


def test_nothing_reaches_the_pages_markdown_but_through_the_door() -> None:
    # Images and links in it act for whoever reads the page: what came from a file, a table or a
    # person is quoted by defs/text.py.
    bad = []
    for path in sorted({*(PACKAGE / "defs").rglob("*.py")} - {TEXT_DOOR}):
        tree = parsed(path)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in RENDERED:
                bad.append(named(path, node.lineno))
            if isinstance(node, ast.Call):
                said = [word.value for word in node.keywords if word.arg == "description"]
                said += node.args[:1] if ast.unparse(node.func).endswith("Failure") else []
                door = door_names(tree)
                bad += [named(path, one.lineno) for one in said if not is_safe(one, door)]
    assert bad == []


def is_public(host: str) -> bool:
    """Whether a host is one that all may know, or nobody's: RFC 2606."""
    return host in PUBLIC_HOSTS or host.endswith(".example")


def test_no_file_names_a_private_folder_or_host() -> None:
    found = [
        f"{named(path, number)} {name}"
        for path in repository_files()
        for number, line in enumerate(path.read_bytes().decode(errors="replace").splitlines(), 1)
        for name in [
            *PRIVATE_FOLDER.findall(line),
            *(host for host in HOST.findall(line) if not is_public(host)),
        ]
    ]
    assert found == []


def test_the_package_ships_the_instance_that_the_checkout_uses() -> None:
    assert (PACKAGE / "dagster.yaml").read_bytes() == (ROOT / "dagster.yaml").read_bytes()


def test_the_instance_keeps_its_state_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster as dg  # noqa: PLC0415  (seconds that only this test pays)

    @dg.asset
    def one() -> None:
        print("a line for the compute log")  # noqa: T201

    config = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(tmp_path)
    with dg.DagsterInstance.from_config(".") as instance:
        assert dg.materialize([one], instance=instance).success
        assert not instance.telemetry_enabled
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".dagster", "dagster.yaml"]


def test_the_locked_versions_are_exact_and_in_order() -> None:
    pins = [
        line
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []
    names = [pin.partition("==")[0].lower() for pin in pins]
    assert all(a < b for a, b in pairwise(names))
