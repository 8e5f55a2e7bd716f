"""A slide's rows -> a bar, which is there from its first row to its end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from pathassets.adapters.tqdm import progress_bar


class SlideProgressBar:
    """What is shown of one slide; the next one is laid out before any row of it is there."""

    def __init__(self, n_patches: int, *, label: str, is_shown: bool) -> None:
        self._n_patches, self._label, self._is_shown = n_patches, label, is_shown
        self._stack = ExitStack()
        self._advance: Callable[[int], None] | None = None

    def advance(self, n: int) -> None:
        """Say that n more patches are done."""
        if self._advance is None:
            self._advance = self._stack.enter_context(
                progress_bar(
                    self._n_patches, unit="patches", label=self._label, is_shown=self._is_shown
                )
            )
        self._advance(n)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._stack.close()
