"""Settings -> the Dagster instance that keeps its state in `<home>/.dagster`.

The `dagster.yaml` of a home states its folders relative to it, which is what a bare `dagster dev`
started there takes. Here they are stated in full, in a copy beside the state, so that every command
finds the same instance from anywhere. An instance that DAGSTER_HOME names is taken as it is.
"""

import os
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._core.instance.ref import InstanceRef

from pathassets.engine.settings import Settings
from pathassets.errors import StoreError

CONFIG = "dagster.yaml"
TEMPLATE = Path(__file__).parent.parent / CONFIG


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """Open the Dagster instance of this home, making what is missing.

    Raises:
        StoreError: its folder is not writable.
    """
    if settings.has_own_dagster:
        _prepare(settings)
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(settings.dagster_home)))


def _prepare(settings: Settings) -> None:
    own = settings.home / CONFIG
    config = yaml.safe_load((own if own.is_file() else TEMPLATE).read_text(encoding="utf-8"))
    text = yaml.safe_dump(_in_full(config, settings.home))
    target = settings.dagster_home / CONFIG
    try:
        settings.dagster_home.mkdir(parents=True, exist_ok=True)
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            draft = target.with_suffix(f".{os.getpid()}.part")
            draft.write_text(text, encoding="utf-8")
            draft.replace(target)
    except OSError as error:
        raise StoreError(
            settings.dagster_home,
            f"Dagster's folder is not writable: {error.strerror}",
            remedy="Point PATHASSETS_HOME at a folder you own",
        ) from error


def _in_full(config: Any, home: Path) -> Any:
    """State every `base_dir` in full."""
    if not isinstance(config, dict):
        return config
    return {
        key: str(home / value) if key == "base_dir" and isinstance(value, str) else _in_full(value, home)
        for key, value in config.items()
    }
