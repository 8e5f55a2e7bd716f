"""The asset `quarantine`: files that could not be registered, and tables that could not be taken.

An ingest run reports it at its end; nothing else makes it, so that 'Materialize all' leaves it out.
"""

from collections.abc import Mapping

import dagster as dg

from pathassets.catalog.records import RejectedFile
from pathassets.defs.assets.batch import OWNER
from pathassets.defs.text import table_value
from pathassets.engine.platform.inbox.taking import forget_gone
from pathassets.engine.platform.platform import Platform

QUARANTINE = dg.AssetKey("quarantine")
IS_EMPTY = "is_empty"


quarantine = dg.AssetSpec(
    QUARANTINE,
    group_name="slide",
    owners=[OWNER],
    description="Files that were refused, each with its reason and what to do. A file is tried "
    "again when it changes, or by `pathassets inbox retry FILE`.",
)


@dg.asset_check(asset=QUARANTINE, name=IS_EMPTY, description="Nothing that arrived was refused.")
def is_empty(platform: dg.ResourceParam[Platform]) -> dg.AssetCheckResult:
    """Look anew whether anything is refused now."""
    return dg.AssetCheckResult(passed=not _refused(platform), severity=dg.AssetCheckSeverity.WARN)


def quarantine_events(
    platform: Platform,
) -> tuple[dg.AssetMaterialization, dg.AssetCheckEvaluation]:
    """What is in quarantine now, and whether that is nothing, for another run to report."""
    refused = _refused(platform)
    return (
        dg.AssetMaterialization(QUARANTINE, metadata=_metadata(refused)),
        dg.AssetCheckEvaluation(
            asset_key=QUARANTINE,
            check_name=IS_EMPTY,
            passed=not refused,
            severity=dg.AssetCheckSeverity.WARN,
        ),
    )


def _refused(platform: Platform) -> list[RejectedFile]:
    """Refused files that are still there, the last one first."""
    forget_gone(platform)
    refused = platform.catalog.rejected_files()
    return sorted(refused, key=lambda one: one.rejected_at, reverse=True)


def _metadata(refused: list[RejectedFile]) -> Mapping[str, dg.MetadataValue]:
    return {
        "n_files": dg.MetadataValue.int(len(refused)),
        "files": table_value([_row(one) for one in refused]),
    }


def _row(one: RejectedFile) -> dict[str, str]:
    return {
        "file": one.path,
        "reason": one.reason,
        "what is wrong": one.message,
        "what to do": one.remedy,
        "refused at": f"{one.rejected_at:%Y-%m-%d %H:%M}",
    }
