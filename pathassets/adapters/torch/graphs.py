"""The graph of an exported program, as JSON ─▶ nothing, where torch can run nothing else by it.

torch makes Python source of the graph's names, evaluates its expressions of sizes and its guards,
imports the modules that its structure names, and calls whatever `torch.a.b.c` an operator is
called. So names are names here, expressions are arithmetic, structures are of plain containers, and
operators are the tensor operators.

Source: `torch/_export/serde/serialize.py`, `torch/export/_unlift.py`, `torch/utils/_pytree.py` and
`torch/fx/graph.py` of torch 2.13.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch

from pathassets.adapters.torch.archives import Unfit
from pathassets.adapters.torch.sizes import NAME, check_guard, check_size

DOTTED = re.compile(r"[\w.-]{0,1000}", re.ASCII)
DEEPEST = 60
"""Levels of a document; a graph within a graph takes eight."""

SIZE_OPERATORS = frozenset(
    {
        *(
            f"_operator.{name}"
            for name in (
                "add", "and_", "eq", "floordiv", "ge", "getitem", "gt", "le", "lshift", "lt", "mod",
                "mul", "ne", "neg", "or_", "pos", "pow", "rshift", "sub", "truediv",
            )
        ),
        *(f"torch.sym_{name}" for name in ("float", "int", "ite", "max", "min", "not", "sqrt")),
        "math.ceil", "math.floor", "math.trunc",
    }
)  # fmt: skip
HIGHER_OPERATORS = frozenset(
    f"torch.ops.higher_order.{name}"
    for name in ("cond", "wrap_with_autocast", "wrap_with_set_grad_enabled")
)
FILE_OPERATORS = frozenset({"from_file", "save"})
"""Of the tensor operators those that open a file of any name."""
_TENSOR_OPERATOR = re.compile(r"torch\.ops\.(aten|prims)\.([a-zA-Z_]\w*)\.([a-zA-Z_]\w*)", re.ASCII)

CONTAINERS = frozenset({"builtins.tuple", "builtins.list", "builtins.dict"}) | {
    "collections.OrderedDict"
}
_CONTAINER_OF_A_LIBRARY = re.compile(r"(transformers|timm)(\.\w+)+", re.ASCII)
"""A result of a model, such as `BaseModelOutput`; torch knows it where the library says so."""


def check_graph(data: bytes) -> None:
    """Refuse a graph that says more than what is computed of the pixels.

    Raises:
        Unfit: it does, or it is no graph.
    """
    _check_program(_parsed(data))


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A weight, as a configuration tells it."""

    member: str
    is_pickled: bool
    n_values: int


def payloads_of(data: bytes) -> list[Payload]:
    """The weights that a configuration tells of; it may name no objects.

    Raises:
        Unfit: it does, or it is none.
    """
    found = []
    for name, told in _items(_parsed(data).get("config")):
        payload = dict(_items(told))
        _walk(payload, (name,))
        member = str(payload.get("path_name"))
        if not re.fullmatch(r"(weight|tensor)_\d+", member, re.ASCII):
            raise Unfit(f"holds {member!r}, which is no weight")
        meta = payload.get("tensor_meta") or {}
        sizes = [dict(_items(size)).get("as_int") for size in dict(_items(meta)).get("sizes", [])]
        found.append(
            Payload(
                member=member, is_pickled=bool(payload.get("use_pickle")),
                n_values=math.prod(size for size in sizes if isinstance(size, int)),
            )
        )  # fmt: skip
    return found


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unfit("is no JSON") from error
    if not isinstance(found, dict):
        raise Unfit("is no mapping")
    return found


def _check_program(program: dict[str, Any]) -> None:
    for name, value in program.items():
        if name == "guards_code":
            for guard in _strings(value):
                check_guard(guard)
        elif name == "range_constraints":
            for size, limits in _items(value):
                check_size(size)
                _walk(limits, (name, size))
        elif name != "torch_version":
            _walk(value, (name,))


Place = tuple[str | int, ...]
"""Keys, and numbers of items, from the outermost to the innermost."""


