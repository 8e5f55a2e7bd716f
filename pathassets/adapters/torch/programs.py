"""Models saved with their code: torch.export's programs (.pt2) and TorchScript ─▶ nn.Module."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pathassets.errors import EncoderError

SCRIPT_SUFFIXES = (".ts", ".torchscript")


class Program(nn.Module):
    """An exported program: its mode was fixed when it was exported, and so is its device."""

    def __init__(self, exported: Any, fixed_rows: int | None) -> None:
        super().__init__()
        # In a tuple: an exported module refuses train() and eval(), which reach all children.
        self._held = (exported.module(),)
        self.fixed_rows = fixed_rows
        """Patches in one pass, where the program takes no other number."""

    def forward(self, pixels: torch.Tensor) -> object:
        """Run it."""
        return self._held[0](pixels)


def open_program(path: str | Path, *, device: str = "cpu") -> nn.Module:
    """Open .pt2, .ts or .torchscript on a device.

    Raises:
        EncoderError: there is no such file, it is damaged, or of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise EncoderError(str(path), "there is no such file", remedy="Check the path.")
    if path.suffix in SCRIPT_SUFFIXES:
        return _open_script(path, device)
    if path.suffix == ".pt2":
        return _open_exported(path, device)
    raise EncoderError(str(path), "is no program", remedy="These are: .pt2, .ts and .torchscript.")


def _open_script(path: Path, device: str) -> nn.Module:
    try:
        with warnings.catch_warnings():
            # torch 2.13 calls TorchScript deprecated; the files that people have are no less.
            warnings.filterwarnings("ignore", message=r"`torch\.jit\.load` is", append=False)
            module: nn.Module = torch.jit.load(  # type: ignore[no-untyped-call]
                str(path), map_location=device
            )
    except (RuntimeError, ValueError) as error:
        raise _damaged(path, "TorchScript file", error) from error
    return module


def _open_exported(path: Path, device: str) -> nn.Module:
    try:
        exported = torch.export.load(path)
        if device != "cpu":
            from torch.export.passes import move_to_device_pass  # noqa: PLC0415 - for a GPU alone

            exported = move_to_device_pass(exported, device)
    except Exception as error:
        # Whatever unzipping, JSON and torch's deserialiser raise of a file that is not whole:
        # RuntimeError, ValueError, KeyError, AttributeError, AssertionError and their own kinds.
        raise _damaged(path, "program of torch.export", error) from error
    return Program(exported, _fixed_rows(exported, path))


def _fixed_rows(exported: Any, path: Path) -> int | None:
    names = exported.graph_signature.user_inputs
    if len(names) != 1:
        raise EncoderError(
            str(path), f"takes {len(names)} inputs, not one",
            remedy="Export a model of one argument, the pixels (n, 3, y, x).",
        )  # fmt: skip
    (node,) = (n for n in exported.graph.nodes if n.op == "placeholder" and n.name == names[0])
    n_rows = node.meta["val"].shape[0]
    return n_rows if isinstance(n_rows, int) else None


def _damaged(path: Path, kind: str, error: Exception) -> EncoderError:
    said = str(error).partition("\n")[0]
    return EncoderError(
        str(path), f"is damaged, or no {kind}: {said}",
        remedy="Export the model again, with this version of torch.",
    )  # fmt: skip
