"""The tables. A change here needs a migration: see migrations/__init__.py.

slides         what was scanned: slide, slide_path, merged_slide, rejected_file
human_inputs   what people state of it: mpp_override, annotation
artifacts      what was made of it: artifact, artifact_parent, attempt
releases       what was released of that: release, release_member, release_left_out; and what was
               asked before: dataset_placement, dataset_finding, accepted_finding, slide_hash
"""

from pathassets.catalog.tables.artifacts import PARENT, artifact, artifact_parent, attempt
from pathassets.catalog.tables.base import ADDRESS, THUMBNAIL_LIMIT_BYTES, Moment, metadata
from pathassets.catalog.tables.human_inputs import annotation, mpp_override
from pathassets.catalog.tables.releases import (
    accepted_finding,
    dataset_finding,
    dataset_placement,
    release,
    release_left_out,
    release_member,
    slide_hash,
)
from pathassets.catalog.tables.slides import merged_slide, rejected_file, slide, slide_path

__all__ = [
    "ADDRESS",
    "PARENT",
    "THUMBNAIL_LIMIT_BYTES",
    "Moment",
    "accepted_finding",
    "annotation",
    "artifact",
    "artifact_parent",
    "attempt",
    "dataset_finding",
    "dataset_placement",
    "merged_slide",
    "metadata",
    "mpp_override",
    "rejected_file",
    "release",
    "release_left_out",
    "release_member",
    "slide",
    "slide_hash",
    "slide_path",
]
