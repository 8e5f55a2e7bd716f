"""The tables. A change here needs a migration: see migrations/__init__.py.

slides         what was scanned: slide, slide_path, merged_slide, rejected_file
human_inputs   what people state of it: mpp_override, annotation
artifacts      what was made of it: artifact, artifact_parent, attempt
batches        runs over slides, when and where: batch
selections     slides that people gave a name: saved_selection
standing       what is wanted of it, and where that stands: plan, wanted, latest_attempt …
cohorts        whose it is and what is said of it: patient, slide_label, patient_label, cohort,
               cohort_slide, slide_tag, verdict; cohort_change has every change
ledgers        what was found out on the way: bad_tile, tile_check, encoder
releases       what was released of that: release, release_member, release_left_out; and what was
               asked before: dataset_placement, dataset_finding, accepted_finding, slide_hash
inbox          what lies there and is not taken yet, tables that were: inbox_file, inbox_clock,
               taken_table
upkeep         what was read again, and what was taken out: artifact_hash, forgotten_slide,
               begun_removal; catalog_identity
"""

from pathassets.catalog.tables.artifacts import PARENT, artifact, artifact_parent, attempt
from pathassets.catalog.tables.base import ADDRESS, THUMBNAIL_LIMIT_BYTES, Moment, metadata
from pathassets.catalog.tables.batches import batch
from pathassets.catalog.tables.cohorts import (
    cohort,
    cohort_change,
    cohort_slide,
    patient,
    patient_label,
    slide_label,
    slide_tag,
    verdict,
)
from pathassets.catalog.tables.human_inputs import annotation, mpp_override
from pathassets.catalog.tables.inbox import inbox_clock, inbox_file, taken_table
from pathassets.catalog.tables.ledgers import bad_tile, encoder, tile_check
from pathassets.catalog.tables.releases import (
    accepted_finding,
    dataset_finding,
    dataset_placement,
    release,
    release_left_out,
    release_member,
    slide_hash,
)
from pathassets.catalog.tables.selections import saved_selection
from pathassets.catalog.tables.slides import merged_slide, rejected_file, slide, slide_path
from pathassets.catalog.tables.standing import (
    dataset_plan,
    dataset_rows,
    latest_attempt,
    plan,
    wanted,
)
from pathassets.catalog.tables.upkeep import (
    artifact_hash,
    begun_removal,
    catalog_identity,
    forgotten_slide,
)

__all__ = [
    "ADDRESS",
    "PARENT",
    "THUMBNAIL_LIMIT_BYTES",
    "Moment",
    "accepted_finding",
    "annotation",
    "artifact",
    "artifact_hash",
    "artifact_parent",
    "attempt",
    "bad_tile",
    "batch",
    "begun_removal",
    "catalog_identity",
    "cohort",
    "cohort_change",
    "cohort_slide",
    "dataset_finding",
    "dataset_placement",
    "dataset_plan",
    "dataset_rows",
    "encoder",
    "forgotten_slide",
    "inbox_clock",
    "inbox_file",
    "latest_attempt",
    "merged_slide",
    "metadata",
    "mpp_override",
    "patient",
    "patient_label",
    "plan",
    "rejected_file",
    "release",
    "release_left_out",
    "release_member",
    "saved_selection",
    "slide",
    "slide_hash",
    "slide_label",
    "slide_path",
    "slide_tag",
    "taken_table",
    "tile_check",
    "verdict",
    "wanted",
]
