"""Artifacts -> files that other tools read, slide by slide.

    WHAT ─▶ members ─▶ bag of each ─▶ files of a format ─▶ folder, each whole or not at all
                                                      └──▶ tables, where WHAT is a dataset

A slide that a format cannot say, or whose name cannot name files, is refused, with the reason; the
others are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from pathassets.adapters.exchange.anndata import anndata_files
from pathassets.adapters.exchange.clam import (
    between_levels,
    clam_files,
    clam_tables,
    find_level_patch,
)
from pathassets.adapters.exchange.parts.folder import ExportFolder
from pathassets.adapters.exchange.parts.output import OutputFile, csv_file
from pathassets.adapters.exchange.qupath import MAX_MEASUREMENTS, Drawing, qupath_files
from pathassets.adapters.exchange.slideflow import slideflow_files, slideflow_tables
from pathassets.adapters.exchange.spatialdata import spatialdata_files
from pathassets.adapters.exchange.stamp import stamp_files, stamp_slide_files, stamp_tables
from pathassets.adapters.exchange.trident import trident_files, trident_slide_files
from pathassets.adapters.objects.remote_file import on_disk
from pathassets.core.exchange.bags import Bag, SlideVector
from pathassets.core.exchange.components import as_components
from pathassets.core.exchange.names import NameBy, names_of, unfit_names
from pathassets.core.exchange.training import TrainingRow
from pathassets.core.recipe import ANNOTATIONS
from pathassets.core.stages import SLIDE_EMBEDDING
from pathassets.core.text import counted
from pathassets.engine.platform.exchange.bags import (
    PATCH_STAGES,
    drawn_of,
    facts_of,
    look_at,
    open_bag,
    open_vector,
    tissue_of,
)
from pathassets.engine.platform.exchange.what import (
    Member,
    find_members,
    parse_place,
    version_of,
)
from pathassets.engine.platform.platform import Platform
from pathassets.errors import PathAssetsError, SpecError
from pathassets.errors.wording import without_subject

Tool = Literal["trident", "clam", "stamp", "slideflow", "spatialdata", "qupath", "anndata"]
State = Literal["written", "kept", "refused", "empty"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What is to be exported, and how."""

    tool: Tool
    what: str
    to: Path
    slides: Sequence[str] = ()
    """Ids; all, where none is named."""
    names: NameBy = "file"
    overwrite: bool = False
    without_forgotten: bool = False
    """Whether the rest of a dataset is meant, where slides of it were taken out since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedSlide:
    """What became of one slide, or of the tables, in an export."""

    subject: str
    """Its id, or the table."""
    state: State
    files: tuple[str, ...] = ()
    said: str = ""
    """Why it was refused, or what of it is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    """How one tool's files are made."""

    files: Callable[[Bag], Iterator[OutputFile]]
    tables: Callable[[list[TrainingRow]], Iterator[OutputFile]]
    opens_slide: bool = False
    """Whether it says what only the slide's file tells."""
    said: Callable[[Bag], str] = lambda _bag: ""
    """What of a bag it leaves out."""


def export(platform: Platform, request: ExportRequest) -> Iterator[ExportedSlide]:
    """Export what is asked for; gives each slide once its files are there.

    Raises:
        SpecError: WHAT is impossible, or TO a URL.
        CatalogError: a slide or dataset is not known.
        MembersForgotten: of a dataset's slides some were taken out since, and the rest is not asked
            for.
        StoreError: the folder cannot be written.
    """
    on_disk(request.to)
    place = parse_place(platform, request.what)
    if not (place.is_dataset or place.stage in PATCH_STAGES or _takes(request.tool, place.stage)):
        raise SpecError(
            f"{request.what}: {request.tool} has no place for it",
            remedy="Name features, patch_locations or a dataset; TRIDENT and STAMP take "
            "slide_embedding, too, QuPath tissue_mask and annotations",
        )
    if place.is_dataset:  # one version, whatever is built meanwhile
        version = version_of(platform, place.name, place.digest).address
        place = replace(place, digest=version.digest)
    members = find_members(
        platform, place, request.slides, without_forgotten=request.without_forgotten
    )
    names = names_of({m.record.slide_id: m.file_name for m in members}, request.names)
    unfit = unfit_names(names)
    _refuse_store(platform, request.to)
    folder = ExportFolder(request.to, overwrite=request.overwrite)
    with folder.hold():
        done = []
        for member in members:
            slide_id = member.record.slide_id
            if slide_id in unfit:
                yield ExportedSlide(subject=slide_id, state="refused", said=unfit[slide_id])
                continue
            one = _export_slide(platform, request.tool, member, names[slide_id], folder)
            if one.state != "refused":
                done.append(member)
            yield one
        if place.is_dataset:
            tables = _export_tables(request.tool, done, names, folder, str(version))
            n_refused = len(members) - len(done)
            said = f"without {counted(n_refused, 'refused slide')}" if n_refused else ""
            yield replace(tables, said=tables.said or said)


def _takes(tool: Tool, stage: str) -> bool:
    """Whether a tool has a place for what is not made of patches one by one."""
    return tool in _VECTORS if stage == SLIDE_EMBEDDING else tool == "qupath"


