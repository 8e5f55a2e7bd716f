"""Tokens of a vision transformer ─▶ one vector, by learnt queries: how CONCH 1.5 pools.

    pixels ─▶ trunk's tokens ─▶ attention of the queries to all of them ─▶ norm ─▶ (n, d)

The names of the parts are those in the published file, so that its weights load as they are.
Source: the code that reads them in TRIDENT (mahmoodlab/TRIDENT, conchv1_5).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

GRID_SURPLUS = 0.1
"""Added to the grid's side before the factor is taken, as DINO does; it moves every sample."""


class AttentionalPooler(nn.Module):
    """Learnt queries that attend to all tokens."""

    def __init__(self, context_dim: int, *, dim: int, n_heads: int, n_queries: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Parameter(torch.zeros(n_queries, dim))
        self.ln_q = nn.LayerNorm(dim)
        self.ln_k = nn.LayerNorm(context_dim)
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_kv = nn.Linear(context_dim, 2 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(n, t, context_dim) -> (n, n_queries, dim)."""
        queries = self.to_q(self.ln_q(self.query)).expand(len(tokens), -1, -1)
        keys, values = self.to_kv(self.ln_k(tokens)).chunk(2, dim=-1)
        q, k, v = (
            part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for part in (queries, keys, values)
        )
        attended = functional.scaled_dot_product_attention(q, k, v)
        pooled: torch.Tensor = self.to_out(attended.transpose(1, 2).flatten(2))
        return pooled


class PooledTrunk(nn.Module):
    """A vision transformer of timm under an attentional pooler."""

    def __init__(self, trunk: Any, pooler: AttentionalPooler) -> None:
        super().__init__()
        self.trunk = trunk
        self.attn_pool_contrast = pooler
        self.ln_contrast = nn.LayerNorm(pooler.query.shape[1])

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n, 3, y, x) -> (n, d): what the first query found."""
        trunk = self.trunk
        places = trunk.patch_embed(pixels)  # (n, y, x, c): the trunk takes any size
        grid = places.shape[1:3]
        first = trunk.cls_token.expand(len(places), -1, -1)
        tokens = torch.cat([first, places.flatten(1, 2)], dim=1)
        tokens = trunk.norm_pre(tokens + resample_positions(trunk.pos_embed, grid))
        tokens = trunk.norm(trunk.blocks(tokens))
        features: torch.Tensor = self.ln_contrast(self.attn_pool_contrast(tokens)[:, 0])
        return features


def resample_positions(positions: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Bring the embedding of a square of places, after a class token, to a grid of (y, x) places.

    By a factor and not by a size, and without antialiasing: timm's way gives other features.
    """
    first, places = positions[:, :1], positions[:, 1:]
    side = round(places.shape[1] ** 0.5)
    if grid == (side, side):
        return positions
    square = places.transpose(1, 2).reshape(1, -1, side, side).float()
    factors = [(n + GRID_SURPLUS) / side for n in grid]
    resampled = functional.interpolate(square, scale_factor=factors, mode="bicubic")
    return torch.cat([first, resampled.flatten(2).transpose(1, 2).to(first.dtype)], dim=1)
