"""A version's name -> all that a person is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from pathassets.catalog.releases.records import AcceptedFinding, FindingRecord
from pathassets.core.datasets.leaks import is_accepted
from pathassets.core.datasets.names import parse_dataset_name
from pathassets.core.datasets.report import split_counts
from pathassets.core.datasets.splits import scheme_of
from pathassets.core.datasets.withdrawn import Withdrawn
from pathassets.core.recipe import DATASET
from pathassets.engine.platform.datasets.versions import (
    DatasetVersion,
    find_version,
    tables_of,
    withdrawn_in,
)
from pathassets.engine.platform.platform import Platform
from pathassets.errors import CatalogError


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownVersion:
    """What a person is told of a version."""

    dataset: str
    version: DatasetVersion | None
    """None where none was built, as findings block the first."""
    counts: pd.DataFrame
    """Columns split, label, slides, patients, patches."""
    left_out: pd.DataFrame
    """Columns slide_id, patient, label, why."""
    findings: tuple[FindingRecord, ...]
    """What blocked the last build; empty where nothing did."""
    accepted: tuple[AcceptedFinding, ...]
    """Of a version what it was built with; of a dataset's name also what was accepted since."""
    withdrawn: tuple[Withdrawn, ...]
    """Members that were taken out since: it names them, and nobody is to use them."""
    placed: Mapping[str, int]
    """Digests of versions that placed patients or sites first, oldest first, and how many; empty
    where a patient's part follows from his name alone."""


def describe_version(platform: Platform, text: str) -> ShownVersion:
    """Put together what a name means; a dataset that was blocked from the first on, too.

    Raises:
        SpecError: it is no such name.
        CatalogError: there is no such version, and nothing blocked one.
    """
    name = parse_dataset_name(text)
    dataset = name.dataset
    findings = tuple(platform.catalog.findings(dataset))
    counts = left_out = pd.DataFrame()
    accepted = tuple(platform.catalog.accepted_findings(dataset))
    withdrawn: tuple[Withdrawn, ...] = ()
    is_whole_name = name.version is not None or bool(name.digest)
    version = _found(platform, text, is_blocked=bool(findings) and not is_whole_name)
    if version is not None:
        tables = tables_of(platform, version)
        counts, left_out = split_counts(tables.manifest), tables.left_out
        if is_whole_name:  # not what was accepted for another since
            accepted = tuple(
                a for a in accepted if is_accepted(tables.manifest, a.kind, a.one, a.other)
            )
        withdrawn = withdrawn_in(platform, tables)
    return ShownVersion(
        dataset=dataset,
        version=version,
        counts=counts,
        left_out=left_out,
        findings=findings,
        accepted=accepted,
        withdrawn=withdrawn,
        placed=_placed(platform, dataset),
    )


def _found(platform: Platform, text: str, *, is_blocked: bool) -> DatasetVersion | None:
    try:
        return find_version(platform, text)
    except CatalogError:
        if not is_blocked:
            raise
        return None


def _placed(platform: Platform, dataset: str) -> Mapping[str, int]:
    for entry in platform.recipe.datasets:
        if entry.key == (DATASET, dataset):
            return platform.catalog.placing_versions(dataset, scheme_of(entry.spec))
    return {}
