"""Features of a slide -> its embedding: one vector for all its patches.

    (n, d) ─▶ mean, max, or a user's module ─▶ (d',)

A slide without patches has the embedding of shape (0,): no number stands for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

import numpy as np
from pydantic import AfterValidator
from pydantic.dataclasses import dataclass as spec_dataclass

from pathassets.core.spec import STRICT

CODE_VERSION = "1"

FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
"""`package.module:factory`."""


def _known(method: str) -> str:
    if method not in {"mean", "max"} and not FACTORY.fullmatch(method):
        raise ValueError("use mean, max, or 'package.module:factory'")
    return method


@spec_dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class EmbeddingSpec:
    """How the features of a slide become one vector."""

    method: Annotated[str, AfterValidator(_known)] = "mean"
    """`mean`, `max`, or `package.module:factory`, which makes a torch module (n, d) -> (d',)."""
    weights: str | None = None
    """File with the weights of that module."""
    version: str = ""
    """Of the factory's code, as its owner counts it: new embeddings, new version."""

    def __post_init__(self) -> None:
        if self.weights is not None and not self.has_module:
            raise ValueError(f"weights: {self.method} has none")

    @property
    def has_module(self) -> bool:
        """Whether a user's module does it."""
        return ":" in self.method


def mean_of(chunks: Iterable[np.ndarray]) -> np.ndarray:
    """Mean of all rows, given in chunks (m, d): float32 (d,), or (0,) where there is no row.

    >>> mean_of([np.array([[1.0, 2.0]]), np.array([[3.0, 6.0]])]).tolist()
    [2.0, 4.0]
    """
    total, n = np.zeros(0), 0
    for rows in chunks:
        if len(rows):
            part = rows.sum(axis=0, dtype=np.float64)
            total, n = (total + part if n else part), n + len(rows)
    return (total / max(1, n)).astype(np.float32)


def max_of(chunks: Iterable[np.ndarray]) -> np.ndarray:
    """Greatest of all rows, column by column: float32 (d,), or (0,) where there is no row."""
    found = np.zeros(0, np.float32)
    for rows in chunks:
        if len(rows):
            part = rows.max(axis=0)
            found = np.maximum(found, part) if found.size else part
    return np.asarray(found, np.float32)
