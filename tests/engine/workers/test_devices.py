import os
import signal

import pytest

from pathassets.adapters import torch as torch_adapter
from pathassets.engine.workers.devices import lease_device
from pathassets.errors import SpecError

HOLDER = """
import sys
import time
from pathlib import Path
from pathassets.engine.workers import devices

devices._gpus = lambda wanted: tuple(sys.argv[2].split(","))
log = Path(sys.argv[1])
for i in range(int(sys.argv[3])):
    with devices.lease_device("cuda") as device:
        held = log / device
        held.touch(exist_ok=False)  # fails where another holds the same device
        print(device, flush=True)
        time.sleep(float(sys.argv[4]))
        held.unlink()
"""


@pytest.fixture
def one_gpu(tmp_path, monkeypatch):
    """A machine with one GPU, and lock files of its own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(torch_adapter, "cuda_devices", lambda: ("cuda:0",))
    (tmp_path / "held").mkdir()
    return tmp_path / "held"


def test_the_cpu_is_never_waited_for():
    with lease_device("cpu") as one, lease_device("cpu") as other:
        assert one == other == "cpu"


def test_auto_is_the_cpu_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(torch_adapter, "cuda_devices", tuple)
    with lease_device("auto") as device:
        assert device == "cpu"


def test_cuda_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch_adapter, "cuda_devices", tuple)
    with pytest.raises(SpecError, match="torch sees no GPU") as e, lease_device("cuda"):
        pass
    assert "PATHASSETS_DEVICE" in e.value.remedy


@pytest.mark.parametrize("wanted", ["auto", "cuda"])
@pytest.mark.usefixtures("one_gpu")
def test_a_gpu_is_leased_and_given_back(wanted):
    for _ in range(2):
        with lease_device(wanted) as device:
            assert device == "cuda:0"


@pytest.mark.usefixtures("one_gpu")
def test_a_gpu_is_given_back_after_an_error():
    with pytest.raises(LookupError), lease_device("cuda"):
        raise LookupError
    with lease_device("cuda") as device:
        assert device == "cuda:0"


def test_one_takes_the_gpu_that_is_free(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(torch_adapter, "cuda_devices", lambda: ("cuda:0", "cuda:1"))
    with lease_device("cuda") as one, lease_device("cuda") as other:
        assert {one, other} == {"cuda:0", "cuda:1"}


def test_processes_never_hold_one_gpu_at_once(one_gpu, start_python):
    processes = [start_python(HOLDER, one_gpu, "cuda:0", 8, 0.02) for _ in range(3)]
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert err == ""
        assert out.split() == ["cuda:0"] * 8


@pytest.mark.timeout(60)
def test_a_killed_holder_gives_its_gpu_back(one_gpu, start_python):
    process = start_python(HOLDER, one_gpu, "cuda:0", 1, 600)
    assert process.stdout.readline() == "cuda:0\n"
    os.kill(process.pid, signal.SIGKILL)
    with lease_device("cuda") as device:
        assert device == "cuda:0"


def test_the_lock_files_are_open_to_every_user(one_gpu):
    old = os.umask(0o077)
    try:
        with lease_device("cuda"):
            folder = one_gpu.parent / "pathassets-devices"
            assert folder.stat().st_mode & 0o777 == 0o777
            assert (folder / "cuda-0.lock").stat().st_mode & 0o666 == 0o666
    finally:
        os.umask(old)
