"""Words of a setting -> its value, or why they are none."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from pathassets.adapters.objects.remote_file import FilePlace, RemoteFile
from pathassets.adapters.objects.urls import BUCKETS, WEB, is_meant_for_url, parse_url
from pathassets.errors import SpecError

DEFAULT_PAUSES_S = "10,60,240"
"""Five minutes in all: a share is mounted again, a job that filled the memory has ended."""
MAX_PAUSE_S = 3600.0
RAY = "ray"
"""Of PATHASSETS_WORKERS: the cluster that RAY_ADDRESS names, or one that is started here."""
_CLIENT = f"{RAY}://"
_HEAD = re.compile(r"[^\s:/@]+:\d+")


def head_of(workers: str) -> str:
    """Address of the head of a Ray cluster; empty where it is meant for a number of workers.

    Raises:
        SpecError: it is neither.
    """
    if not workers or _is_number(workers):
        return ""
    host, colon, port = workers.removeprefix(_CLIENT).partition(":")
    if _HEAD.fullmatch(f"{host}:{port}"):
        return workers
    is_client = workers.startswith(_CLIENT)
    lacking = [name for name, part in (("host", host), ("port", port)) if not part]
    if lacking and (colon or is_client):
        fact = f"{workers!r} lacks the {' and the '.join(lacking)} of a Ray cluster's head"
    else:
        fact = f"{workers!r} is neither a number nor the address of a Ray cluster"
    raise SpecError(
        f"PATHASSETS_WORKERS: {fact}",
        remedy="Give a number, such as 2; or, of a Ray cluster, ray, head:6379 or ray://head:10001",
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def inbox_of(said: str) -> FilePlace:
    """Folder or prefix of a bucket.

    Raises:
        SpecError: a URL is of no bucket, lacks a slash, or holds a secret.
    """
    if said in BUCKETS | WEB:  # what is left of `s3:/bucket` in a list of folders
        raise SpecError(
            f"PATHASSETS_INBOX: {said}:…: lacks the two slashes of a URL",
            remedy=f"For example s3://bucket/folder; a folder of that name is ./{said}",
        )
    if not is_meant_for_url(said):
        return Path(said).expanduser().absolute()
    try:
        folder = RemoteFile(parse_url(said))
    except SpecError as error:
        raise error.named("PATHASSETS_INBOX") from None
    if folder.url.scheme not in BUCKETS:
        raise SpecError(
            f"PATHASSETS_INBOX: {folder} is of a web server, which lists no files",
            remedy="Name folders, or prefixes of buckets (s3://, gs://, az://)",
        )
    return folder


def openlineage_of(target: str) -> str:
    """Where events go; what is no place for them is refused, without saying it: it may hold a key.

    Raises:
        SpecError: it is neither a file nor an endpoint.
    """
    if not target:
        return ""
    kind, _, rest = target.partition(":")
    if kind == "file" and rest:
        return f"file:{Path(rest.removeprefix('//')).expanduser().absolute()}"
    try:
        parts = urlsplit(target)
        is_endpoint = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        is_endpoint = False
    if not is_endpoint or "@" in parts.netloc:
        raise SpecError(
            "PATHASSETS_OPENLINEAGE: is neither a file nor an endpoint without a password in it",
            remedy="For example file:/var/log/openlineage.ndjson, or http://127.0.0.1:5000",
        )
    return target


def pauses_of(text: str) -> tuple[float, ...]:
    """Seconds with commas between them, or `none`.

    Raises:
        SpecError: it is neither.
    """
    if text.strip().lower() == "none":
        return ()
    try:
        pauses_s = tuple(float(part) for part in text.split(","))
    except ValueError:
        pauses_s = (-1.0,)
    if not all(0 <= pause_s <= MAX_PAUSE_S for pause_s in pauses_s):
        raise SpecError(
            f"PATHASSETS_RETRY_PAUSES_S: {text!r} is no list of seconds up to {MAX_PAUSE_S:g}",
            remedy=f"For example {DEFAULT_PAUSES_S}, or none",
        )
    return pauses_s
