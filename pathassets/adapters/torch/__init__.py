"""The only door to torch: models that run on it, and the settings of a process that runs them.

Importing torch takes seconds. Whoever may not need it imports this package inside a function.
"""

from pathassets.adapters.torch.module import TorchEncoder
from pathassets.adapters.torch.process import (
    CPU_ROWS,
    CUDA_ROWS,
    cuda_devices,
    cuda_uuids,
    prepare_process,
    seeded,
    translate,
)
from pathassets.adapters.torch.resnet18 import ResNet18Encoder

__all__ = [
    "CPU_ROWS",
    "CUDA_ROWS",
    "ResNet18Encoder",
    "TorchEncoder",
    "cuda_devices",
    "cuda_uuids",
    "prepare_process",
    "seeded",
    "translate",
]
