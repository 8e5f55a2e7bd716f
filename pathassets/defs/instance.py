"""Settings -> the Dagster instance that keeps its state in `<home>/.dagster`.

The `dagster.yaml` of a home states its folders relative to it, which is what a bare `dagster dev`
started there takes. Here they are stated in full, in a copy beside the state, so that every command
finds the same instance from anywhere. An instance that DAGSTER_HOME names is taken as it is.

Dagster makes its databases table by table, for a second. Killed meanwhile, it takes what is there
for an old schema ever after ("requires the dynamic partitions table"), so they are made aside and
get their names when they are whole.
"""

import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from filelock import FileLock

from pathassets.adapters.files import keep_private
from pathassets.catalog.database.connect import translated
from pathassets.defs.dagster_internals import NO_COMPUTE_LOGS, open_with
from pathassets.engine.settings import Settings
from pathassets.errors import SpecError, StoreError

CONFIG = "dagster.yaml"
TEMPLATE = Path(__file__).parent.parent / CONFIG
OVERRIDES = NO_COMPUTE_LOGS
"""Dagster would lead a command's own output through two helper processes, which a Ctrl-C in the
terminal ends with a traceback each."""
DATABASES = ("history", "schedules")
ASIDE = ".making"


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """Open the Dagster instance of this home, making what is missing.

    Raises:
        StoreError: its folder is not writable.
        SpecError: its `dagster.yaml` cannot be used.
        CatalogError: its databases cannot be read or written.
    """
    with databases_told(settings):
        if settings.has_own_dagster:
            _prepare(settings)
        return _open(settings.dagster_home)


def databases_told(settings: Settings) -> AbstractContextManager[None]:
    """Have it said in a line where Dagster's databases fail, for want of room, say."""
    return translated(
        f"Dagster's databases ({settings.dagster_home})",
        remedy=f"Look whether the disk, or the server that {CONFIG} names, answers, has room and "
        "can be written; then try again",
    )


def _open(folder: Path) -> dg.DagsterInstance:
    if not folder.is_dir():
        raise SpecError(
            f"{folder}: DAGSTER_HOME is no folder",
            remedy="Make it, or unset DAGSTER_HOME to keep Dagster's state in PATHASSETS_HOME",
        )
    try:
        return open_with(folder, OVERRIDES)
    except OSError as error:
        raise _not_writable(folder, error) from error
    except (dg.DagsterError, yaml.YAMLError) as error:
        said = " ".join(str(error).split(" Expected:")[0].split())  # then follows all it could be
        raise SpecError(
            f"{folder / CONFIG}: Dagster cannot use it: {said}",
            remedy=f"Mend the {CONFIG} it was made from, or delete that for the default one",
        ) from error


def _prepare(settings: Settings) -> None:
    """Make what is missing or was made half, one process at a time."""
    config = _read_config(settings.home / CONFIG)
    text = yaml.safe_dump(_in_full(config, settings.home))
    target, aside = settings.dagster_home / CONFIG, settings.dagster_home / ASIDE
    missing = [settings.home / path for path in _databases(config)]
    try:
        keep_private(settings.dagster_home)
        is_written = target.is_file() and target.read_text(encoding="utf-8") == text
        if is_written and not aside.exists() and all(path.exists() for path in missing):
            return
        with FileLock(aside.with_suffix(".lock")):
            shutil.rmtree(aside, ignore_errors=True)  # of one that was killed
            aside.mkdir()
            _make_databases(config, settings.home, aside)
            (aside / CONFIG).write_text(text, encoding="utf-8")
            (aside / CONFIG).replace(target)
            shutil.rmtree(aside)
    except OSError as error:
        raise _not_writable(settings.dagster_home, error) from error


def _databases(config: Any) -> list[Path]:
    """Folders of Dagster's databases, relative to the home; none where they are kept elsewhere."""
    match config:
        case {"storage": {"sqlite": {"base_dir": str(base)}}} if not Path(base).is_absolute():
            return [Path(base, name) for name in DATABASES]
        case _:
            return []


def _make_databases(config: Any, home: Path, aside: Path) -> None:
    missing = [path for path in _databases(config) if not (home / path).exists()]
    if not missing:
        return
    (aside / CONFIG).write_text(yaml.safe_dump(_in_full(config, aside)), encoding="utf-8")
    _open(aside).dispose()
    for path in missing:
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (aside / path).rename(home / path)


def _read_config(own: Path) -> Any:
    """Read the home's own `dagster.yaml`, or the package's where it has none."""
    try:
        return yaml.safe_load((own if own.is_file() else TEMPLATE).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SpecError(
            f"{own}: cannot be read: {' '.join(str(error).split())}",
            remedy="Mend it, or delete it for the default one",
        ) from error


def _not_writable(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        folder,
        f"Dagster's folder is not writable: {error.strerror}",
        remedy="Point PATHASSETS_HOME at a folder you own",
    )


def _in_full(config: Any, home: Path) -> Any:
    """State every `base_dir` in full."""
    if not isinstance(config, dict):
        return config
    return {
        key: str(home / value)
        if key == "base_dir" and isinstance(value, str)
        else _in_full(value, home)
        for key, value in config.items()
    }
