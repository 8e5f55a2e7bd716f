"""Expressions of sizes in an exported program ─▶ nothing, where they are arithmetic.

torch hands a size such as `Mul(Integer(2), Symbol('s77'))` to sympy, which evaluates it as Python,
and a guard such as `L['x'].size()[0] >= 2` to `exec`.
"""

from __future__ import annotations

import ast
import re

from pathassets.adapters.torch.archives import Unfit

NAME = re.compile(r"(?!\d)\w{1,500}", re.ASCII)
LONGEST = 5000
"""Characters of an expression."""
GREATEST_POWER = 64
GREATEST_NUMBER = 2**64
FUNCTIONS = frozenset(
    {
        "Abs", "Add", "And", "CeilDiv", "CeilToInt", "CleanDiv", "Eq", "Equality", "FloatTrueDiv",
        "FloorDiv", "FloorToInt", "Ge", "GreaterThan", "Gt", "Identity", "IntTrueDiv", "Integer",
        "IsNonOverlappingAndDenseIndicator", "Le", "LessThan", "Lt", "Max", "Min", "Mod",
        "ModularIndexing", "Mul", "Ne", "Not", "Or", "PythonMod", "Rational", "RoundDecimal",
        "RoundToInt", "StrictGreaterThan", "StrictLessThan", "ToFloat", "TruncToFloat",
        "TruncToInt", "Unequality", "Where", "abs", "max", "min",
    }
)  # fmt: skip
POWERS = frozenset({"FloatPow", "LShift", "Pow", "PowByNatural", "RShift"})
VALUES = frozenset({"False", "True", "false", "inf", "int_oo", "oo", "true"})
_SYMBOL = re.compile(r"_?[a-z]{1,8}\d{1,5}", re.ASCII)
_DECIMAL = re.compile(r"-?\d{1,40}(\.\d{0,40})?(e[+-]?\d{1,3})?", re.ASCII)


def check_size(text: str) -> None:
    """Refuse a size that is more than arithmetic.

    Raises:
        Unfit: it is more.

    >>> check_size("Mul(Integer(2), Symbol('s77', positive=True, integer=True))")
    >>> check_size("__import__('os').getcwd()")
    Traceback (most recent call last):
        ...
    pathassets.adapters.torch.archives.Unfit: has the size "__import__('os').getcwd()"
    """
    if not _is_arithmetic(_parsed(text), has_inputs=False):
        raise Unfit(f'has the size "{text[:80]}"')


def check_guard(text: str) -> None:
    """Refuse a guard that is more than arithmetic on the sizes of inputs.

    Raises:
        Unfit: it is more.

    >>> check_guard("L['x'].size()[0] <= 8")
    """
    if not _is_arithmetic(_parsed(text), has_inputs=True):
        raise Unfit(f'has the guard "{text[:80]}"')


def _parsed(text: str) -> ast.expr:
    if len(text) > LONGEST:
        raise Unfit(f"has a size of {len(text)} characters")
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Unfit(f'has the size "{text[:80]}"') from error


def _is_arithmetic(node: ast.expr, *, has_inputs: bool, is_base: bool = False) -> bool:  # noqa: C901, PLR0911 - a case for each form
    """Whether it is, and none of its powers is a power's base: those would fill a memory."""

    def all_are(parts: list[ast.expr], *, is_base: bool = is_base) -> bool:
        return all(_is_arithmetic(p, has_inputs=has_inputs, is_base=is_base) for p in parts)

    match node:
        case ast.Constant(value=int() | float() as number):
            return abs(number) < GREATEST_NUMBER
        case ast.Name(id=name):
            return name in VALUES or _SYMBOL.fullmatch(name) is not None
        case ast.UnaryOp(operand=part):
            return all_are([part])
        case ast.BinOp(left=base, op=ast.Pow() | ast.LShift() | ast.RShift(), right=power):
            return not is_base and _is_small(power) and all_are([base], is_base=True)
        case ast.BinOp(left=left, right=right):
            return all_are([left, right])
        case ast.BoolOp(values=parts):
            return all_are(parts)
        case ast.Compare(left=left, comparators=parts):
            return all_are([left, *parts])
        case ast.Call(func=ast.Name(id=name), args=[base, power], keywords=[]) if name in POWERS:
            return not is_base and _is_small(power) and all_are([base], is_base=True)
        case ast.Call(func=ast.Name(id=name), args=parts, keywords=[]) if name in FUNCTIONS:
            return all_are(parts)
        case _:
            return _is_symbol_or_decimal(node) or (has_inputs and _is_size_of_input(node))


def _is_small(power: ast.expr) -> bool:
    match power:
        case ast.Constant(value=int() | float() as number):
            return abs(number) <= GREATEST_POWER
        case ast.UnaryOp(op=ast.USub(), operand=part):
            return _is_small(part)
        case ast.Call(func=ast.Name(id="Integer" | "Rational"), args=parts, keywords=[]):
            return all(_is_small(part) for part in parts)
        case _:
            return False


def _is_symbol_or_decimal(node: ast.expr) -> bool:
    """`Symbol('s0', integer=True)`, `Float('0.5', precision=53)`."""
    match node:
        case ast.Call(func=ast.Name(id="Symbol"), args=[ast.Constant(value=str() as text)]):
            is_right = NAME.fullmatch(text) is not None
        case ast.Call(func=ast.Name(id="Float"), args=[ast.Constant(value=str() as text)]):
            is_right = _DECIMAL.fullmatch(text) is not None
        case _:
            return False
    values = [one.value for one in node.keywords if one.arg]
    return is_right and len(values) == len(node.keywords) and all(_is_flag(one) for one in values)


def _is_flag(node: ast.expr) -> bool:
    """True, False or a number of bits."""
    match node:
        case ast.Constant(value=int() as number):
            return 0 <= number <= LONGEST
        case _:
            return False


def _is_size_of_input(node: ast.expr) -> bool:
    """`L['x'].size()[0]`."""
    match node:
        case ast.Subscript(
            value=ast.Call(
                func=ast.Attribute(value=taken, attr="size" | "stride"), args=[], keywords=[]
            ),
            slice=ast.Constant(value=int()),
        ):
            return _is_input(taken)
        case _:
            return False


def _is_input(node: ast.expr) -> bool:
    match node:
        case ast.Name(id="L"):
            return True
        case ast.Subscript(value=whole, slice=ast.Constant(value=int())):
            return _is_input(whole)
        case ast.Subscript(value=whole, slice=ast.Constant(value=str() as key)):
            return NAME.fullmatch(key) is not None and _is_input(whole)
        case _:
            return False
