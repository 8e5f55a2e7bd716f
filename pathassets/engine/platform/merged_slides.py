"""Slides that were found to be one -> their ids of old, and what was drawn, are the one's.

The catalog has moved the statements; the files lie in the store under the id of old.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable
from dataclasses import replace

from pathassets.adapters.store.store import Store
from pathassets.catalog.catalog import Catalog
from pathassets.core.address import Address
from pathassets.core.recipe import ANNOTATIONS
from pathassets.errors import StoreError

logger = logging.getLogger(__name__)


def heirs_of(catalog: Catalog) -> dict[str, str]:
    """Ids that were merged away, and those of the slides that they stand for."""
    return {one.slide_id: one.into_slide_id for one in catalog.merged()}


def ids_of_today(catalog: Catalog, slide_ids: Iterable[str]) -> list[str]:
    """Ids that somebody wrote down -> those of the slides that they stand for, each once.

    An id that was never any slide's stays as it is, for whoever asked to refuse it.
    """
    heirs = heirs_of(catalog)
    return list(dict.fromkeys(heirs.get(slide_id, slide_id) for slide_id in slide_ids))


def adopt_annotations(store: Store, catalog: Catalog) -> None:
    """Copy annotations of ids that were merged away to the slide that they became.

    What cannot be copied is told, and tried again the next time. Costs one small query where no
    slides were merged.
    """
    old_ids: dict[str, list[str]] = {}
    for merged in catalog.merged():
        old_ids.setdefault(merged.into_slide_id, []).append(merged.slide_id)
    annotations = catalog.annotations() if old_ids else {}
    for slide_id, ids in old_ids.items():
        for drawn in annotations.get(slide_id, {}).values():
            target = Address(ANNOTATIONS, drawn.name, slide_id, drawn.digest)
            if drawn.is_withdrawn or catalog.find_artifact(target) is not None:
                continue
            try:
                _adopt(store, catalog, target, ids)
            except (StoreError, OSError) as error:
                logger.warning("%s: cannot be taken over: %s", target, error)


def _adopt(store: Store, catalog: Catalog, target: Address, ids: list[str]) -> None:
    """Publish a copy of an annotation under its slide's id of today."""
    for source in (replace(target, partition_key=slide_id) for slide_id in ids):
        record = catalog.find_artifact(source)
        if record is None:
            continue
        artifact = store.read(source)
        with store.staging(f"merge-{uuid.uuid4().hex}") as staging:
            folder = staging / "annotation"
            for file in artifact.files:
                copy = folder / file.path
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(store.read_file(artifact, file))
            store.publish(replace(artifact, address=target, files=()), folder)
        catalog.record_artifact(replace(record, address=target, uri=str(target)), ())
        return
