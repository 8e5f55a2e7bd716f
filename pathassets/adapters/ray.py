"""Ray: a cluster joined, its nodes, functions and objects that live on them, and how they end.

    joined ─▶ nodes ─▶ call(function, …) ─▶ Ref ─▶ wait ─▶ take: a value, or why there is none
                       settle(class, …)  ─▶ Guest ─▶ ask(method, …) ─▶ Ref

Nothing is tried again here but to become a cluster's client, and nothing of this process goes along
but what is handed over.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any

from pathassets.adapters.ray_nodes import (
    CutOff,
    HeadSilent,
    Needs,
    Node,
    NodeLost,
    alive_of,
    are_reached,
    beside,
    line_of,
    no_process,
    nobody,
    reach,
)
from pathassets.errors import ClusterLost, SpecError

logger = logging.getLogger(__name__)

HERE = "local"
"""Address of a cluster that is started on this machine, for as long as it is held."""
OBJECTS_BYTES = 100 * 2**20
"""Shared memory of a cluster that is started here: results are some kB."""
MOST_KEPT = 2
"""Processes that Ray keeps for each core, a worker's host and a line's: of its own accord one, and
the other is ended after a second without work, and started again, which takes 2 CPU-s."""
HEED_S = 1.0
"""After so long at most a wait is over: within it Ray heeds no interruption but Python's own."""
N_CLIENT_TRIES = 4
"""Ray starts a server for each client by a fork beside threads of gRPC, of which some die at once:
https://github.com/ray-project/ray/issues/63202."""
Ref = Any
"""A value that is to come. (Ray's own class is generic in the value.)"""
Guest = Any
"""An object that lives in a process of its own on a node."""


@dataclass(slots=True)
class _Connection:
    """Ray has one in a process."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    n_holders: int = 0
    address: str = ""
    """Where it leads; empty where there is none."""
    head: str = ""
    """Where its head answers this process itself, and not a server of a client of it."""
    is_gone: bool = False
    node: str = ""  # that this process asks by: of this machine, or of its client's server
    is_cut: bool = False  # whether that one is lost, and so all that was asked by it
    n_joined: int = 0  # how often it was made again


_connection = _Connection()


@contextmanager
def joined(address: str, n_cpus: int) -> Iterator[None]:
    """Hold a connection to a cluster; whoever leaves last ends it, and what was begun by it.

    One that is started `HERE` has so many cores. A connection that the program has already made
    itself is used, and left as it was.

    Raises:
        SpecError: Ray is not installed, no cluster answers there, or another one is held.
    """
    ray = _load()
    with _connection.lock:
        is_foreign = not _connection.n_holders and ray.is_initialized()
        if not is_foreign:
            _enter(address, n_cpus)
        _note(ray)
    try:
        yield
    finally:
        if not is_foreign:
            _leave()


def _note(ray: ModuleType) -> None:
    here = ray.get_runtime_context()
    _connection.is_gone = False
    _connection.head = "" if ray.util.client.ray.is_connected() else here.gcs_address
    _connection.node = here.get_node_id()


def _enter(address: str, n_cpus: int) -> None:
    if not _connection.n_holders:
        _connect(address, n_cpus)
        _connection.address = address
    elif _connection.address != address:
        raise SpecError(
            f"PATHASSETS_WORKERS: this process works at {_connection.address}, not at {address}",
            remedy="Use one Ray cluster in a process",
        )
    _connection.n_holders += 1


def _leave() -> None:
    with _connection.lock:
        _connection.n_holders -= 1
        if not _connection.n_holders:
            ray = _load()
            with _interrupted_as_itself():
                ray.shutdown()


@contextmanager
def _interrupted_as_itself() -> Iterator[None]:
    """Raise what a handler of signals has raised within Ray's C code, where it is a SystemError."""
    before = sys.exception()  # what was handled already is none
    try:
        yield
    except SystemError as error:
        found: BaseException | None = error
        while isinstance(found, Exception) and found is not before:
            found = found.__cause__ or found.__context__
        if found is None or found is before:
            raise
        raise found from None


