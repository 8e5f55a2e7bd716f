"""What a lab has in the end: what must not depend on who was killed, and what must never be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pathassets.core.address import ALL_SLIDES, Address
from pathassets.defs.instance import open_instance
from pathassets.engine.platform.platform import Platform, open_platform
from pathassets.engine.platform.standing.rows import slide_rows
from pathassets.engine.platform.status import cohort_status
from pathassets.errors import StoreError
from pathassets.report import status_json
from tests.chaos import dagster_of
from tests.defs.chaos.lab import Lab


def ending_of(lab: Lab) -> dict[str, Any]:
    """What of slides, artifacts and datasets is in force, and how Dagster shows it.

    What was in force before that may differ: a dataset is built when nothing is under way, and a
    slide that was made before its resolution was stated leaves what was made then.
    """
    with lab.settings() as settings, open_platform(settings) as platform:
        status = "".join(status_json(cohort_status(platform), slide_rows(platform)))
        with open_instance(settings) as instance:
            shown = dagster_of(instance, platform)
            del shown["schema"]
            return {
                "status": _by_slide(json.loads(status.replace(str(lab.path), "~"))),
                "dagster": shown,
                "bytes of what is green": bytes_of(platform, shown),
            }


def _by_slide(status: dict[str, Any]) -> dict[str, Any]:
    """What `status --json` says, without the times at which people stated something."""
    for row in status["slides"]:
        for drawn in row["annotations"].values():
            del drawn["made_at"]
    return status | {"slides": {row["slide_id"]: row for row in status["slides"]}}


def bytes_of(platform: Platform, shown: dict[str, Any]) -> dict[str, str]:
    """SHA-256 of the content of whatever Dagster shows as made, or why it cannot be read."""
    found: dict[str, str] = {}
    for address in _green(platform, shown):
        try:
            found[str(address)] = platform.store.read_checked(address).content_sha256
        except StoreError as error:
            found[str(address)] = str(error)
    return found


def _green(platform: Platform, shown: dict[str, Any]) -> Iterator[Address]:
    for entry in platform.recipe.per_slide:
        asset = shown["assets"]["/".join(entry.key)]
        for slide_id in asset["green"]:
            version = asset["versions"][slide_id]["dagster/data_version"]
            yield Address(*entry.key, slide_id, version)
    for entry in platform.recipe.datasets:
        yield Address(*entry.key, ALL_SLIDES, shown["datasets"]["/".join(entry.key)])
