"""Dagster's private modules: all that is used of them, and the only place that names `dagster._`.

Dagster may move or change these in any release. Each stands here with what it is for and why no
public name does it; `tests/defs/test_dagster_internals.py` fails when one is no longer what it was.
Before an upgrade, read that test and look whether a public name has come.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import dagster._loggers as run_loggers
from dagster._core.definitions import instigation_logger
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.events import AssetMaterializationPlannedData
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._core.instance.ref import InstanceRef
from dagster._core.log_manager import (
    LOG_RECORD_EVENT_ATTR,
    LOG_RECORD_EVENT_BATCH_METADATA_ATTR,
    LOG_RECORD_METADATA_ATTR,
)
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    AssetKeyTable,
    DynamicPartitionsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    SqliteEventLogStorage,
)
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_shared.serdes import serialize_value

from pathassets.adapters.telemetry.json_log import JsonLines
from pathassets.catalog.database.places import put_in_order
from pathassets.core.text import names_one

AssetJob = UnresolvedAssetJobDefinition
"""What `dg.define_asset_job` returns: a public function whose type has no public name."""

CheckTarget = AssetCheckEvaluationTargetMaterializationData
"""Which materialization a check is about: `dg.AssetCheckEvaluation` takes it and has no public name
for it. `dg.AssetCheckResult` fills it in, but only for a step's own output."""

Workspace = WorkspaceProcessContext
"""What a webserver serves; its type has no public name."""

NO_COMPUTE_LOGS: Mapping[str, Any] = {
    "compute_logs": {
        "module": NoOpComputeLogManager.__module__,
        "class": NoOpComputeLogManager.__name__,
    }
}
"""The setting by which Dagster leaves a process' own output alone. The class is public in Dagster's
documents, as text of a `dagster.yaml`, and is not to be imported from its public package."""

BACKFILLS_UNDER_WAY = (
    BulkActionStatus.REQUESTED,
    BulkActionStatus.CANCELING,
    BulkActionStatus.FAILING,
)


def open_with(folder: Path, overrides: Mapping[str, Any]) -> dg.DagsterInstance:
    """Open the instance of a folder's `dagster.yaml` with other settings than stand in it.

    `dg.DagsterInstance.from_config` takes the file as it is. To write another one is no way: the
    folder may be one that DAGSTER_HOME names, where nothing is ours to write.
    """
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), overrides={**overrides}))


class _EventLines(JsonLines):
    """Formats what Dagster says of a run: its text, and of the event what a collector asks for."""

    def add_fields(
        self,
        log_data: dict[str, Any],
        record: logging.LogRecord,
        message_dict: dict[str, Any],
    ) -> None:
        """Leave out the event itself, which the instance keeps."""
        super().add_fields(log_data, record, message_dict)
        for attribute in (LOG_RECORD_EVENT_ATTR, LOG_RECORD_EVENT_BATCH_METADATA_ATTR):
            log_data.pop(attribute, None)
        said = log_data.pop(LOG_RECORD_METADATA_ATTR, None) or {}
        event = said.get("dagster_event")
        log_data |= {
            "run_id": said.get("run_id"), "job": said.get("job_name"), "step": said.get("step_key"),
            "event": event and event.event_type_value,
        }  # fmt: skip


def _json_logger(name: str, level: str | int) -> logging.Logger:
    """What `create_console_logger` gives, with lines of JSON."""
    logger = logging.getLoggerClass()(name, level=level)
    handler = logging.StreamHandler()
    handler.setFormatter(_EventLines())
    logger.addHandler(handler)
    return logger


def tell_events_as_json() -> None:
    """Have this process write what Dagster says of runs, sensors and schedules as lines of JSON.

    No setting does it: `--log-format` is of Dagster's own programs, a logger of the definitions
    counts for runs alone whose configuration names it (those of a backfill have none), and a level
    in `python_logs` takes lines from the page, too.
    """
    for module in (run_loggers, instigation_logger):
        vars(module)["create_console_logger"] = _json_logger


def server_of(run: dg.DagsterRun) -> Path | None:
    """Socket of the code server that was to execute a run; None where it listens on a port.

    It stands in a hidden tag, which a run that repeats another has from that until it is launched.
    """
    address = json.loads(run.tags.get(GRPC_INFO_TAG, "{}")).get("socket")
    return Path(address) if address else None


def is_backfilling(instance: dg.DagsterInstance) -> bool:
    """Whether a backfill has not ended.

    `get_backfills` is the instance's, the filter it takes is private; without one it reads every
    backfill there ever was.
    """
    filters = BulkActionsFilter(statuses=BACKFILLS_UNDER_WAY)
    return bool(instance.get_backfills(filters, limit=1))


N_KEPT = 8
"""Files that are kept open: that of all runs, and of each run its own, which may be thousands."""


