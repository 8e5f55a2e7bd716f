"""What a person names -> what of the catalog it is.

store/features/…/features.zarr/c/0   a path in the store, be it there still or not
features/stats/SLIDE/DIGEST          the address of an artifact, or the first letters of its digest
/elsewhere/features.zarr             a copy of features: by its metadata, or what that says
/elsewhere/9fd1…/                    a copy of an artifact's folder: by its artifact.json
/elsewhere/locations.parquet         a copy of any file of an artifact: by its SHA-256
/elsewhere/a.svs                     a slide's file that was moved, or copied: by its SHA-256
/exports/trident/…/a.h5              a file of an export: by the list beside it, or its attributes
features/stats/SLIDE                 what the recipe makes of a slide now
cohort@3  cohort@DIGEST  cohort      a release, a version of a dataset, or the newest
slide:ID  patient:NAME  ID  NAME     a slide or a patient
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from pathassets.adapters.exchange.parts.claims import claimed_source
from pathassets.adapters.exchange.parts.listed import LIST, find_listed, sha256_of
from pathassets.adapters.files import fingerprint_of
from pathassets.adapters.named_files import INTO_A_FILE, odd_kind
from pathassets.adapters.objects.urls import is_url, parse_url
from pathassets.adapters.openslide.members import members_of
from pathassets.adapters.store.damage import MANIFEST
from pathassets.adapters.store.store import StoredFile, read_copy
from pathassets.catalog.forgotten import find_gone
from pathassets.catalog.records import ArtifactRecord, FileRecord
from pathassets.catalog.releases.records import ReleaseRecord
from pathassets.core.address import SLIDE_STAGE, Address
from pathassets.core.recipe import ANNOTATIONS, DATASET, Entry
from pathassets.core.slides.slide import slide_version
from pathassets.core.text import is_text, quoted
from pathassets.engine.platform.forgotten import refuse_forgotten
from pathassets.engine.platform.plan import annotation_address, plan_slides
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.selections.names import slide_named
from pathassets.engine.platform.standing.absence import why_absent
from pathassets.errors import CatalogError, SlideError, SpecError, StoreError

PATIENT_STAGE = "patient"
RELEASE_STAGE = "release"
"""In place of stages; of a release the name is the dataset's, the partition key its number."""
_KINDS = (f"{SLIDE_STAGE}:", f"{PATIENT_STAGE}:")
METADATA = "zarr.json"
MAX_METADATA_BYTES = 16 * 2**20
"""Of a copied `zarr.json` that is read: one that we wrote has some kB."""
_N_PARTS, _N_OF_VERSION = 4, 3
"""Parts of an address; of dataset/NAME/DIGEST, as commands before this version wrote it."""
N_LETTERS = 8
"""Of a digest, in names that people read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What was named."""

    address: Address
    said: Mapping[str, Any]
    """How it was found, where that is worth a word: a copy, and whether it is one to the byte."""


def find_origin(platform: Platform, named: str) -> Origin:
    """What a person means.

    Raises:
        CatalogError: the catalog knows nothing of the kind.
        StoreError: a file cannot be read.
    """
    path = Path(named)
    if (uri := platform.store.place_of(named)) is not None:
        return Origin(address=_at(platform, named, uri).address, said={})
    if is_url(named):
        return Origin(address=_slide_or_patient(platform, str(parse_url(named))), said={})
    if (scan := platform.catalog.find_path(str(path.absolute()))) is not None:
        return Origin(address=slide_address(platform, scan.slide_id), said={})
    if path.exists():
        if odd := odd_kind(path.stat().st_mode):
            raise StoreError(path, odd, remedy=INTO_A_FILE)
        return _copied(platform, path.resolve())
    return Origin(address=_named(platform, path, named), said={})


