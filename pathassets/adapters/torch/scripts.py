"""A TorchScript file's code and pickles ─▶ nothing, where they open no files.

Its code is a small language that torch compiles: it has no import, but operators that read and
write any file. Its pickles are read by torch's own reader, which calls no Python; what they name is
looked at all the same.
"""

from __future__ import annotations

import ast
import pickletools
import re

from pathassets.adapters.torch.archives import Unfit
from pathassets.adapters.torch.graphs import FILE_OPERATORS

FAMILIES = frozenset({"aten", "prim", "quantized"})
"""Of operators that code calls as `ops.FAMILY.NAME`."""
_PRINTABLE = re.compile(rb"[\n\x20-\x7e]*")
"""Code that torch's parser and Python's cut into the same words."""
_REMOTE = re.compile(r"rpc|fork|wait|awaitable|Python")
_TENSORS = re.compile(
    r"__torch__(?!\.torch\.classes\.)[\w.]+|__torch__\.torch\.classes\.quantized\.\w+|"
    r"torch\.jit\._pickle\.\w+|torch\.\w+Storage|torch\._utils\._rebuild_\w+|"
    r"collections\.OrderedDict",
    re.ASCII,
)
"""What a pickle may name: torch's reader joins a module and a name by a dot."""
_REFUSED_OPCODES = frozenset({"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"})


def check_code(data: bytes) -> None:
    """Refuse code that opens files, or calls what is no operator of torch.

    Raises:
        Unfit: it does, or cannot be read.
    """
    if not _PRINTABLE.fullmatch(data):
        raise Unfit("has characters in it that torch writes otherwise")
    try:
        nodes = list(ast.walk(ast.parse(data)))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Unfit(f"cannot be read: {error}") from error
    named = {id(node.value): node for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        if isinstance(node, ast.Attribute):
            _check_attribute(node.attr)
        elif isinstance(node, ast.Name):
            _check_name(node, named)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr":
            _check_getattr(node)


def _check_attribute(name: str) -> None:
    if name in FILE_OPERATORS:
        raise Unfit(f"calls {name!r}, which opens files")


def _check_name(node: ast.Name, named: dict[int, ast.Attribute]) -> None:
    """`torch` and `ops` are said only to name an operator, so that none has another name."""
    if node.id not in ("torch", "ops"):
        return
    family = named.get(id(node))
    operator = named.get(id(family)) if family is not None else None
    if family is None or (node.id == "ops" and operator is None):
        raise Unfit(f"gives {node.id!r} another name")
    if node.id == "ops" and operator is not None:
        is_known = family.attr in FAMILIES and not _REMOTE.search(operator.attr)
        if not is_known:
            raise Unfit(f"calls ops.{family.attr}.{operator.attr}, which is not known here")


def _check_getattr(node: ast.Call) -> None:
    match node.args:
        case [ast.Name(), ast.Constant(value=str() as name)]:
            _check_attribute(name)
        case _:
            raise Unfit("asks for an attribute that is not written there")


def check_pickle(data: bytes) -> None:
    """Refuse a pickle that names more than tensors, containers and the file's own classes.

    Raises:
        Unfit: it does, or is none.
    """
    try:
        named = [(opcode.name, str(argument)) for opcode, argument, _ in pickletools.genops(data)]
    except Exception as error:  # whatever pickletools raises of bytes that are none
        raise Unfit(f"is no pickle: {error}") from error
    for opcode, argument in named:
        name = argument.replace(" ", ".")
        is_known = opcode != "GLOBAL" or _TENSORS.fullmatch(name)
        if opcode in _REFUSED_OPCODES or not is_known:
            raise Unfit(f"names {name[:80]!r}, which is no tensor")