@contextmanager
def fast_events(instance: dg.DagsterInstance) -> Iterator[None]:
    """Make events cheaper while the block runs, by connections that are kept.

    Dagster makes a connection for each statement or two, of which an event has several. On SQLite
    it makes an engine, too, so that SQLAlchemy compiles every statement anew, and the write-ahead
    log is folded up when the last connection is closed: kept, they take a third of the CPU. On
    PostgreSQL each connection is a process of the server.
    """
    with ExitStack() as end:
        for storage in (instance.event_log_storage, instance.run_storage):
            if isinstance(storage, SqliteEventLogStorage):
                end.enter_context(_kept_files(storage))
            elif type(storage).__module__.startswith("dagster_postgres."):
                end.enter_context(_pooled(storage))
        yield


@contextmanager
def _kept_files(storage: Any) -> Iterator[None]:
    """Keep the connections to files of events; of another process they hold up nothing.

    They are in no transaction between two events.
    """
    if "_connect" in vars(storage):  # a run within a command
        yield
        return
    kept: dict[str, Any] = {}
    connect_once = storage._connect  # noqa: SLF001 - this module is the place

    @contextmanager
    def connect(shard: str) -> Iterator[Any]:
        if shard not in kept and len(kept) == N_KEPT:
            with connect_once(shard) as once:
                yield once
            return
        if shard not in kept:
            with connect_once(shard) as once:  # it makes the tables
                kept[shard] = once.engine.connect()
        with storage._db_lock, kept[shard].begin():  # noqa: SLF001
            yield kept[shard]

    vars(storage)["_connect"] = connect
    try:
        yield
    finally:
        del vars(storage)["_connect"]
        for connection in kept.values():
            connection.close()


@contextmanager
def _pooled(storage: Any) -> Iterator[None]:
    """Keep a connection or two to PostgreSQL, each looked at before it is used again.

    `optimize_for_webserver` keeps one that a server's restart has broken.
    """
    from dagster_postgres.utils import create_pg_engine  # noqa: PLC0415 - optional

    engine = storage._engine  # noqa: SLF001
    storage._engine = create_pg_engine(  # noqa: SLF001
        storage.postgres_url, storage._token_provider, isolation_level="AUTOCOMMIT",  # noqa: SLF001
        pool_size=2, pool_pre_ping=True,
    )  # fmt: skip
    try:
        yield
    finally:
        storage._engine.dispose()  # noqa: SLF001
        storage._engine = engine  # noqa: SLF001


def plan_late(context: dg.OpExecutionContext, key: dg.AssetKey, partition: str | None) -> None:
    """Note that a run was to make something, once it could not: the page shows it red then.

    Dagster plans what a job of assets is to make when the run begins; it has no word for what an op
    makes that is no asset's.
    """
    planned = dg.DagsterEvent.build_asset_materialization_planned_event(
        context.job_name,
        str(context.op_handle),
        AssetMaterializationPlannedData(asset_key=key, partition=partition),
    )
    context.instance.report_dagster_event(planned, context.run.run_id, logging.DEBUG)


def sort_partitions(instance: dg.DagsterInstance, name: str) -> None:
    """Put dynamic partitions into the order of their names, those that are not.

    Dagster keeps them as they were added, and runs ranges of them: it has no word for another
    order. Deleted and added again one by one, some would be gone if that were killed.
    """
    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage):
        table = DynamicPartitionsTable
        with storage.index_connection() as connection:
            is_one = table.c.partitions_def_name == name
            put_in_order(connection, table, table.c.partition, is_one)


def delete_planned_checks(
    instance: dg.DagsterInstance, run_id: str, checks: Iterable[dg.AssetCheckKey]
) -> None:
    """Forget that a run planned checks and did not come to them.

    Dagster has no word for it: a planned check can pass or fail. So its table's rows are deleted.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return
    column = AssetCheckExecutionsTable.c
    with storage.index_connection() as connection:
        for key in checks:
            planned = (
                (column.asset_key == key.asset_key.to_string())
                & (column.check_name == key.name)
                & (column.run_id == run_id)
                & (column.execution_status == AssetCheckExecutionRecordStatus.PLANNED.value)
            )
            connection.execute(AssetCheckExecutionsTable.delete().where(planned))


def wipe_partitions(instance: dg.DagsterInstance, partitions: Sequence[str]) -> None:
    """Delete the events of partitions, of all assets and runs, and what is derived from them.

    Of events of others, as of a dataset, go the rows of tables and the items of lists that name
    one. `wipe_asset_partitions` is public, and neither SQLite nor PostgreSQL storage has it. What
    SQLite deletes it overwrites. Run tags and the words of failed runs stay.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return
    with storage.index_connection() as connection:
        assets, runs = _clear_events(connection, partitions)
    if isinstance(storage, SqliteEventLogStorage):
        for run_id in runs:  # each run has a file of its own
            with storage.run_connection(run_id) as connection:
                _clear_events(connection, partitions)
    for asset_key in assets:
        _show_newest(instance, storage, asset_key)


