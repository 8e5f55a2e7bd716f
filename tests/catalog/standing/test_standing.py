"""States in SQL are what Python derives, whatever happened, and whoever wrote at the same time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from pathassets.adapters.store.damage import Damage
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.database.connect import reading, writing
from pathassets.catalog.database.dialects import lock_for_standing
from pathassets.catalog.records import (
    AnnotationRecord,
    ArtifactRecord,
    AttemptRecord,
    FileRecord,
    PathRecord,
    SlideRecord,
)
from pathassets.catalog.standing.looks import InForce
from pathassets.catalog.standing.standing import N_PLANS, USED_EVERY, Wanted
from pathassets.catalog.states import GONE
from pathassets.catalog.tables import artifact, plan, wanted
from pathassets.core.address import Address
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.platform import Platform, open_platform
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.platform.standing.rows import slide_rows
from pathassets.errors import ArtifactCorrupt, ArtifactMissing
from tests.engine.conftest import RECIPE, settings_in

DRAWN = RECIPE.replace(
    "patch_px: 64,", "patch_px: 64, region: annotations, annotations: tumour,"
) + "annotations:\n  tumour:\n"  # fmt: skip
MASK, GRID, STATS = ("tissue_mask", "otsu"), ("patch_locations", "grid"), ("features", "stats")
KEYS = (MASK, GRID, STATS)
SLIDE = SlideRecord(
    slide_id="a", fingerprint="a" * 64, size_bytes=1, vendor="v", reader="r", width_px0=1,
    height_px0=1, n_levels=1, level_downsamples=(1.0,), mpp=0.5, mpp_sources=(),
)  # fmt: skip
FILES = (FileRecord(path="x", size_bytes=1, sha256="f" * 64),)


@pytest.fixture
def platform(made_url: str, tmp_path: Path) -> Iterator[Platform]:
    """A home whose recipe asks for annotations, on either database."""
    given = replace(settings_in(tmp_path / "home"), catalog_url=made_url)
    given.recipe.write_text(DRAWN)
    with open_platform(given) as opened:
        yield opened


def register(catalog: Catalog, slide_id: str, **facts: object) -> str:
    record = replace(SLIDE, slide_id=slide_id, fingerprint=f"{slide_id:f>64}", **facts)
    path = PathRecord(
        path=f"/scans/{slide_id}.svs", slide_id=slide_id, size_bytes=1, mtime_ns=1, ctime_ns=1
    )
    return catalog.register_slide(record, path).slide_id


def artifact_at(address: Address, **facts: object) -> ArtifactRecord:
    return ArtifactRecord(
        address=address, uri=str(address), spec={}, code_version="1", facts=facts, files=FILES,
        made_by="run",
    )  # fmt: skip


def attempt_at(address: Address, state: str, *, is_final: bool = False) -> AttemptRecord:
    return AttemptRecord(
        run_id="run", address=address, state=state, is_final=is_final,
        reason="tile_unreadable" if state in {"failed", "blocked"} else "",
    )  # fmt: skip


def draw(catalog: Catalog, slide_id: str, digest: str) -> None:
    catalog.record_annotation(
        AnnotationRecord(
            slide_id=slide_id, name="tumour", digest=digest, file="x", sha256="", n_polygons=1,
            labels={}, who="Ann", why="review",
        )
    )  # fmt: skip


def address_of(platform: Platform, slide_id: str, key: tuple[str, str]) -> Address:
    [planned] = plan_slides(platform, [slide_id])
    return planned.steps[key].address


def stored_states(platform: Platform, *slide_ids: str) -> dict[tuple[str, ...], tuple[object, ...]]:
    """What the catalog has of all that is wanted but of what is drawn."""
    plan_id = refresh_wanted(platform)
    columns = wanted.c
    query = select(
        columns.slide_id, columns.stage, columns.name, columns.digest, columns.state,
        columns.reason, columns.is_final,
    ).where(columns.plan_id == plan_id, columns.stage != "annotations")  # fmt: skip
    if slide_ids:
        query = query.where(columns.slide_id.in_(slide_ids))
    with reading(platform.catalog._engine) as connection:
        return {tuple(row[:3]): tuple(row[3:]) for row in connection.execute(query)}


def derived_states(
    platform: Platform, *slide_ids: str
) -> dict[tuple[str, ...], tuple[object, ...]]:
    """What Python says of the same."""
    return {
        (row.planned.slide_id, *cell.key): (
            cell.digest, cell.state, cell.reason, cell.state == "failed" and cell.is_final
        )
        for row in slide_rows(platform, slide_ids or None)
        for cell in row.cells
    }  # fmt: skip


def counted_rows(platform: Platform, plan_id: int) -> tuple[int, list[object]]:
    """How often things changed, and what a dataset of each entry would be made from."""
    catalog = platform.catalog
    pages = [page for key in KEYS for page in catalog.dataset_inputs(plan_id, key)]
    return catalog.n_changes(plan_id), [tuple(row) for page in pages for row in page]


some_keys = st.sampled_from([MASK, MASK, GRID])  # much is to happen at one place
is_as_wanted = st.sampled_from([True, True, True, False])
events = st.one_of(
    st.tuples(st.just("make"), some_keys, is_as_wanted),
    st.tuples(
        st.just("try"), some_keys, is_as_wanted,
        st.sampled_from(["made", "failed", "blocked", "blocked"]), st.booleans(),
    ),
    st.tuples(st.just("look"), some_keys, st.sampled_from(["", GONE, "x is gone"])),
    st.tuples(st.just("restate"), st.sampled_from([0.25, 0.5])),
    st.tuples(st.just("draw"), st.sampled_from(["one", "two", ""])),
    st.tuples(st.just("plan")),
)  # fmt: skip
_numbers = itertools.count()


def happen(platform: Platform, slide_id: str, event: tuple) -> None:
    catalog = platform.catalog
    match event:
        case ("restate", mpp):
            catalog.override_mpp(slide_id, mpp, who="me", why="log")
            return
        case ("draw", digest):
            draw(catalog, slide_id, digest)
            return
        case ("plan",):
            refresh_wanted(platform)
            return
    address = address_of(platform, slide_id, event[1])
    match event:
        case ("make", _, is_wanted):
            made = address if is_wanted else replace(address, digest="other")
            catalog.record_artifact(artifact_at(made), ())
        case ("try", _, is_wanted, state, is_final):
            tried = address if is_wanted else replace(address, digest="other")
            catalog.record_attempts([attempt_at(tried, state, is_final=is_final)])
        case ("look", _, ""):
            catalog.record_looks([address], [], lambda *_: "")
        case ("look", _, damage):
            catalog.record_looks([], [address], lambda *_: damage)


@settings(
    max_examples=60, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(history=st.lists(events, max_size=15))
def test_whatever_happened_the_state_in_sql_is_what_python_derives(platform, history):
    slide_id = register(platform.catalog, f"s{next(_numbers)}")
    plan_id = refresh_wanted(platform)
    for event in history:
        n_before, before = counted_rows(platform, plan_id)
        happen(platform, slide_id, event)
        n_after, after = counted_rows(platform, plan_id)
        assert after == before or n_after > n_before, event
    stored = stored_states(platform, slide_id)
    assert stored == derived_states(platform, slide_id)
    assert len(stored) == len(KEYS)


def test_damage_is_told_in_the_words_that_the_catalog_knows():
    assert str(Damage(path="", fact="is gone")) == GONE
    assert {ArtifactMissing.reason, ArtifactCorrupt.reason} == {
        "artifact_missing", "artifact_corrupt"
    }  # fmt: skip


def test_a_look_that_came_late_does_not_hide_what_was_made_anew(platform):
    slide_id = register(platform.catalog, "a")
    address = address_of(platform, slide_id, MASK)
    platform.catalog.record_artifact(artifact_at(address), ())
    seen = []

    def look_at(at: Address, files: object) -> str:
        seen.append((at, files))
        return ""  # made anew since

    platform.catalog.record_looks([], [address], look_at)
    assert seen == [(address, FILES)]
    assert stored_states(platform)[slide_id, *MASK][1] == "current"


def test_what_another_look_found_damaged_is_not_called_whole(platform):
    slide_id = register(platform.catalog, "a")
    plan_id = refresh_wanted(platform)
    address = address_of(platform, slide_id, MASK)
    platform.catalog.record_artifact(artifact_at(address), ())
    [before] = platform.catalog.in_force(plan_id)
    assert before == InForce(address=address, files=FILES, damage="")
    platform.catalog.record_looks([], [address], lambda *_: "x is gone")
    platform.catalog.record_looks([address], [], lambda *_: "never asked")
    [after] = platform.catalog.in_force(plan_id, [slide_id])
    assert after.damage == "x is gone"
    assert stored_states(platform)[slide_id, *MASK][1:] == ("damaged", "artifact_corrupt", False)
    platform.catalog.record_artifact(artifact_at(address), ())  # made again, with the same bytes
    assert stored_states(platform)[slide_id, *MASK][1] == "current"


def test_the_age_of_a_look_is_that_of_the_artifact_not_seen_for_longest(platform):
    slides = [register(platform.catalog, name) for name in "abc"]
    plan_id = refresh_wanted(platform)
    assert platform.catalog.look_age(plan_id).oldest_at is None
    addresses = [address_of(platform, slide_id, MASK) for slide_id in slides]
    for address in addresses:
        platform.catalog.record_artifact(artifact_at(address), ())
    old = datetime.now(UTC) - timedelta(days=2)
    with writing(platform.catalog._engine) as connection:
        of = artifact.c.partition_key
        connection.execute(update(artifact).where(of == "a").values(seen_whole_at=None))
        connection.execute(update(artifact).where(of == "b").values(seen_whole_at=old))
    age = platform.catalog.look_age(plan_id)
    assert (age.n_artifacts, age.oldest_at, age.n_never) == (3, old, 1)
    platform.catalog.note_look(plan_id)  # one was never seen: there is nothing to note
    assert platform.catalog.look_age(plan_id) == age
    others = [replace(one, digest="other") for one in addresses]
    platform.catalog.record_looks(others, [], lambda *_: "")  # of the same slides
    assert platform.catalog.look_age(plan_id) == age
    platform.catalog.record_looks(addresses, [], lambda *_: "")
    platform.catalog.note_look(plan_id)
    age = platform.catalog.look_age(plan_id)
    assert (age.n_artifacts, age.n_never) == (3, 0)
    assert age.oldest_at > old


def test_whoever_asks_for_the_age_of_a_look_asks_all_artifacts_once(platform, count_queries):
    address = address_of(platform, register(platform.catalog, "a"), MASK)
    plan_id = refresh_wanted(platform)
    platform.catalog.record_artifact(artifact_at(address), ())
    platform.catalog.record_looks([address], [], lambda *_: "")
    with count_queries() as first:
        age = platform.catalog.look_age(plan_id)
    with count_queries() as second:
        assert platform.catalog.look_age(plan_id) == age
    assert (age.n_artifacts, age.n_never) == (1, 0)
    assert [sum("JOIN artifact" in query for query in asked) for asked in (first, second)] == [1, 0]


def test_what_comes_into_force_again_makes_the_look_as_old_as_it_was_seen(platform):
    slide_id = register(platform.catalog, "a")
    catalog, plan_id = platform.catalog, refresh_wanted(platform)
    address = address_of(platform, slide_id, MASK)
    catalog.record_artifact(artifact_at(address), ())
    old = datetime.now(UTC) - timedelta(days=2)
    with writing(catalog._engine) as connection:
        connection.execute(update(artifact).values(seen_whole_at=old))
    catalog.override_mpp(slide_id, 0.4, who="me", why="log")
    refresh_wanted(platform)
    other = address_of(platform, slide_id, MASK)
    catalog.record_artifact(artifact_at(other), ())
    catalog.note_look(plan_id)
    age = catalog.look_age(plan_id)
    assert (age.n_artifacts, age.n_never) == (1, 0)
    assert age.oldest_at > old
    catalog.override_mpp(slide_id, 0.5, who="me", why="it was right")
    refresh_wanted(platform)
    assert catalog.look_age(plan_id).oldest_at == old


@pytest.mark.parametrize(
    ("change", "is_forgotten"),
    [
        (lambda c: c.override_mpp("a", 0.4, who="me", why="log"), True),
        (lambda c: draw(c, "a", "one"), True),
        (lambda c: register(c, "a", mpp=0.4), True),
        (lambda c: register(c, "a", vendor="other"), False),
    ],
)
def test_a_slide_is_planned_again_once_what_decides_its_plan_has_changed(
    platform, change, is_forgotten
):
    register(platform.catalog, "a")
    register(platform.catalog, "b")
    plan_id = refresh_wanted(platform)
    assert platform.catalog.unplanned(plan_id) == []
    change(platform.catalog)
    assert platform.catalog.unplanned(plan_id) == (["a"] if is_forgotten else [])
    assert refresh_wanted(platform) == plan_id
    assert platform.catalog.unplanned(plan_id) == []
    assert stored_states(platform) == derived_states(platform)


def test_plans_of_the_last_recipes_are_kept_and_those_before_dropped(platform):
    register(platform.catalog, "a")
    catalog = platform.catalog
    first = refresh_wanted(platform)
    others = [catalog.open_plan(f"recipe {i}") for i in range(N_PLANS - 1)]
    assert len({first, *others}) == N_PLANS
    assert refresh_wanted(platform) == first
    assert catalog.unplanned(first) == []
    with writing(catalog._engine) as connection:  # a day passes
        long_ago = datetime.now(UTC) - 24 * USED_EVERY
        connection.execute(update(plan).values(used_at=long_ago))
    assert refresh_wanted(platform) == first  # it is the newest now
    newest = catalog.open_plan("one more")
    with reading(catalog._engine) as connection:
        kept = set(connection.execute(select(plan.c.plan_id)).scalars())
        rows = set(connection.execute(select(wanted.c.plan_id)).scalars())
    assert {first, newest} < kept
    assert len(kept) == N_PLANS
    assert rows == {first}


def test_counts_and_choices_are_those_of_the_rows(platform):
    a, b, c = (register(platform.catalog, name) for name in "abc")
    catalog = platform.catalog
    catalog.record_artifact(artifact_at(address_of(platform, a, MASK)), ())
    catalog.record_attempts([attempt_at(address_of(platform, b, MASK), "failed", is_final=True)])
    plan_id = refresh_wanted(platform)
    assert catalog.state_counts(plan_id)[MASK] == {"current": 1, "failed": 1, "missing": 1}
    assert catalog.slides_in(plan_id, [MASK], ["current", "missing"]) == {a, c}
    assert catalog.slides_in(plan_id, [MASK], ["failed"], is_final=True) == {b}
    [cell] = catalog.cells_in(plan_id, "failed")
    assert (cell.slide_id, cell.key, cell.reason) == (b, MASK, "tile_unreadable")
    assert [*catalog.slide_pages(2)] == [[a, b], [c]]
    assert [*catalog.slide_pages(3)] == [[a, b, c]]
    assert catalog.first_slides(plan_id, 2, is_open=True) == [a, b]
    assert catalog.first_slides(plan_id, 2, is_open=False) == []
    assert catalog.n_slides() == 3


@pytest.mark.parametrize("made_url", ["postgresql"], indirect=True)
def test_no_writer_of_what_states_follow_from_begins_before_the_last_has_ended(platform):
    catalog = platform.catalog
    slide_id = register(catalog, "a")
    plan_id = catalog.open_plan("recipe")
    address = address_of(platform, slide_id, MASK)
    catalog.record_artifact(artifact_at(address), ())
    writers = [
        lambda: catalog.record_artifact(artifact_at(replace(address, digest="new")), ()),
        lambda: catalog.record_attempts([attempt_at(address, "failed")]),
        lambda: catalog.record_looks([], [address], lambda *_: GONE),
        lambda: catalog.override_mpp(slide_id, 0.4, who="me", why="log"),
        lambda: draw(catalog, slide_id, "one"),
        lambda: register(catalog, "b"),
        lambda: catalog.plan_some(
            plan_id, [slide_id], lambda _: [Wanted(stage="x", name="y", digest="z")]
        ),
    ]
    with ThreadPoolExecutor(len(writers)) as pool:
        with writing(catalog._engine) as connection:
            lock_for_standing(connection)
            begun = [pool.submit(write) for write in writers]
            assert wait(begun, timeout=0.5).done == set()
        assert len(wait(begun, timeout=30).done) == len(writers)
    assert [one.exception() for one in begun] == [None] * len(writers)


WRITE_AT_ONCE = """
import os, sys
from dataclasses import replace
from pathassets.core.address import Address
from pathassets.engine.platform.platform import open_platform
from pathassets.engine.platform.standing.refresh import refresh_wanted
from tests.catalog.standing.test_standing import KEYS, address_of, artifact_at, attempt_at
from tests.engine.conftest import settings_of
from pathlib import Path

