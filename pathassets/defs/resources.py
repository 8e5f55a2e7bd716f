"""The platform as a Dagster resource: opened once a run from the `PATHASSETS_*` variables.

https://docs.dagster.io/guides/build/external-resources
"""

from contextlib import contextmanager
from typing import Iterator

import dagster as dg

from pathassets.engine.platform import Platform, open_platform
from pathassets.engine.settings import read_settings


class PlatformResource(dg.ConfigurableResource[Platform]):
    """Store, catalog and recipe of this platform; assets and jobs get the plain `Platform`."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Platform]:
        """Open it for one run, and give the catalog back after."""
        del context
        with open_platform(read_settings()) as platform:
            yield platform