def _walk(value: Any, place: Place) -> None:
    """Check all strings below; what a string may be depends on the keys above it."""
    if len(place) > DEEPEST:
        raise Unfit("is nested deeper than a graph is")
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_key(key)
            if key != "metadata" or not _has_remarks(place):
                _walk(inner, (*place, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _walk(inner, (*place, number))
    elif isinstance(value, str):
        _check_string(value, place)


def _check_key(key: str) -> None:
    if not DOTTED.fullmatch(key) or _is_inner(key):
        raise Unfit(f"has the name {key[:80]!r}")
    if key in ("as_custom_obj", "custom_obj"):
        raise Unfit("has objects beside tensors")


def _has_remarks(place: Place) -> bool:
    """Whether what is called `metadata` there is for people; torch runs nothing of it."""
    is_node = len(place) > 1 and place[-2] == "nodes" and isinstance(place[-1], int)
    return is_node or place == ("graph_module",)


def _check_string(text: str, place: Place) -> None:
    key = next((one for one in reversed(place) if isinstance(one, str)), "")
    if key == "target" and "nodes" not in place:  # of a signature: the name of a weight
        key = ""
    _CHECKS.get(key, _check_dotted)(text)


def _check_dotted(text: str) -> None:
    if not DOTTED.fullmatch(text) or _is_inner(text):
        raise Unfit(f"has the text {text[:80]!r}")


def _anything(_text: str) -> None:
    """An operator's own text, such as `tanh`: none that is let through opens a file by it."""


def _check_name(text: str) -> None:
    if text and not NAME.fullmatch(text):
        raise Unfit(f"has the name {text[:80]!r}")


def _check_structure(text: str) -> None:
    _check_container(_loaded(text)[1])


def _is_inner(dotted: str) -> bool:
    """Whether it leads into Python's own attributes, such as `__class__`."""
    return any(part.startswith("__") and part.endswith("__") for part in dotted.split("."))


def check_operator(name: str) -> None:
    """Refuse what is no operator on tensors or their sizes.

    Raises:
        Unfit: it is none, or not one of this torch's, or opens files.
    """
    if name in SIZE_OPERATORS or name in HIGHER_OPERATORS:
        return
    found = _TENSOR_OPERATOR.fullmatch(name)
    if not found:
        raise Unfit(f"calls {name[:80]!r}, which is no operator on tensors")
    family, operator, overload = found.groups()
    if operator in FILE_OPERATORS:
        raise Unfit(f"calls {name!r}, which opens files")
    packet = getattr(getattr(torch.ops, family), operator, None)
    if not isinstance(getattr(packet, overload, None), torch._ops.OpOverload):  # noqa: SLF001
        raise Unfit(f"calls {name!r}, which torch {torch.__version__} does not have")


def _loaded(text: str) -> list[Any]:
    """The structure that a text within the text is."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unfit("has a structure that is no JSON") from error
    if not isinstance(found, list) or len(found) != 2 or found[0] != 1:  # noqa: PLR2004
        raise Unfit("has a structure of another version")
    return found


def _check_container(structure: Any, depth: int = 0) -> None:
    """Refuse a structure that names more than containers and their keys."""
    if not isinstance(structure, dict) or set(structure) != {"type", "context", "children_spec"}:
        raise Unfit("has a structure that is none")
    kind, context = structure["type"], structure["context"]
    is_known = kind is None or kind in CONTAINERS
    if not is_known and not _CONTAINER_OF_A_LIBRARY.fullmatch(str(kind)):
        raise Unfit(f"has a structure of {str(kind)[:80]!r}")
    for key in _keys_of(context):
        if not NAME.fullmatch(key):
            raise Unfit(f"has the name {key[:80]!r}")
    if depth > DEEPEST or not isinstance(structure["children_spec"], list):
        raise Unfit("is nested deeper than a result is, or has parts that are no list")
    for inner in structure["children_spec"]:
        _check_container(inner, depth + 1)


def _keys_of(context: Any) -> list[str]:
    """What the context of a container says: nothing, or the keys of a mapping, as JSON."""
    try:
        keys = json.loads(context) if isinstance(context, str) else context
    except (ValueError, RecursionError) as error:
        raise Unfit("has a structure that is no JSON") from error
    return [] if keys is None else _strings(keys)


def _items(value: Any) -> list[tuple[str, Any]]:
    """A mapping."""
    if not isinstance(value, dict):
        raise Unfit(f"has {str(value)[:80]!r} where a mapping is")
    return list(value.items())


def _strings(value: Any) -> list[str]:
    """A list of strings."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Unfit(f"has {str(value)[:80]!r} where a list of names is")
    return value


_CHECKS: Mapping[str, Callable[[str], None]] = MappingProxyType(
    {
        "expr_str": check_size,
        "as_string": _anything,
        "as_strings": _anything,
        "in_spec": _check_structure,
        "out_spec": _check_structure,
        "target": check_operator,
        "as_operator": check_operator,
        "name": _check_name,
        "as_name": _check_name,
        "forward_arg_names": _check_name,
    }
)
"""Of strings, by the key that they are under; all others are dotted names."""
