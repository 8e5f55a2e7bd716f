# The names of all reports, each written once; `lazy_loader` and type checkers read this file.

from .annotations import (
    annotation_line as annotation_line,
    annotation_table as annotation_table,
    annotations_json as annotations_json,
    match_line as match_line,
    matches_end as matches_end,
)
from .artifacts import (
    lineage_json as lineage_json,
    lineage_tree as lineage_tree,
)
from .cohort import (
    MAX_FAILURES as MAX_FAILURES,
    MAX_ROWS as MAX_ROWS,
    NO_SLIDES as NO_SLIDES,
    demo_end as demo_end,
    run_end as run_end,
    status_json as status_json,
    status_table as status_table,
    troubles as troubles,
)
from .console import (
    counted as counted,
    error as error,
    log_to_stderr as log_to_stderr,
    progress as progress,
    slide_progress as slide_progress,
)
from .encoders import (
    encoder_check as encoder_check,
    encoder_check_json as encoder_check_json,
    encoder_table as encoder_table,
    encoders_json as encoders_json,
)
from .slides import (
    check as check,
    checks_json as checks_json,
    registration_line as registration_line,
    resolution as resolution,
)
