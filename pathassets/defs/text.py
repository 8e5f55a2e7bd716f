"""Text of strangers -> text that Dagster's page shows, and does not obey: the one door.

The page renders Markdown in every description and in Markdown metadata, and loads the images in it:
one in a slide's header would send a request of the header's choice from the reader's browser. So
what came from a file, a table or a person goes into text metadata, which is shown as it is, and
where a description must tell it, it stands in a code span, in which Markdown means nothing.
"""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from pathassets.core.text import shortened, visible

QUOTED_CHARS = 500
"""Longest text in a description or a log; metadata, catalog and artifact have more of it."""
TEXT_CHARS = 4000
"""Longest text in metadata, where an unforeseen error tells its traceback."""
N_BULLETS = 100
"""Most lines of a list."""
N_ROWS = 100
"""Most rows of a table."""


def line(text: str) -> str:
    """Text for where nothing is rendered, such as a log: one line of it."""
    return visible(shortened(text, QUOTED_CHARS))


def quoted(text: str) -> str:
    """Text for where Markdown is rendered: a code span, whose fence the text cannot close.

    >>> quoted("![x](/graphql)"), quoted("a ` b"), quoted("")
    ('`![x](/graphql)`', '`` a ` b ``', '')
    """
    said = line(text).strip()
    if not said:
        return ""
    longest = max((len(run) for run in re.findall("`+", said)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {said} {fence}" if longest else f"{fence}{said}{fence}"


def bullets(texts: Iterable[str]) -> str:
    r"""A Markdown list of such texts.

    >>> bullets(["a", "b"])
    '- `a`\n- `b`'
    """
    said = [quoted(text) for text in texts]
    more = [f"{len(said) - N_BULLETS} more"] if len(said) > N_BULLETS else []
    return "\n".join(f"- {one}" for one in [*said[:N_BULLETS], *more])


def below_each_other(failures: Iterable[dg.Failure]) -> str:
    """What several failures say, each of which was made of such text."""
    return "\n\n".join(one.description or "" for one in failures)


def text_value(text: str, *, n_chars: int = TEXT_CHARS) -> dg.MetadataValue:
    """Metadata that the page shows as it is, lines apart."""
    return dg.MetadataValue.text(visible(shortened(text, n_chars), keep="\n"))


def bullets_value(texts: Iterable[str]) -> dg.MetadataValue:
    """The list as metadata."""
    return dg.MetadataValue.md(bullets(texts))


def table_value(rows: Sequence[Mapping[str, Any]]) -> dg.MetadataValue:
    """A table, whose cells the page shows as they are; of many rows the first."""
    shown = [
        dg.TableRecord({name: _cell(value) for name, value in row.items()}) for row in rows[:N_ROWS]
    ]
    if len(rows) > N_ROWS:
        first = next(iter(rows[0]))
        shown.append(
            dg.TableRecord(dict.fromkeys(rows[0], "") | {first: f"{len(rows) - N_ROWS} more"})
        )
    columns = [dg.TableColumn(name) for name in (rows[0] if rows else ("none",))]
    return dg.MetadataValue.table(shown, schema=dg.TableSchema(columns))


def _cell(value: Any) -> str | int | float | bool:
    """What a cell holds: a number as it is, text in one line."""
    if isinstance(value, int | float):
        return value
    return "" if value is None else line(str(value))


def picture_value(kind: str, data: bytes) -> dg.MetadataValue:
    """A picture that we drew, of that subtype of `image/`, within the text itself."""
    return dg.MetadataValue.md(f"![](data:image/{kind};base64,{base64.b64encode(data).decode()})")
