"""Rows of a patch set -> the manifest a person reads: labelled lines, then a line an image.

It holds no clock, no host and no folder of this machine: equal work gives equal bytes. What a value
is stands from column 24 on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pathassets.core.patches.patch_set import Row, as_text

VALUE_COLUMN = 24
RULE = "-" * 50
VALUE_CHARS = 200
"""Longer values are cut: a list of all points is no line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFacts:
    """What a manifest tells of an output beside its images. Picklable plain values."""

    slide: str
    """Name of its file, or its id."""
    slide_sha256: str = ""
    patch_class: str = ""
    """Class of the object that gave the locations; empty where there was none."""
    patch_params: Mapping[str, str] = field(default_factory=dict)
    extractor: str
    params: Mapping[str, Any]
    """Of the extractor: all that decide what is written, none that decide how fast."""


def manifest_text(path: str, manifest_id: str, facts: ManifestFacts, rows: Sequence[Row]) -> str:
    """Write the manifest, which is kept at `path`."""
    labels = Counter({row["index"]: row["label"] for row in rows}.values())
    lines = [
        _line("Manifest ID:", manifest_id),
        _line("Manifest file path:", path),
        _line("Slide file:", plain(facts.slide)),
    ]
    if facts.slide_sha256:
        lines.append(_line("Slide SHA-256:", facts.slide_sha256))
    lines.append(RULE)
    if facts.patch_class:
        lines.append(_line("Patch class:", plain(facts.patch_class)))
        lines += ["Patch class params:", *_params(facts.patch_params)]
    lines += [
        _line("Patch count:", str(labels.total())),
        _line("Patch labels:", plain(dict(sorted(labels.items())))),
        _line("Extractor class:", facts.extractor),
        "Extractor class params:",
        *_params({name: plain(value) for name, value in facts.params.items()}),
        "Saved patches:",
        *(_line("", _where(row)) for row in rows),
        _line("Disk file count:", str(len(rows))),
    ]
    return as_text("\n".join(lines) + "\n")


def _where(row: Row) -> str:
    """Where an image is kept, as one word or two."""
    return " ".join(str(row[name]) for name in ("file", "key", "row") if name in row)


def _params(params: Mapping[str, str]) -> list[str]:
    return [_line("", f"{plain(name)}: {value}") for name, value in sorted(params.items())]


def _line(label: str, value: str) -> str:
    return f"{label:<{VALUE_COLUMN}}{value}"


def plain(value: Any) -> str:
    r"""A value as one line that every run writes the same.

    >>> plain("a\nb"), plain([1, 0.5]), plain(object())
    ("'a\\nb'", '[1, 0.5]', '<object>')
    """
    if isinstance(value, str):
        text = value if value.isprintable() else repr(value)
    elif _is_plain(value):
        text = repr(value)
    else:
        shape = getattr(value, "shape", None)
        text = f"<{type(value).__name__}{'' if shape is None else f' {shape}'}>"
    return text if len(text) <= VALUE_CHARS else f"{text[:VALUE_CHARS]}…"


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return isinstance(value, dict) and all(map(_is_plain, [*value, *value.values()]))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float)
