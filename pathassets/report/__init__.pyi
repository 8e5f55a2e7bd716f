# The names of all reports, each written once; `lazy_loader` and type checkers read this file.

from .annotations import (
    annotation_line as annotation_line,
    annotation_table as annotation_table,
    annotations_json as annotations_json,
    match_line as match_line,
    matches_end as matches_end,
)
from .cohort import (
    MAX_FAILURES as MAX_FAILURES,
    MAX_ROWS as MAX_ROWS,
    NO_SLIDES as NO_SLIDES,
    PART_ROWS as PART_ROWS,
    demo_end as demo_end,
    doubts as doubts,
    foreseen as foreseen,
    going as going,
    incomplete as incomplete,
    next_steps as next_steps,
    run_end as run_end,
    status_json as status_json,
    status_table as status_table,
    troubles as troubles,
)
from .cohorts import (
    SAID_ALREADY as SAID_ALREADY,
    cohort_changes as cohort_changes,
    cohort_history as cohort_history,
    cohort_list as cohort_list,
    cohort_preview as cohort_preview,
    cohort_slides as cohort_slides,
)
from .console import (
    error as error,
    progress as progress,
    slide_progress as slide_progress,
)
from .daily.quality import (
    review_queue as review_queue,
    verdict_preview as verdict_preview,
    verdicts as verdicts,
)
from .datasets import (
    accepted_line as accepted_line,
    copied_lines as copied_lines,
    change_tables as change_tables,
    changes_json as changes_json,
    release_line as release_line,
    verified_json as verified_json,
    verified_lines as verified_lines,
    version_json as version_json,
    version_page as version_page,
    version_table as version_table,
    versions_json as versions_json,
)
from .encoders import (
    encoder_check as encoder_check,
    encoder_check_json as encoder_check_json,
    encoder_table as encoder_table,
    encoders_json as encoders_json,
)
from .exchange import (
    exported_end as exported_end,
    exported_line as exported_line,
    imported_end as imported_end,
    imported_line as imported_line,
)
from .lineage import (
    lineage_json as lineage_json,
    lineage_tree as lineage_tree,
)
from .daily.planning import (
    plan_json as plan_json,
    plan_page as plan_page,
)
from .rows import (
    rows_json as rows_json,
    rows_table as rows_table,
    written as written,
)
from .selections import (
    MAX_VALUES as MAX_VALUES,
    saved_selections as saved_selections,
    saved_selections_json as saved_selections_json,
    selected as selected,
    selected_json as selected_json,
    values as values,
    values_json as values_json,
)
from .slides import (
    check as check,
    checks_json as checks_json,
    inbox_json as inbox_json,
    inbox_lists as inbox_lists,
    registration_line as registration_line,
    resolution as resolution,
    retried_line as retried_line,
    table_line as table_line,
    watching_line as watching_line,
)
from .stale import (
    stale_json as stale_json,
    stale_list as stale_list,
)
from .upkeep import (
    N_ALIKE as N_ALIKE,
    backup_line as backup_line,
    finding as finding,
    finding_json as finding_json,
    findings_end as findings_end,
    garbage_json as garbage_json,
    garbage_lines as garbage_lines,
    gone_lines as gone_lines,
    restore_line as restore_line,
    scrubbed as scrubbed,
    to_scrub as to_scrub,
)
