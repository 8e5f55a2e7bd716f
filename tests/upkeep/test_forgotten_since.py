"""What was forgotten outlives a restore of an older backup, in every command."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg

from pathassets.defs.instance import open_instance
from pathassets.defs.partitions import slide_order
from pathassets.engine.settings import read_settings
from tests.upkeep.home import artifacts, findings, ids, output

CONSENT = ("--who", "Ann", "--why", "consent withdrawn")
STATED = ("--who", "Bob", "--why", "paper")


def restored(home: Path, *options: str | Path) -> str:
    return output("restore", home.with_suffix(".backup"), "--force", *options)


def test_a_slide_that_was_forgotten_stays_out_when_an_older_backup_is_restored(
    made: Path, home: Path
) -> None:
    a, b = ids(home)
    shutil.copy(made.with_suffix(".backup"), home.with_suffix(".backup"))
    output("dataset", "freeze", "cohort", *STATED)
    output("forget", a, *CONSENT, "--from-releases")
    left = artifacts(home)
    said = restored(home)
    assert "restored 1 slide, 0 annotations; " in said
    assert "1 slide of the backup stays out, each was taken out on " in said
    assert "by Ann: consent withdrawn\n" in said
    assert a not in said
    assert "not known" not in said
    assert ids(home) == [b]
    assert artifacts(home) == left
    assert findings("--fix").keys() == {"partition_missing"}
    output("run")
    assert {path for path in artifacts(home) if f"/{a}/" in path} == set()
    assert findings() == {}
    with open_instance(read_settings()) as instance:
        assert slide_order(instance) == [b]
        assert instance.get_materialized_partitions(dg.AssetKey(["features", "colour"])) == {b}
    assert "1 slide, digest" in output("dataset", "freeze", "cohort", *STATED)
