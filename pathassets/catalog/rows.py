"""Record <-> row: a record's fields are its table's columns, but for addresses and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pathassets.catalog.records import ArtifactRecord, AttemptRecord, FileRecord, SlideRecord
from pathassets.catalog.tables import ADDRESS, PARENT
from pathassets.core.address import Address
from pathassets.core.slides.slide import MppSource

Row = Mapping[Any, Any]

_ARTIFACT = [f.name for f in fields(ArtifactRecord) if f.name != "address"]
_ATTEMPT = [f.name for f in fields(AttemptRecord) if f.name != "address"]


def flat(record: Any) -> dict[str, Any]:
    """Take a record's fields as they are."""
    return {f.name: getattr(record, f.name) for f in fields(record)}


def address_row(address: Address) -> dict[str, Any]:
    """Columns that name an artifact."""
    return dict(zip(ADDRESS, _parts(address), strict=True))


def parent_row(child: Address, parent: Address) -> dict[str, Any]:
    """One edge of the lineage."""
    return address_row(child) | dict(zip(PARENT, _parts(parent), strict=True))


def slide_row(record: SlideRecord) -> dict[str, Any]:
    """Columns of a slide, but for the thumbnail."""
    return flat(record) | {"mpp_sources": [flat(source) for source in record.mpp_sources]}


def slide_record(row: Row) -> SlideRecord:
    """Inverse of `slide_row`."""
    return SlideRecord(
        **{
            **row,
            "level_downsamples": tuple(row["level_downsamples"]),
            "mpp_sources": tuple(MppSource(**source) for source in row["mpp_sources"]),
        }
    )


def artifact_row(record: ArtifactRecord) -> dict[str, Any]:
    """Columns of an artifact."""
    row = flat(record) | {"files": [flat(file) for file in record.files]}
    return address_row(row.pop("address")) | row


def artifact_record(row: Row) -> ArtifactRecord:
    """Inverse of `artifact_row`."""
    rest = {name: row[name] for name in _ARTIFACT}
    rest["files"] = tuple(FileRecord(**file) for file in rest["files"])
    return ArtifactRecord(address=address_of(row), **rest)


def attempt_row(record: AttemptRecord) -> dict[str, Any]:
    """Columns of an attempt; the database numbers it."""
    row = flat(record)
    return address_row(row.pop("address")) | row


def attempt_record(row: Row) -> AttemptRecord:
    """Inverse of `attempt_row`."""
    return AttemptRecord(address=address_of(row), **{name: row[name] for name in _ATTEMPT})


def address_of(row: Row) -> Address:
    """Read the address off any row that has one."""
    return Address(*(row[name] for name in ADDRESS))


def _parts(address: Address) -> tuple[str, str, str, str]:
    return address.stage, address.name, address.partition_key, address.digest
