"""What upkeep found and did, for a terminal or for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pathassets.catalog.upkeep.hashing import HashAge
from pathassets.catalog.upkeep.numbered import CarriedOver
from pathassets.catalog.upkeep.outliving import KeptOut
from pathassets.catalog.upkeep.stated import WentOver
from pathassets.core.text import counted, visible, visible_lines
from pathassets.core.units import volume
from pathassets.engine.platform.upkeep.backup import BackedUp
from pathassets.engine.platform.upkeep.clearing.garbage import Cause, Garbage
from pathassets.engine.platform.upkeep.finding import GC, RUN, Tally, Treated
from pathassets.engine.platform.upkeep.forget import Gone
from pathassets.engine.platform.upkeep.restore import Restored
from pathassets.engine.platform.upkeep.scrub import Scrubbed
from pathassets.engine.platform.upkeep.stored import FIX
from pathassets.report.console import open_console
from pathassets.report.json_text import json_text

N_ALIKE = 3
"""Findings of one kind that are printed, unless all are asked for."""


def finding(treated: Treated) -> None:
    """Print one finding: what, where, what was seen, and what helps or was done."""
    found = treated.finding
    said = "note: " if found.is_note else ""
    said += f"{found.kind} {found.subject}: {found.evidence}"
    if treated.done:
        said += f"; mended: {treated.done}"
    elif treated.failed:
        said += f"; could not be mended: {treated.failed}"
    else:
        said += f". {found.remedy}" + (" [--fix]" if found.can_fix else "")
    open_console().print(visible(said), markup=False)


def findings_end(tally: Tally, *, is_whole: bool) -> str:
    """Count them, by kind where not all were printed, and say what mends those that are left."""
    n_found = tally.n_left + tally.n_mended
    kinds = tally.kinds.most_common() if any(n > N_ALIKE for n in tally.kinds.values()) else []
    lines = [
        f"{n} {kind}" + (f": {N_ALIKE} are shown" if n > N_ALIKE and not is_whole else "")
        for kind, n in kinds
    ]
    said = f"{counted(n_found, 'finding')}, {tally.n_mended} mended"
    said = said if n_found else "nothing contradicts anything"
    said += f"; {counted(tally.n_notes, 'note')}" if tally.n_notes else ""
    said += "; --all shows every one" if kinds and not is_whole else ""
    return "\n".join([*lines, said, *_what_mends(tally)])


def _what_mends(tally: Tally) -> Iterable[str]:
    """The command that mends most of what is left, and how much it leaves."""
    ways = ((tally.n_by_run, RUN), (tally.n_by_fix, FIX), (tally.n_by_clearing, GC))
    n_most, command = max(ways, key=lambda way: way[0])
    if n_most == tally.n_left:
        return [f"{command} mends all of them"] if n_most else []
    said = [f"{command} mends {n}" for n, command in ways if n]
    if n := tally.n_by_neither:
        other = "the other" if said else "it" if n == 1 else "them"
        other += f" {n}" if said and n > 1 else ""
        where = "its line" if n == 1 else "their lines"
        said.append(f"what helps against {other} stands in {where}")
    return ["; ".join(said)]


def finding_json(treated: Treated) -> str:
    """One finding for machines, on one line."""
    found = treated.finding
    plain: dict[str, Any] = {
        "kind": found.kind,
        "subject": found.subject,
        "evidence": found.evidence,
        "remedy": found.remedy,
        "can_fix": found.can_fix,
        "is_note": found.is_note,
        "done": treated.done,
        "failed": treated.failed,
    }
    return json_text(plain)


def backup_line(file: Path, done: BackedUp) -> str:
    """Say what a backup holds, and what it could not keep."""
    said = f"{file}: {counted(done.n_slides, 'slide')}, {counted(done.n_annotations, 'annotation')}"
    return visible_lines([f"{said}, {volume(done.n_bytes)}", *_lacking(done.lacking)])


def restore_line(done: Restored) -> str:
    """Say what was restored, and what comes next."""
    counts = f"{counted(done.n_slides, 'slide')}, {counted(done.n_annotations, 'annotation')}"
    said = [f"restored {counts}; pathassets run takes over what is whole"]
    if done.aside is not None:
        said.append(f"what was there is in {done.aside}")
    said += _kept_out(done.kept_out)
    said += map(_carried_over, done.carried)
    said += _stated_since(done.went_over, done.aside)
    if done.not_known:
        said.append(
            "which slides were forgotten since the backup was written, and which releases made, is "
            "not known: "
            f"{done.not_known}; take those out again: pathassets forget SLIDE --who NAME --why …; "
            "or restore once more, --force --instead-of URL, where a catalog is left that knows"
        )
    said += [f"{one}; until it is there, what follows from it cannot run" for one in done.unread]
    return visible_lines([*said, *_lacking(done.lacking)])


def _kept_out(kept_out: Iterable[KeptOut]) -> list[str]:
    """Count slides that stay out by who forgot them, when and why, and name none."""
    counts = Counter(
        (f"{one.forgotten.told}: {one.forgotten.why}", one.are_artifacts_kept) for one in kept_out
    )
    ends = {True: "; what was made of it was kept then, and stays", False: ""}
    return [
        f"{counted(n, 'slide')} of the backup {'stays' if n == 1 else 'stay'} out, "
        f"{told}{ends[is_kept]}"
        for (told, is_kept), n in counts.items()
    ]


def _stated_since(done: WentOver, aside: Path | None) -> Iterator[str]:
    """Say what people stated after the backup was written, and what became of it."""
    if done.n_placed:
        yield f"carried over: the parts of {done.n_placed} patients or sites, placed since"
    if done.n_elsewhere:
        yield (
            f"{done.n_elsewhere} patients or sites are in another part in the backup than here, "
            "which holds now: no release that is cited may name them with the other"
        )
    if done.n_accepted:
        yield f"carried over: {counted(done.n_accepted, 'finding')}, accepted since"
    for one in done.not_restored:
        when = f"{one.first_at:%Y-%m-%d %H:%M} to {one.last_at:%Y-%m-%d %H:%M} UTC"
        kept = "the catalog that was here has it" if aside is None else f"it is in {aside}"
        yield (
            f"NOT carried over: {counted(one.n, one.what)}, stated since ({when}) by "
            f"{', '.join(one.who)}; {kept}: state it again where it holds"
        )


def _carried_over(one: CarriedOver) -> str:
    """Say of a release that was here what the backup had of it."""
    was, name = f"{one.dataset}@{one.was}", f"{one.dataset}@{one.version}"
    if not one.is_entered:
        return f"{was} of {one.digest}, which was here, is {name} in the backup, and is that now"
    if one.was == one.version:
        return f"{name} was not in the backup, and stays"
    return (
        f"{was} of the backup is another than {was} of {one.digest}, which was here and is {name} "
        f"now: tell whoever cites it"
    )


def _lacking(messages: Iterable[str]) -> list[str]:
    return [f"not in the backup: {message}" for message in messages]


def scrubbed(done: Scrubbed) -> None:
    """Print what was read, each artifact that is damaged, and how old the oldest look is."""
    console = open_console()
    for address, damage in done.damaged:
        console.print(visible(f"damaged {address}: {damage}"), markup=False)
    said = f"read {counted(done.n_artifacts, 'artifact')}, {volume(done.n_bytes)}; "
    said += f"{len(done.damaged)} damaged"
    if done.oldest_at is not None:
        said += f"; none was hashed before {done.oldest_at:%Y-%m-%d %H:%M} UTC"
    console.print(said, markup=False)


def to_scrub(n_artifacts: int, age: HashAge) -> str:
    """Say what would be read."""
    said = f"{n_artifacts} of {counted(age.n_artifacts, 'artifact')} would be read"
    if age.oldest_at is not None:
        said += f"; the oldest hash is of {age.oldest_at:%Y-%m-%d %H:%M} UTC"
    return f"{said}: pathassets scrub without --dry-run does it"


_CAUSES: Mapping[Cause, str] = {
    "old_digest": "made from or with what is not in force any more",
    "entry_gone": "of entries that the recipe has no more",
    "files_gone": "their files are gone, only rows are left of them",
}


def garbage_lines(found: Garbage, *, is_removed: bool) -> str:
    """Count what went, or could go, and why."""
    lines = [
        f"{counted(found.n[cause], 'artifact')}, {volume(found.n_bytes[cause])}: {words}"
        for cause, words in _CAUSES.items()
        if found.n[cause]
    ]
    if not lines:
        end = "there was nothing to remove"
    else:
        end = "removed" if is_removed else "nothing was removed: --yes does it"
    return "\n".join([*lines, f"{counted(found.n_kept, 'artifact')} stay; {end}"])


def garbage_json(found: Garbage, *, is_removed: bool) -> str:
    """The same for machines."""
    by_cause = {
        cause: {"n_artifacts": found.n[cause], "n_bytes": found.n_bytes[cause]} for cause in _CAUSES
    }
    plain = {"by_cause": by_cause, "n_kept": found.n_kept, "is_removed": is_removed}
    return json_text(plain, indent=1)


def gone_lines(gone: Gone) -> str:
    """Say what of a slide went, and what somebody else has to see to."""
    kept = "kept" if gone.are_artifacts_kept else "removed"
    lines = [f"{gone.slide_id}: taken out; {counted(gone.n_artifacts, 'artifact')} {kept}"]
    lines += [f"left where it is: {path}" for path in gone.files]
    lines += [f"names it still: {release}" for release in gone.releases]
    lines += [
        f"{one.said} uses the store, too, and knows nothing of this: forget it there, unless "
        f"nobody uses that one any more ({one.mark})"
        for one in gone.others
    ]
    lines += [gone.stays] if gone.stays else []
    lines.append(
        "its id may stay in the tags and words of Dagster's runs; it is in older backups, and in "
        "what a restore put aside before"
    )
    return visible_lines(lines)
