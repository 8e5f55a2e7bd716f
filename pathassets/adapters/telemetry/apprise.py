"""Words -> mail, chat or a web hook, by apprise: an address says which, and holds its key.

https://github.com/caronc/apprise
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from pathassets.errors import SpecError


def send(addresses: Iterable[str], title: str, text: str) -> bool:
    """Tell every address; whether each took it.

    Raises:
        SpecError: an address is none, or apprise is not installed. It is not shown: it holds a key.
    """
    try:
        import apprise  # noqa: PLC0415 - an extra, and it takes a third of a second
    except ImportError as error:
        raise SpecError(
            "PATHASSETS_ALERTS: apprise is not installed", remedy="pip install 'pathassets[alerts]'"
        ) from error
    logging.getLogger("apprise").setLevel(logging.ERROR)
    all_of_them = apprise.Apprise()
    for n, address in enumerate(addresses, 1):
        if not all_of_them.add(address):
            raise SpecError(
                f"PATHASSETS_ALERTS: address {n} is none that apprise knows",
                remedy="See https://github.com/caronc/apprise/wiki, such as mailto://… or slack://…",
            )
    return bool(all_of_them.notify(title=title, body=text, body_format=apprise.NotifyFormat.TEXT))
