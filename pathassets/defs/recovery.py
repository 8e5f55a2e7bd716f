"""Runs whose process is gone -> failed runs, their slots given back, to be started again.

Dagster does not notice when a run's process is killed: the run would show 'Started' for ever, and
hold its place in the pool for ever. Once told, its daemon starts the run again, as `run_retries` of
`dagster.yaml` say, and a backfill waits for that. A run of a command it cannot start.

A run that lives, and whose catalog or disk is gone for a while, tries its step again by itself.
"""

import hashlib
import os
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import dagster as dg
import psutil

from pathassets.defs.dagster_internals import server_of
from pathassets.defs.events.checks import withdraw_checks
from pathassets.defs.text import line
from pathassets.engine.platform.platform import Platform
from pathassets.errors import PathAssetsError, is_passing

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
LAUNCHED_S = 15.0
"""How long ago anything was last told of a run whose server is gone: one that repeats another has
that one's server until it is given its own."""
CODE_FOLDER_S = 3600.0
"""For how long a folder is left alone in which no code server listens: one may be starting."""
CLOCK_SLACK_S = 2
"""A process start is reckoned from the machine's, which moves when the clock is set."""


def code_folder_prefix() -> str:
    """How the name begins of the folder of every code server's socket on this machine."""
    host = hashlib.sha256(socket.gethostname().encode()).hexdigest()
    return f"pathassets-{host[:8]}-"  # a socket's path may have 108 bytes


def open_code_folder() -> TemporaryDirectory[str]:
    """A folder for the socket of a code server, `code`; those of killed ones are removed."""
    before = time.time() - CODE_FOLDER_S
    for left in Path(gettempdir()).glob(f"{code_folder_prefix()}*"):
        with suppress(OSError):  # another process removes them too
            found = left.lstat()
            is_own_folder = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
            if is_own_folder and found.st_mtime < before and not is_listening(left / "code"):
                shutil.rmtree(left)
    return TemporaryDirectory(prefix=code_folder_prefix())


def is_listening(address: Path) -> bool:
    """Whether somebody listens at a socket."""
    with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
        probe.connect(str(address))
        return True
    return False


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
    return [run for run in at_work if _is_dead(run) or _has_lost_server(instance, run)]


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


def _has_lost_server(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run was launched and its code server ended before the run had named its process.

    A process takes seconds to come so far. Nothing is known of another machine's.
    """
    server = server_of(run)
    if server is None or _own_process(run) or run.status == dg.DagsterRunStatus.NOT_STARTED:
        return False
    if not server.parent.name.startswith(code_folder_prefix()) or is_listening(server):
        return False
    record = instance.get_run_record_by_id(run.run_id)
    return record is not None and time.time() - record.update_timestamp.timestamp() > LAUNCHED_S


def _own_process(run: dg.DagsterRun) -> str:
    """host:pid:start of the process that said it executes this run; empty where none did."""
    process, _, run_id = run.tags.get(PROCESS_TAG, "").rpartition(":")
    return process if run_id == run.run_id else ""


def _is_dead(run: dg.DagsterRun) -> bool:
    """Whether a run's process, on this host, is gone; nothing is known of another host's."""
    host, _, rest = _own_process(run).partition(":")
    if host != socket.gethostname():
        return False
    pid, _, started = rest.partition(":")
    try:
        found = psutil.Process(int(pid))
        is_other = abs(found.create_time() - int(started)) > CLOCK_SLACK_S
        return is_other or found.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def tried_again(
    context: dg.OpExecutionContext | dg.AssetExecutionContext, platform: Platform
) -> Iterator[None]:
    """Have a step tried again, after longer and longer pauses, where what broke it may pass.

    It is no slide's fault: those fail each by itself. What was done is found done.
    """
    pauses_s = platform.settings.retry_pauses_s
    try:
        yield
    except PathAssetsError as error:
        if not is_passing(error) or context.retry_number >= len(pauses_s):
            raise
        pause_s = pauses_s[context.retry_number]
        context.log.warning("to be tried again in %g s: %s", pause_s, line(str(error)))
        raise dg.RetryRequested(max_retries=len(pauses_s), seconds_to_wait=pause_s) from error
