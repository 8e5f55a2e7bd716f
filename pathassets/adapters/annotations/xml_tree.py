"""XML text -> elements: by defusedxml alone, what may do harm is refused."""

from __future__ import annotations

from xml.etree.ElementTree import Element as XmlElement

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from pathassets.adapters.annotations.builder import AnnotationBuilder, number_of


def parse_xml(builder: AnnotationBuilder, data: bytes | str) -> XmlElement:
    """Parse a file.

    Raises:
        AnnotationError: it is no XML, is cut short, or defines entities.
    """
    try:
        root: XmlElement = fromstring(data)
    except ParseError as error:
        raise builder.error("", f"not XML: {error}", remedy="Export it again") from error
    except DefusedXmlException as error:
        raise builder.error(
            "",
            f"defines entities or refers to other files, which no annotation needs: {error}",
            remedy="Look where it is from before you go on",
        ) from error
    except (ValueError, LookupError) as error:  # an encoding that is not known
        raise builder.error("", f"not XML: {error}", remedy="Save it as UTF-8") from error
    return root


def child_of(builder: AnnotationBuilder, element: XmlElement, tag: str, where: str) -> XmlElement:
    """The child that an element must have."""
    child = element.find(tag)
    if child is None:
        raise builder.error(where, f"has no <{tag}>")
    return child


def text_of(element: XmlElement, tag: str) -> str:
    """The text of a child; "" where there is none."""
    return (element.findtext(tag) or "").strip()


def attribute_of(builder: AnnotationBuilder, element: XmlElement, name: str, where: str) -> str:
    """The attribute that an element must have."""
    value = element.get(name)
    if value is None:
        raise builder.error(where, f"<{element.tag}> has no {name}")
    return value


def numbers_of(
    builder: AnnotationBuilder, elements: list[XmlElement], names: tuple[str, ...], where: str
) -> np.ndarray:
    """Numbers that some attributes of elements are, float64 (elements, names)."""
    rows = []
    for i, element in enumerate(elements, 1):
        try:
            rows.append([number_of(element.attrib[name]) for name in names])
        except KeyError as error:
            raise builder.error(f"{where}, {element.tag} {i}", f"has no {error.args[0]}") from error
        except ValueError as error:
            raise builder.error(f"{where}, {element.tag} {i}", str(error)) from error
    return np.array(rows).reshape(-1, len(names))


def name_of(kind: str, number: int, name: str | None) -> str:
    """What errors call an element.

    >>> name_of("region", 3, "17")
    'region 3 (17)'
    """
    return f"{kind} {number} ({name})" if name else f"{kind} {number}"
