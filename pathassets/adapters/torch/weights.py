"""Files of weights ─▶ a module that has them, all of them and no others."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import safetensors
import torch
from safetensors.torch import load_file
from torch import nn

from pathassets.adapters.named_files import open_named, remedy_of
from pathassets.errors import EncoderError

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
WRAPPERS = ("state_dict", "model", "teacher")
PREFIXES = ("module.", "backbone.")
N_LISTED = 5


def load_state_dict(path: str | Path) -> dict[str, object]:
    """Read a file of weights as it is, on the CPU; no code of a pickle is executed.

    Raises:
        EncoderError: there is no such file, it is damaged, or holds more than tensors.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise EncoderError(
            str(path), "is no file of weights", remedy=f"These are: {', '.join(SUFFIXES)}."
        )
    if not path.is_file():
        raise EncoderError(str(path), "there is no such file of weights", remedy="Check the path.")
    try:
        if path.suffix == ".safetensors":
            found: object = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (
        safetensors.SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError,
        ValueError, KeyError,
    ) as error:  # fmt: skip
        said = str(error).partition("\n")[0]
        raise EncoderError(
            str(path),
            f"the weights cannot be read: {said}",
            remedy="Get the file again, or save its state dict alone, as .safetensors at best.",
        ) from error
    if not isinstance(found, dict) or not found:
        raise EncoderError(
            str(path), f"holds a {type(found).__name__}, not weights by their names",
            remedy="Save module.state_dict().",
        )  # fmt: skip
    return found


def load_weights(
    module: nn.Module, path: str | Path, name: str, *, left_out: tuple[str, ...] = ()
) -> None:
    """Load all weights of `module`, in place; wrappers are undone only where names then match.

    Args:
        module: It may have a function `renamed`, from weights by the names that a file has to
            weights by its own.
        path: The file.
        name: Of the encoder, for errors.
        left_out: Beginnings of the names of weights that are in the file for something else.

    Raises:
        EncoderError: some are missing, left over or of another shape.
    """
    wanted = set(module.state_dict())
    best: dict[str, object] = {}
    for found in _candidates(load_state_dict(path)):
        candidate = {k: v for k, v in found.items() if not k.startswith(left_out)}
        if not best or len(wanted ^ set(candidate)) < len(wanted ^ set(best)):
            best = candidate
    best = _renamed(module, best, Path(path), name)
    _require_same(wanted, best, Path(path), name)
    try:
        module.load_state_dict(best, strict=True)
    except RuntimeError as error:
        said = str(error).partition("\n")[2].strip() or str(error)
        raise EncoderError(
            name, f"{path} has weights of another shape: {said}",
            remedy="Give the weights of this very architecture.",
        ) from error  # fmt: skip


def _renamed(
    module: nn.Module, found: dict[str, object], path: Path, name: str
) -> dict[str, object]:
    rename: Callable[[Mapping[str, object]], dict[str, object]] | None
    rename = cast("Any", getattr(module, "renamed", None))
    if rename is None or set(module.state_dict()) == set(found):
        return found
    try:
        return rename(found)
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise EncoderError(
            name, f"{path} has weights of another shape: {error}",
            remedy="Give the weights of this very architecture.",
        ) from error  # fmt: skip


def _require_same(wanted: set[str], found: Mapping[str, object], path: Path, name: str) -> None:
    missing, unexpected = sorted(wanted - set(found)), sorted(set(found) - wanted)
    facts = [
        f"{len(names)} {what} ({', '.join(names[:N_LISTED])}{', …' * (len(names) > N_LISTED)})"
        for what, names in (("missing", missing), ("unexpected", unexpected))
        if names
    ]
    if facts:
        raise EncoderError(
            name, f"{path} does not fit: {'; '.join(facts)}",
            remedy="Give the weights of this very architecture, without a classifier's.",
        )  # fmt: skip


def _candidates(found: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """The weights in each wrapper, and without each prefix, outermost first."""
    plain = {str(key): value for key, value in found.items()}
    yield plain
    for prefix in PREFIXES:
        if any(key.startswith(prefix) for key in plain):
            yield from _candidates({k.removeprefix(prefix): v for k, v in plain.items()})
    for wrapper in WRAPPERS:
        inner = plain.get(wrapper)
        if isinstance(inner, Mapping):
            yield from _candidates(inner)


def weights_sha256_of(module: nn.Module) -> str:
    """Digest the names, shapes, dtypes and bytes of a module's state; empty where it has none."""
    digest, n = hashlib.sha256(), 0
    for key, value in module.state_dict().items():
        if isinstance(value, torch.Tensor):
            digest.update(f"{key} {tuple(value.shape)} {value.dtype}\n".encode())
            flat = value.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().data)
            n += 1
    return digest.hexdigest() if n else ""


def file_sha256(path: str | Path) -> str:
    """Digest a file's bytes.

    Raises:
        EncoderError: it cannot be read.
    """
    try:
        with open_named(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EncoderError(
            str(path), f"cannot be read: {error}", remedy=remedy_of(error, "Check it.")
        ) from error
