"""What is relied on of Dagster beyond its public names: a release that moves it fails here.

Public is what `import dagster as dg` has with a type and a page in the reference. Beyond that are
the classes of `defs/dagster_internals.py`, methods of the storages that a public instance hands
out, and tags and cursors that are plain text.
"""

import inspect
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions import data_version
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES, BulkActionStatus
from dagster._core.storage import tags
from dagster._core.storage.daemon_cursor import DaemonCursorStorage
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._daemon.auto_run_reexecution import event_log_consumer
from dagster_webserver import cli as webserver_cli
from dagster_webserver.app import create_app_from_workspace_process_context

from pathassets.defs import dagster_internals, partitions, recovery
from pathassets.defs.events.data_versions import data_version_tags


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance on SQLite, as a home has it."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as opened:
        yield opened


FEATURES = dg.AssetKey(["features", "colour"])


def planned(instance: dg.DagsterInstance) -> set[dg.AssetCheckKey]:
    """Checks of the asset that a run has planned."""
    log = instance.event_log_storage
    keys = [dg.AssetCheckKey(FEATURES, name) for name in ("kept", "deleted")]
    return {key for key in keys if log.get_asset_check_execution_history(key, limit=1)}


def test_a_job_of_assets_is_of_the_type_named() -> None:
    assert type(dg.define_asset_job("all")) is dagster_internals.AssetJob


def test_a_check_says_which_materialization_it_is_about() -> None:
    about = dagster_internals.CheckTarget(storage_id=3, run_id="a run", timestamp=1.0)
    said = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("slide"),
        check_name="is_there",
        passed=True,
        target_materialization_data=about,
    )
    assert said.target_materialization_data == about


