"""Outcomes -> what a terminal shows: tables, bars, plain lines in a log, or JSON for machines."""

from pathassets.report.annotations import (
    annotation_line,
    annotation_table,
    annotations_json,
    match_line,
    matches_end,
)
from pathassets.report.artifacts import lineage_json, lineage_tree, stale_json, stale_list
from pathassets.report.cohort import (
    MAX_FAILURES,
    MAX_ROWS,
    NO_SLIDES,
    demo_end,
    run_end,
    status_json,
    status_table,
    troubles,
)
from pathassets.report.cohorts import (
    cohort_changes,
    cohort_history,
    cohort_list,
    cohort_preview,
    cohort_slides,
    verdicts,
)
from pathassets.report.console import counted, error, log_to_stderr, progress, slide_progress
from pathassets.report.encoders import (
    encoder_check,
    encoder_check_json,
    encoder_table,
    encoders_json,
)
from pathassets.report.rows import rows_json, rows_table, written
from pathassets.report.selections import (
    saved_selections,
    saved_selections_json,
    selected,
    selected_json,
)
from pathassets.report.slides import check, checks_json, registration_line, resolution

__all__ = [
    "MAX_FAILURES",
    "MAX_ROWS",
    "NO_SLIDES",
    "annotation_line",
    "annotation_table",
    "annotations_json",
    "check",
    "checks_json",
    "cohort_changes",
    "cohort_history",
    "cohort_list",
    "cohort_preview",
    "cohort_slides",
    "counted",
    "demo_end",
    "encoder_check",
    "encoder_check_json",
    "encoder_table",
    "encoders_json",
    "error",
    "lineage_json",
    "lineage_tree",
    "log_to_stderr",
    "match_line",
    "matches_end",
    "progress",
    "registration_line",
    "resolution",
    "rows_json",
    "rows_table",
    "run_end",
    "saved_selections",
    "saved_selections_json",
    "selected",
    "selected_json",
    "slide_progress",
    "stale_json",
    "stale_list",
    "status_json",
    "status_table",
    "troubles",
    "verdicts",
    "written",
]
