"""Settings -> what is wrong with a home that is seen before anything of it is opened.

Opening closes folders, makes tables and brings them up to date: here is looked first.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pathassets.adapters.telemetry.apprise import require_known
from pathassets.catalog.upkeep.soundness import find_faults, find_revision
from pathassets.engine.platform.upkeep.finding import Finding, Mend
from pathassets.engine.settings import Settings
from pathassets.errors import CatalogError, SpecError, StoreError

_RESTORE = "Restore it: pathassets restore BACKUP"


def look_at_home(settings: Settings) -> Iterator[Finding]:
    """Say who may enter our folders, who cannot be told, and what is wrong with the catalog."""
    yield from _open_folders(settings)
    yield from _unknown_alerts(settings)
    yield from _catalog_faults(settings)


def _unknown_alerts(settings: Settings) -> Iterator[Finding]:
    """Addresses that nobody is told at; which they are is not shown."""
    try:
        require_known(settings.alerts)
    except SpecError as error:
        variable, _, fact = error.message.partition(": ")
        yield Finding(kind="alerts_unknown", subject=variable, evidence=fact, remedy=error.remedy)


def _open_folders(settings: Settings) -> Iterator[Finding]:
    ours = [settings.work]
    if settings.has_own_dagster:
        ours.append(settings.dagster_home)
    if settings.has_own_catalog:
        ours.append(settings.work / "catalog.sqlite")
    for path in ours:
        if rights := _rights_of_others(path):
            yield _open_to_others(path, rights)
    if _rights_of_others(settings.home) & 0o007:
        yield _open_home(settings.home)


def _rights_of_others(path: Path) -> int:
    """What others may do there; the group, too, where the folder does not hand its group down."""
    try:
        found = path.lstat()
        above = path.parent.lstat()
    except OSError:
        return 0
    is_shared = (found.st_mode | above.st_mode) & stat.S_ISGID
    return found.st_mode & (stat.S_IRWXO if is_shared else 0o077)


def _open_to_others(path: Path, rights: int) -> Finding:
    is_ours = path.lstat().st_uid == os.geteuid()
    return Finding(
        kind="open_to_others",
        subject=str(path),
        evidence=f"others may use it (mode {_mode(path)}), and it has patients' names",
        remedy=f"chmod go-rwx {path}",
        mend=_closing(path, rights) if is_ours else None,
    )


def _open_home(home: Path) -> Finding:
    """Tell that others may enter the home: a lab's scanners and people may have to."""
    return Finding(
        kind="open_to_others",
        subject=str(home),
        evidence=f"others may enter it (mode {_mode(home)}), and read what in it is not closed by "
        "itself, as tables of patients may be",
        remedy=f"It may be meant so, for scanners and people who deliver into it; else chmod o-rwx "
        f"{home}",
        is_note=True,
    )


def _mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.lstat().st_mode):04o}"


def _closing(path: Path, rights: int) -> Mend:
    def close() -> str:
        try:
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~rights)
        except OSError as error:
            raise StoreError(path, f"cannot be closed: {error.strerror}") from error
        return "closed to others"

    return close


def _catalog_faults(settings: Settings) -> Iterator[Finding]:
    try:
        for fault in find_faults(settings.catalog_url):
            yield Finding(
                kind="catalog_damaged", subject="catalog", evidence=fault, remedy=_RESTORE
            )
        revision = find_revision(settings.catalog_url)
    except CatalogError as error:
        yield Finding(
            kind="catalog_damaged", subject="catalog", evidence=error.message, remedy=error.remedy
        )
        return
    if revision:
        yield Finding(
            kind="catalog_old",
            subject="catalog",
            evidence=f"its tables are of revision {revision}, not of this version",
            remedy="pathassets status brings it up to date, or says why not",
        )
