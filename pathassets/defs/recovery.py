"""Runs whose process is gone -> failed runs, their slots given back, to be started again.

Dagster does not notice when a run's process is killed: the run would show 'Started' for ever, and
hold its place in the pool for ever. Once told, its daemon starts the run again, as `run_retries` of
`dagster.yaml` say, and a backfill waits for that. A run of a command it cannot start.
"""

import os
import socket

import dagster as dg
import psutil

from pathassets.defs.events.checks import withdraw_checks

PROCESS_TAG = "pathassets/process"
"""host:pid:start:run. The host and the start tell other processes of the same number apart; the run
tells the tag from one that a re-execution inherited from the run it repeats."""
AT_WORK = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""States of a run that may have a process."""
UNFINISHED = [*AT_WORK, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.SUSPENDED]
"""States of a run that has not ended."""
AGAIN = (
    "Its process was killed; what was published is kept. The daemon starts it again, unless it "
    "did so twice: 'Re-execute' does it by hand"
)
BY_HAND = (
    "Its process was killed; what was published is kept. To go on, type the command again, or "
    "start the job make_current"
)
DAEMON_CURSOR = f"EVENT_LOG_CONSUMER_CURSOR-{dg.DagsterEventType.RUN_FAILURE.value}"
"""Where Dagster's daemon notes up to which event it looked for runs to be started again."""
NEVER_AGAIN = {"dagster/max_retries": "0"}
"""Tags of a run that the daemon is not to start again: whoever asked for it sees to that."""
CLOCK_SLACK_S = 2
"""A process start is reckoned from the machine's, which moves when the clock is set."""


def process_tags(run_id: str) -> dict[str, str]:
    """Tag of a run that this process executes."""
    started = int(psutil.Process().create_time())
    return {PROCESS_TAG: f"{socket.gethostname()}:{os.getpid()}:{started}:{run_id}"}


def mark_process(instance: dg.DagsterInstance, run_id: str) -> None:
    """Note on a run that this process executes it."""
    instance.add_run_tags(run_id, process_tags(run_id))


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark the runs whose process ended without a word as failed; returns their ids.

    What a person cancelled stays so.
    """
    dead = find_dead_runs(instance)
    if dead:
        _begin_to_look(instance)
    for run in dead:
        # In this order: killed in between, the next look finds the run unfinished still.
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        withdraw_checks(instance, run)
        _report(instance, run)
    return [run.run_id for run in dead]


def find_dead_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs that Dagster shows at work, and whose process ended without a word."""
    at_work = instance.get_runs(filters=dg.RunsFilter(statuses=AT_WORK))
    return [run for run in at_work if _is_dead(run)]


def _report(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Tell Dagster that a run is dead, and people what becomes of it."""
    if run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, "its process was killed before it had stopped")
        return
    is_seen_to = instance.run_retries_enabled and run.remote_job_origin is not None
    instance.report_run_failed(run, AGAIN if is_seen_to else BY_HAND)


def _begin_to_look(instance: dg.DagsterInstance) -> None:
    """Let the daemon see what is reported now, though it never ran.

    It takes what was there before its first look for old, and a backfill would wait for ever.
    """
    cursors = instance.daemon_cursor_storage
    if not cursors.get_cursor_values({DAEMON_CURSOR}):
        last = instance.event_log_storage.get_maximum_record_id() or 0
        cursors.set_cursor_values({DAEMON_CURSOR: str(last)})


def _is_dead(run: dg.DagsterRun) -> bool:
    """Whether a run's process, on this host, is gone; nothing is known of another host's."""
    process, _, run_id = run.tags.get(PROCESS_TAG, "").rpartition(":")
    host, _, rest = process.partition(":")
    if run_id != run.run_id or host != socket.gethostname():
        return False
    pid, _, started = rest.partition(":")
    try:
        found = psutil.Process(int(pid))
        is_other = abs(found.create_time() - int(started)) > CLOCK_SLACK_S
        return is_other or found.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
