"""The gate, from files on disk to a version that is kept back, accepted, and built."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pathassets.adapters.tifffile import PyramidSpec, write_pyramid
from pathassets.catalog.records import CohortFacts
from pathassets.core.demo_painting import Appearance, Piece, paint
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.datasets.build import build_dataset
from pathassets.engine.platform.datasets.show import describe_version
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.status import cohort_status
from pathassets.errors import CatalogError, LeakageFound
from tests.engine.conftest import RECIPE

pytestmark = pytest.mark.usefixtures("here")
LOOK = Appearance(
    width_px0=800,
    height_px0=600,
    pieces=(Piece(x=0.5, y=0.5, length=0.45, width=0.3, turn=0.3, bend=0.2),),
    gland_share=0.4,
)


@pytest.fixture(scope="module")
def tissue() -> np.ndarray:
    return paint(LOOK, seed=1).rgb


def build(platform: Platform):
    [entry] = platform.recipe.datasets
    return build_dataset(platform, entry, run_id="build")


@pytest.fixture
def two_parts(
    reopen: Callable[..., Platform], register: Callable[..., object], tmp_path: Path, settings
) -> Callable[..., Platform]:
    """Register and run two slides of two patients, in a part each."""

    def make(
        one: np.ndarray, other: np.ndarray, *, quality: int = 80, patients: tuple[str, str]
    ) -> Platform:
        scans = tmp_path / "scans"
        scans.mkdir()
        for name, rgb, spec in (
            ("a.svs", one, PyramidSpec(tile_px=64)),
            ("b.svs", other, PyramidSpec(tile_px=64, quality=quality)),
        ):
            write_pyramid(scans / name, rgb, spec)
        parts = settings.home / "parts.csv"
        parts.write_text(f'patient,split\n"{patients[0]}",train\n"{patients[1]}",test\n')
        platform = reopen(
            RECIPE.replace("{features: stats}", "{features: stats, split_file: parts.csv}").replace(
                "mpp: 8.0",
                "mpp: 2.0",  # the tissue of a slide so small
            )
        )
        planned = register(platform, scans)
        platform.catalog.set_cohort_facts(
            CohortFacts(slide_id=p.slide_id, patient=patient, label="x")
            for p, patient in zip(planned, patients, strict=True)
        )
        entries = platform.recipe.per_slide
        list(run_batch(platform, plan_slides(platform), entries, run_id="run"))
        return platform

    return make


def resized(rgb: np.ndarray) -> np.ndarray:
    return cv2.resize(rgb, None, fx=1.4, fy=1.4, interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize(
    ("again", "quality"),
    [(resized, 80), (lambda rgb: rgb, 60), (lambda rgb: rgb[30:, 40:], 80)],
    ids=["rescanned at another size", "re-encoded at quality 60", "cropped by 5 %"],
)
def test_one_slide_in_two_parts_keeps_a_dataset_back(two_parts, tissue, again, quality) -> None:
    platform = two_parts(tissue, again(tissue), quality=quality, patients=("p1", "p2"))
    with pytest.raises(LeakageFound, match="show the same tissue") as blocked:
        build(platform)
    one, other = (p.slide_id for p in plan_slides(platform))
    assert f"slides {one} (train) and {other} (test)" in str(blocked.value)
    assert "pathassets dataset accept cohort" in blocked.value.remedy
    assert not list(platform.catalog.artifacts("dataset"))
    [attempt] = platform.catalog.attempts(run_id="build")
    assert (attempt.state, attempt.reason, attempt.is_final) == ("failed", "leakage", False)
    [cell] = cohort_status(platform).datasets
    assert (cell.state, cell.reason) == ("failed", "leakage")
    [finding] = describe_version(platform, "cohort").findings
    assert (finding.kind, finding.one, finding.other) == ("same_slide", *sorted((one, other)))
    assert finding.evidence["correlation"] > 0.4


def test_two_slides_in_two_parts_are_built(two_parts, tissue) -> None:
    other = paint(LOOK, seed=2).rgb
    platform = two_parts(tissue, other, patients=("p1", "p2"))
    assert build(platform).artifact.facts["split"] == {"test": 1, "train": 1}
    assert platform.catalog.findings("cohort") == []


def test_one_patient_in_two_spellings_keeps_a_dataset_back(two_parts, tissue) -> None:
    platform = two_parts(tissue, paint(LOOK, seed=2).rgb, patients=("P-007", "p 7"))
    with pytest.raises(LeakageFound, match="'P-007' \\(train\\) and 'p 7' \\(test\\) are one name"):
        build(platform)


def test_what_is_accepted_is_built_as_another_version_that_says_who_and_why(
    two_parts, tissue
) -> None:
    platform = two_parts(tissue, resized(tissue), patients=("p1", "p2"))
    with pytest.raises(LeakageFound):
        build(platform)
    [finding] = platform.catalog.findings("cohort")
    with pytest.raises(CatalogError, match="does not block it"):
        platform.catalog.accept_finding("cohort", "0" * 16, who="Ann", why="no")
    platform.catalog.accept_finding("cohort", finding.finding, who="Ann", why="twins")
    built = build(platform)
    folder = platform.store.path_of(built.artifact.address)
    [accepted] = json.loads((folder / "report.json").read_text())["accepted"]
    assert (accepted["finding"], accepted["who"], accepted["why"]) == (
        finding.finding, "Ann", "twins",
    )  # fmt: skip
    assert not build(platform).is_new
    shown = describe_version(platform, "cohort")
    assert [a.who for a in shown.accepted] == ["Ann"]
    assert shown.findings == ()


def test_what_was_mended_blocks_no_more(two_parts, tissue) -> None:
    platform = two_parts(tissue, resized(tissue), patients=("p1", "p2"))
    with pytest.raises(LeakageFound):
        build(platform)
    for one in plan_slides(platform):
        platform.catalog.set_cohort_facts(
            [CohortFacts(slide_id=one.slide_id, patient="p1", label=None)]
        )
    assert build(platform).artifact.facts["split"] == {"train": 2}
    assert platform.catalog.findings("cohort") == []


def test_thumbnails_are_hashed_once(two_parts, tissue, monkeypatch) -> None:
    from pathassets.engine.platform.datasets import leakage  # noqa: PLC0415 - to count its calls

    platform = two_parts(tissue, resized(tissue), patients=("p1", "p2"))
    hashed = []
    monkeypatch.setattr(
        leakage,
        "hash_picture",
        lambda rgb, made=leakage.hash_picture: hashed.append(1) or made(rgb),
    )
    for _ in range(2):
        with pytest.raises(LeakageFound):
            build(platform)
    assert len(hashed) == 2
