"""Encoders, and the check of one, for a terminal."""

from __future__ import annotations

from dataclasses import asdict

from rich.table import Table

from pathassets.core.features.encoder import EncoderCard
from pathassets.core.features.encoder_cards import CARDS, PUBLISHED
from pathassets.engine.features.encoder_check import CheckResult
from pathassets.report.console import open_console
from pathassets.report.json_text import json_text


def encoders_json() -> str:
    """Every encoder that has a name of its own, for machines."""
    return json_text(
        [asdict(card) | {"weights": _where(card)} for card in CARDS.values()], indent=1
    )


def encoder_table() -> None:
    """Print one row an encoder."""
    table = Table("encoder", "dim", "patch px", "mpp", "pooling", "licence", "gated")
    table.add_column("weights", overflow="fold")
    for card in CARDS.values():
        table.add_row(
            card.name, str(card.dim), str(card.patch_px or "any"), str(card.mpp or "any"),
            card.pooling, card.licence, "on request" if card.is_gated else "", _where(card),
        )  # fmt: skip
    console = open_console()
    console.print(table)
    console.print(
        "Weights of a repository: name the file beside the encoder, as weights.\n"
        "Others: timm:MODEL, transformers:FOLDER, package.module:factory, a program (.pt2, .ts)."
    )


def _where(card: EncoderCard) -> str:
    """Where its weights are from."""
    if card.name not in PUBLISHED:
        return card.weights
    return PUBLISHED[card.name].weights_file


def encoder_check_json(found: CheckResult) -> str:
    """What a check found, for machines."""
    return json_text(asdict(found) | {"patches_per_s": found.patches_per_s}, indent=1)


def encoder_check(found: CheckResult) -> None:
    """Print what a check found."""
    weights = found.weights_sha256[:12] or "none"
    console = open_console()
    console.print(
        f"{found.name} version {found.version}, weights {weights}, {found.precision} on "
        f"{found.device}, dim {found.dim}",
        markup=False,
    )
    console.print(
        f"{found.n_tiles} tiles of {found.side_px} px in {found.seconds:.2f} s, "
        f"{found.patches_per_s:.0f} patches/s",
        markup=False,
    )
    if found.is_first:
        console.print(
            f"the first check of it: its features are kept in {found.golden}; take that file into "
            "the home of other machines, and check there",
            markup=False,
        )
    else:
        console.print(
            f"same: largest difference {found.largest_difference:.2g}, up to {found.tolerance:g} "
            f"is the same ({found.golden})",
            markup=False,
        )
