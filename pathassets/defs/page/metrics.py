"""Request for /metrics -> numbers of the platform and of Dagster's runs; all else is Dagster's.

They are behind the page's guard: a program of this machine, or the proxy's, may ask.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import dagster as dg
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pathassets.adapters.telemetry.prometheus import CONTENT_TYPE, Measure, exposition
from pathassets.defs.recovery import UNFINISHED
from pathassets.engine.platform.monitoring.measures import measure_platform
from pathassets.engine.platform.platform import open_to_read
from pathassets.engine.settings import read_settings
from pathassets.errors import PathAssetsError

PATH = "/metrics"
KEPT_S = 15.0
"""How long an answer counts as current: whoever asks more often costs nothing."""


@dataclass(slots=True)
class WithMetrics:
    """ASGI application before Dagster's, which answers one path."""

    app: ASGIApp
    instance: dg.DagsterInstance
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _answer: tuple[float, Response] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is asked for metrics, and pass on the rest."""
        if scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "GET":
            answer = await self._current()
            await answer(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _current(self) -> Response:
        async with self._lock:  # who asks meanwhile waits for the same answer
            if self._answer is None or time.monotonic() - self._answer[0] > KEPT_S:
                answer = await run_in_threadpool(_measured, self.instance)
                self._answer = time.monotonic(), answer
            return self._answer[1]


def _measured(instance: dg.DagsterInstance) -> Response:
    try:
        with open_to_read(read_settings()) as platform:
            text = exposition([*measure_platform(platform), *measure_runs(instance)])
    except PathAssetsError as error:
        return PlainTextResponse(f"{error}\n", status_code=503)
    return Response(text, media_type=CONTENT_TYPE)


def measure_runs(instance: dg.DagsterInstance) -> Iterator[Measure]:
    """Measure Dagster's runs that have not ended."""
    unfinished = instance.get_runs(filters=dg.RunsFilter(statuses=UNFINISHED))
    counts: Counter[tuple[str, ...]] = Counter(
        (run.job_name, run.status.value.lower()) for run in unfinished
    )
    yield Measure(
        name="pathassets_unfinished_runs", labels=("job", "status"), values=counts,
        said="Runs of Dagster that have not ended.",
    )  # fmt: skip
