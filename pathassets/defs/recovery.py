"""Runs whose process is gone -> failed runs, their slots given back.

Dagster does not notice when a run's process is killed: the run would show 'Started' for ever, and
hold its place in the pool for ever.
"""

import os
import socket

import dagster as dg
import psutil

PROCESS_TAG = "pathassets/process"
"""host:pid:start, so that neither another host's nor a later process is taken for this one."""
UNFINISHED = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def process_tags() -> dict[str, str]:
    """Tag of a run that this process executes."""
    started = int(psutil.Process().create_time())
    return {PROCESS_TAG: f"{socket.gethostname()}:{os.getpid()}:{started}"}


def mark_process(context: dg.OpExecutionContext | dg.AssetExecutionContext) -> None:
    """Note on a run which process executes it."""
    context.instance.add_run_tags(context.run_id, process_tags())


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark the runs whose process ended without a word as failed; returns their ids."""
    dead = [
        run
        for run in instance.get_runs(filters=dg.RunsFilter(statuses=UNFINISHED))
        if _is_dead(run.tags.get(PROCESS_TAG, ""))
    ]
    for run in dead:
        instance.report_run_failed(run, "its process was killed; what was published is kept")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run.run_id for run in dead]


def _is_dead(process: str) -> bool:
    """Whether a process of this host is gone; nothing is known of another host's."""
    host, _, rest = process.partition(":")
    if host != socket.gethostname():
        return False
    pid, _, started = rest.partition(":")
    try:
        found = psutil.Process(int(pid))
        return int(found.create_time()) != int(started) or found.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
