"""Events of a Dagster that keeps them on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import create_engine, text

from pathassets.defs.dagster_internals import fast_events
from tests.catalog.conftest import make_schema, postgres_server

__all__ = ["make_schema", "postgres_server"]  # fixtures
pytestmark = pytest.mark.slow

FEATURES = dg.AssetKey(["features", "colour"])
OTHERS = "FROM pg_stat_activity WHERE datname IS NOT NULL AND pid <> pg_backend_pid()"


@pytest.fixture
def instance(tmp_path: Path, make_schema: Callable[[], str]) -> Iterator[dg.DagsterInstance]:
    storage = {"postgres": {"postgres_url": make_schema()}}
    with dg.instance_for_test(overrides={"storage": storage}, temp_dir=str(tmp_path)) as opened:
        yield opened


def report(instance: dg.DagsterInstance, names: str) -> set[int]:
    """Report a materialization of each partition; the server's processes seen after each."""
    seen = set()
    for name in names:
        instance.report_runless_asset_event(dg.AssetMaterialization(FEATURES, partition=name))
        seen |= processes(instance)
    return seen


def processes(instance: dg.DagsterInstance, ask: str = "SELECT pid") -> set[int]:
    """Processes of the server that serve others than who asks."""
    engine = create_engine(instance.event_log_storage.postgres_url)  # type: ignore[attr-defined]
    try:
        with engine.begin() as connection:
            return {row[0] for row in connection.execute(text(f"{ask} {OTHERS}"))}
    finally:
        engine.dispose()


def reported(instance: dg.DagsterInstance) -> list[str | None]:
    records = instance.fetch_materializations(FEATURES, limit=20).records
    return [one.partition_key for one in reversed(records)]


def test_a_run_keeps_its_connection_and_makes_another_where_the_server_ended_it(
    instance: dg.DagsterInstance,
) -> None:
    before = processes(instance)
    with fast_events(instance):
        served = report(instance, "abcdef") - before
        assert 0 < len(served) <= 2  # of events and of runs
        processes(instance, "SELECT pg_terminate_backend(pid)")  # as when it is started anew
        again = report(instance, "gh") - before - served
        assert 0 < len(again) <= 2
        with fast_events(instance):  # as a run within a command
            report(instance, "i")
    assert not processes(instance) & (served | again)
    report(instance, "j")
    assert reported(instance) == [*"abcdefghij"]
