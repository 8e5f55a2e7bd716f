"""What a model returns ─▶ features (n, d), or maps (n, c, y, x)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from pathassets.core.features.encoder import EncoderCard, Pooling
from pathassets.errors import EncoderError

KEYS = ("features", "embedding", "pooler_output", "last_hidden_state")
"""Of a dict, in the order in which they are looked for."""


def find_tensor(output: object, name: str) -> torch.Tensor:
    """Find the tensor of features in what a model returned.

    Raises:
        EncoderError: there is none.
    """
    if isinstance(output, torch.Tensor):
        return output
    if isinstance(output, np.ndarray) and output.dtype.kind in "fiu":
        return torch.from_numpy(output)
    if isinstance(output, Mapping):
        return find_tensor(_of_mapping(output, name), name)
    if isinstance(output, list | tuple) and len(output):
        return find_tensor(output[0], name)
    raise EncoderError(
        name,
        f"its output is a {type(output).__name__}, without a tensor of features",
        remedy="Let the model return a tensor (n, d), or a tuple or dict with one.",
    )


def _of_mapping(output: Mapping[str, object], name: str) -> object:
    for key in KEYS:
        if output.get(key) is not None:
            return output[key]
    arrays = [v for v in output.values() if isinstance(v, torch.Tensor | np.ndarray)]
    if len(arrays) == 1:
        return arrays[0]
    raise EncoderError(
        name,
        f"its output is a dict of {', '.join(map(str, output)) or 'nothing'}",
        remedy=f"Let it have one tensor, or call the features one of {', '.join(KEYS)}.",
    )


def pool(found: torch.Tensor, n: int, pooling: Pooling, card: EncoderCard) -> torch.Tensor:
    """Pool (n, d), tokens (n, t, d) or a map (n, c, y, x).

    Raises:
        EncoderError: it has another shape or number of rows, or nothing to pool in this way.
    """
    if found.ndim not in (2, 3, 4) or len(found) != n or 0 in found.shape:
        raise EncoderError(
            card.name,
            f"gave {tuple(found.shape)} for {n} patches",
            remedy="Features are (n, d), tokens (n, t, d) or maps (n, c, y, x).",
        )
    if found.is_complex():
        raise EncoderError(card.name, f"gave {found.dtype}; features are real numbers")
    if found.ndim == 2 and pooling != "cls+mean":  # noqa: PLR2004 - pooled by the model
        return found
    if found.ndim == 3:  # noqa: PLR2004 - tokens
        pooled = _pool_tokens(found, pooling, card.n_prefix_tokens)
    else:
        pooled = _pool_map(found, pooling)
    if pooled is None:
        raise EncoderError(
            card.name,
            f"there is no {pooling!r} of {tuple(found.shape)}",
            remedy="Set pooling to auto.",
        )
    return pooled


def _pool_tokens(
    tokens: torch.Tensor, pooling: Pooling, n_prefix: int | None
) -> torch.Tensor | None:
    if pooling in ("auto", "cls"):
        return tokens[:, 0]
    if pooling == "mean":
        return tokens[:, n_prefix or 0 :].mean(dim=1)
    if pooling == "cls+mean" and tokens.shape[1] > (n_prefix or 1):
        return torch.cat([tokens[:, 0], tokens[:, n_prefix or 1 :].mean(dim=1)], dim=1)
    return None


def _pool_map(found: torch.Tensor, pooling: Pooling) -> torch.Tensor | None:
    if found.ndim != 4 or pooling in ("cls", "cls+mean"):  # noqa: PLR2004
        return None
    return found if pooling == "none" else found.mean(dim=(2, 3))
