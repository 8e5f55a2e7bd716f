"""The platform as a Dagster resource: opened once a run from the `PATHASSETS_*` variables.

https://docs.dagster.io/guides/build/external-resources
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from pathassets.defs.events.checks import withdraw_checks
from pathassets.defs.recovery import mark_process
from pathassets.engine.logs import log_as_told
from pathassets.engine.platform.platform import Platform, open_platform
from pathassets.engine.settings import read_settings
from pathassets.errors import PathAssetsError


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
    """Open it; a run that ends for want of it has no verdict on anything."""
    try:
        return open_platform(read_settings())
    except PathAssetsError:
        if context.run is not None and context.instance is not None:
            withdraw_checks(context.instance, context.run)
        raise
