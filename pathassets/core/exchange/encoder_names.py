"""Encoders: what they are called here <-> in other tools.

Slide encoders of other tools look for the name of the patch encoder that they need. Sources:
https://github.com/mahmoodlab/TRIDENT, patch_encoder_models/load.py;
https://github.com/KatherLab/STAMP, preprocessing/config.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from pathassets.core.features.encoder_cards import known_name

TRIDENT: Mapping[str, str] = MappingProxyType(
    {
        "conch-v1.5": "conch_v15",
        "h-optimus-0": "hoptimus0",
        "h-optimus-1": "hoptimus1",
        "hibou-l": "hibou_l",
        "midnight-12k": "midnight12k",
        "phikon-v2": "phikon_v2",
        "prov-gigapath": "gigapath",
        "resnet50-imagenet": "resnet50",
        "uni": "uni_v1",
        "uni2-h": "uni_v2",
    }
)
"""Names of TRIDENT's, where they are not ours."""
STAMP: Mapping[str, str] = MappingProxyType(
    {
        "conch-v1.5": "conch1_5",
        "h-optimus-0": "h_optimus_0",
        "h-optimus-1": "h_optimus_1",
        "prov-gigapath": "gigapath",
        "uni2-h": "uni2",
    }
)
"""Names of STAMP's, where they are not ours."""
_OURS = {theirs: ours for names in (TRIDENT, STAMP) for ours, theirs in names.items()}


def our_name(theirs: str) -> str:
    """What an encoder of another tool is called here; an unknown one keeps its name.

    >>> our_name("conch_v15"), our_name("uni_v2"), our_name("virchow2"), our_name("mine")
    ('conch-v1.5', 'uni2-h', 'virchow2', 'mine')
    """
    return _OURS.get(theirs, known_name(theirs))


def folder_name(encoder: str) -> str:
    """An encoder's name as a part of a folder's.

    >>> folder_name("timm:vit_small_patch16_224"), folder_name("conch_v15"), folder_name("../x")
    ('timm-vit_small_patch16_224', 'conch_v15', 'x')
    """
    return re.sub(r"[^A-Za-z0-9_.]+", "-", encoder).strip("-.") or "encoder"
