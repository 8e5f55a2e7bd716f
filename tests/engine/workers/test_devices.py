import os
import signal
import threading

import pytest

from pathassets.adapters import torch as torch_adapter
from pathassets.engine.workers import devices
from pathassets.engine.workers.devices import Lease, lease_device, may_have_gpu, try_lock
from pathassets.errors import SpecError
from tests.engine import simulated_cards
from tests.engine.simulated_cards import cuda_uuids

HOLDER = """
import sys
import time
from pathlib import Path
from pathassets.engine.workers import devices
from tests.engine.simulated_cards import stay

stay()
devices._gpus = lambda wanted: dict(seen.split("=") for seen in sys.argv[2].split(","))
log = Path(sys.argv[1])
for i in range(int(sys.argv[3])):
    with devices.lease_device("cuda") as lease:
        held = log / devices._gpus("cuda")[lease.device]
        held.touch(exist_ok=False)  # fails where another holds the same card
        print(lease.device, flush=True)
        time.sleep(float(sys.argv[4]))
        held.unlink()
"""

OTHER_USER = """
import os
import sys
import time
from pathassets.engine.workers import devices
from tests.engine.simulated_cards import stay

stay()
if os.geteuid() == 0:
    os.setuid(65534)
lock = devices.try_lock(sys.argv[1])
print(lock is not None, flush=True)
time.sleep(600)
"""

MEETER = """
import sys
from pathlib import Path
from pathassets.engine.workers.line import LineSpec
from pathassets.engine.workers.pool import LocalWorkers
from tests.engine.simulated_cards import meet

line = LineSpec(work=meet, device="cuda")
with LocalWorkers(n_workers=1, timeout_s=60).open(print, line, lambda _: None) as workers:
    workers.feed((Path(sys.argv[1]), float(sys.argv[2])))
    [(_, result)] = workers.results()
    print(*result)
"""


@pytest.fixture
def see(tmp_path, monkeypatch):
    """Let this process see GPUs, of a machine of its own."""
    simulated_cards.move_to(tmp_path, monkeypatch)
    monkeypatch.setattr(devices, "may_have_gpu", lambda: True)

    def see(**uuids):
        names = {name.replace("_", ":"): uuid for name, uuid in uuids.items()}
        monkeypatch.setattr(torch_adapter, "cuda_uuids", lambda: names)

    see()
    return see


@pytest.fixture
def one_gpu(tmp_path, see):
    """A machine with one GPU."""
    see(cuda_0="GPU-a")
    (tmp_path / "held").mkdir()
    return tmp_path / "held"


def test_the_cpu_is_never_waited_for():
    with lease_device("cpu") as one, lease_device("cpu") as other:
        assert one == other == Lease(device="cpu", n_devices=0)


@pytest.mark.usefixtures("see")
def test_auto_is_the_cpu_where_torch_sees_no_gpu():
    with lease_device("auto") as lease:
        assert lease == Lease(device="cpu", n_devices=0)


def test_auto_does_not_ask_torch_where_no_driver_has_a_file(monkeypatch):
    monkeypatch.setattr(devices, "may_have_gpu", lambda: False)
    monkeypatch.delattr(torch_adapter, "cuda_uuids")
    with lease_device("auto") as lease:
        assert lease.device == "cpu"


@pytest.mark.parametrize("name", ["nvidia0", "nvidia11", "dxg", "kfd"])
def test_a_file_of_a_driver_says_that_there_may_be_a_gpu(tmp_path, monkeypatch, name):
    monkeypatch.setattr(devices, "Path", lambda _dev: tmp_path)
    (tmp_path / "nvidiactl").touch()  # is there without a card, too
    assert not may_have_gpu()
    (tmp_path / name).touch()
    assert may_have_gpu()


@pytest.mark.usefixtures("see")
def test_cuda_without_a_gpu_is_refused():
    with pytest.raises(SpecError, match="torch sees no GPU") as e, lease_device("cuda"):
        pass
    assert "PATHASSETS_DEVICE" in e.value.remedy


@pytest.mark.parametrize("wanted", ["auto", "cuda"])
@pytest.mark.usefixtures("one_gpu")
def test_a_gpu_is_leased_and_given_back(wanted):
    for _ in range(2):
        with lease_device(wanted) as lease:
            assert lease == Lease(device="cuda:0", n_devices=1)


@pytest.mark.usefixtures("one_gpu")
def test_a_gpu_is_given_back_after_an_error():
    with pytest.raises(LookupError), lease_device("cuda"):
        raise LookupError
    with lease_device("cuda") as lease:
        assert lease.device == "cuda:0"


def test_one_takes_the_gpu_that_is_free(see):
    see(cuda_0="GPU-a", cuda_1="GPU-b")
    with lease_device("cuda") as one, lease_device("cuda") as other:
        assert {one.device, other.device} == {"cuda:0", "cuda:1"}
        assert one.n_devices == 2


def test_processes_that_see_other_cards_by_one_name_do_not_wait_for_each_other(one_gpu, see):
    with lease_device("cuda") as one:
        see(cuda_0="GPU-b")
        with lease_device("cuda", on_wait=pytest.fail) as other:
            assert one.device == other.device == "cuda:0"
    assert list(one_gpu.iterdir()) == []


