"""What was raised -> the outcome of the step that it ended, in words that name the slide."""

from __future__ import annotations

import traceback

from pathassets.engine.stages.outcomes import Step, StepOutcome
from pathassets.errors import PathAssetsError, SlideError, shortage_of


def failed(step: Step, error: Exception) -> StepOutcome:
    """Outcome of a step that raised."""
    slide_id = step.address.partition_key
    error = shortage_of(error) or error
    if isinstance(error, PathAssetsError):
        return StepOutcome(
            step=step, state="failed", reason=error.reason, message=_message(error, slide_id),
            remedy=error.remedy, is_final=error.is_final,
        )  # fmt: skip
    if isinstance(error, OSError):
        return StepOutcome(
            step=step, state="failed", reason="os_error", message=f"{slide_id}: {error}",
            remedy="Look at the disk: is it full, or gone?",
        )  # fmt: skip
    trace = "".join(traceback.format_exception(error)[-4:])
    return StepOutcome(
        step=step, state="failed", reason="unexpected",
        message=f"{slide_id}: {type(error).__name__}: {error}\n{trace}",
        remedy="This is a fault of pathassets: report it with this text",
    )  # fmt: skip


def blocked(step: Step, parent: StepOutcome) -> StepOutcome:
    """Outcome of a step that was not tried, for a parent that failed or was blocked itself."""
    why = f"{step.address.partition_key}: not tried, {'/'.join(parent.step.address.key)} failed"
    return StepOutcome(
        step=step, state="blocked", reason=parent.reason, remedy=parent.remedy,
        message=parent.message if parent.state == "blocked" else why,
    )  # fmt: skip


def _message(error: PathAssetsError, slide_id: str) -> str:
    """What went wrong; whatever the error is about, the slide is named."""
    if isinstance(error, SlideError) and error.path != slide_id:
        return error.about(f"{slide_id} ({error.path})").message
    return error.message if slide_id in error.message else f"{slide_id}: {error.message}"
