"""torchvision beside a torch that it was not built for: enough of it for timm to be imported.

Its compiled operators cannot be loaded then, and its Python part, which timm imports, asks for two
of them by name. They are declared here, and never called.
"""

import importlib
import sys

import torch

_LIBRARIES: list[torch.library.Library] = []
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def declare() -> None:
    """Declare the operators, once in a process, and only where torchvision lacks them."""
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError:
        return
    except RuntimeError as error:
        if "torchvision::" not in str(error) or _LIBRARIES:
            raise
    else:
        return
    for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(name + _SIGNATURE)
    _LIBRARIES.append(library)
    importlib.import_module("torchvision")
