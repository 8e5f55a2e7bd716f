"""The platform, its Dagster instance and its definitions, and what a test asks of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from pathassets.catalog.records import AnnotationRecord
from pathassets.defs.assets.annotations import report_annotations
from pathassets.defs.assets.slide import report_slides
from pathassets.defs.build import build_definitions
from pathassets.defs.dagster_internals import fast_events
from pathassets.defs.instance import open_instance
from pathassets.defs.launch import QUIET
from pathassets.defs.partitions import SLIDES, range_tags, slide_order
from pathassets.engine.platform.annotations import AnnotationSource, withdraw
from pathassets.engine.platform.ingestion.ingest import find_files, ingest
from pathassets.engine.platform.platform import Platform, open_platform
from pathassets.engine.settings import read_settings
from tests.cohort_rows import rows_of
from tests.engine.annotations import Box, record_boxes


@dataclass(frozen=True)
class Workbench:
    platform: Platform
    instance: dg.DagsterInstance
    definitions: dg.Definitions

    def ingest(self, *paths: Path) -> list[str]:
        """Register files and make partitions of them; returns the slide ids in that order."""
        found = [one.slide_id for one in ingest(self.platform, find_files(paths))]
        report_slides(self.instance, self.platform, found)
        return found

    def run(
        self, job: str = "process_slides", *, may_break: bool = False, **given: Any
    ) -> dg.ExecuteInProcessResult:
        """Run a job to its end; the batch over all slides. What breaks unforeseen is raised."""
        if job == "process_slides":
            given = {"tags": range_tags(slide_order(self.instance))} | given
        result = self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            raise_on_error=False,
            run_config=QUIET | given.pop("run_config", {}),
            **given,
        )
        for event in result.get_step_failure_events():
            said = event.step_failure_data
            if said.user_failure_data is None and said.error is not None and not may_break:
                raise AssertionError(said.error.to_string())
        return result

    def restate(self, slide_id: str, mpp: float) -> None:
        """State another resolution, as `pathassets mpp set` does."""
        self.platform.catalog.override_mpp(slide_id, mpp, who="a test", why="it wants to")
        report_slides(self.instance, self.platform, [slide_id])

    def draw(self, slide_id: str, *boxes_px0: Box, name: str = "tumour") -> AnnotationRecord:
        """Record rectangles, as `pathassets annotations set` does."""
        drawn = record_boxes(self.platform, slide_id, *boxes_px0, name=name).annotation
        report_annotations(self.instance, self.platform, [slide_id])
        return drawn

    def withdraw(self, slide_id: str, name: str = "tumour") -> None:
        """Take an annotation back, as `pathassets annotations withdraw` does."""
        withdraw(self.platform, slide_id, AnnotationSource(name=name, who="Bob", why="wrong slide"))
        report_annotations(self.instance, self.platform, [slide_id])

    def health(self, entry: str) -> dict[str, list[str]]:
        """Slides that the page shows green and red at an asset."""
        key = dg.AssetKey(entry.split("/"))
        cache = get_and_update_asset_status_cache_value(self.instance, key, SLIDES)
        if cache is None:
            return {"green": [], "red": []}
        with dg.partition_loading_context(dynamic_partitions_store=self.instance):
            failed = set(cache.deserialize_failed_partition_subsets(SLIDES).get_partition_keys())
            made = cache.deserialize_materialized_partition_subsets(SLIDES).get_partition_keys()
        return {"green": sorted({*made} - failed), "red": sorted(failed)}

    def stale(self, slide_ids: Iterable[str]) -> dict[str, set[str]]:
        """Assets that Dagster calls stale or missing, of each slide that has such."""
        keys = [dg.AssetKey([*entry.key]) for entry in self.platform.recipe.per_slide]
        found = {
            slide_id: {
                f"{'/'.join(key.path)} {status}"
                for key in keys
                if (status := self.staleness(key, slide_id)) != "fresh"
            }
            for slide_id in slide_ids
        }
        return {slide_id: names for slide_id, names in found.items() if names}

    def staleness(self, key: dg.AssetKey, partition: str | None = None) -> str:
        """What Dagster calls an asset: fresh, stale or missing."""
        graph = self.definitions.resolve_asset_graph()
        context = LoadingContextForTest(self.instance)
        resolver = CachingStaleStatusResolver(self.instance, graph, context)
        return resolver.get_status(key, partition).value.lower()

    def states(self) -> dict[str, str]:
        """What the catalog says of every slide, section by section."""
        return {
            s.planned.slide_id: " ".join(
                c.reason if c.state == "failed" else c.state for c in s.cells
            )
            for s in rows_of(self.platform)
        }

    def latest(self, entry: str, slide_id: str) -> dg.EventLogEntry:
        """The newest materialization of a partition."""
        records = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(
                asset_key=dg.AssetKey(entry.split("/")), asset_partitions=[slide_id]
            ),
            limit=1,
        ).records
        return records[0].event_log_entry


@contextmanager
def open_bench() -> Iterator[Workbench]:
    settings = read_settings()
    with (
        open_platform(settings) as platform,
        open_instance(settings) as instance,
        fast_events(instance),
    ):
        yield Workbench(platform, instance, build_definitions(platform.recipe))
