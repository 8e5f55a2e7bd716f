"""Bags -> what slideflow trains multiple-instance models from.

    bags/<name>.pt             features float32 (n, d)
    bags/bags_config.json      extractor, num_features, tile_px, tile_um
    annotations.csv            patient, slide, label, dataset: the part of the split, to filter by

The files <name>.index.npz, by which slideflow draws attention on a slide, are not written: what
their coordinates count from is not documented, and training reads none.

Source: https://github.com/slideflow/slideflow, docs-source/source/features.rst,
mil/train/__init__.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial

from pathassets.adapters.exchange.parts.bag_tensors import write_pt
from pathassets.adapters.exchange.parts.output import OutputFile, as_read, csv_file, text_file
from pathassets.core.exchange.bags import Bag, unsayable
from pathassets.core.exchange.training import TrainingRow


def slideflow_files(bag: Bag) -> Iterator[OutputFile]:
    """Files of one slide, and what all slides share; none of a slide without patches.

    Raises:
        SpecError: there are no features.
    """
    if not bag.n_columns:
        raise unsayable(bag, "slideflow", "patches without features", remedy="Export features")
    if not len(bag):
        return
    name = bag.slide.name
    yield OutputFile(path=f"bags/{name}.pt", write=partial(write_pt, bag=bag), source=bag.identity)
    yield text_file("bags/bags_config.json", _config(bag))


def _config(bag: Bag) -> str:
    footprint = bag.footprint
    said = {
        "extractor": {"class": bag.encoder, "kwargs": {}},
        "normalizer": None,
        "num_features": bag.n_columns,
        "tile_px": footprint.patch_px,
        "tile_um": round(footprint.patch_px * footprint.mpp, 6),
    }
    return json.dumps(said, indent=1) + "\n"


def slideflow_tables(rows: Sequence[TrainingRow]) -> Iterator[OutputFile]:
    """What slideflow takes for a dataset: which slide is of whom, its label and its part."""
    yield as_read(csv_file(
        "annotations.csv", ("patient", "slide", "label", "dataset"),
        ((row.patient, row.name, row.label, row.part) for row in rows),
    ), "slideflow", str)  # fmt: skip