def _named(platform: Platform, path: Path, named: str) -> Address:
    """What has that name, and is no file."""
    parts = named.strip("/").split("/")
    if parts[:2] == [SLIDE_STAGE, ""] and not path.is_absolute():
        return slide_address(platform, parts[2])  # the address of a slide, as errors write it
    if len(parts) == _N_PARTS and not path.is_absolute():
        return _known(platform, Address(*parts))
    if len(parts) == _N_OF_VERSION and parts[0] == DATASET and not path.is_absolute():
        return _version(platform, f"{parts[1]}@{parts[2]}")
    entries = {entry.key: entry for entry in platform.recipe.entries}
    if len(parts) > 1 and (parts[0], parts[1]) in entries and not path.is_absolute():
        return _in_force(platform, entries[parts[0], parts[1]], parts[2:])
    if len(parts) > 1:
        raise StoreError(
            path,
            f"is not inside the store {platform.store.where}, and not there",
            remedy="Name a file, an address (stage/name/slide/digest), a slide, a patient, a "
            "dataset or a release, or point PATHASSETS_STORE at its store",
        )
    is_kind = named.startswith(_KINDS)
    if not is_kind and ("@" in named or (DATASET, named) in entries):
        return _version(platform, named)
    return _slide_or_patient(platform, named)


def _in_force(platform: Platform, entry: Entry, rest: list[str]) -> Address:
    """What a slide has at an entry of the recipe now; of a dataset its newest version.

    Raises:
        SpecError: no slide is named.
        CatalogError: there is no such slide, or it was not made.
    """
    key = "/".join(entry.key)
    if entry.stage.name == DATASET:
        return _version(platform, entry.name)
    if len(rest) != 1:
        raise SpecError(
            f"{key}: has an artifact of each slide",
            remedy=f"Name a slide, too: pathassets lineage {key}/SLIDE",
        )
    [planned] = plan_slides(platform, [slide_named(platform.catalog, rest[0])])
    if entry.stage.name != ANNOTATIONS:
        return _known(platform, planned.steps[entry.key].address)
    drawn = planned.annotation(entry.name)
    if drawn is None:
        raise CatalogError(
            f"{key}: nothing is drawn on {rest[0]} under this name",
            remedy=f"See what is: pathassets annotations show {rest[0]}",
        )
    return annotation_address(drawn)


def _version(platform: Platform, named: str) -> Address:
    """A release, or the version of a dataset where that has no number."""
    from pathassets.engine.platform.datasets.versions import find_version  # noqa: PLC0415 - pandas

    found = find_version(platform, named)
    return found.address if found.release is None else release_address(found.release)


def release_address(release: ReleaseRecord) -> Address:
    """Where a release stands in a lineage: after the dataset's artifact that it gave a number."""
    return Address(RELEASE_STAGE, release.dataset, str(release.version), release.digest)


def _at(platform: Platform, named: str, uri: str) -> ArtifactRecord:
    record = platform.catalog.find_artifact_at(uri)
    if record is None:
        _refuse_gone(platform, *PurePosixPath(uri).parts[2:3])
        raise CatalogError(
            f"{named}: the catalog knows no artifact here",
            remedy="Name a file inside <stage>/<name>/<slide>/<digest>/",
        )
    return record


def called(address: Address, *, is_short: bool = False) -> str:
    """A name by which `find_origin` finds it: short, with the first letters of its digest.

    >>> called(Address.of_slide("a-1", "89abcdef01234567"))
    'slide:a-1'
    >>> called(Address("features", "stats", "a-1", "89abcdef01234567"), is_short=True)
    'features/stats/a-1/89abcdef'
    """
    if address.stage == RELEASE_STAGE:
        return f"{address.name}@{address.partition_key}"
    if address.stage in {SLIDE_STAGE, PATIENT_STAGE}:
        return f"{address.stage}:{address.partition_key}"
    digest = address.digest[:N_LETTERS] if is_short else address.digest
    return f"{'/'.join(address.key)}/{address.partition_key}/{digest}"


def _known(platform: Platform, address: Address) -> Address:
    """The artifact at an address, whose digest may be cut short."""
    if platform.catalog.find_artifact(address) is not None:
        return address
    found = platform.catalog.addresses_like(address, limit=2) if address.digest else []
    if len(found) == 1:
        return found[0]
    _refuse_gone(platform, address.partition_key)
    see = f"pathassets lineage slide:{address.partition_key}"
    if found:
        raise CatalogError(
            f"{address}: several artifacts begin so",
            remedy=f"Give more letters; see them: {see} --all",
        )
    why = why_absent(platform, address).said
    raise CatalogError(
        f"{address}: the catalog knows no such artifact: it {why}",
        remedy=f"See what was made: {see}",
    )


