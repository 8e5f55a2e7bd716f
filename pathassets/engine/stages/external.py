"""Features that another tool made: a run takes them as they are, and makes none in their name."""

from __future__ import annotations

from pathassets.engine.stages.outcomes import Step
from pathassets.errors import ArtifactMissing


def require_own(step: Step) -> None:
    """Refuse to make what was adopted from another tool.

    Raises:
        ArtifactMissing: it was, and is gone or damaged.
    """
    if not step.is_external:
        return
    entry, slide_id = step.entry, step.address.partition_key
    raise ArtifactMissing(
        step.address,
        "was imported from another tool, and is gone or damaged: no run can make it",
        remedy=f"Import it again: pathassets import TOOL FOLDER --features {entry.name}; or let it "
        f"be computed here: pathassets unimport --features {entry.name} --slides {slide_id} "
        "--who NAME --why …",
    )
