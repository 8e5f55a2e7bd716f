"""The page that is written each night: of all slides, where `pathassets report` writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pathassets.defs.build import build_definitions
from pathassets.report.cohort_page.files import PAGE, write_pages
from tests.defs.small_slides import write_slide
from tests.defs.workbench import Workbench


def test_the_job_writes_the_page_of_all_slides_into_the_home(bench: Workbench, home: Path) -> None:
    slides = bench.ingest(*(write_slide(home / f"{n}.svs", n) for n in range(2)))
    definitions = build_definitions(bench.platform.recipe, write_page=write_pages)
    job = definitions.resolve_job_def("report")
    assert job.execute_in_process(instance=bench.instance).success
    page = (home / PAGE).read_text()
    assert all(slide_id in page for slide_id in slides)
    assert (home / PAGE).stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("home")
def test_what_dagster_loads_has_the_job_and_its_schedule() -> None:
    from pathassets.definitions import defs  # noqa: PLC0415 - it reads the recipe in force

    assert defs.resolve_job_def("report").name == "report"
    assert defs.resolve_schedule_def("nightly_report").cron_schedule == "0 4 * * *"
