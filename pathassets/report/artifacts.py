"""What artifacts are made from, what is made from them, and what is stale, for a terminal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.markup import escape
from rich.tree import Tree

from pathassets.core.address import Address
from pathassets.core.text import visible
from pathassets.engine.platform.provenance.lineage import Relative
from pathassets.engine.platform.provenance.origin import PATIENT_STAGE, RELEASE_STAGE
from pathassets.engine.platform.provenance.stale import Stale
from pathassets.report.console import counted, open_console, paragraph

SHOWN_SLIDES = 5
"""Slides that are named of those that one change made stale."""


def lineage_json(traced: Relative) -> str:
    """What something was made from, and what was made from it, for machines."""
    return json.dumps(asdict(traced), indent=1)


def lineage_tree(traced: Relative) -> None:
    """Print what something was made from, and what was made from it.

    Of what is above it all that is known; what was printed once is only named again.
    """
    tree = Tree(_title(traced))
    _branch(traced, tree, set())
    if traced.children or traced.more_children:
        _descend(traced, tree.add("[dim]made from it[/]"))
    open_console().print(tree)


def _branch(one: Relative, tree: Tree, printed: set[str]) -> None:
    printed.add(str(one.address))
    _facts(one, tree)
    for parent in one.parents:
        if str(parent.address) not in printed:
            _branch(parent, tree.add(_title(parent)), printed)
    _more(one.more_parents, tree)


def _facts(one: Relative, tree: Tree) -> None:
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


def _descend(one: Relative, tree: Tree) -> None:
    for child in one.children:
        _descend(child, tree.add(_title(child)))
    _more(one.more_children, tree)


def _more(counts: Mapping[str, int], tree: Tree) -> None:
    for stage, n in counts.items():
        tree.add(f"[dim]{n} more of {_plain(stage)}: pathassets lineage --all shows every one[/]")


def _title(one: Relative) -> str:
    damaged = one.facts.get("damaged")
    said = f" [red]{_plain(damaged)}[/]" if damaged else ""
    return f"[bold]{_plain(_name(one.address))}[/]{said}"


def _name(address: Address) -> str:
    if address.stage == RELEASE_STAGE:
        return f"release {address.name}@{address.partition_key}"
    if address.stage == PATIENT_STAGE:
        return f"patient {address.partition_key}"
    return str(address)


def stale_json(found: Sequence[Stale]) -> str:
    """What is stale, for machines: each artifact with its cause."""
    return json.dumps(
        [
            {
                "address": str(one.address),
                "stage": one.address.stage,
                "name": one.address.name,
                "partition_key": one.address.partition_key,
                "wanted": one.wanted,
                "cause": asdict(one.cause),
                "inherited_from": one.inherited_from and "/".join(one.inherited_from),
                "also": [asdict(cause) for cause in one.also],
            }
            for one in found
        ],
        indent=1,
    )


def stale_list(found: Sequence[Stale]) -> None:
    """Print what is stale: of each asset the changes, and which slides each concerns."""
    console = open_console()
    if not found:
        console.print("nothing is stale")
        return
    by_change: dict[tuple[str, str], list[str]] = {}
    for one in found:
        place = by_change.setdefault(("/".join(one.address.key), _why(one)), [])
        place.append(one.address.partition_key)
    for (asset, why), slides in by_change.items():
        console.print(f"[yellow]stale[/] [bold]{_plain(asset)}[/] {escape(paragraph(why))}")
        named = ", ".join(_plain(one) for one in slides[:SHOWN_SLIDES])
        more = f", {len(slides) - SHOWN_SLIDES} more" if len(slides) > SHOWN_SLIDES else ""
        console.print(f"    {counted(len(slides), 'artifact')}: {named}{more}")
    counts = Counter("/".join(one.address.key) for one in found)
    said = ", ".join(f"{n} {_plain(asset)}" for asset, n in counts.items())
    console.print(f"{said}; pathassets run makes what is in force now")


def _why(one: Stale) -> str:
    said = str(one.cause)
    if one.inherited_from is not None:
        said = f"since {'/'.join(one.inherited_from)} is: {said}"
    also = f" (also {'; '.join(map(str, one.also))})" if one.also else ""
    return visible(f"{said}{also}")


def _plain(said: object) -> str:
    return escape(visible(str(said)))
