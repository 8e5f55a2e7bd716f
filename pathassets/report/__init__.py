"""Outcomes -> what a terminal shows: tables, bars, plain lines in a log, or JSON for machines."""

from pathassets.report.annotations import (
    annotation_line,
    annotation_table,
    annotations_json,
    match_line,
    matches_end,
)
from pathassets.report.artifacts import lineage_json, lineage_tree
from pathassets.report.cohort import (
    MAX_FAILURES,
    NO_SLIDES,
    damages,
    demo_end,
    failures,
    run_end,
    status_json,
    status_table,
)
from pathassets.report.console import counted, error, log_to_stderr, progress, slide_progress
from pathassets.report.encoders import (
    encoder_check,
    encoder_check_json,
    encoder_table,
    encoders_json,
)
from pathassets.report.slides import check, checks_json, registration_line, resolution
from pathassets.report.upkeep import (
    backup_line,
    finding,
    finding_json,
    findings_end,
    garbage_json,
    garbage_lines,
    gone_lines,
    restore_line,
    scrubbed,
)

__all__ = [
    "MAX_FAILURES",
    "NO_SLIDES",
    "annotation_line",
    "annotation_table",
    "annotations_json",
    "backup_line",
    "check",
    "checks_json",
    "counted",
    "damages",
    "demo_end",
    "encoder_check",
    "encoder_check_json",
    "encoder_table",
    "encoders_json",
    "error",
    "failures",
    "finding",
    "finding_json",
    "findings_end",
    "garbage_json",
    "garbage_lines",
    "gone_lines",
    "lineage_json",
    "lineage_tree",
    "log_to_stderr",
    "match_line",
    "matches_end",
    "progress",
    "registration_line",
    "resolution",
    "restore_line",
    "run_end",
    "scrubbed",
    "slide_progress",
    "status_json",
    "status_table",
]