def _slide_or_patient(platform: Platform, named: str) -> Address:
    """A slide of that id, else a patient, else a slide of that name; either prefix says which."""
    (kind, colon, rest), catalog = named.partition(":"), platform.catalog
    if colon and kind == PATIENT_STAGE:
        return _patient(platform, rest)
    slide_id = rest if colon and kind == SLIDE_STAGE else named
    if slide_id == named and not catalog.known_slides([named]) and catalog.count_slides_of(named):
        return _patient(platform, named)
    return slide_address(platform, slide_named(catalog, slide_id))


def slide_address(platform: Platform, slide_id: str) -> Address:
    """A slide as it is in force: its content, with the resolution that was stated last.

    Raises:
        CatalogError: there is no such slide.
    """
    slide = platform.catalog.slide(slide_id)
    stated = platform.catalog.mpp_history(slide.slide_id)
    mpp = stated[0].mpp if stated else slide.mpp
    return Address.of_slide(slide.slide_id, slide_version(slide.fingerprint, mpp))


def _patient(platform: Platform, name: str) -> Address:
    if not platform.catalog.count_slides_of(name):
        raise CatalogError(
            f"patient {quoted(name)}: has no slide",
            remedy='See whose slides there are: pathassets select show "patient:*"',
        )
    return Address(PATIENT_STAGE, "", name, "")


def _copied(platform: Platform, path: Path) -> Origin:
    """What a file or folder outside of the store is a copy of."""
    found = _copied_folder(platform, path) if path.is_dir() else _copied_file(platform, path)
    for one in chain(found, _exported(platform, path), _of_content(platform, path)):
        return one
    _refuse_gone_copy(platform, path)
    raise CatalogError(
        f"{path}: is not inside the store {platform.store.where}, and the catalog knows no "
        "artifact that it is a copy of",
        remedy="Name a file of the store, or a copy of one; if it is another home's, point "
        "PATHASSETS_CATALOG and PATHASSETS_STORE at that",
    )


def _refuse_gone(platform: Platform, *slide_ids: str) -> None:
    """Say of what is of no slide any more that its slide was taken out, where it was.

    Raises:
        SlideForgotten: it was.
    """
    forgotten = platform.catalog.forgotten()
    for slide_id in slide_ids:
        if (gone := find_gone(forgotten, slide_id)) is not None:
            raise gone.error(slide_id)


def _refuse_gone_copy(platform: Platform, path: Path) -> None:
    """The same of a copy of what was made of a slide."""
    if (path / MANIFEST).is_file():
        _refuse_gone(platform, read_copy(path).address.partition_key)
    if (path / METADATA).is_file():
        _refuse_gone(platform, str(_attributes(path / METADATA).get("slide_id", "")))


def _of_content(platform: Platform, path: Path) -> Iterator[Origin]:
    """The slide that a file holds which was never registered there: it was moved, or copied."""
    if not path.is_file():
        return
    with suppress(SlideError):  # it is none
        fingerprint = fingerprint_of(members_of(path))
        if error := refuse_forgotten(platform.catalog, path, fingerprint):
            raise CatalogError(error.message, remedy=error.remedy)
        if (slide_id := platform.catalog.find_slide_id(fingerprint)) is not None:
            said = {"copy": str(path), "known_by": "its bytes", "copy_is": "as it was registered"}
            yield Origin(address=slide_address(platform, slide_id), said=said)


def _exported(platform: Platform, path: Path) -> Iterator[Origin]:
    """What a file of an export was made from, as the list beside it says, or else it itself."""
    whole, line = find_listed(path) or (path, None)
    listed = None if line is None else Address.parse(line["artifact"])
    address = listed or Address.parse(claimed_source(whole))
    if address is None:
        return
    if platform.catalog.find_artifact(address) is None:
        raise CatalogError(
            f"{path}: was exported from {address}, which the catalog does not know: it "
            f"{why_absent(platform, address).said}",
            remedy="If that is another home's, point PATHASSETS_CATALOG and PATHASSETS_STORE at it",
        )
    said = {"export": str(whole), "known_by": LIST if listed else "its attributes"}
    if line is not None:
        is_same = sha256_of(whole) == line["sha256"]
        said["export_is"] = "as it was exported" if is_same else "changed since it was exported"
    yield Origin(address=address, said=said)