settings = replace(settings_of(Path(sys.argv[1])), catalog_url=sys.argv[2])
N_WRITERS, N_ROUNDS, SLIDES = 8, 6, "ab"
gate, key = os.pipe()

def write(platform, number):
    for i in range(N_ROUNDS):
        slide_id = SLIDES[(number + i) % len(SLIDES)]
        address = address_of(platform, slide_id, KEYS[0])
        kind = (number + i) % 4
        if kind == 0:
            mpp = 0.1 + (number + i) % 3
            platform.catalog.override_mpp(slide_id, mpp, who=str(number), why=str(i))
        elif kind == 1:
            platform.catalog.record_artifact(artifact_at(address, by=number), ())
        elif kind == 2:
            platform.catalog.record_attempts([attempt_at(address, "failed")])
        else:
            platform.catalog.record_looks([], [address], lambda *_: "x is gone" if i % 2 else "")
        own = Address(*KEYS[0], slide_id, f"{number}-{i}")
        platform.catalog.record_artifact(artifact_at(own), ())
        platform.catalog.record_attempts([attempt_at(own, "made")])

for number in range(N_WRITERS + 1):
    if os.fork() == 0:
        os.close(key)
        with open_platform(settings) as platform:
            os.read(gate, 1)  # till nobody holds the key
            if number < N_WRITERS:
                write(platform, number)
            else:
                for _ in range(2 * N_ROUNDS):
                    refresh_wanted(platform)
        os._exit(0)
os.close(key)
print([os.wait()[1] for _ in range(N_WRITERS + 1)])
"""


def test_eight_writers_at_once_lose_nothing_while_one_plans(platform, made_url, start_python):
    for name in "ab":
        register(platform.catalog, name)
    said, errors = start_python(WRITE_AT_ONCE, str(platform.settings.home), made_url).communicate(
        timeout=120
    )
    assert (said, errors) == (f"{[0] * 9}\n", "")
    catalog = platform.catalog
    own = {(number, i) for number in range(8) for i in range(6)}
    made = {a.digest for a in catalog.artifact_digests()}
    tried = {a.address.digest for a in catalog.attempts()}
    names = {f"{number}-{i}" for number, i in own}
    assert names <= made
    assert names <= tried
    stated = [one for name in "ab" for one in catalog.mpp_history(name)]
    assert {(int(s.who), int(s.why)) for s in stated} == {n for n in own if sum(n) % 4 == 0}
    assert stored_states(platform) == derived_states(platform)
