"""Models saved with their code: torch.export's programs (.pt2) and TorchScript ─▶ nn.Module.

file ─▶ its bytes, hashed ─▶ members, each checked ─▶ an archive of these ─▶ torch

torch warns to load no program of a stranger: it runs pickles, evaluates texts and loads libraries
that are in the file. What is handed to it here has none of that.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pathassets.adapters.named_files import read_named, remedy_of
from pathassets.adapters.torch.archives import Archive, Unfit, archive_of
from pathassets.adapters.torch.graphs import Payload, check_graph, payloads_of
from pathassets.adapters.torch.scripts import check_code, check_pickle
from pathassets.errors import EncoderError

SCRIPT_SUFFIXES = (".ts", ".torchscript")

Check = Callable[[bytes], None]


def _nothing(_data: bytes) -> None:
    """Numbers and remarks, of which nothing is run."""


def _check_tensors(data: bytes) -> None:
    """Refuse what is more than tensors in plain containers."""
    if not data:
        return
    try:
        archive_of(data)  # no pickle alone, the form before it, which had holes
        torch.load(io.BytesIO(data), weights_only=True)
    except Unfit:
        raise
    except Exception as error:  # UnpicklingError, and whatever a damaged one raises
        said = str(error).partition("\n")[0]
        raise Unfit(f"holds more than tensors, or is damaged: {said}") from error


_REMARKS = (
    r"archive_(format|version)|byteorder|version|extra(_files)?/.+|"
    r"\.(format_version|storage_alignment)|\.data/(version|serialization_id)"
)
_PROGRAM_KINDS: Mapping[str, Check] = {
    _REMARKS: _nothing,
    r"models/model\.json|serialized_exported_program\.json": check_graph,
    r"data/(weights|constants|sample_inputs)/model\.pt|"
    r"serialized_(state_dict|constants|example_inputs)\.pt": _check_tensors,
    r"data/(weights|constants)/model_(weights|constants)_config\.json": _nothing,  # below
    r"data/(weights|constants)/(weight|tensor)_\d+": _nothing,
}
"""What a program has in it; torch before 2.8 called it otherwise. No library, and no object."""
_PICKLED_KINDS: Mapping[str, Check] = {
    r"data/(weights|constants)/(weight|tensor)_\d+": _check_tensors
}
"""Of a program, what its configurations say is pickled."""
_SCRIPT_KINDS: Mapping[str, Check] = {
    _REMARKS: _nothing,
    r"(data|constants|traced_inputs)/\d+": _nothing,
    r"(data|constants|traced_inputs)\.pkl|code/.+\.debug_pkl": check_pickle,
    r"code/.+\.py": check_code,
}


class Program(nn.Module):
    """An exported program: its mode was fixed when it was exported, and so is its device."""

    def __init__(self, exported: Any, path: Path) -> None:
        super().__init__()
        self._path = path
        # In a tuple: an exported module refuses train() and eval(), which reach all children.
        self._held = (exported.module(),)
        self.fixed_rows = _fixed_rows(exported, path)
        """Patches in one pass, where the program takes no other number."""

    def forward(self, pixels: torch.Tensor) -> object:
        """Run it.

        Raises:
            EncoderError: it does not take pixels of this shape.
        """
        try:
            return self._held[0](pixels)
        except RuntimeError:  # torch's own, such as a full memory, are told by who runs models
            raise
        except Exception as error:  # what it asserts of its input, and whatever follows
            raise EncoderError(
                str(self._path), f"cannot encode pixels {tuple(pixels.shape)}: {error}",
                remedy="Lay patches of the size that it was exported for, or set preprocessing.",
            ) from error  # fmt: skip


def open_program(path: str | Path, *, device: str = "cpu") -> tuple[nn.Module, str]:
    """Open .pt2, .ts or .torchscript on a device; returns it, and the SHA-256 of what was read.

    It takes twice the file's size of memory meanwhile.

    Raises:
        EncoderError: there is no such file, it is damaged, of another kind, or does more than
            compute features of pixels.
    """
    path = Path(path)
    if not path.is_file():
        raise EncoderError(str(path), "there is no such file", remedy="Check the path.")
    if path.suffix in SCRIPT_SUFFIXES:
        archive, sha256 = _checked(path, _SCRIPT_KINDS)
        return _open_script(archive, path, device), sha256
    if path.suffix == ".pt2":
        archive, sha256 = _checked(path, _PROGRAM_KINDS)
        return _open_exported(archive, path, device), sha256
    raise EncoderError(str(path), "is no program", remedy="These are: .pt2, .ts and .torchscript.")


def _checked(path: Path, kinds: Mapping[str, Check]) -> tuple[Archive, str]:
    """The members of a file, every one of which is of a known kind and as it should be."""
    try:
        data = read_named(path)
        archive = archive_of(data, may_be_packed=kinds is _SCRIPT_KINDS)
        for name in archive.members:
            _check_member(archive, name, kinds)
    except OSError as error:
        raise EncoderError(
            str(path), f"cannot be read: {error}", remedy=remedy_of(error, "Check it.")
        ) from error
    except Unfit as error:
        raise EncoderError(
            str(path), str(error),
            remedy="Export the model again, by torch.export.save; or give a factory that makes "
            "it, and its weights as .safetensors.",
        ) from error  # fmt: skip
    return archive, hashlib.sha256(data).hexdigest()


def _check_member(archive: Archive, name: str, kinds: Mapping[str, Check]) -> None:
    check = next((check for kind, check in kinds.items() if re.fullmatch(kind, name)), None)
    if check is None or name not in archive.members:
        fact = "is of no kind that is known here" if check is None else "is missing"
        raise Unfit(f"its member {name!r} {fact}")
    try:
        check(archive.members[name])
        payloads = payloads_of(archive.members[name]) if name.endswith("_config.json") else []
    except Unfit as error:
        raise Unfit(f"its member {name!r} {error}") from error
    for payload in payloads:
        _check_payload(archive, f"{name.rpartition('/')[0]}/{payload.member}", payload)


def _check_payload(archive: Archive, name: str, payload: Payload) -> None:
    """Check a weight: what is pickled, and that its size is not made up."""
    _check_member(archive, name, _PICKLED_KINDS if payload.is_pickled else _PROGRAM_KINDS)
    if payload.n_values and not archive.members[name]:
        raise Unfit(f"its member {name!r} is empty, and said to have {payload.n_values} values")


def _open_script(archive: Archive, path: Path, device: str) -> nn.Module:
    try:
        with warnings.catch_warnings():
            # torch 2.13 calls TorchScript deprecated; the files that people have are no less.
            warnings.filterwarnings("ignore", message=r"`torch\.jit\.load` is", append=False)
            module: nn.Module = torch.jit.load(  # type: ignore[no-untyped-call]
                archive.rebuilt(), map_location=device
            )
    except (RuntimeError, ValueError) as error:
        raise _damaged(path, "TorchScript file", error) from error
    return module


def _open_exported(archive: Archive, path: Path, device: str) -> nn.Module:
    try:
        with _quiet() as said:
            exported = torch.export.load(archive.rebuilt())
        if device != "cpu":
            from torch.export.passes import move_to_device_pass  # noqa: PLC0415 - for a GPU alone

            exported = move_to_device_pass(exported, device)
        return Program(exported, path)
    except EncoderError:
        raise
    except Exception as error:
        # Whatever unzipping, JSON and torch's deserialiser raise of a file that is not whole:
        # RuntimeError, ValueError, KeyError, AttributeError, AssertionError and their own kinds.
        raise _damaged(path, "program of torch.export", (said or [error])[0]) from error


@contextmanager
def _quiet() -> Iterator[list[BaseException]]:
    """Keep what torch logs of a damaged file, with a traceback, before it raises another error."""
    said: list[BaseException] = []

    def keep(record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1]:
            said.append(record.exc_info[1])
        return False

    logger = logging.getLogger("torch.export")
    logger.addFilter(keep)
    try:
        yield said
    finally:
        logger.removeFilter(keep)


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


def _damaged(path: Path, kind: str, error: BaseException) -> EncoderError:
    said = str(error).partition("\n")[0]
    return EncoderError(
        str(path), f"is damaged, or no {kind}: {said}",
        remedy="Export the model again, with this version of torch.",
    )  # fmt: skip
