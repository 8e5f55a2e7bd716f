"""A catalog in which every table has rows."""

from __future__ import annotations

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.inbox import InboxClock, Sighting, TakenTable
from pathassets.catalog.part import now
from pathassets.catalog.records import RejectedFile
from pathassets.catalog.standing.standing import Wanted
from tests.catalog import filled
from tests.catalog.hostile_words import HOSTILE
from tests.catalog.merges import remember_merge
from tests.catalog.test_releases import DRAFT, FINDING, LEFT_OUT, member


def fill(catalog: Catalog) -> None:
    """Enter two slides and all that can be said, wanted, made, released and accepted of them."""
    filled.fill(catalog)
    remember_merge(catalog, "old", into="b")
    catalog.refuse(
        RejectedFile(
            path="/scans/x", reason="r", message=HOSTILE["unicode"], remedy="", size_bytes=2**40,
            mtime_ns=2**60,
        )
    )  # fmt: skip
    catalog.replace_bad_tiles("b", [])
    seen = Sighting(
        path=HOSTILE["unicode"], size_bytes=2**40, mtime_ns=2**60, since_s=0.1, asked="inbox:1:x",
        lacks=HOSTILE["newline"], n_retries=3,
    )  # fmt: skip
    catalog.note_sightings(InboxClock(now_s=0.1, wall_s=1e9, monotonic_s=2.5), [seen], [])
    catalog.enter_taken(
        TakenTable(
            path="/scans/t.csv", sha256="0" * 64, size_bytes=2**40, mtime_ns=2**60, n_lines=3,
            n_changes=2, open_lines=(2, 4),
        )
    )  # fmt: skip
    catalog.save_selection("mine", HOSTILE["sql"], who="Ann")
    plan_id = catalog.open_plan("recipe")
    address = filled.FEATURES
    wanted = Wanted(stage=address.stage, name=address.name, digest=address.digest)
    catalog.plan_some(plan_id, ["a", "b"], lambda _: [wanted])
    catalog.note_dataset_plan("cohort", "inputs", "d1")
    catalog.note_dataset_rows("cohort", plan_id, "said", "hash")
    catalog.freeze(DRAFT, [member("a"), member("b", split="test")], [LEFT_OUT])
    catalog.place("cohort", "scheme", "d1", {("patient", "P1"): "train", ("site", "Lyon"): "train"})
    catalog.set_findings("cohort", "d1", [FINDING])
    catalog.accept_finding("cohort", FINDING.finding, who="Ann", why=HOSTILE["newline"])
    catalog.keep_slide_hashes("dct", {"a": bytes(range(256)), "b": b""})
    catalog.note_hashed([filled.MASK])
    catalog.begin_batch("run 1", machine=HOSTILE["quotes"], device="cpu", n_workers=2)
    catalog.note_encoding("run 1", now())
    catalog.begin_identity()
    catalog.begin_forgetting("b", who="Ann", why="consent")
