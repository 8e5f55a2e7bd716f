"""Words -> mail, chat or a web hook, by apprise: an address says which, and holds its key.

https://github.com/caronc/apprise
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pathassets.errors import SpecError

if TYPE_CHECKING:
    from apprise import Apprise


def require_known(addresses: Sequence[str]) -> None:
    """Refuse addresses that nobody could be told at; costs nothing where there are none.

    Raises:
        SpecError: an address is none, or apprise is not installed. It is not shown: it holds a key.
    """
    if addresses and (unknown := _opened(addresses)[1]):
        raise _none_known(unknown)


def send(addresses: Sequence[str], title: str, text: str) -> bool:
    """Tell every address; whether each took it.

    Raises:
        SpecError: as `require_known` says; those that are addresses were told before.
    """
    known, unknown = _opened(addresses)
    is_taken = bool(known) and bool(known.notify(title=title, body=text, body_format="text"))
    if unknown:
        raise _none_known(unknown)
    return is_taken


def _opened(addresses: Sequence[str]) -> tuple[Apprise, list[int]]:
    """Those that are addresses, and the numbers of those that are none, from 1."""
    try:
        import apprise  # noqa: PLC0415 - an extra, and it takes a third of a second
    except ImportError as error:
        raise SpecError(
            "PATHASSETS_ALERTS: apprise is not installed", remedy="pip install 'pathassets[alerts]'"
        ) from error
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.CRITICAL)  # it names what it cannot read
    known = apprise.Apprise()
    unknown = [n for n, address in enumerate(addresses, 1) if not known.add(address)]
    logger.setLevel(logging.ERROR)
    return known, unknown


def _none_known(numbers: Sequence[int]) -> SpecError:
    said = ", ".join(map(str, numbers))
    which = f"address {said} is none" if len(numbers) == 1 else f"addresses {said} are none"
    return SpecError(
        f"PATHASSETS_ALERTS: {which} that apprise knows",
        remedy="See https://github.com/caronc/apprise/wiki, such as mailto://… or slack://…",
    )
