"""What upkeep found and did, for a terminal or for machines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pathassets.core.text import visible
from pathassets.engine.platform.upkeep.backup import BackedUp
from pathassets.engine.platform.upkeep.finding import Treated
from pathassets.engine.platform.upkeep.restore import Restored
from pathassets.report.console import counted, open_console, paragraph


def finding(treated: Treated) -> None:
    """Print one finding: what, where, what was seen, and what helps or was done."""
    found = treated.finding
    said = f"{found.kind} {found.subject}: {found.evidence}"
    if treated.done:
        said += f"; mended: {treated.done}"
    elif treated.failed:
        said += f"; could not be mended: {treated.failed}"
    else:
        said += f". {found.remedy}" + (" [--fix]" if found.can_fix else "")
    open_console().print(paragraph(visible(said)), markup=False)


def findings_end(n_found: int, n_mended: int) -> str:
    """Count them."""
    if not n_found:
        return "nothing contradicts anything"
    return f"{counted(n_found, 'finding')}, {n_mended} mended"


def finding_json(treated: Treated) -> str:
    """One finding for machines, on one line."""
    found = treated.finding
    plain: dict[str, Any] = {
        "kind": found.kind,
        "subject": found.subject,
        "evidence": found.evidence,
        "remedy": found.remedy,
        "can_fix": found.can_fix,
        "done": treated.done,
        "failed": treated.failed,
    }
    return json.dumps(plain)


def backup_line(file: Path, done: BackedUp) -> str:
    """Say what a backup holds, and what it could not keep."""
    said = f"{file}: {counted(done.n_slides, 'slide')}, {counted(done.n_annotations, 'annotation')}"
    return visible(
        "\n".join([f"{said}, {done.n_bytes / 1e6:.1f} MB", *_lacking(done.lacking)]), keep="\n"
    )


def restore_line(done: Restored) -> str:
    """Say what was restored, and what comes next."""
    counts = f"{counted(done.n_slides, 'slide')}, {counted(done.n_annotations, 'annotation')}"
    said = [f"restored {counts}; pathassets run takes over what is whole"]
    if done.aside is not None:
        said.append(f"what was there is in {done.aside}")
    return visible("\n".join([*said, *_lacking(done.lacking)]), keep="\n")


def _lacking(messages: Iterable[str]) -> list[str]:
    return [f"not in the backup: {message}" for message in messages]