def _refuse_store(platform: Platform, to: Path) -> None:
    if to.resolve().is_relative_to(platform.store.work.resolve()):
        raise SpecError(f"{to}: lies in the store", remedy="Export to a folder outside of it")


def _export_slide(
    platform: Platform,
    tool: Tool,
    member: Member,
    name: str,
    folder: ExportFolder,
) -> ExportedSlide:
    """Write one slide's files, all of which can be said, or none."""
    slide_id = member.record.slide_id
    try:
        files, said = _files_of(platform, tool, member, name)
        states = {file.path: folder.put(file, str(member.address)) for file in files}
    except PathAssetsError as error:
        return ExportedSlide(
            subject=slide_id, state="refused", said=without_subject(slide_id, str(error))
        )
    state: State = "empty" if not states else "kept"
    if "written" in states.values():
        state = "written"
    return ExportedSlide(subject=slide_id, state=state, files=tuple(states), said=said)


def _files_of(
    platform: Platform, tool: Tool, member: Member, name: str
) -> tuple[list[OutputFile], str]:
    if tool == "qupath":
        drawing = _drawing(platform, member, name)
        return list(qupath_files(drawing)), _no_tissue(drawing.bag) if drawing.bag else ""
    if member.address.stage == SLIDE_EMBEDDING:
        facts = facts_of(member, name, None)
        return list(_VECTORS[tool](open_vector(platform, member, facts))), ""
    how = _FORMATS[tool]
    info = look_at(platform, member.record.slide_id) if how.opens_slide else None
    bag = open_bag(platform, member, facts_of(member, name, info))
    return list(how.files(bag)), how.said(bag)


def _drawing(platform: Platform, member: Member, name: str) -> Drawing:
    """What QuPath shows of an artifact, from the corner that it counts from."""
    info = look_at(platform, member.record.slide_id)
    if info is None:
        raise SpecError(
            f"{member.record.slide_id}: its file cannot be opened, so nothing tells whether QuPath "
            "counts from the corner of level 0 or of the slide's bounds",
            remedy="Bring the file back, and export again",
        )
    plain = Drawing(name=name, source=str(member.address), shift_px0=np.array(info.origin_px0))
    address = member.address
    if address.stage == ANNOTATIONS:
        return replace(plain, drawn=drawn_of(platform, address))
    if address.stage == "tissue_mask":
        return replace(plain, tissue=tissue_of(platform, address))
    if address.stage not in PATCH_STAGES:
        raise SpecError(
            f"{address}: QuPath cannot show it",
            remedy="Export features, patch_locations, tissue_mask or annotations",
        )
    bag = open_bag(platform, member, facts_of(member, name, info))
    shown = as_components(bag) if bag.n_columns > MAX_MEASUREMENTS else bag
    return replace(plain, bag=shown, tissue=bag.tissue)


def _export_tables(
    tool: Tool,
    members: Iterable[Member],
    names: Mapping[str, str],
    folder: ExportFolder,
    dataset: str,
) -> ExportedSlide:
    """Write what a tool trains from, of the slides whose files are there."""
    try:
        rows = [_training_row(member, names) for member in members]
        tables = _plain_tables if tool == "qupath" else _FORMATS[tool].tables
        states = {file.path: folder.put(file, dataset) for file in list(tables(rows))}
    except PathAssetsError as error:
        return ExportedSlide(subject="tables", state="refused", said=str(error))
    state: State = "written" if "written" in states.values() else "kept"
    return ExportedSlide(subject="tables", state=state, files=tuple(states))


def _training_row(member: Member, names: Mapping[str, str]) -> TrainingRow:
    slide_id = member.record.slide_id
    return TrainingRow(
        slide_id=slide_id, name=names[slide_id], patient=member.patient or slide_id,
        label=member.label, part=member.split,
    )  # fmt: skip


def _plain_tables(rows: list[TrainingRow]) -> Iterator[OutputFile]:
    """One table, of a tool that has none of its own."""
    yield csv_file(
        "dataset.csv", ("slide_id", "name", "patient", "label", "split"),
        ((row.slide_id, row.name, row.patient, row.label, row.part) for row in rows),
    )  # fmt: skip


def _no_tissue(bag: Bag) -> str:
    """Why outlines of tissue are not shown; empty where they are, or there are none."""
    return bag.tissue_said


def _no_patches(bag: Bag) -> str:
    """Why CLAM gets no file to read patches by; empty where it does."""
    if find_level_patch(bag) is not None:
        return ""
    return f"features without patches/: CLAM cannot say {between_levels(bag)}"


_FORMATS: Mapping[str, _Format] = {
    "trident": _Format(files=trident_files, tables=_plain_tables),
    "clam": _Format(files=clam_files, tables=clam_tables, opens_slide=True, said=_no_patches),
    "stamp": _Format(files=stamp_files, tables=stamp_tables),
    "slideflow": _Format(files=slideflow_files, tables=slideflow_tables),
    "spatialdata": _Format(
        files=spatialdata_files, tables=_plain_tables, opens_slide=True, said=_no_tissue
    ),
    "anndata": _Format(files=anndata_files, tables=_plain_tables),
}
_VECTORS: Mapping[str, Callable[[SlideVector], Iterator[OutputFile]]] = {
    "trident": trident_slide_files,
    "stamp": stamp_slide_files,
}
"""Tools with a place for one vector of a slide."""
