"""What every test gets: a clean environment, and options for what costs or needs something."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
SLOW_TIMEOUT_S = 900
"""Of a slow test: the longest takes 85 s alone, and more than 300 where others have the cores."""
SETTINGS = ("PATHASSETS_", "DAGSTER_", "AWS_", "AZURE_", "GOOGLE_")

# Threads of OpenMP that wait for each other sleep, also in processes started here. By default they
# spin: where other processes have the cores, 70 small passes of ResNet-18 took ten times the CPU.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# The same examples on every machine and in every run; a loaded machine is no failure.
settings.register_profile("house", max_examples=50, derandomize=True, deadline=None, database=None)
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    slow = [item for item in items if item.get_closest_marker("slow")]
    if config.getoption("--slow"):
        for item in slow:
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT_S))
        return
    items[:] = [item for item in items if not item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)


def pytest_collection_finish() -> None:
    """Let collections of garbage pass over the modules and tests, which stay until the end."""
    gc.freeze()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their place: every process must collect the same names, whatever they hold."""
    return argname if isinstance(val, bytes) else None


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if not config.getoption("--slow"):
        terminalreporter.write_line("the slow tests were left out: `make slow` runs them")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import torch  # noqa: PLC0415  (seconds that only these tests pay)

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")


@pytest.fixture(autouse=True)
def _house_environment() -> Iterator[None]:
    """Give each test the environment of someone who has set nothing, and undo what it sets."""
    before = _take_settings()
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
    os.environ["PATHASSETS_RETRY_PAUSES_S"] = "none"  # tests that wait for it say so
    yield
    _take_settings()
    os.environ.update(before)


def _take_settings() -> dict[str, str]:
    names = [name for name in os.environ if name.startswith(SETTINGS)]
    return {name: os.environ.pop(name) for name in names}


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """URL of an S3 server, in a process of its own."""
    from tests.s3_server import serve_s3  # noqa: PLC0415  (few tests use it)

    with serve_s3() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3_server: str) -> str:
    """URL of an empty bucket, which this process and those that it starts can use."""
    from tests.s3_server import make_bucket  # noqa: PLC0415  (the same)

    return make_bucket(s3_server)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real slides beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared")
    return SHARED


@pytest.fixture(scope="session")
def dagster_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dagster's databases without a row, to be copied into a home."""
    from tests.defs.dagster_state import make_state  # noqa: PLC0415  (dagster takes seconds)

    return make_state(tmp_path_factory.mktemp("dagster"))


@pytest.fixture(scope="session")
def model_libraries() -> None:
    """Let timm and transformers be imported by the worker whose tests use them, and by no other."""
    from tests import torchvision_ops  # noqa: PLC0415  (five seconds, as theirs)

    torchvision_ops.declare()
    for name in ("timm", "transformers"):
        pytest.importorskip(name)


@pytest.fixture(scope="module")
def cheap_databases() -> Iterator[None]:
    """Let the databases that a module's tests open in this process wait for no disk."""
    from tests.defs.dagster_state import cheap_databases  # noqa: PLC0415  (the same)

    with cheap_databases():
        yield


@pytest.fixture
def start_python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start Python processes that see what this one sees."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str, *args: object) -> subprocess.Popen[str]:
        folders = os.pathsep.join(filter(None, [str(Path.cwd()), *sys.path]))
        process = subprocess.Popen(  # noqa: S603  (our own scripts)
            [sys.executable, "-W", "error", "-c", script, *map(str, args)],
            env=os.environ | {"PYTHONPATH": folders},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
