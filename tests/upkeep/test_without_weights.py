"""A home restored without the weights that its recipe names: only what needs their digest fails."""

from __future__ import annotations

import json
from pathlib import Path

from tests.engine.workers_here import workers_here
from tests.upkeep.home import findings, ids, output, refused
from tests.upkeep.test_backup import lose


def test_a_home_without_the_weights_that_its_recipe_names_is_asked_and_kept_all_the_same(
    home: Path,
) -> None:
    a, b = ids(home)
    stated = ("--who", "Ann", "--why", "consent withdrawn")
    mine = "{patch_locations: grid, encoder: {name: 'my.models:make', weights: w.pt}}"
    known = (home / "recipe.yaml").read_text()
    (home / "recipe.yaml").write_text(
        known.replace("colour_stats}", f"colour_stats}}, mine: {mine}")
    )
    output("backup", home / "kept")
    lose(home, also_store=False)
    missing = f"recipe.yaml:4: {home / 'w.pt'}: no such file"
    assert f"{missing}; until it is there, " in output("restore", home / "kept")

    [found] = findings("--fix")["weights_unread"]
    assert (found["subject"], found["evidence"][-len(missing) :]) == ("features/mine", missing)
    [version] = json.loads(output("dataset", "list", "--json"))
    digest = version["name"]
    for words in (
        ("cohort", "slides", "luad", a),
        ("cohort", "import", home / "cohort.csv"),
        ("cohort", "history", a),
        ("qc", "set", b, "reject", *stated),
        ("mpp", "set", b, "0.5", *stated),
        ("select", "show", "label:tumour"),
        ("ingest", home / "scans"),
        ("annotations", "set", a, home / "a.geojson", "--name", "tumour", *stated),
        ("annotations", "show"),
        ("dataset", "show", digest),
        ("dataset", "diff", digest, digest),
        ("dataset", "verify", digest),
        ("dataset", "copy", digest, home.parent / "copy"),
        ("dataset", "freeze", digest, *stated),
        ("lineage", "cohort@1"),
        ("forget", a, *stated, "--from-releases"),
        ("backup", home / "again"),
    ):
        output(*words)
    assert json.loads(output("sql", "SELECT slide_id FROM v_slides", "--json")) == [{"slide_id": b}]
    foretold = json.loads(output("plan", "--retry", "--json"))
    assert [one["asset"] for one in foretold["left_out"]] == ["features/mine"]
    assert "features/mine" not in {one["asset"] for one in foretold["entries"]}
    told = output("plan")
    assert ("not built features/mine: " in told, missing in told) == (True, True)
    assert "features/mine" not in output("plan", "--select", "features/colour")
    with workers_here():
        made = output("run", "--retry", code=1)
    assert ("not built features/mine: " in made, missing in made) == (True, True)
    stand = json.loads(output("status", "--json"))
    assert stand["slides"][0]["assets"]["features/colour"]["state"] == "current"
    assert stand["left_out"]["features/mine"]["state"] == "failed"
    assert stand["datasets"]["dataset/cohort"]["state"] == "current"
    assert missing in output("run", "--dry-run")
    output("run", "--select", "features/colour")
    output("run", "--select", "features/mine", code=1)
    for needs in ("gc", "stale"):
        assert missing in refused(needs)