def test_an_instance_opened_with_other_settings_leaves_output_alone(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dagster_internals.open_with(tmp_path, dagster_internals.NO_COMPUTE_LOGS) as opened:
        assert isinstance(opened.compute_log_manager, NoOpComputeLogManager)
        assert not opened.telemetry_enabled  # what its file says holds beside it


def test_every_backfill_has_ended_or_is_under_way(instance: dg.DagsterInstance) -> None:
    ended = {*BULK_ACTION_TERMINAL_STATUSES}
    assert {*dagster_internals.BACKFILLS_UNDER_WAY} == {*BulkActionStatus} - ended
    assert not dagster_internals.is_backfilling(instance)


def test_cheap_events_are_those_that_dagster_reads(instance: dg.DagsterInstance) -> None:
    made = [dg.AssetMaterialization(FEATURES, partition=name) for name in "abc"]
    instance.report_runless_asset_event(made[0])
    with dagster_internals.fast_events(instance):
        run = instance.create_run_for_job(dg.GraphDefinition(name="nothing").to_job())
        instance.report_run_canceled(run)
        instance.report_runless_asset_event(made[1])
        with dagster_internals.fast_events(instance):  # as a run within a command
            instance.report_runless_asset_event(made[2])
        for n in range(2 * dagster_internals.N_KEPT):  # more files than are kept open
            assert instance.all_logs(f"run {n}") == []
        with dg.DagsterInstance.from_ref(instance.get_ref()) as other:  # nobody waits
            other.report_runless_asset_event(made[0])
    assert "_connect" not in vars(instance.event_log_storage)
    told = instance.fetch_materializations(FEATURES, limit=10).records
    assert [one.partition_key for one in told] == ["a", "c", "b", "a"]
    assert instance.all_logs(run.run_id)[-1].message.startswith("This run has been marked")
    folder = Path(instance.root_directory, "history", "runs")
    assert not [*folder.glob("*-wal")]  # folded up as the last connection was closed


def test_events_in_memory_are_left_alone() -> None:
    with dg.DagsterInstance.ephemeral() as instance, dagster_internals.fast_events(instance):
        assert "_connect" not in vars(instance.event_log_storage)
        instance.report_runless_asset_event(dg.AssetMaterialization(FEATURES))
        assert instance.fetch_materializations(FEATURES, limit=1).records


def test_a_run_plans_checks_and_they_are_deleted_by_name(instance: dg.DagsterInstance) -> None:
    kept, deleted = dg.AssetCheckKey(FEATURES, "kept"), dg.AssetCheckKey(FEATURES, "deleted")

    specs = [dg.AssetCheckSpec(key.name, asset=FEATURES) for key in (kept, deleted)]

    @dg.asset(key=FEATURES, check_specs=specs)
    def features() -> dg.MaterializeResult:
        return dg.MaterializeResult()

    job = dg.Definitions([features]).resolve_implicit_global_asset_job_def()
    run = instance.create_run_for_job(job)
    assert run.execution_plan_snapshot_id is not None
    plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    assert {*plan.asset_check_keys} == {kept, deleted}

    dagster_internals.delete_planned_checks(instance, "another run", [deleted])
    assert planned(instance) == {kept, deleted}
    dagster_internals.delete_planned_checks(instance, run.run_id, [deleted])
    assert planned(instance) == {kept}


def test_partitions_that_were_added_out_of_order_are_put_into_it(
    instance: dg.DagsterInstance,
) -> None:
    for name, added in (("slides", ["b", "d", "c", "a", "e"]), ("others", ["y", "x"])):
        instance.add_dynamic_partitions(name, added)
    for _ in range(2):
        dagster_internals.sort_partitions(instance, "slides")
        assert instance.get_dynamic_partitions("slides") == ["a", "b", "c", "d", "e"]
    assert instance.get_dynamic_partitions("others") == ["y", "x"]


def test_states_of_runs_are_all_known() -> None:
    assert {*recovery.UNFINISHED} == {*NOT_FINISHED_STATUSES}


@pytest.mark.parametrize(
    ("ours", "dagster_s"),
    [
        ([*recovery.NEVER_AGAIN], [tags.MAX_RETRIES_TAG]),
        (
            [*data_version_tags("v")],
            [data_version.DATA_VERSION_TAG, data_version.DATA_VERSION_IS_USER_PROVIDED_TAG],
        ),
        (
            [partitions.RANGE_START, partitions.RANGE_END, partitions.PARTITION],
            [
                tags.ASSET_PARTITION_RANGE_START_TAG,
                tags.ASSET_PARTITION_RANGE_END_TAG,
                tags.PARTITION_NAME_TAG,
            ],
        ),
        (["dagster/code_version"], [data_version.CODE_VERSION_TAG]),
        (["dagster/input_data_version"], [data_version.INPUT_DATA_VERSION_TAG_PREFIX]),
        (["dagster/input_event_pointer"], [data_version.INPUT_EVENT_POINTER_TAG_PREFIX]),
    ],
)
def test_tags_have_the_text_that_dagster_reads(ours: list[str], dagster_s: list[str]) -> None:
    assert ours == dagster_s


def test_the_daemon_notes_where_it_stands_under_the_name_that_is_set() -> None:
    failed = dg.DagsterEventType.RUN_FAILURE
    assert event_log_consumer._create_cursor_key(failed) == recovery.DAEMON_CURSOR


@pytest.mark.parametrize(
    ("function", "given"),
    [
        (EventLogStorage.get_concurrency_info, ["concurrency_key"]),
        (EventLogStorage.free_concurrency_slots_for_run, ["run_id"]),
        (EventLogStorage.get_maximum_record_id, []),
        (
            EventLogStorage.get_latest_storage_id_by_partition,
            ["asset_key", "event_type", "partitions"],
        ),
        (EventLogStorage.get_latest_tags_by_partition, ["asset_key", "event_type", "tag_keys"]),
        (DaemonCursorStorage.get_cursor_values, ["keys"]),
        (DaemonCursorStorage.set_cursor_values, ["pairs"]),
        (dg.DagsterInstance.get_execution_plan_snapshot, ["snapshot_id"]),
        (dg.DagsterInstance.get_backfills, ["filters", "limit"]),
        (dg.DagsterInstance.get_status_by_partition, ["asset_key", "partition_keys"]),
        (
            dg.DagsterInstance.optimize_for_webserver,
            ["statement_timeout", "pool_recycle", "max_overflow"],
        ),
        (dg.DagsterInstance.report_run_canceled, ["dagster_run", "message"]),
        (create_app_from_workspace_process_context, ["live_data_poll_rate"]),
    ],
)
def test_functions_take_what_they_are_given(function: Callable[..., Any], given: list[str]) -> None:
    assert [name for name in given if name not in inspect.signature(function).parameters] == []


def test_the_webserver_s_defaults_are_numbers() -> None:
    named = ["DB_STATEMENT_TIMEOUT", "POOL_RECYCLE", "POOL_MAX_OVERFLOW"]
    assert all(isinstance(getattr(webserver_cli, f"DEFAULT_{name}"), int) for name in named)


def test_the_page_is_made_of_a_workspace_file(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    (tmp_path / "workspace.yaml").write_text("load_from: []\n")
    with dagster_internals.open_workspace(instance, tmp_path / "workspace.yaml", "0") as context:
        assert context.version == "0"
        assert callable(create_app_from_workspace_process_context(context, live_data_poll_rate=1))


def test_the_programs_that_are_started_are_installed() -> None:
    (daemon,) = entry_points(group="console_scripts", name="dagster-daemon")
    assert callable(daemon.load())
