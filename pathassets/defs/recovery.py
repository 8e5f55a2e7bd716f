"""Runs whose process is gone -> failed runs, their slots given back.

Dagster does not notice when a run's process is killed: the run would show 'Started' for ever, and
hold its place in the pool for ever.
"""

import os
import socket

import dagster as dg
import psutil

PROCESS_TAG = "pathassets/process"
"""host:pid:start:run. The host and the start tell other processes of the same number apart; the run
tells the tag from one that a re-execution inherited from the run it repeats."""
UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
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
    """Mark the runs whose process ended without a word as failed; returns their ids."""
    unfinished = instance.get_runs(filters=dg.RunsFilter(statuses=UNFINISHED))
    dead = [run for run in unfinished if _is_dead(run)]
    for run in dead:
        # In this order: killed in between, the next look finds the run unfinished still.
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        instance.report_run_failed(run, "its process was killed; what was published is kept")
    return [run.run_id for run in dead]


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
