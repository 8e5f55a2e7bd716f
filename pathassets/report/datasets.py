"""Datasets for a terminal: versions, what one holds, what changed, what is not whole; or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from rich.markup import escape
from rich.table import Table

from pathassets.catalog.releases.records import AcceptedFinding, ReleaseRecord
from pathassets.core.datasets.changes import DatasetChanges
from pathassets.core.datasets.withdrawn import Withdrawn
from pathassets.core.text import counted, visible, visible_lines
from pathassets.core.units import volume
from pathassets.engine.datasets.verify import Verified
from pathassets.engine.platform.datasets.show import ShownVersion
from pathassets.engine.platform.datasets.versions import DatasetVersion
from pathassets.report.console import open_console
from pathassets.report.json_text import json_text

MAX_ROWS = 50
"""Rows of a table that are printed; JSON has all."""
USED_UNKNOWN = (
    "the file that says which are used is gone or damaged; pathassets dataset verify NAME --own "
    "tells of which version"
)


def version_table(versions: Sequence[DatasetVersion]) -> None:
    """Print one row a version."""
    table = Table(
        "dataset", "version", "digest", "slides", "left out", "made", "frozen", "who", "why"
    )
    for one in versions:
        table.add_row(*(_plain(cell) for cell in _version_cells(one)))
    open_console().print(table if versions else "no dataset was built yet: pathassets run")


def _version_cells(one: DatasetVersion) -> Iterable[object]:
    release, artifact = one.release, one.artifact
    facts = artifact.facts if artifact else {}
    return (
        one.address.name,
        release.version if release else "",
        one.address.digest,
        facts.get("n_slides", ""),
        facts.get("n_left_out", ""),
        *(f"{of.made_at:%Y-%m-%d %H:%M}" if of else "" for of in (artifact, release)),
        release.who if release else "",
        release.why if release else "",
    )


def versions_json(versions: Iterable[DatasetVersion]) -> str:
    """The same for machines."""
    return json_text([_version_plain(one) for one in versions], indent=1)


def _version_plain(one: DatasetVersion) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "dataset": one.address.name,
        "name": one.name,
        "digest": one.address.digest,
        "version": None,
    }
    if one.artifact is not None:
        plain |= {"facts": dict(one.artifact.facts), "uri": one.artifact.uri}
        plain["made_at"] = one.artifact.made_at.isoformat(timespec="seconds")
    if one.release is not None:
        own = asdict(one.release)
        own.pop("dataset")
        own["frozen_at"] = own.pop("made_at").isoformat(timespec="seconds")
        plain |= own
    return plain


def version_page(shown: ShownVersion) -> None:
    """Print what a version holds."""
    console = open_console()
    if shown.version is not None:
        release = shown.version.release
        said = f", released by {release.who}: {release.why}" if release else ", not released"
        console.print(f"[bold]{_plain(shown.version.name)}[/]{_plain(said)}")
        _print_table("slides by part and label", shown.counts)
        _print_table("left out", shown.left_out)
    for one in shown.findings:
        said = _plain(f"{one.message}. {one.remedy}")
        console.print(f"[red]blocked[/] {one.finding} {said}")
    for accepted in shown.accepted:
        console.print(f"[yellow]accepted[/] {_plain(accepted_line(accepted))}")
    for gone in shown.withdrawn[:MAX_ROWS]:
        said = f"{gone.slide_id} on {gone.on} by {gone.who}: {gone.why}"
        console.print(f"[red]withdrawn[/] {_plain(said)}")
    if len(shown.withdrawn) > MAX_ROWS:
        console.print(f"[red]withdrawn[/] {len(shown.withdrawn) - MAX_ROWS} more: --json has all")
    for digest, n in shown.placed.items():
        console.print(f"placed {n} by {digest}")


def version_json(shown: ShownVersion) -> str:
    """The same for machines."""
    return json_text(
        {
            "dataset": shown.dataset,
            "version": None if shown.version is None else _version_plain(shown.version),
            "counts": _records(shown.counts),
            "left_out": _records(shown.left_out),
            "findings": [asdict(one) for one in shown.findings],
            "accepted": [
                {**asdict(one), "made_at": one.made_at.isoformat(timespec="seconds")}
                for one in shown.accepted
            ],
            "withdrawn": [asdict(one) for one in shown.withdrawn],
            "placed": dict(shown.placed),
        },
        indent=1,
    )


def change_tables(changes: DatasetChanges) -> None:
    """Print what changed, a table a kind, and what cannot be told."""
    if changes.is_none:
        open_console().print("nothing changed")
        return
    for kind, n in changes.counts.items():
        if n:
            _print_table(f"{kind.replace('_', ' ')}: {counted(n, 'slide')}", getattr(changes, kind))
    if changes.other_patches is None:
        open_console().print(f"[yellow]not known[/] other patches: {USED_UNKNOWN}")


def changes_json(changes: DatasetChanges) -> str:
    """The same for machines; null where it is not known."""
    tables = changes.tables.items()
    plain = {kind: None if rows is None else _records(rows) for kind, rows in tables}
    return json_text(plain, indent=1)


def verified_lines(verified: Verified) -> None:
    """Print what is not what it was, and what was looked at."""
    console = open_console()
    for one in verified.faults[:MAX_ROWS]:
        console.print(f"[red]{one.reason}[/] {_plain(one.name)}: {_plain(one.said)}")
    if len(verified.faults) > MAX_ROWS:
        console.print(f"[red]{len(verified.faults) - MAX_ROWS} more[/]: --json has all")
    console.print(
        f"{_plain(verified.name)}: {counted(verified.n_slides, 'slide')}, "
        f"{counted(verified.n_files, 'file')} of features, {volume(verified.n_bytes)}; "
        f"{counted(len(verified.faults), 'fault')}"
    )
    if verified.content_sha256:
        console.print(f"its own files: SHA-256 {verified.content_sha256}")


def verified_json(verified: Verified) -> str:
    """The same for machines."""
    return json_text(
        {
            "name": verified.name,
            "content_sha256": verified.content_sha256,
            "n_slides": verified.n_slides,
            "n_files": verified.n_files,
            "n_bytes": verified.n_bytes,
            "faults": [asdict(one) for one in verified.faults],
        },
        indent=1,
    )


def release_line(release: ReleaseRecord, *, is_new: bool) -> str:
    """Say what was released; of a version that was before, that nothing was written down now."""
    n_slides = counted(release.report["n_slides"], "slide")
    said = f"{release.name}: {n_slides}, digest {release.digest}, by {release.who}"
    if not is_new:
        said += f" on {release.made_at:%Y-%m-%d}: {release.why}; it is released already, and stays "
        said += "as it was: --who and --why of now were not recorded"
    return visible(said)


def copied_lines(name: str, to: Path, n_slides: int, left_out: Sequence[Withdrawn]) -> str:
    """Say what was copied, how it is loaded, and which members are not there."""
    argument = ", without_forgotten=True" if left_out else ""
    said = f"{counted(n_slides, 'slide')} of {name} copied: "
    lines = [f"{said}pathassets.load_dataset({str(to)!r}{argument})"]
    lines += [f"left out: {one}" for one in left_out]
    return visible_lines(lines)


def accepted_line(accepted: AcceptedFinding) -> str:
    """One line about a finding that was accepted."""
    return visible(f"{accepted.finding} by {accepted.who}, {accepted.why}: {accepted.message}")


def _print_table(title: str, rows: pd.DataFrame) -> None:
    table = Table(*map(str, rows.columns), title=title, title_justify="left")
    for row in rows.head(MAX_ROWS).itertuples(index=False):
        table.add_row(*("" if pd.isna(cell) else _plain(cell) for cell in row))
    console = open_console()
    if len(rows):
        console.print(table)
    if len(rows) > MAX_ROWS:
        console.print(f"{MAX_ROWS} of {len(rows)} rows are shown: --json has all")


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(rows.to_json(orient="records"))
    return found


def _plain(said: object) -> str:
    return escape(visible(str(said)))
