"""The tables. A change here needs a migration: see migrations/__init__.py.

slides         what was scanned: slide, slide_path, merged_slide, rejected_file
human_inputs   what people state of it: mpp_override, annotation
artifacts      what was made of it: artifact, artifact_parent, attempt
upkeep         what was read again, and what was taken out: artifact_hash, forgotten_slide
"""

from pathassets.catalog.tables.artifacts import PARENT, artifact, artifact_parent, attempt
from pathassets.catalog.tables.base import ADDRESS, THUMBNAIL_LIMIT_BYTES, Moment, metadata
from pathassets.catalog.tables.human_inputs import annotation, mpp_override
from pathassets.catalog.tables.slides import merged_slide, rejected_file, slide, slide_path
from pathassets.catalog.tables.upkeep import artifact_hash, forgotten_slide

__all__ = [
    "ADDRESS",
    "PARENT",
    "THUMBNAIL_LIMIT_BYTES",
    "Moment",
    "annotation",
    "artifact",
    "artifact_hash",
    "artifact_parent",
    "attempt",
    "forgotten_slide",
    "merged_slide",
    "metadata",
    "mpp_override",
    "rejected_file",
    "slide",
    "slide_path",
]
