"""Bags <-> TRIDENT's job folder.

    <mag>x_<px>px_<overlap>px_overlap/patches/<name>_patches.h5       coords
                                      features_<encoder>/<name>.h5    features, coords
                                      slide_features_<method>-<encoder>/<name>.h5
    contours_geojson/<name>.geojson                                   tissue

Attributes are on the dataset `coords`. Source: https://github.com/mahmoodlab/TRIDENT, IO.py
(coords_to_h5, read_coords), WSI.py, slide_encoder_models/load.py. Files are chunked by a thousand
rows, where TRIDENT's own have chunks of one: its readers read them whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pathassets.adapters.exchange.parts.claims import PREFIX, claims_of
from pathassets.adapters.exchange.parts.h5_bags import as_text, h5_rows, number, read_h5_bag
from pathassets.adapters.exchange.parts.hdf5 import new_h5, put_array, put_rows
from pathassets.adapters.exchange.parts.output import OutputFile, text_file
from pathassets.core.exchange.bags import Bag, SlideVector, unsayable
from pathassets.core.exchange.encoder_names import TRIDENT, folder_name
from pathassets.core.exchange.footprints import magnifications_of, side_of
from pathassets.core.exchange.found import Found, FoundFeatures, Unreadable
from pathassets.core.spec import canonical_json
from pathassets.errors import SpecError, StoreError

TOOL = "TRIDENT"
CRS = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}
"""The coordinates are pixels; geopandas warns where a file names no system at all."""


def trident_files(bag: Bag) -> Iterator[OutputFile]:
    """Files of one slide.

    Raises:
        SpecError: its patches are no grid whose overlap is whole pixels.
    """
    folder, attributes = _grid_folder(bag), coords_attributes(bag)
    name, said = bag.slide.name, f"{bag.identity} {canonical_json(attributes)}"
    yield OutputFile(
        path=f"{folder}/patches/{name}_patches.h5", source=said,
        write=partial(_write_patches, bag=bag, savetodir="patches"),
    )  # fmt: skip
    if bag.n_columns:
        features = f"features_{folder_name(TRIDENT.get(bag.encoder, bag.encoder))}"
        yield OutputFile(
            path=f"{folder}/{features}/{name}.h5", source=said,
            write=partial(_write_features, bag=bag, savetodir=features),
        )  # fmt: skip
    if bag.tissue:
        yield text_file(f"contours_geojson/{name}.geojson", _contours(bag))


def trident_slide_files(one: SlideVector) -> Iterator[OutputFile]:
    """The file of one slide's vector.

    Raises:
        SpecError: the patches that it was made of are no grid whose overlap is whole pixels.
    """
    encoder = TRIDENT.get(one.bag.encoder, one.bag.encoder)
    folder = f"slide_features_{folder_name(f'{one.method}-{encoder}')}"
    yield OutputFile(
        path=f"{_grid_folder(one.bag)}/{folder}/{one.bag.slide.name}.h5",
        source=f"{one.identity} {canonical_json(coords_attributes(one.bag))}",
        write=partial(_write_vector, one=one, savetodir=folder),
    )


def coords_attributes(bag: Bag) -> dict[str, Any]:
    """What TRIDENT keeps with coordinates."""
    footprint, slide = bag.footprint, bag.slide
    said = magnifications_of(footprint)
    return {
        "patch_size": footprint.patch_px,
        "patch_size_level0": footprint.side_px0,
        "level0_magnification": said.level0,
        "target_magnification": said.target,
        "overlap": _overlap_px(bag),
        "name": slide.name,
        "level0_width": slide.width_px0,
        "level0_height": slide.height_px0,
        **claims_of(bag),
    }


def _grid_folder(bag: Bag) -> str:
    target = magnifications_of(bag.footprint).target
    return f"{target:.6g}x_{bag.footprint.patch_px}px_{_overlap_px(bag)}px_overlap"


def _overlap_px(bag: Bag) -> int:
    overlap_px = bag.footprint.overlap_px
    if overlap_px is None:
        raise unsayable(
            bag, TOOL, "an overlap of patches that are drawn, or whose grid nobody knows",
            remedy="Export them for CLAM, STAMP or anndata, which ask for no grid",
        )  # fmt: skip
    if overlap_px < 0 or overlap_px != int(overlap_px):
        raise unsayable(
            bag, TOOL, f"an overlap of {overlap_px:g} px: it takes whole pixels from 0 on",
            remedy="Export patches whose stride_px is whole and no larger than patch_px",
        )  # fmt: skip
    return int(overlap_px)


def _write_patches(where: Path, *, bag: Bag, savetodir: str) -> None:
    with new_h5(where) as file:
        _put_coords(file, bag, savetodir)


def _write_features(where: Path, *, bag: Bag, savetodir: str) -> None:
    with new_h5(where) as file:
        rows = put_rows(file, "features", bag.chunks(), (len(bag), bag.n_columns), "float32")
        rows.attrs["name"] = bag.slide.name
        rows.attrs["savetodir"] = savetodir
        rows.attrs["encoder"] = TRIDENT.get(bag.encoder, bag.encoder)
        _put_coords(file, bag, savetodir)


def _write_vector(where: Path, *, one: SlideVector, savetodir: str) -> None:
    with new_h5(where) as file:
        attributes = {"name": one.bag.slide.name, "savetodir": savetodir}
        put_array(file, "features", one.vector, {**attributes, f"{PREFIX}source": one.source})
        _put_coords(file, one.bag, savetodir)


def _put_coords(file: Any, bag: Bag, savetodir: str) -> None:
    corners_px0 = np.ascontiguousarray(bag.boxes_px0[:, :2])
    put_array(file, "coords", corners_px0, {**coords_attributes(bag), "savetodir": savetodir})


def _contours(bag: Bag) -> str:
    features = [
        {
            "type": "Feature",
            "properties": {"tissue_id": number},
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [*ring, ring[0]]
                    for ring in (each.tolist() for each in (piece.points, *piece.holes))
                ],
            },
        }
        for number, piece in enumerate(bag.tissue)
    ]
    return json.dumps({"type": "FeatureCollection", "crs": CRS, "features": features}) + "\n"


# What TRIDENT left


def find_trident(folder: Path) -> Iterator[Found]:
    """Features below a job's folder, or in one folder of features, file by file.

    Raises:
        SpecError: there are none.
    """
    places = [folder] if folder.name.startswith("features_") else sorted(_feature_folders(folder))
    if not places:
        raise SpecError(
            f"{folder}: has no folder features_<encoder>", remedy="Name TRIDENT's job folder"
        )
    for place in places:
        for path in sorted(place.glob("*.h5")):
            yield _read(path, folder, place.name.removeprefix("features_"))


def _feature_folders(folder: Path) -> Iterator[Path]:
    for pattern in ("features_*", "*/features_*"):
        yield from (path for path in folder.glob(pattern) if path.is_dir())


def _read(path: Path, folder: Path, encoder: str) -> Found:
    try:
        bag = read_h5_bag(path, folder)
    except StoreError as error:
        return Unreadable(name=path.stem, path=path, said=error.message)
    said = bag.of_coords
    kept = ("patch_size", "level0_magnification", "target_magnification", "overlap")
    return FoundFeatures(
        tool="trident", name=path.stem, stated_name=as_text(said.get("name")), files=(path,),
        read_corners=bag.read_corners, unit="px0", side=_side_px0(said),
        n_rows=bag.n_rows, n_columns=bag.n_columns, dtype=bag.dtype, chunks=h5_rows(path),
        encoder=as_text(bag.of_features.get("encoder")) or encoder,
        slide_size_px0=bag.slide_size_px0, slide_sha256=bag.claimed("slide_sha256"),
        weights_sha256=bag.claimed("weights_sha256"), exported_from=bag.claimed("source"),
        is_export=bag.has_claims,
        parameters={name: said[name] for name in kept if name in said},
    )  # fmt: skip


def _side_px0(said: Mapping[str, Any]) -> float | None:
    """Side of a patch on level 0, as TRIDENT's own readers find it."""
    names = ("patch_size", "level0_magnification", "target_magnification")
    patch_px, level0, target = (number(said, name) for name in names)
    if patch_px and level0 and target:
        return side_of(patch_px, level0, target)
    return number(said, "patch_size_level0")
