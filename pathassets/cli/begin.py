"""`pathassets init`, `sample`, `demo`: a home to begin in, slides to try, the chain over them."""

from __future__ import annotations

from pathlib import Path

import click

from pathassets import report
from pathassets.cli.home import make_current, opened, register
from pathassets.cli.options import TARGET
from pathassets.core.text import counted, visible
from pathassets.engine.platform.ingestion.cohort_table import read_cohort
from pathassets.engine.platform.ingestion.demo import write_sample_cohort
from pathassets.engine.platform.ingestion.demo_patients import write_patients
from pathassets.engine.platform.ingestion.ingest import find_files
from pathassets.engine.platform.ingestion.new_home import begin_home
from pathassets.engine.settings import read_settings


@click.command()
@click.argument("folder", type=TARGET)
def init(folder: Path) -> None:
    """Make FOLDER a home: a recipe with comments, settings, an example of a cohort table."""
    for file in begin_home(folder):
        click.echo(visible(f"{'wrote' if file.is_new else 'kept'} {file.path}"))
    report.next_steps(folder)


@click.command()
@click.argument("folder", type=TARGET)
@click.option("--seed", default=0, show_default=True)
@click.option("--patients", type=int, help="Instead, a slide of each of so many, to train on.")
def sample(folder: Path, seed: int, patients: int | None) -> None:
    """Write six small slides with known ground truth into FOLDER."""
    if patients is None:
        n_slides = len(write_sample_cohort(folder, seed=seed))
    else:
        n_slides = len(write_patients(folder, patients, seed=seed))
    click.echo(visible(f"{counted(n_slides, 'sample slide')} in {folder}"))


@click.command()
def demo() -> None:
    """Write the sample cohort, register it, run the recipe on it, and print where it stands."""
    folder = read_settings().home / "demo"
    write_sample_cohort(folder)
    with opened(is_beginning=True) as (platform, instance):
        table = read_cohort(folder / "cohort.csv")
        register(platform, instance, find_files([folder]), table, "stem")
        make_current(platform, instance, (), (), retry=False)
        report.demo_end(platform)
