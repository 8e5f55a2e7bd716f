"""An annotation file -> Annotations; which format it is in, its content tells.

bytes ─┬▶ JSON ─┬▶ GeoJSON (QuPath)
       │        └▶ a list of {points, label, holes}
       └▶ XML, by its root ─▶ ASAP, ImageScope, Sedeen, NDPA; HALO is refused by its name
"""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from pathassets.adapters.annotations import asap, halo, imagescope, ndpa, sedeen
from pathassets.adapters.annotations.builder import AnnotationBuilder, GetLabel
from pathassets.adapters.annotations.geojson import build_geojson
from pathassets.adapters.annotations.ndpa import NdpaFrame
from pathassets.adapters.annotations.xml_tree import parse_xml
from pathassets.adapters.named_files import INTO_A_FILE, NotAFile, open_named
from pathassets.core.annotations.annotations import Annotations
from pathassets.errors import AnnotationError

HEAD_BYTES = 4096
KNOWN = (
    "Give GeoJSON (QuPath), ASAP XML, ImageScope XML, Sedeen XML, NDPA, "
    "or a JSON list of {points, label, holes}"
)
BEFORE_TEXT = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"
"""Byte order marks of all Unicode encodings, their zero bytes, and blanks."""


def read_annotations(
    path: str | Path, *, get_label: GetLabel | None = None, ndpa_frame: NdpaFrame | None = None
) -> Annotations:
    """Read the areas of an annotation file, in level-0 pixels.

    Coordinates are taken as the file tells them. Of a slide that has bounds QuPath counts from
    their corner: there, use `read_annotations` of the open slide.

    Labels are what the format keeps as an area's class; without one, the name that a person gave
    the area. `get_label` makes other ones of what the file says: of GeoJSON it gets the feature,
    of XML a dict of attributes, or by keyword those that it names. Points and lines are left out,
    and counted.

    Raises:
        AnnotationError: it cannot be read, is in none of the formats, or an element is malformed.
    """
    return parse_annotations(
        _bytes_of(Path(path)), source=str(path), get_label=get_label, ndpa_frame=ndpa_frame
    )


def parse_annotations(
    data: bytes | str,
    *,
    source: str = "annotations",
    get_label: GetLabel | None = None,
    ndpa_frame: NdpaFrame | None = None,
) -> Annotations:
    """The same of content that lies in memory; `source` is what errors call it.

    Raises:
        AnnotationError: as `read_annotations`.
    """
    builder = AnnotationBuilder(source, get_label)
    if isinstance(data, str):
        data = data.removeprefix("\ufeff")
    first = _first_sign(data)
    if first in (b"{", b"["):
        return builder.finish(_build_json(builder, data))
    if first == b"<":
        return builder.finish(_build_xml(builder, data, ndpa_frame))
    raise _unknown(builder, data)


def _bytes_of(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise AnnotationError(path, "is a folder", remedy="Give a file")
        with open_named(path) as file:
            head = file.read(HEAD_BYTES)
            # A slide of gigabytes given by mistake is not read to its end.
            return head + file.read() if _first_sign(head) in b"{[<" else head
    except NotAFile as error:
        raise AnnotationError(path, error.fact, remedy=INTO_A_FILE) from error
    except FileNotFoundError as error:
        raise AnnotationError(path, "no such file", remedy="Look at the path") from error
    except OSError as error:
        raise AnnotationError(path, f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a zero byte in the path
        raise AnnotationError(path, f"cannot be read: {error}") from error


def _first_sign(data: bytes | str) -> bytes:
    head = data[:HEAD_BYTES]
    head = head.encode(errors="replace") if isinstance(head, str) else head
    return head.lstrip(BEFORE_TEXT)[:1]


def _unknown(builder: AnnotationBuilder, data: bytes | str) -> AnnotationError:
    fact = "is neither JSON nor XML" if data.strip() else "is empty"
    return builder.error("", fact, remedy=KNOWN)


def _build_json(builder: AnnotationBuilder, data: bytes | str) -> str:
    try:
        return build_geojson(builder, _parsed_json(builder, data))
    except RecursionError as error:
        raise builder.error("", "is nested deeper than any annotation") from error


def _parsed_json(builder: AnnotationBuilder, data: bytes | str) -> Any:
    try:
        return json.loads(data)
    except json.JSONDecodeError as error:
        raise builder.error("", f"not JSON: {error}", remedy="Export it again") from error
    except ValueError as error:  # undecodable text, or a number of 5,000 digits
        raise builder.error("", f"not JSON: {error}", remedy="Save it as UTF-8") from error


def _build_xml(builder: AnnotationBuilder, data: bytes | str, ndpa_frame: NdpaFrame | None) -> str:
    root = parse_xml(builder, data)
    if root.tag == ndpa.ROOT:
        return ndpa.build_ndpa(builder, root, ndpa_frame)
    if root.tag == halo.ROOT and halo.is_halo(root):
        raise halo.refused(builder)
    draw = {
        asap.ROOT: asap.build_asap,
        imagescope.ROOT: imagescope.build_imagescope,
        sedeen.ROOT: sedeen.build_sedeen,
    }.get(root.tag)
    if draw is None:
        raise builder.error("", f"is XML with the root <{root.tag}>", remedy=KNOWN)
    return draw(builder, root)
