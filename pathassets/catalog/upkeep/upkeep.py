"""What upkeep asks and writes: reconciling, deriving, hashing, clearing, dumps."""

from __future__ import annotations

from pathassets.catalog.upkeep.clearing import Clearing
from pathassets.catalog.upkeep.deriving import Deriving
from pathassets.catalog.upkeep.dump import Dumping
from pathassets.catalog.upkeep.forgetting import Forgetting
from pathassets.catalog.upkeep.hashing import Hashing
from pathassets.catalog.upkeep.identity import Identities
from pathassets.catalog.upkeep.reconciling import Reconciling


class Upkeep(Reconciling, Deriving, Hashing, Clearing, Forgetting, Dumping, Identities):
    """The part of the catalog that keeps it right."""
