"""The platform as a Dagster resource: opened once a run from the `PATHASSETS_*` variables.

https://docs.dagster.io/guides/build/external-resources
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from pathassets.defs.events.checks import withdraw_checks
from pathassets.defs.recovery import mark_process
from pathassets.engine.logs import log_as_told
from pathassets.engine.platform.platform import Platform, open_platform
from pathassets.engine.settings import read_settings
from pathassets.errors import PathAssetsError, is_passing

logger = logging.getLogger(__name__)


class PlatformResource(dg.ConfigurableResource[Platform]):
    """Store, catalog and recipe of this platform; assets and jobs get the plain `Platform`.

    Whatever run opens it is marked with its process, so that it is missed when that is killed.
    """

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Platform]:
        """Open it for one run, and give the catalog back after."""
        log_as_told()
        if context.run is not None and context.instance is not None:
            mark_process(context.instance, context.run.run_id)
        with _opened(context) as platform:
            yield platform


def _opened(context: dg.InitResourceContext) -> Platform:
    """Open it; a run waits where what is in the way may pass.

    One that ends for want of it has no verdict on anything.
    """
    settings = read_settings()
    pauses_s = iter(() if context.run is None else settings.retry_pauses_s)
    while True:
        try:
            return open_platform(settings)
        except PathAssetsError as error:
            pause_s = next(pauses_s, None) if is_passing(error) else None
            if pause_s is None:
                if context.run is not None and context.instance is not None:
                    withdraw_checks(context.instance, context.run)
                raise
            logger.warning("to be tried again in %g s: %s", pause_s, error)
            time.sleep(pause_s)