def test_a_card_is_one_whatever_a_process_calls_it(one_gpu, see, start_python):
    process = start_python(HOLDER, one_gpu, "cuda:3=GPU-a", 1, 600)
    assert process.stdout.readline() == "cuda:3\n"
    see(cuda_0="GPU-a", cuda_1="GPU-b")
    with lease_device("cuda") as lease:
        assert lease.device == "cuda:1"


@pytest.mark.timeout(60)
def test_who_waits_for_a_gpu_says_so_until_it_is_free(one_gpu, start_python):
    process = start_python(HOLDER, one_gpu, "cuda:0=GPU-a", 1, 600)
    assert process.stdout.readline() == "cuda:0\n"
    waited = []

    def wait():
        waited.append(threading.current_thread())
        if len(waited) == 2:
            process.kill()

    with lease_device("cuda", on_wait=wait) as lease:
        assert lease.device == "cuda:0"
    assert len(waited) >= 2


@pytest.mark.usefixtures("one_gpu")
def test_what_a_scheduler_assigned_is_taken_without_a_lock():
    with (
        lease_device("cuda") as held,
        lease_device("cuda", is_assigned=True, on_wait=pytest.fail) as one,
        lease_device("auto", is_assigned=True, on_wait=pytest.fail) as other,
    ):
        assert held == one == other


def test_of_several_that_a_scheduler_assigned_the_first_is_taken(see):
    see(cuda_0="GPU-a", cuda_1="GPU-b")
    with lease_device("cuda", is_assigned=True) as lease:
        assert lease == Lease(device="cuda:0", n_devices=2)


@pytest.mark.usefixtures("see")
def test_an_assignment_without_a_gpu_is_the_cpu():
    with lease_device("auto", is_assigned=True) as lease:
        assert lease == Lease(device="cpu", n_devices=0)


def test_processes_never_hold_one_gpu_at_once(one_gpu, start_python):
    processes = [start_python(HOLDER, one_gpu, f"cuda:{i}=GPU-a", 8, 0.02) for i in range(3)]
    for i, process in enumerate(processes):
        out, err = process.communicate(timeout=60)
        assert err == ""
        assert out.split() == [f"cuda:{i}"] * 8


@pytest.mark.timeout(60)
def test_a_killed_holder_gives_its_gpu_back(one_gpu, start_python):
    process = start_python(HOLDER, one_gpu, "cuda:0=GPU-a", 1, 600)
    assert process.stdout.readline() == "cuda:0\n"
    os.kill(process.pid, signal.SIGKILL)
    with lease_device("cuda") as lease:
        assert lease.device == "cuda:0"


@pytest.mark.parametrize(
    "uuid", [pytest.param(uuid, id=uuid[:4]) for uuid in ("MIG-GPU-7/1/../x", "ü" * 50, "7" * 500)]
)
def test_a_card_has_a_lock_whatever_a_driver_calls_it(see, uuid):
    see(cuda_0=uuid)
    with lease_device("cuda"):
        assert try_lock(uuid) is None
    lock = try_lock(uuid)
    assert lock is not None
    lock.close()


@pytest.mark.timeout(60)
def test_a_card_is_one_for_all_users_and_wherever_they_have_temporary_files(
    one_gpu, start_python, monkeypatch
):
    """As `pathassets ui`, a service with `PrivateTmp` and a job of Slurm have them elsewhere."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TMPDIR", str(one_gpu))
        process = start_python(OTHER_USER, "GPU-a")
    assert process.stdout.readline() == "True\n"
    waited = []

    def wait():
        waited.append(True)
        process.kill()

    with lease_device("cuda", on_wait=wait) as lease:
        assert lease.device == "cuda:0"
    assert waited


@pytest.fixture
def met(one_gpu, start_python, monkeypatch):
    """What two runs tell that are started at once, each with a card that it was given."""

    def met(*visible, within_s):
        runs = []
        for name in visible:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", name)
            runs.append(start_python(MEETER, one_gpu, within_s))
        told = [run.communicate(timeout=100) for run in runs]
        assert [err for _, err in told] == ["", ""]
        return [out.strip() for out, _ in told]

    return met


@pytest.mark.timeout(120)
def test_two_runs_that_were_given_different_cards_hold_them_at_once(met):
    assert met("0", "1", within_s=60.0) == ["cuda:0 True"] * 2


@pytest.mark.timeout(120)
def test_of_two_runs_that_were_given_the_same_card_one_waits(met):
    assert met("1", "GPU-b", within_s=1.5) == ["cuda:0 False"] * 2


@pytest.fixture
def give(see, monkeypatch):
    """Let this process be given what `simulated_cards` has, under these names."""

    def give(*names):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(names))
        see(**{name.replace(":", "_"): uuid for name, uuid in cuda_uuids().items()})

    return give


def test_slices_of_one_card_are_devices_of_their_own(give):
    give("MIG-b1")
    with lease_device("cuda") as one:
        assert one == Lease(device="cuda:0", n_devices=1)
        give("MIG-b2")
        with lease_device("cuda", on_wait=pytest.fail) as other:
            assert other.device == "cuda:0"
        give("0", "1")
        with lease_device("cuda", on_wait=pytest.fail) as cards:
            assert cards.n_devices == 2


@pytest.mark.timeout(60)
def test_a_slice_is_held_by_one(give):
    class WaitedError(Exception):
        pass

    def wait():
        raise WaitedError

    give("MIG-b1")
    with lease_device("cuda"), pytest.raises(WaitedError), lease_device("cuda", on_wait=wait):
        pass