def _clear_events(connection: Any, partitions: Sequence[str]) -> tuple[set[dg.AssetKey], set[str]]:
    """Delete events of partitions, and unname them in others; returns their assets and runs."""
    of_them, named = (clear(connection, partitions) for clear in (_delete_events, _unname_events))
    return of_them[0] | named[0], of_them[1] | named[1]


def _delete_events(connection: Any, partitions: Sequence[str]) -> tuple[set[dg.AssetKey], set[str]]:
    """Delete events, their tags and checks; returns assets and runs that they were of."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
    events = SqlEventLogStorageTable
    columns = (events.c.id, events.c.asset_key, events.c.run_id)
    found = connection.execute(
        events.select().with_only_columns(*columns).where(_is_of(partitions))
    ).all()
    tags, checks = AssetEventTagsTable, AssetCheckExecutionsTable
    for event_id, _, _ in found:
        for table, column in (
            (tags, tags.c.event_id),
            (checks, checks.c.evaluation_event_storage_id),
            (events, events.c.id),
        ):
            if connection.dialect.has_table(connection, table.name):
                connection.execute(table.delete().where(column == event_id))
    keys = {dg.AssetKey.from_db_string(key) for _, key, _ in found if key is not None}
    return {key for key in keys if key is not None}, {
        run_id for _, _, run_id in found if run_id is not None
    }


def _unname_events(connection: Any, partitions: Sequence[str]) -> tuple[set[dg.AssetKey], set[str]]:
    """Take rows and items that name partitions out of events of no partition; likewise."""
    events = SqlEventLogStorageTable
    columns = (events.c.id, events.c.asset_key, events.c.run_id, events.c.event)
    said: Any = events.c.id.is_(None)  # never
    for one in partitions:
        said |= events.c.event.contains(_in_json(one), autoescape=True)
    query = events.select().with_only_columns(*columns).where(events.c.partition.is_(None), said)
    keys: set[dg.AssetKey | None] = set()
    runs: set[str | None] = set()
    for event_id, key, run_id, text in connection.execute(query).all():
        unnamed = json.dumps(_without(json.loads(text), partitions))
        change = events.update().where(events.c.id == event_id)
        connection.execute(change.values(event=unnamed))
        keys.add(None if key is None else dg.AssetKey.from_db_string(key))
        runs.add(run_id)
    return {key for key in keys if key is not None}, {one for one in runs if one is not None}


def _without(value: Any, names: Sequence[str]) -> Any:
    """A value of JSON without the items of lists, and the rows of tables, that are about names."""
    if isinstance(value, dict):
        return {key: _without(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [_without(one, names) for one in value if not _is_about(one, names)]
    return value


def _is_about(item: Any, names: Sequence[str]) -> bool:
    if isinstance(item, dict) and item.get("__class__") == "TableRecord":
        return any(names_one(str(cell), names) for cell in item["data"].values())
    return isinstance(item, str) and item in names


def _is_of(partitions: Sequence[str]) -> Any:
    """Whether an event is of partitions; of a check only its text says so."""
    events = SqlEventLogStorageTable.c
    is_check = events.dagster_event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION.value
    found: Any = events.partition.in_(partitions)
    for one in partitions:
        found |= is_check & events.event.contains(f'"{_in_json(one)}"', autoescape=True)
    return found


def _in_json(name: str) -> str:
    """A name as it stands in the text of an event."""
    return json.dumps(name)[1:-1]


def _show_newest(
    instance: dg.DagsterInstance, storage: SqlEventLogStorage, asset_key: dg.AssetKey
) -> None:
    """Let an asset show the newest event that is left of it, and work its states out again."""
    left = instance.fetch_materializations(asset_key, limit=1).records
    newest = serialize_value(left[0]) if left else None
    row = AssetKeyTable.c.asset_key == asset_key.to_string()
    with storage.index_connection() as connection:
        connection.execute(AssetKeyTable.update().values(last_materialization=newest).where(row))
    instance.wipe_asset_cached_status([asset_key])


def open_workspace(
    instance: dg.DagsterInstance, workspace: Path, version: str, *, is_read_only: bool = False
) -> Workspace:
    """Open what Dagster's webserver serves: the code locations of a `workspace.yaml`.

    Its command makes this and gives no way to put a guard before what it serves.
    """
    target = WorkspaceFileTarget([str(workspace)])
    return WorkspaceProcessContext(instance, target, version=version, read_only=is_read_only)


def failed_locations(context: Workspace) -> list[str]:
    """Code locations of a workspace that could not be loaded."""
    entries = context.create_request_context().get_code_location_entries()
    return [name for name, entry in entries.items() if entry.load_error]
