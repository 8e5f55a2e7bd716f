"""Features that were imported and are not whole any more: no run can make them, and what can.

import them again, from the folder that they were imported from
or withdraw the import, so that a run computes them
"""

from __future__ import annotations

from pathassets.core.address import Address
from pathassets.engine.stages.outcomes import Step
from pathassets.errors import ArtifactMissing


def import_again(address: Address, tool: str) -> str:
    """Remedy where imported features are gone or damaged."""
    name, slide_id = address.name, address.partition_key
    return (
        f"No run can make it: import it again, pathassets import {tool} FOLDER --features {name} "
        f"(pathassets lineage {address} names its files); or let it be computed here, "
        f"pathassets unimport --features {name} --slides {slide_id} --who NAME --why …"
    )


def require_own(step: Step) -> None:
    """Refuse to make what was imported from another tool.

    Raises:
        ArtifactMissing: it was, and is gone or damaged.
    """
    if step.is_external:
        raise ArtifactMissing(
            step.address,
            f"was imported from {step.tool}, and is gone or damaged",
            remedy=import_again(step.address, step.tool),
        )
