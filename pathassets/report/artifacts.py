"""What artifacts are made from, for a terminal."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.markup import escape
from rich.tree import Tree

from pathassets.core.text import visible
from pathassets.engine.platform.lineage import Ancestor
from pathassets.report.console import open_console


def lineage_json(traced: Ancestor) -> str:
    """An artifact's ancestry for machines."""
    return json.dumps(asdict(traced), indent=1)


def lineage_tree(traced: Ancestor) -> None:
    """Print an artifact's ancestry; what was printed once is only named again."""
    console = open_console()
    console.print(_branch(traced, Tree(_title(traced)), set()))


def _branch(one: Ancestor, tree: Tree, printed: set[str]) -> Tree:
    printed.add(str(one.address))
    for name, value in one.facts.items():
        if name == "damaged":  # the title says it
            continue
        if isinstance(value, dict):
            leaf = tree.add(f"[dim]{_plain(name)}[/]") if value else tree
            for key, text in value.items():
                leaf.add(f"[dim]{_plain(key)}[/] {_plain(text)}")
        elif value not in (None, "", []):
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            tree.add(f"[dim]{_plain(name)}[/] {_plain(text)}")
    for parent in one.parents:
        if str(parent.address) not in printed:
            _branch(parent, tree.add(_title(parent)), printed)
    return tree


def _title(one: Ancestor) -> str:
    damaged = one.facts.get("damaged")
    said = f" [red]{_plain(damaged)}[/]" if damaged else ""
    return f"[bold]{_plain(one.address)}[/]{said}"


def _plain(said: object) -> str:
    return escape(visible(str(said)))
