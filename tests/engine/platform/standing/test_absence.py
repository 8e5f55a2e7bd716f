from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from pathassets.catalog.records import AttemptRecord
from pathassets.core.address import Address
from pathassets.engine.platform.exchange.export import ExportRequest, export
from pathassets.engine.platform.standing.absence import absent, read_present, why_absent
from pathassets.errors import ArtifactMissing

FEATURES = ("features", "stats")


@pytest.fixture
def made(platform, get_ready):
    """Features of a slide that are there."""
    return get_ready(platform, 2, is_run=True)[0].steps[FEATURES].address


def tried(address: Address, state: str, **said: str) -> AttemptRecord:
    return AttemptRecord(run_id="run-2", address=address, state=state, **said)


def test_of_what_is_not_here_the_catalog_tells_what_became_of_it(platform, made):
    slide_id, catalog = made.partition_key, platform.catalog
    assert read_present(platform, made).address == made
    other = replace(made, digest="0" * 16)
    assert (
        why_absent(platform, other).said
        == f"was never made with digest {'0' * 16}, only with others"
    )
    new = replace(other, name="net")
    assert why_absent(platform, new).said == "was never made: the catalog knows no attempt at it"
    assert why_absent(platform, new).remedy.startswith("The recipe has no features/net")

    (grid, *_) = catalog.parents_of(made)
    catalog.drop_rows(grid)
    assert why_absent(platform, grid).said == (
        f"was made, since {made} is made from it, and the catalog does not know it any more"
    )

    shutil.rmtree(platform.store.path_of(made))
    gone = why_absent(platform, made)
    day = f"{catalog.find_artifact(made).made_at:%Y-%m-%d}"
    assert gone.said == f"was made on {day}, and is gone from the store"
    assert gone.remedy.endswith(f"pathassets run --slides {slide_id}")
    with pytest.raises(ArtifactMissing, match=f"^{slide_id}: features/stats was made on {day}"):
        read_present(platform, made)

    catalog.drop_artifacts([made])
    assert why_absent(platform, made).said == (
        f"was made on {day} by run run-1, and was removed since, as gc does"
    )
    failed = tried(
        made, "failed", reason="tile_unreadable", remedy="Copy it again",
        message=f"{slide_id} (/scans/a.svs): tile 4: no",
    )  # fmt: skip
    catalog.record_attempts([failed])
    why = why_absent(platform, made)
    assert (why.reason, why.remedy) == ("tile_unreadable", "Copy it again")
    assert why.said == f"failed on {day} (/scans/a.svs): tile 4: no"
    blocked = tried(made, "blocked", message=f"{slide_id}: not tried, tissue_mask/otsu failed")
    catalog.record_attempts([blocked])
    assert why_absent(platform, made).said == (
        f"blocked on {day}: not tried, tissue_mask/otsu failed"
    )


def test_a_slide_that_was_forgotten_is_said_to_be(platform, made):
    platform.catalog.begin_forgetting(made.partition_key, who="Ann", why="no consent")
    platform.catalog.drop_artifacts([made])
    error = absent(platform, made)
    assert error.reason == "slide_forgotten"
    assert "by Ann: no consent" in error.message


def test_an_export_says_it_and_names_each_slide_once(platform, made, tmp_path):
    shutil.rmtree(platform.store.path_of(made))
    request = ExportRequest(tool="trident", what="features/stats", to=tmp_path / "to")
    (refused,) = (one for one in export(platform, request) if one.state == "refused")
    assert refused.subject == made.partition_key
    assert refused.said.startswith("features/stats was made on ")
