"""The settings of a process that runs models, and torch's failures in our words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from pathassets.core.features.encoder import EncoderCard
from pathassets.errors import EncoderError, SpecError

CPU_ROWS = 8
"""Patches per forward pass on the CPU, the last pass filled up with black ones.

oneDNN chooses its kernels by shape: a patch of 64 px has other last bits in a pass of its own (6e-5
of 98) than in company; in passes of one size it has the same ones, at any place. CPU-ms per patch
of 256 px on one thread: 61 alone, 50 by 4, 49 by 8, 50 by 16, 52 by 32, 61 by 64. Of the best, the
fewest rows waste least on filling up.
"""
CUDA_ROWS = 64
"""Likewise on a GPU, which wants more work at once. Not measured."""


def prepare_process(threads: int) -> None:
    """Give torch `threads` threads in this process; call it before the first encoder is opened.

    Raises:
        SpecError: there is no thread to work with.
    """
    if threads < 1:
        raise SpecError(f"threads {threads}: torch needs at least one")
    torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != 1:
        # torch refuses this once such work began. No encoder here has any, so nothing is lost.
        with contextlib.suppress(RuntimeError):
            torch.set_num_interop_threads(1)


@contextlib.contextmanager
def seeded() -> Iterator[None]:
    """Draw the same random numbers in here, whatever was drawn before, and change none after."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def cuda_devices() -> tuple[str, ...]:
    """Name the GPUs that torch sees, such as ('cuda:0', 'cuda:1')."""
    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return tuple(f"cuda:{i}" for i in range(n_devices))


def cuda_uuids() -> dict[str, str]:
    """The UUID of each GPU that torch sees: its name here is another one in another process."""
    return {device: str(torch.cuda.get_device_properties(device).uuid) for device in cuda_devices()}


def settle(card: EncoderCard, device: str) -> None:
    """Check that `device` is here, and hold a GPU to the precision that the card declares."""
    here = ("cpu", *cuda_devices())
    if device not in here:
        raise EncoderError(
            card.name,
            f"there is no device {device!r}",
            remedy=f"torch {torch.__version__} sees here: {', '.join(here)}.",
        )
    if device != "cpu":
        # cuDNN would round float32 to TF32 (10 bits) and choose its algorithms by timing them.
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True


@contextlib.contextmanager
def translate(card: EncoderCard, device: str) -> Iterator[None]:
    """Turn what torch raises into an EncoderError.

    Raises:
        EncoderError: memory ran out on the device, or torch failed there otherwise.
    """
    try:
        yield
    except RuntimeError as error:
        is_memory = isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
        fact = "memory ran out" if is_memory else "torch failed"
        said = str(error).partition("\n")[0]
        told = EncoderError(
            card.name,
            f"{fact} on {device}: {said}",
            remedy="Lay smaller patches, or end other work there." if is_memory else "",
        )
        if is_memory:
            told.reason = "resources_short"
        raise told from error
