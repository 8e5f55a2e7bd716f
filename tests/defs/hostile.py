"""A cohort in which every text of a stranger asks the reader's browser for something."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import tifffile

from tests.defs.small_slides import write_slide
from tests.engine.annotations import write_boxes

BAIT = "bait."
"""What an address begins with that nobody should ask for; no slide id has a point in it."""


def bait(field: str) -> str:
    """Markdown, HTML and what a terminal obeys, without a slash, for file names have none."""
    return f"{cell_bait(field)}\x1b]0;owned\x07\u202e"


def cell_bait(field: str) -> str:
    """The same for a table, whose cells hold no control character, and no quotation mark here."""
    return (
        f"![x]({BAIT}{field}) <img src={BAIT}{field}> [x]({BAIT}{field}) ` "
        f"[link={BAIT}{field}]x[/link]"
    ).replace("/", "")


@dataclass(frozen=True)
class Hostile:
    """What was written."""

    named: Path
    """A good slide with such a name, patient, label and annotations."""
    stated: Path
    """A slide whose header states such a resolution."""
    lost: Path
    """A slide whose file is to be taken away before it is run."""
    no_slide: Path
    """A file that is none."""
    cohort: Path
    annotation: Path


def write_recipe(home: Path) -> None:
    """Write a recipe of such words, with a model that fails with such words."""
    said = json.dumps(bait("parameter"))
    (home / "recipe.yaml").write_text(
        f"""
annotations: {{tumour: {{about: {json.dumps(bait("about"))}}}}}
tissue_mask: {{otsu: {{method: otsu, mpp: 8.0}}}}
patch_locations: {{grid: {{tissue_mask: otsu, patch_px: 256, mpp: 0.5}}}}
features:
  colour: {{patch_locations: grid, encoder: colour_stats}}
  broken:
    patch_locations: grid
    encoder: {{name: "hostile_model:build", kwargs: {{note: {said}}}, version: "1"}}
dataset: {{cohort: {{features: colour, split: {{train: 1.0}}, seed: 0}}}}
"""
    )
    (home / "hostile_model.py").write_text(
        f"def build(note): raise ValueError({bait('error')!r} + note)\n"
    )


def write_hostile(folder: Path) -> Hostile:
    """Write the cohort."""
    folder.mkdir(exist_ok=True)
    written = Hostile(
        named=write_slide(folder / f"a {cell_bait('name')}.svs", 1),
        stated=write_slide(folder / "b.svs", 2),
        lost=write_slide(folder / f"c {bait('lost')}.svs", 3),
        no_slide=folder / f"d {bait('refused')}.svs",
        cohort=folder / "cohort.csv",
        annotation=folder / f"a {bait('annotation')}.geojson",
    )
    header = tifffile.tiffcomment(written.stated)
    said = f"MPP = ![x]({BAIT}header) <img src={BAIT}header> \x1b[2J{'x' * 100_000}"
    tifffile.tiffcomment(written.stated, header.replace("MPP = 0.5", said).encode())
    written.no_slide.write_bytes(b"not a slide")
    patient, label = cell_bait("patient"), cell_bait("label")
    written.cohort.write_text(f'file,patient,label\n"{written.named.name}","{patient}","{label}"\n')
    write_boxes(written.annotation, (200.0, 200.0, 500.0, 500.0), labels=(bait("class"),))
    return written