def _copied_folder(platform: Platform, path: Path) -> Iterator[Origin]:
    """Of a folder: an artifact's, or that of a Zarr array or group, whole or not."""
    if (path / MANIFEST).is_file():
        copy = read_copy(path)
        record = platform.catalog.find_artifact(copy.address)
        if record is not None:
            is_same = _hashes(copy.files) == _hashes(record.files)
            yield _origin(record, path, f"its {MANIFEST}", is_same=is_same)
    if (path / METADATA).is_file():
        said = _attributes(path / METADATA)
        of = {"partition_key": str(said["slide_id"])} if "slide_id" in said else {}
        sha256 = _sha256(path / METADATA)
        records = _with_such_files(platform.catalog.find_artifacts_with(sha256, of), path, sha256)
        yield from _same_bytes(records, path)
        yield from _by_attributes(platform, path, said)


def _copied_file(platform: Platform, path: Path) -> Iterator[Origin]:
    yield from _same_bytes(platform.catalog.find_artifacts_with(_sha256(path)), path)


def _with_such_files(
    records: list[ArtifactRecord], path: Path, sha256: str
) -> list[ArtifactRecord]:
    """Of several artifacts with the metadata of a Zarr folder those that have its other files.

    Masks of one size have one `zarr.json`. Of features a single one has it, and nothing is read.
    """
    for file in sorted(one for one in path.rglob("*") if one.is_file()):
        if len(records) <= 1:
            break
        place, found = file.relative_to(path).as_posix(), _sha256(file)
        records = [one for one in records if found in _at_place(one, sha256, place)]
    return records


def _at_place(record: ArtifactRecord, sha256: str, place: str) -> set[str]:
    """Hashes that an artifact has at a place of the Zarr folders with that metadata."""
    hashes = _hashes(record.files)
    roots = [path.removesuffix(METADATA) for path, found in hashes.items() if found == sha256]
    return {hashes[root + place] for root in roots if root + place in hashes}


def _hashes(files: Iterable[StoredFile | FileRecord]) -> dict[str, str]:
    return {file.path: file.sha256 for file in files}


def _sha256(file: Path) -> str:
    try:
        return fingerprint_of([file])
    except SlideError as error:
        raise StoreError(file, error.fact, remedy=error.remedy) from error


def _same_bytes(records: list[ArtifactRecord], path: Path) -> Iterator[Origin]:
    """The first of the artifacts that have these very bytes, and which others have them, too."""
    if records:
        first, *others = records
        found = _origin(first, path, "its bytes", is_same=True)
        also = {"also_in": [str(one.address) for one in others]} if others else {}
        yield Origin(address=found.address, said={**found.said, **also})


def _by_attributes(platform: Platform, path: Path, said: Mapping[str, Any]) -> Iterator[Origin]:
    """Features whose attributes say what those of a copy do, where its metadata was changed."""
    slide_id, parent = str(said.get("slide_id")), said.get("patch_locations")
    named = Address.parse(parent) or Address("patch_locations", "", slide_id, str(parent))
    for address in platform.catalog.children_however_called(named):
        record = platform.catalog.find_artifact(address)
        if record is not None and _is_said(record, said):
            yield _origin(record, path, "its attributes", is_same=False)


def _is_said(record: ArtifactRecord, said: Mapping[str, Any]) -> bool:
    names = ("encoder", "weights", "precision", "device", "n_patches")
    return record.address.partition_key == said.get("slide_id") and all(
        name in record.facts and record.facts[name] == said.get(name) for name in names
    )


def _origin(record: ArtifactRecord, path: Path, by: str, *, is_same: bool) -> Origin:
    told = "as it was published" if is_same else "changed since it was published"
    return Origin(address=record.address, said={"copy": str(path), "known_by": by, "copy_is": told})


def _attributes(metadata: Path) -> Mapping[str, Any]:
    """What a Zarr group says of itself; a stranger's is read with care, and says nothing then."""
    try:
        if metadata.stat().st_size > MAX_METADATA_BYTES:
            return {}
        data = json.loads(metadata.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    said = data.get("attributes") if isinstance(data, dict) else None
    if not isinstance(said, dict):
        return {}
    return {name: of for name, of in said.items() if not isinstance(of, str) or is_text(of)}
