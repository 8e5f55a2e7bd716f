"""Environment -> Settings: where things are. The only module that reads the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pathassets.errors import SpecError

DEFAULT_RECIPE = Path(__file__).parent.parent / "recipe.yaml"
DEFAULT_TIMEOUT_S = 4 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where this platform keeps and finds things, and how much of the machine it may take."""

    home: Path
    """Folder of `.dagster` and, unless moved, of store and inbox: PATHASSETS_HOME, else here."""
    store: Path
    """Artifacts: PATHASSETS_STORE, else `<home>/store`."""
    catalog_url: str
    """SQLAlchemy URL: PATHASSETS_CATALOG, else an SQLite file in the store."""
    recipe: Path
    """PATHASSETS_RECIPE, else `<home>/recipe.yaml` where there is one, else the package's own."""
    inbox: Path
    """Folder that is watched for new scans: PATHASSETS_INBOX, else `<home>/inbox`."""
    inbox_stable_s: float
    """How long a file must not have changed to count as whole: PATHASSETS_INBOX_STABLE_S."""
    n_workers: int
    """Slides worked on at once: PATHASSETS_WORKERS, else one a core."""
    slide_timeout_s: float
    """A slide that takes longer is given up: PATHASSETS_SLIDE_TIMEOUT_S."""
    device: str
    """`auto`, `cpu` or `cuda`: PATHASSETS_DEVICE."""

    dagster_home: Path
    """Dagster's own state and `dagster.yaml`: DAGSTER_HOME, else `<home>/.dagster`."""

    @property
    def has_own_dagster(self) -> bool:
        """Whether Dagster's state is this home's, not an instance that someone else set up."""
        return self.dagster_home == self.home / ".dagster"


def read_settings() -> Settings:
    """Read the `PATHASSETS_*` variables.

    Raises:
        SpecError: a value is impossible; names the variable.
    """
    home = Path(os.environ.get("PATHASSETS_HOME", ".")).expanduser().absolute()
    store = Path(os.environ.get("PATHASSETS_STORE", home / "store")).expanduser().absolute()
    own = home / "recipe.yaml"
    recipe = os.environ.get("PATHASSETS_RECIPE", own if own.is_file() else DEFAULT_RECIPE)
    device = os.environ.get("PATHASSETS_DEVICE", "auto")
    if device not in {"auto", "cpu", "cuda"}:
        raise SpecError(f"PATHASSETS_DEVICE: unknown device {device!r}", remedy="Use auto, cpu or cuda")
    return Settings(
        home=home,
        store=store,
        catalog_url=os.environ.get("PATHASSETS_CATALOG", f"sqlite:///{store / 'catalog.sqlite'}"),
        recipe=Path(recipe).expanduser().absolute(),
        inbox=Path(os.environ.get("PATHASSETS_INBOX", home / "inbox")).expanduser().absolute(),
        inbox_stable_s=_number("PATHASSETS_INBOX_STABLE_S", 60.0),
        n_workers=int(_number("PATHASSETS_WORKERS", float(usable_cores()))),
        slide_timeout_s=_number("PATHASSETS_SLIDE_TIMEOUT_S", DEFAULT_TIMEOUT_S),
        device=device,
        dagster_home=Path(os.environ.get("DAGSTER_HOME", home / ".dagster")).expanduser().absolute(),
    )


def dagster_environment(settings: Settings) -> dict[str, str]:
    """Environment for Dagster's processes: this one's, with both homes stated in full."""
    homes = {"PATHASSETS_HOME": settings.home, "DAGSTER_HOME": settings.dagster_home}
    return {**os.environ, **{name: str(path) for name, path in homes.items()}}


def usable_cores() -> int:
    """Cores this process may run on, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _number(name: str, default: float) -> float:
    text = os.environ.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError as error:
        raise SpecError(f"{name}: {text!r} is not a number", remedy=f"For example {default:g}") from error
    if not 0 < value < float("inf"):
        raise SpecError(f"{name}: {text!r} is not above 0", remedy=f"For example {default:g}")
    return value
