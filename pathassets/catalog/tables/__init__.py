"""The tables. A change here needs a migration: see migrations/__init__.py.

slides         what was scanned: slide, slide_path, merged_slide, rejected_file
human_inputs   what people state of it: mpp_override, annotation
artifacts      what was made of it: artifact, artifact_parent, attempt
standing       what is wanted of it, and where that stands: plan, wanted, latest_attempt …
"""

from pathassets.catalog.tables.artifacts import PARENT, artifact, artifact_parent, attempt
from pathassets.catalog.tables.base import ADDRESS, THUMBNAIL_LIMIT_BYTES, Moment, metadata
from pathassets.catalog.tables.human_inputs import annotation, mpp_override
from pathassets.catalog.tables.slides import merged_slide, rejected_file, slide, slide_path
from pathassets.catalog.tables.standing import dataset_plan, latest_attempt, plan, wanted

__all__ = [
    "ADDRESS",
    "PARENT",
    "THUMBNAIL_LIMIT_BYTES",
    "Moment",
    "annotation",
    "artifact",
    "artifact_parent",
    "attempt",
    "dataset_plan",
    "latest_attempt",
    "merged_slide",
    "metadata",
    "mpp_override",
    "plan",
    "rejected_file",
    "slide",
    "slide_path",
    "wanted",
]
