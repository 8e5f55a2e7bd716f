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
    """Slides worked on at once, 1 or more: PATHASSETS_WORKERS, else one a core."""
    slide_timeout_s: float
    """A slide that takes longer is given up: PATHASSETS_SLIDE_TIMEOUT_S."""
    device: str
    """`auto`, `cpu` or `cuda`: PATHASSETS_DEVICE."""

    dagster_home: Path
    """Dagster's own state and `dagster.yaml`: DAGSTER_HOME, else `<home>/.dagster`."""

    def __post_init__(self) -> None:
        if self.n_workers < 1:
            raise SpecError(
                f"n_workers: {self.n_workers} is not 1 or more",
                remedy="Set PATHASSETS_WORKERS to how many slides to work on at once",
            )

    @property
    def has_own_dagster(self) -> bool:
        """Whether Dagster's state is this home's, not an instance that someone else set up."""
        return self.dagster_home == self.home / ".dagster"


def read_settings() -> Settings:
    """Read the `PATHASSETS_*` variables.

    Raises:
        SpecError: a value is impossible; names the variable.
    """
    home = _path("PATHASSETS_HOME", Path())
    store = _path("PATHASSETS_STORE", home / "store")
    own = home / "recipe.yaml"
    device = _text("PATHASSETS_DEVICE", "auto")
    if device not in {"auto", "cpu", "cuda"}:
        raise SpecError(
            f"PATHASSETS_DEVICE: unknown device {device!r}", remedy="Use auto, cpu or cuda"
        )
    return Settings(
        home=home,
        store=store,
        catalog_url=_text("PATHASSETS_CATALOG", f"sqlite:///{store / 'catalog.sqlite'}"),
        recipe=_path("PATHASSETS_RECIPE", own if own.is_file() else DEFAULT_RECIPE),
        inbox=_path("PATHASSETS_INBOX", home / "inbox"),
        inbox_stable_s=_number("PATHASSETS_INBOX_STABLE_S", 60.0),
        n_workers=_whole("PATHASSETS_WORKERS", usable_cores()),
        slide_timeout_s=_number("PATHASSETS_SLIDE_TIMEOUT_S", DEFAULT_TIMEOUT_S),
        device=device,
        dagster_home=_path("DAGSTER_HOME", home / ".dagster"),
    )


def dagster_environment(settings: Settings) -> dict[str, str]:
    """Environment for Dagster's processes: this one's, with both homes stated in full."""
    homes = {"PATHASSETS_HOME": settings.home, "DAGSTER_HOME": settings.dagster_home}
    return {**os.environ, **{name: str(path) for name, path in homes.items()}}


def usable_cores() -> int:
    """Cores this process may run on, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _text(name: str, default: str) -> str:
    """Value of a variable; one that is set to nothing counts as not set."""
    return os.environ.get(name) or default


def _path(name: str, default: Path) -> Path:
    return Path(_text(name, str(default))).expanduser().absolute()


def _number(name: str, default: float) -> float:
    text = _text(name, repr(default))
    try:
        value = float(text)
    except ValueError as error:
        raise SpecError(
            f"{name}: {text!r} is not a number", remedy=f"For example {default:g}"
        ) from error
    if not 0 < value < float("inf"):
        raise SpecError(f"{name}: {text!r} is not above 0", remedy=f"For example {default:g}")
    return value


def _whole(name: str, default: int) -> int:
    value = _number(name, float(default))
    if not value.is_integer():
        raise SpecError(f"{name}: {value:g} is not a whole number", remedy=f"For example {default}")
    return int(value)
