"""What something was made from, and what was made from it, for a terminal.

    the thing ─▶ all that is known of it
              ├▶ what it was made from    ┐ a line each, with a name that can be typed back;
              └▶ what was made from it    ┘ those of one entry together, where they are many;
                                            what was printed before by its name, and that it was

With `--all` every one is told with all that is known of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from rich.markup import escape
from rich.tree import Tree

from pathassets.core.address import SLIDE_STAGE, Address
from pathassets.core.text import counted, counted_part, shortened, visible
from pathassets.engine.platform.provenance.lineage import Relative
from pathassets.engine.platform.provenance.origin import called
from pathassets.report.console import open_console
from pathassets.report.json_text import json_text

N_ALIKE = 3
"""Things of one entry that have a line each; more are told in one line."""
FACT_CHARS = 160
"""Longest fact of the thing that was asked for; `--json` has all of it."""
AGAIN = " [dim]↑ above[/]"
"""Of what was printed before, with what leads on from it."""


def lineage_json(traced: Relative) -> str:
    """What something was made from, and what was made from it, for machines."""
    return json_text({"called": called(traced.address), **asdict(traced)}, indent=1)


def lineage_tree(traced: Relative, *, is_whole: bool = False) -> None:
    """Print what something was made from, and what was made from it, each told once.

    `is_whole` prints all that is known of everything.
    """
    tree = Tree(_title(traced))
    _facts(traced, tree, is_whole=is_whole)
    write = _write_whole if is_whole else _write_lines
    write(tree, traced, _UP)
    if traced.children or traced.more_children:
        write(tree.add("[dim]made from it[/]"), traced, _DOWN)
    open_console().print(tree)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """Up to what was there before, or down."""

    kin: Callable[[Relative], Sequence[Relative]]
    more: Callable[[Relative], Mapping[str, int]]


_UP = _Way(kin=lambda one: one.parents, more=lambda one: one.more_parents)
_DOWN = _Way(kin=lambda one: one.children, more=lambda one: one.more_children)


# ------------------------------------------------------------------------------ a line each


def _write_lines(tree: Tree, root: Relative, way: _Way) -> None:
    _Lines(way, root).below(tree, [root])


class _Lines:
    """One way through a lineage, each thing in one line; what leads on, where it is met first."""

    def __init__(self, way: _Way, root: Relative) -> None:
        self._way = way
        self._printed: set[Address] = set()
        every = self._all_below(root)
        self._told = {one.address: one for one in every if not one.is_again}
        """Each with what leads on: where lines are told together, its mark may be met first."""

    def below(self, tree: Tree, ones: Sequence[Relative], *, is_part: bool = False) -> None:
        """Print the kin of one thing, or of several that are told in one line.

        `is_part`: they are the first of more, and so are their kin.
        """
        more = self._way.more(ones[0]) if len(ones) == 1 else {}
        told: set[str] = set()
        for alike in _by_entry(self._nearest(ones)):
            stage = alike[0].address.stage
            n_more = 0 if stage in told else more.get(stage, 0)
            new = self._new(alike)
            if len(alike) + n_more > N_ALIKE:
                told.add(stage)
                text = _group_text(alike, n_more, is_part=is_part) + AGAIN * (not new)
                self.below(tree.add(text), new, is_part=is_part or n_more > 0)
                continue
            for one in alike:
                if any(one is other for other in new):  # equal ones are long to compare
                    self.below(tree.add(_line(one)), [one])
                else:
                    tree.add(_title(one) + AGAIN)

    def _nearest(self, ones: Iterable[Relative]) -> list[Relative]:
        """Their kin, each once, and not above what goes back to it."""
        found = (one.address for each in ones for one in self._way.kin(each))
        kin = {address: self._told[address] for address in found}
        deeper = {two.address for one in kin.values() for two in self._all_below(one)}
        return [kin[address] for address in kin if address not in deeper]

    def _new(self, alike: Iterable[Relative]) -> list[Relative]:
        """Those that were not printed before, and are now."""
        new = [one for one in alike if one.address not in self._printed]
        self._printed.update(one.address for one in new)
        return new

    def _all_below(self, one: Relative) -> Iterable[Relative]:
        for each in self._way.kin(one):
            yield each
            yield from self._all_below(each)


def _by_entry(ones: Iterable[Relative]) -> list[list[Relative]]:
    order: dict[tuple[str, str], int] = {}
    listed = list(ones)
    for one in listed:
        order.setdefault(one.address.key, len(order))
    in_order = sorted(listed, key=lambda one: order[one.address.key])
    return [list(alike) for _, alike in groupby(in_order, key=lambda one: one.address.key)]


def _line(one: Relative) -> str:
    facts = ", ".join(_short_facts(one))
    return f"{_title(one)}  [dim]{_plain(facts)}[/]"


def _short_facts(one: Relative) -> Iterable[str]:
    """What tells a thing from others, in a few words."""
    facts = one.facts
    yield from facts.get("forgotten", [])[:1]
    if one.address.stage == SLIDE_STAGE and "sha256" in facts:
        yield f"SHA-256 {facts.get('sha256', '')}"
        if facts.get("mpp_in_file") is not None:
            yield f"{facts['mpp_in_file']:g} um per pixel in its file"
    yield from (facts[name] for name in ("encoder", "tool", "who") if facts.get(name))
    yield from (
        counted(facts[f"n_{noun}s"], noun)
        for noun in ("slide", "polygon")
        if facts.get(f"n_{noun}s") is not None
    )
    if facts.get("n_patches") is not None:
        yield counted_part(facts.get("n_used"), facts["n_patches"], "patch")
    if facts.get("tissue_mm2") is not None:
        yield f"{facts['tissue_mm2']:.2f} mm²"
    yield from facts.get("recorded", [])[:1]  # an annotation: who drew it, and why
    if "pathassets" in facts.get("software", {}):
        yield f"pathassets {facts['software']['pathassets']}"
    if "made_at" in facts:
        yield str(facts["made_at"])[: len("2026-01-31")]


def _group_text(alike: Sequence[Relative], n_more: int, *, is_part: bool) -> str:
    stage, name = alike[0].address.key
    n_all = len(alike) + n_more
    what = counted(n_all, "slide") if stage == SLIDE_STAGE else f"{n_all} of {stage}/{name}"
    named = ", ".join(one.address.partition_key for one in alike[:N_ALIKE])
    rest = f" and {n_all - N_ALIKE} more: --all shows each"
    n_damaged = sum("damaged" in one.facts for one in alike)
    damaged = f" [red]{n_damaged} damaged[/]" if n_damaged else ""
    part = (
        f", of which {len(alike)} were traced" if n_more else ", of those traced" if is_part else ""
    )
    return f"[bold]{_plain(what)}[/]{damaged}  [dim]{_plain(f'{named}{rest}{part}')}[/]"


# ------------------------------------------------------------------------- all that is known


def _write_whole(tree: Tree, root: Relative, way: _Way) -> None:
    printed = {root.address}

    def below(tree: Tree, one: Relative) -> None:
        for each in way.kin(one):
            if each.address in printed:
                tree.add(_title(each) + AGAIN)
                continue
            printed.add(each.address)
            branch = tree.add(_title(each))
            _facts(each, branch, is_whole=True)
            below(branch, each)

    below(tree, root)


def _facts(one: Relative, tree: Tree, *, is_whole: bool) -> None:
    for name, value in one.facts.items():
        if name == "damaged" or value in (None, "", [], {}):  # the title says that one
            continue
        if is_whole and isinstance(value, dict):
            leaf = tree.add(f"[dim]{_plain(name)}[/]")
            for key, text in value.items():
                leaf.add(f"[dim]{_plain(key)}[/] {_plain(text)}")
        else:
            text = _fact_text(name, value)
            if name == "n_patches" and one.facts.get("n_used", value) != value:
                text = f"{one.facts['n_used']} of {value}"  # patches that rules leave out count not
            shown = text if is_whole else shortened(text, FACT_CHARS)
            tree.add(f"[dim]{_plain(name)}[/] {_plain(shown)}")


def _fact_text(name: str, value: Any) -> str:
    if name == "files":
        return counted(len(value), "file")
    if isinstance(value, dict):
        return ", ".join(f"{key} {said}" for key, said in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _title(one: Relative) -> str:
    damaged = one.facts.get("damaged")
    said = f" [red]{_plain(damaged)}[/]" if damaged else ""
    return f"[bold]{_plain(called(one.address, is_short=True))}[/]{said}"


def _plain(said: object) -> str:
    return escape(visible(str(said)))
