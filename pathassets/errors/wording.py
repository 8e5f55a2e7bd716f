"""What an error says of its subject: named once, left out where it is named already, renamed."""

from __future__ import annotations

import re
import shlex


def with_remedy(message: str, remedy: str) -> str:
    r"""What went wrong, and what helps: a sentence more, or below lines a line of its own.

    >>> print(with_remedy("a.svs: is gone", "Put it back"))
    a.svs: is gone. Put it back
    >>> print(with_remedy("selection: unknown field\n  x:1\n  ^", "Did you mean id?"))
    selection: unknown field
      x:1
      ^
    Did you mean id?
    """
    end = "\n" if "\n" in message else ". "  # under what points at a place
    return f"{message}{end}{remedy}" if remedy else message


def with_subject(subject: object, message: str) -> str:
    """`subject: message`, the subject once, wherever the message names it.

    >>> with_subject("a.svs", "it is gone"), with_subject("a.svs", "a.svs: it is gone")
    ('a.svs: it is gone', 'a.svs: it is gone')
    >>> with_subject("a.svs", "no mask fits a.svs"), with_subject("a.svs", "ba.svs: it is gone")
    ('no mask fits a.svs', 'a.svs: ba.svs: it is gone')
    """
    word = rf"(?<![\w./\\-]){re.escape(str(subject))}(?![\w-])"
    return message if re.search(word, message) else f"{subject}: {message}"


def without_subject(subject: object, message: str) -> str:
    """Inverse of `with_subject`, for a line that names the subject already.

    >>> without_subject("a.svs", "a.svs: it is gone"), without_subject("a.svs", "b.svs: it is gone")
    ('it is gone', 'b.svs: it is gone')
    """
    return message.removeprefix(f"{subject}: ")


def renamed(said: str, old: str, new: str) -> str:
    """What is said of a file, of one beside it, and in commands, under its new name.

    >>> renamed("pathassets check '/copy of/a.svs' lists all", "/copy of/a.svs", "s3://b/a.svs")
    'pathassets check s3://b/a.svs lists all'
    >>> renamed("/copy/index.dat is missing", "/copy/a.mrxs", "s3://b/a.mrxs")
    's3://b/index.dat is missing'
    >>> renamed("S10 and S1 differ", "S1", "b")
    'S10 and b differ'
    """
    words = {old: new, shlex.quote(old): shlex.quote(new)}
    kinds = [rf"{re.escape(word)}(?![\w-])" for word in words]
    folder = old.rpartition("/")[0]
    if folder and "/" in new:
        words[f"{folder}/"] = new.rpartition("/")[0] + "/"
        kinds.append(re.escape(f"{folder}/"))
    return re.sub(rf"(?<![\w./\\-])(?:{'|'.join(kinds)})", lambda found: words[found[0]], said)
