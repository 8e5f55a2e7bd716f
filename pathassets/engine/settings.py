"""Environment -> Settings: where things are. The only module that reads the environment.

But for what obstore reads, which is checked where a client is made (adapters/objects/endpoints.py).
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from pathassets.adapters.objects.remote_file import FilePlace
from pathassets.adapters.objects.urls import BUCKETS, ObjectUrl, is_meant_for_url, parse_url
from pathassets.engine.setting_values import (
    DEFAULT_PAUSES_S,
    RAY,
    head_of,
    inbox_of,
    openlineage_of,
    pauses_of,
)
from pathassets.errors import SpecError

OWN_RECIPE = "recipe.yaml"
"""A home's own."""
DEFAULT_RECIPE = Path(__file__).parent.parent / OWN_RECIPE
CATALOG_FILE = "catalog.sqlite"
"""Of the store, where no other catalog is named."""
DEFAULT_TIMEOUT_S = 4 * 3600.0
DEFAULT_SCRATCH_GB = 100.0
DEFAULT_CACHE_GB = 50.0
DEFAULT_WORKER_GB = 1.0
DEFAULT_LINE_GB = 4.0
MOST_THREADS = 4
"""Threads that decode in one process; beyond them further processes read. Four are 2.8 to 3.5 times
as fast as one, eight 1.7 to 4.6: they wait for the interpreter lock (benchmarks/threads.py)."""
_GB = 10**9
TEXT, JSON = "text", "json"
"""What logs may be written as."""
_SYNONYMS = {"gpu": "cuda"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A Ray cluster that work goes to, and what each worker and each device line takes of it."""

    address: str = "local"
    """Of its head, `host:port` or `ray://host:port`: PATHASSETS_WORKERS, or RAY_ADDRESS where that
    is `ray`; else one is started here for as long as there is work."""
    worker_gb: float = DEFAULT_WORKER_GB
    """Memory of a node that a worker is reckoned with: PATHASSETS_WORKER_GB."""
    line_gb: float = DEFAULT_LINE_GB
    """Likewise of a device line, with its encoders: PATHASSETS_LINE_GB."""
    line_gpus: float = 1.0
    """Cards of a line; with a share of one several lines are on it: PATHASSETS_LINE_GPUS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where this platform keeps and finds things, and how much of the machine it may take."""

    home: Path
    """Folder of `.dagster` and, unless moved, of store and inbox: PATHASSETS_HOME, else here."""
    store: Path | ObjectUrl
    """Artifacts, in a folder or a bucket: PATHASSETS_STORE, else `<home>/store`."""
    catalog_url: str = field(repr=False)
    """SQLAlchemy URL: PATHASSETS_CATALOG, else an SQLite file in the store, or of a bucket's in the
    home. It may hold a password, so that no log shows it."""
    recipe: Path
    """PATHASSETS_RECIPE, else `<home>/recipe.yaml` where there is one, else the package's own."""
    inboxes: tuple[FilePlace, ...]
    """Folders, and prefixes of buckets, that are watched for new scans: PATHASSETS_INBOX, with ':'
    between them, else `<home>/inbox`."""
    inbox_stable_s: float
    """How long a file must not have changed to count as whole: PATHASSETS_INBOX_STABLE_S."""
    n_workers: int
    """Processes for what needs no device, and lines where there is no GPU, 1 or more:
    PATHASSETS_WORKERS, else one a core."""
    cluster: Cluster | None = None
    """Where slides are worked on, if PATHASSETS_WORKERS names a Ray cluster; else it is here."""
    read_threads: int
    """Threads that decode tiles of one slide where there is no GPU, 1 or more:
    PATHASSETS_READ_THREADS, else the cores shared out among the workers."""
    slide_timeout_s: float
    """A slide that takes longer in a worker, or with which a line gets no further, is given up:
    PATHASSETS_SLIDE_TIMEOUT_S."""
    retry_pauses_s: tuple[float, ...] = ()
    """Pauses after which a run tries again what failed for what may pass, such as a full disk:
    PATHASSETS_RETRY_PAUSES_S."""
    device: str
    """`auto`, `cpu` or `cuda`, which may be called `gpu`: PATHASSETS_DEVICE."""
    verify: str
    """`stamp` hashes a slide again if it looks changed, `content` always: PATHASSETS_VERIFY."""
    scratch: Path | None
    """Folder on a fast local disk that slides on other disks are copied to while they are read:
    PATHASSETS_SCRATCH, else none, and they are read where they are; those of buckets are copied to
    `<home>/scratch` then."""
    scratch_bytes: int
    """What the copies of all runs may take there: PATHASSETS_SCRATCH_GB, 100 by default."""
    cache_bytes: int = int(DEFAULT_CACHE_GB * _GB)
    """What copies of a bucket's artifacts may take on this machine: PATHASSETS_CACHE_GB, 50 by
    default."""
    dagster_home: Path
    """Dagster's own state and `dagster.yaml`: DAGSTER_HOME, else `<home>/.dagster`."""
    log_format: str = TEXT
    """What logs are written as, `text` or `json`: PATHASSETS_LOG_FORMAT."""
    alerts: tuple[str, ...] = field(default=(), repr=False)
    """Addresses, as apprise takes them, that hear of trouble: PATHASSETS_ALERTS, else none. They
    hold keys, so that no log shows them."""
    openlineage: str = field(default="", repr=False)
    """Where events of OpenLineage go, `file:PATH` or a URL: PATHASSETS_OPENLINEAGE, else nowhere.
    Its query may hold a key, so that no log shows it."""
    openlineage_namespace: str = "pathassets"
    """Namespace of jobs and datasets there: PATHASSETS_OPENLINEAGE_NAMESPACE."""

    def __post_init__(self) -> None:
        if self.n_workers < 1:
            raise SpecError(
                f"n_workers: {self.n_workers} is not 1 or more",
                remedy="Set PATHASSETS_WORKERS to how many slides to work on at once",
            )
        if self.read_threads < 1:
            raise SpecError(
                f"read_threads: {self.read_threads} is not 1 or more",
                remedy="Set PATHASSETS_READ_THREADS to how many threads decode one slide",
            )

    @property
    def has_own_catalog(self) -> bool:
        """Whether the catalog is the file that lies in the store, and goes where the store goes."""
        return isinstance(self.store, Path) and self.is_catalog_default

    @property
    def is_catalog_default(self) -> bool:
        """Whether no catalog was set."""
        return self.catalog_url == default_catalog(self.store, self.home)

    @property
    def work(self) -> Path:
        """Where what is not published yet is worked on: the store, or for a bucket a folder here.

        That is on the scratch disk where there is one, and each bucket's own.
        """
        if isinstance(self.store, Path):
            return self.store
        name = hashlib.sha256(str(self.store).encode()).hexdigest()[:12]
        return (self.scratch or self.home) / f".store-{name}"

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
    store = _store(home / "store")
    own = home / OWN_RECIPE
    cluster = _cluster(_text("PATHASSETS_WORKERS", ""))
    n_workers = usable_cores() if cluster else _whole("PATHASSETS_WORKERS", usable_cores())
    return Settings(
        home=home,
        store=store,
        catalog_url=_text("PATHASSETS_CATALOG", default_catalog(store, home)),
        recipe=_path("PATHASSETS_RECIPE", own if os.path.lexists(own) else DEFAULT_RECIPE),
        inboxes=_inboxes(home / "inbox"),
        inbox_stable_s=_number("PATHASSETS_INBOX_STABLE_S", 60.0),
        n_workers=n_workers,
        cluster=cluster,
        read_threads=_whole("PATHASSETS_READ_THREADS", max(1, usable_cores() // n_workers)),
        slide_timeout_s=_number("PATHASSETS_SLIDE_TIMEOUT_S", DEFAULT_TIMEOUT_S),
        retry_pauses_s=pauses_of(_text("PATHASSETS_RETRY_PAUSES_S", DEFAULT_PAUSES_S)),
        device=_choice("PATHASSETS_DEVICE", "auto", "cpu", "cuda"),
        verify=_choice("PATHASSETS_VERIFY", "stamp", "content"),
        scratch=_optional_path("PATHASSETS_SCRATCH"),
        scratch_bytes=int(_number("PATHASSETS_SCRATCH_GB", DEFAULT_SCRATCH_GB) * _GB),
        cache_bytes=cache_bytes(),
        dagster_home=_path("DAGSTER_HOME", home / ".dagster"),
        log_format=_choice("PATHASSETS_LOG_FORMAT", TEXT, JSON),
        alerts=tuple(_text("PATHASSETS_ALERTS", "").split()),
        openlineage=openlineage_of(_text("PATHASSETS_OPENLINEAGE", "")),
        openlineage_namespace=_text("PATHASSETS_OPENLINEAGE_NAMESPACE", "pathassets"),
    )


def _cluster(said: str) -> Cluster | None:
    """The Ray cluster that is named; None where it is none, but a number of workers."""
    address = _text("RAY_ADDRESS", "local") if said == RAY else head_of(said)
    if not address:
        return None
    return Cluster(
        address=address,
        worker_gb=_number("PATHASSETS_WORKER_GB", DEFAULT_WORKER_GB),
        line_gb=_number("PATHASSETS_LINE_GB", DEFAULT_LINE_GB),
        line_gpus=_number("PATHASSETS_LINE_GPUS", 1.0),
    )


def send_no_usage_reports() -> None:
    """Keep Ray, where it is started here, from telling its makers of it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def logs_as_json() -> bool:
    """Whether this process is to log as JSON; another word is refused with the other settings."""
    return _text("PATHASSETS_LOG_FORMAT", TEXT).lower() == JSON


def disks_of(settings: Settings) -> dict[str, Path]:
    """Folders whose disks may fill up, by what is kept there; those that are there."""
    places = {"home": settings.home, "store": settings.work, "scratch": settings.scratch}
    return {name: place for name, place in places.items() if place is not None and place.is_dir()}


def dagster_environment(settings: Settings) -> dict[str, str]:
    """Environment for Dagster's processes: this one's, with both homes stated in full."""
    homes = {"PATHASSETS_HOME": settings.home, "DAGSTER_HOME": settings.dagster_home}
    return {**os.environ, **{name: str(path) for name, path in homes.items()}}


def worker_environment(n_cpus: int, n_threads: int | None = 1) -> dict[str, str]:
    """Environment for a worker process: this one's, with so many cores for OpenCV.

    Where it imports OpenCV at all: to import it only to tell it so costs 0.1 s. `n_threads` is what
    `threads_of_worker` tells there; None for what is set here.
    """
    told = {**os.environ, "OPENCV_FOR_THREADS_NUM": str(n_cpus)}
    return told if n_threads is None else told | {"PATHASSETS_READ_THREADS": str(n_threads)}


def threads_of_line(n_lines: int) -> int:
    """Threads that decode for one of so many GPUs of this machine."""
    return _whole("PATHASSETS_READ_THREADS", max(1, usable_cores() // n_lines))


def processes_of_line(n_threads: int) -> int:
    """Processes that read for a line which may read by so many threads; 0: its own threads do.

    Raises:
        SpecError: PATHASSETS_READ_PROCESSES is no whole number.
    """
    n_usual = 0 if n_threads <= MOST_THREADS else math.ceil(n_threads / MOST_THREADS)
    if _text("PATHASSETS_READ_PROCESSES", str(n_usual)).strip() == "0":
        return 0
    return _whole("PATHASSETS_READ_PROCESSES", n_usual or 1)


def cache_bytes() -> int:
    """What copies of a bucket's artifacts may take, where this process runs.

    Raises:
        SpecError: PATHASSETS_CACHE_GB is no number above 0.
    """
    return int(_number("PATHASSETS_CACHE_GB", DEFAULT_CACHE_GB) * _GB)


def folder_of_node() -> Path | None:
    """Folder for copies of slides on the machine that this process runs on, if one is named."""
    return _optional_path("PATHASSETS_SCRATCH")


def threads_of_worker() -> int:
    """Threads that decode tiles of one slide, in the process that this is asked in."""
    return _whole("PATHASSETS_READ_THREADS", 1)


def visible_gpus() -> tuple[str, ...]:
    """What a scheduler, or a person, lets this process see: torch's `cuda:0` is the first."""
    names = _text("CUDA_VISIBLE_DEVICES", "").split(",")
    return tuple(name.strip() for name in names if name.strip())


def usable_cores() -> int:
    """Cores this process may run on, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_catalog(store: Path | ObjectUrl, home: Path) -> str:
    """URL of the catalog where none is set: in the store, or for a bucket in the home."""
    return f"sqlite:///{(store if isinstance(store, Path) else home) / CATALOG_FILE}"


def _text(name: str, default: str) -> str:
    """Value of a variable; one that is set to nothing counts as not set."""
    return os.environ.get(name) or default


def _choice(name: str, default: str, *others: str) -> str:
    """Value of a variable that takes a few words, in any case; a GPU may be called by that name."""
    said = _text(name, default)
    value = _SYNONYMS.get(said.lower(), said.lower())
    if value not in {default, *others}:
        what = name.removeprefix("PATHASSETS_").lower()
        known = ", ".join([default, *others[:-1]]) + f" or {others[-1]}"
        raise SpecError(f"{name}: unknown {what} {said!r}", remedy=f"Use {known}")
    return value


def _path(name: str, default: Path) -> Path:
    return Path(_text(name, str(default))).expanduser().absolute()


def _inboxes(default: Path) -> tuple[FilePlace, ...]:
    """Folders and URLs of a variable, in the order given, each once.

    Raises:
        SpecError: a URL is of no bucket, or holds a secret.
    """
    said = re.split(rf"{os.pathsep}(?!//)", _text("PATHASSETS_INBOX", ""))
    found = dict.fromkeys(inbox_of(part.strip()) for part in said if part.strip())
    return tuple(found) or (default,)


def _store(default: Path) -> Path | ObjectUrl:
    """Folder or bucket of artifacts.

    Raises:
        SpecError: it is meant for a URL, and none of a bucket.
    """
    said = _text("PATHASSETS_STORE", "")
    if not is_meant_for_url(said):
        return _path("PATHASSETS_STORE", default)
    try:
        url = parse_url(said)
    except SpecError as error:
        raise error.named("PATHASSETS_STORE") from None
    if url.scheme not in BUCKETS:
        raise SpecError(
            f"PATHASSETS_STORE: {url.scheme}:// is no bucket",
            remedy="For example s3://bucket/store",
        )
    return url


def _paths(name: str, default: Path) -> tuple[Path, ...]:
    """Folders of a variable, in the order given, each once."""
    said = [part for part in _text(name, "").split(os.pathsep) if part.strip()]
    folders = (Path(part).expanduser().absolute() for part in said)
    return tuple(dict.fromkeys(folders)) or (default,)


def _optional_path(name: str) -> Path | None:
    return _path(name, Path()) if _text(name, "") else None


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