def _load() -> ModuleType:
    """Import Ray, and leave the signals as they were: it takes SIGTERM for itself.

    Raises:
        SpecError: it is not installed.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        import ray  # noqa: PLC0415 - of an extra, and it takes a second
    except ModuleNotFoundError as error:
        raise SpecError(
            "PATHASSETS_WORKERS: Ray is not installed", remedy="pip install 'pathassets[ray]'"
        ) from error
    _give_back(before)
    module: ModuleType = ray
    return module


def _give_back(handler: Any) -> None:
    """Let SIGTERM be handled as it was before."""
    with suppress(ValueError):  # not in the main thread, where it cannot have been changed
        if signal.getsignal(signal.SIGTERM) is not handler:
            signal.signal(signal.SIGTERM, handler)


def _connect(address: str, n_cpus: int) -> None:
    how: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == HERE:
        how |= {
            "num_cpus": n_cpus, "include_dashboard": False, "object_store_memory": OBJECTS_BYTES,
            "_system_config": {"num_workers_soft_limit": MOST_KEPT * n_cpus},
        }  # fmt: skip
    else:
        _knock(address)
    ray = _load()
    before = signal.getsignal(signal.SIGTERM)
    try:
        _begin(ray, address, how)
    except ConnectionAbortedError as error:
        said = str(error).strip().rpartition("\n")[2][:300]  # it carries a traceback
        raise SpecError(
            f"PATHASSETS_WORKERS: the Ray cluster at {address} starts no server for its client: "
            f"{said}",
            remedy="Start its head with GRPC_ENABLE_FORK_SUPPORT=0; its log of that name says more",
        ) from error
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise nobody(address, error) from error
    finally:
        _give_back(before)


def _begin(ray: ModuleType, address: str, how: dict[str, Any]) -> None:
    """Connect, and leave nothing of a try that failed."""
    for n_left in reversed(range(N_CLIENT_TRIES)):
        try:
            with _interrupted_as_itself():
                ray.init(address, **how)
        except BaseException as error:
            ray.shutdown()  # else it would take this process for a client, to whatever it connects
            if not n_left or not isinstance(error, ConnectionAbortedError):
                raise
            logger.warning("Ray started no server for its client at %s; it is asked again", address)
        else:
            _connection.is_cut = False
            return


def _knock(address: str) -> None:
    """Look whether anything answers: Ray itself would try for minutes."""
    try:
        reach(address)
    except (OSError, ValueError, OverflowError) as error:
        raise nobody(address, error) from error


def nodes() -> list[Node]:
    """Machines that are there, those that were there first before others.

    Raises:
        HeadSilent: nobody can say, for now.
        CutOff: there are some, and none that this process could ask by.
        ClusterLost: nobody will.
    """
    ray = _load()
    if _connection.head:
        try:
            reach(_connection.head)
        except OSError as error:
            raise HeadSilent(line_of(error)) from error
    with _lost_with_its_client():
        if _connection.is_cut and not ray.is_initialized():
            with _connection.lock:
                _join_again()
        found = ray.nodes()
        _stay_joined(found)
    return alive_of(found)


def _stay_joined(found: Sequence[dict[str, Any]]) -> None:
    """Ask by another node of the same machine where the own is lost; the first who sees it does.

    Raises:
        CutOff: there is none, or it was not joined: the next look tries again.
    """
    alive = {node.node_id for node in alive_of(found)}
    with _connection.lock:
        is_known_lost = _connection.node not in alive
        _connection.is_cut |= is_known_lost
        if not _connection.is_cut or not alive:
            return
        others = beside(_connection.node, found)
        if not is_known_lost or not _connection.n_holders or not are_reached(others):
            raise CutOff
        _load().shutdown()
        _join_again()


def _join_again() -> None:
    _connection.n_joined += 1  # be it in vain: what was asked before has no answer
    try:
        _connect(_connection.address, 1)
    except SpecError as error:
        raise CutOff from error
    _note(_load())


def n_joined() -> int:
    """How often the connection was made again: what was asked by a former one has no answer."""
    return _connection.n_joined


def lost(said: object) -> ClusterLost:
    """Nothing can be done any more where nobody holds the cluster together."""
    _connection.is_gone = True
    return ClusterLost(
        f"PATHASSETS_WORKERS: the head of the Ray cluster is gone: {str(said).rstrip('.')}",
        remedy="Start it again, then type the same again: what was published is kept",
    )


@contextmanager
def _lost_with_its_client() -> Iterator[None]:
    """Have a client told so whose server is gone."""
    try:
        with _interrupted_as_itself():
            yield
    except ConnectionError as error:
        raise lost(line_of(error)) from error


def call(function: Callable[..., Any], *args: Any, needs: Needs) -> Ref:
    """Let a function, which nodes can import, run where there is room for it."""
    with _lost_with_its_client():
        return _task(function, needs).remote(*args)


@cache  # each is a kind of its own for Ray, whose tasks find no process that another kind has left
def _task(function: Callable[..., Any], needs: Needs) -> Any:
    # Ray's own tries would do so with a process that its slide has killed, too.
    return _load().remote(**_options(needs), max_retries=0)(function)


def settle(made: type, *args: Any, needs: Needs, node: Node) -> Guest:
    """Let an object live on a node; it takes several questions at once."""
    ray = _load()
    on_node = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        node.node_id, soft=False
    )
    options = _options(needs) | {
        "max_restarts": 0, "max_task_retries": 0, "max_concurrency": 2,
        "scheduling_strategy": on_node,
    }  # fmt: skip
    with _lost_with_its_client():
        return ray.remote(**options)(made).remote(*args)


def _options(needs: Needs) -> dict[str, Any]:
    return {"num_cpus": needs.cpus, "num_gpus": needs.gpus, "memory": needs.memory_bytes}


def assigned() -> Needs:
    """What the work that asks was given, on its node."""
    given = _load().get_runtime_context().get_assigned_resources()
    return Needs(
        cpus=given.get("CPU", 0.0),
        gpus=given.get("GPU", 0.0),
        memory_bytes=int(given.get("memory", 0)),
    )


def ask(guest: Guest, method: str, *args: Any) -> Ref:
    """Ask an object something."""
    with _lost_with_its_client():
        return getattr(guest, method).remote(*args)


def wait(refs: Sequence[Ref], patience_s: float) -> set[Ref]:
    """Those whose values are there, or will never be, once there is one, or `HEED_S` are over.

    They are over sooner where patience is shorter.
    """
    ray = _load()
    with _lost_with_its_client():
        first, _ = ray.wait(list(refs), num_returns=1, timeout=min(HEED_S, patience_s))
        if not first:
            return set()
        there, _ = ray.wait(list(refs), num_returns=len(refs), timeout=0)
    return set(there)


def take(ref: Ref) -> Any:
    """The value.

    Raises:
        NodeLost: the node is gone, or cannot be heard; `CutOff`: it was never sent there.
        WorkerLost: its process ended, or could not begin; of a guest's, its node may be gone, too.
        ClusterLost: nobody will ever know.
    """
    ray = _load()
    errors = ray.exceptions
    try:
        with _lost_with_its_client():
            return ray.get(ref)
    except errors.LocalRayletDiedError as error:
        _connection.is_cut = True
        raise CutOff from error
    except (
        errors.NodeDiedError,
        errors.ObjectLostError,
        errors.ActorUnavailableError,
        errors.ActorUnschedulableError,
    ) as error:
        raise NodeLost from error
    except errors.RayError as error:
        raise no_process(error) from error


def _is_over() -> bool:
    """Whether nothing is left to be ended: Ray would look for another cluster, for minutes."""
    return _connection.is_gone or _connection.is_cut


def cancel(ref: Ref) -> None:
    """End the process that works on it, if there is one."""
    if not _is_over():
        with _interrupted_as_itself():
            _load().cancel(ref, force=True)


def evict(guest: Guest) -> None:
    """End the process of an object."""
    if not _is_over():
        with _interrupted_as_itself():
            _load().kill(guest, no_restart=True)
