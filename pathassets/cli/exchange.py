"""`pathassets export` and `import`: features as files of other tools, and the other way round."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from pathassets import report
from pathassets.cli.home import opened
from pathassets.cli.options import SOME_FAILED, SOURCE_FOLDER, TARGET, WORDS, Number
from pathassets.core.exchange.names import NameBy
from pathassets.core.stages import FEATURES
from pathassets.core.text import counted
from pathassets.engine.platform.exchange.adopt import Imported, ImportRequest, adopt
from pathassets.engine.platform.exchange.export import ExportRequest, Tool, export
from pathassets.engine.platform.exchange.savings import savings_of
from pathassets.engine.platform.exchange.sources import Source
from pathassets.engine.platform.platform import Platform, open_to_read
from pathassets.engine.platform.selection import choose_slides
from pathassets.engine.settings import read_settings

if TYPE_CHECKING:
    import dagster as dg

MEANT = "Slide ids, a,b or repeated, or what they have in common: cohort:luad; all if none."


@click.command("export")
@click.argument("tool", type=click.Choice(get_args(Tool)))
@click.argument("what")
@click.argument("to", type=TARGET)
@click.option("--slides", multiple=True, metavar="SELECTION", help=MEANT)
@click.option(
    "--names", type=click.Choice(get_args(NameBy)), default="file", show_default=True,
    help="What a slide's files are called: as its own file, or by its id.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace files that have other content.")
@click.option(
    "--without-forgotten", is_flag=True,
    help="Write the rest of a dataset, where slides of it were taken out since.",
)  # fmt: skip
def export_command(  # noqa: PLR0913 - the options of a command
    tool: Tool, what: str, to: Path, slides: tuple[str, ...], names: NameBy, *, overwrite: bool,
    without_forgotten: bool,
) -> None:  # fmt: skip
    """Write WHAT into the folder TO as files that a TOOL reads.

    WHAT is an entry of the recipe (features/NAME), a dataset with its split (dataset/NAME), or one
    slide's artifact (features/NAME/SLIDE).
    """
    request = ExportRequest(
        tool=tool, what=what, to=to, slides=slides, names=names, overwrite=overwrite,
        without_forgotten=without_forgotten,
    )  # fmt: skip
    done = []
    with open_to_read(read_settings()) as platform:
        for one in export(platform, request):
            click.echo(report.exported_line(one))
            done.append(one)
    click.echo(report.exported_end(done))
    if any(one.state == "refused" for one in done):
        sys.exit(SOME_FAILED)


@click.command("import")
@click.argument("tool", type=click.Choice(get_args(Source)))
@click.argument("folder", type=SOURCE_FOLDER)
@click.option("--features", required=True, help="The entry of the recipe that they stand in for.")
@click.option("--dry-run", is_flag=True, help="Say what would be adopted and refused; do nothing.")
@click.option(
    "--patches", type=SOURCE_FOLDER,
    help="CLAM's folder of patches, which says how large they are.",
)  # fmt: skip
@click.option(
    "--max-off", type=Number(0.0, 0.5), default=0.0, show_default=True,
    help="Share by which the side of a patch may differ from the entry's; a pixel always may.",
)  # fmt: skip
@click.option(
    "--accept-edited", is_flag=True,
    help="Take what was changed after pathassets exported it for features of another.",
)  # fmt: skip
@click.option(
    "--rate", type=Number(0.001, 1e9),
    help="Patches per second, to say what was saved; measured here where it can be.",
)  # fmt: skip
def import_command(  # noqa: PLR0913, PLR0917 - the options of a command
    tool: Source, folder: Path, features: str, patches: Path | None, max_off: float,
    rate: float | None, *, accept_edited: bool, dry_run: bool,
) -> None:  # fmt: skip
    """Take over features that a TOOL left in FOLDER; `run` computes the slides that lack some.

    What does not fit slide and entry is refused with the reason. What is taken over stays told
    from what was computed here: its provenance is external.
    """
    request = ImportRequest(
        tool=tool, folder=folder, features=features, patches=patches, max_off=max_off,
        accepts_edited=accept_edited, is_dry=dry_run,
    )  # fmt: skip
    if dry_run:
        with open_to_read(read_settings()) as platform:
            done = _import(platform, request, rate)
    else:
        with opened() as (platform, instance):
            done = _import(platform, request, rate)
            adopted = [one.slide_id for one in done if one.state == "adopted"]
            _report(platform, instance, features, adopted)
    if any(one.state == "refused" for one in done):
        sys.exit(SOME_FAILED)


def _import(platform: Platform, request: ImportRequest, rate: float | None) -> list[Imported]:
    done = []
    for one in adopt(platform, request):
        click.echo(report.imported_line(one, is_dry=request.is_dry))
        done.append(one)
    savings = savings_of(platform, request.features, done, rate)
    click.echo(report.imported_end(done, savings, is_dry=request.is_dry))
    return done


@click.command("unimport")
@click.option("--features", required=True, help="The entry of the recipe that they stand in for.")
@click.option("--slides", multiple=True, metavar="SELECTION", help=MEANT)
@click.option("--who", required=True, type=WORDS, help="Who states it.")
@click.option("--why", required=True, type=WORDS, help="Where it is from.")
def unimport_command(features: str, slides: tuple[str, ...], who: str, why: str) -> None:
    """State that imported features count no more: `run` computes those slides."""
    with opened() as (platform, _):
        chosen = choose_slides(platform, slides) if slides else None
        changed = platform.catalog.withdraw_adopted(features, chosen, who=who, why=why)
        if not changed:  # of an entry that the recipe has no more something may be left
            platform.recipe.entry((FEATURES, features))
    for slide_id in changed:
        click.echo(f"{slide_id}: what was imported for features/{features} counts no more")
    nothing = f"nothing that counts was imported for features/{features}"
    click.echo(counted(len(changed), "slide") if changed else nothing)


def _report(
    platform: Platform, instance: dg.DagsterInstance, features: str, slide_ids: list[str]
) -> None:
    from pathassets.defs.build import build_definitions  # noqa: PLC0415 - dagster takes seconds
    from pathassets.defs.launch import report_imported  # noqa: PLC0415

    if slide_ids:
        definitions = build_definitions(platform.recipe)
        report_imported(definitions, instance, platform, features, slide_ids)
