import shutil
from collections import Counter

import pytest
from sqlalchemy import update

from pathassets.adapters.store.folder_store import FolderStore
from pathassets.catalog.database.connect import writing
from pathassets.catalog.tables import artifact, plan
from pathassets.engine.platform.standing import look as look_module
from pathassets.engine.platform.standing.look import look
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.platform.standing.rows import slide_rows
from pathassets.engine.platform.status import cohort_status

MASK, GRID, STATS = ("tissue_mask", "otsu"), ("patch_locations", "grid"), ("features", "stats")


@pytest.fixture
def made(platform, get_ready):
    return get_ready(platform, 2, is_run=True)


@pytest.fixture
def looked(monkeypatch):
    """How often each artifact was looked at."""
    found = Counter()
    check = FolderStore.check_sizes

    def counting(self, address, files):
        found[address] += 1
        return check(self, address, files)

    monkeypatch.setattr(FolderStore, "check_sizes", counting)
    return found


def states(platform):
    return [[cell.state for cell in row.cells] for row in slide_rows(platform)]


def test_a_look_finds_what_is_gone_and_what_came_back(platform, made, tmp_path):
    folder = platform.store.path_of(made[0].steps[GRID].address)
    plan_id = refresh_wanted(platform)
    look(platform, plan_id)
    assert states(platform) == [["current"] * 3] * 2
    shutil.move(folder, tmp_path / "away")
    assert states(platform) == [["current"] * 3] * 2  # nobody has looked
    look(platform, plan_id)
    assert states(platform) == [["current", "damaged", "current"], ["current"] * 3]
    assert platform.catalog.state_counts(plan_id)[GRID] == {"current": 1, "damaged": 1}
    shutil.move(tmp_path / "away", folder)
    look(platform, plan_id)
    assert states(platform) == [["current"] * 3] * 2


def test_a_look_at_some_slides_or_at_one_entry_leaves_the_others_alone(platform, made, looked):
    first, second = made
    plan_id = refresh_wanted(platform)
    look(platform, plan_id, [first.slide_id])
    assert looked == Counter(step.address for step in first.steps.values())
    looked.clear()
    look(platform, plan_id, key=STATS)
    assert looked == Counter(one.steps[STATS].address for one in (first, second))


@pytest.mark.usefixtures("made")
def test_of_a_large_cohort_status_says_how_old_the_look_is_unless_asked_to_look(
    platform, looked, monkeypatch
):
    assert cohort_status(platform).look is None
    assert sum(looked.values()) == 6
    monkeypatch.setattr(look_module, "MAX_LOOKED", 5)
    looked.clear()
    age = cohort_status(platform).look
    assert (age.n_artifacts, age.n_never) == (6, 0)
    assert age.oldest_at is not None
    assert not looked
    assert cohort_status(platform, is_looking=True).look is None
    assert sum(looked.values()) == 6
    assert cohort_status(platform, is_looking=False).look == age


def test_what_was_seen_just_now_is_not_noted_again(platform, made, count_writes):
    plan_id = refresh_wanted(platform)
    look(platform, plan_id)
    with count_writes() as written:
        look(platform, plan_id)
    assert written == []
    with writing(platform.catalog._engine) as connection:
        connection.execute(update(artifact).values(seen_whole_at=None))
        connection.execute(update(plan).values(looked_at=None))
    assert platform.catalog.look_age(plan_id).n_never == 3 * len(made)
    look(platform, plan_id)
    assert platform.catalog.look_age(plan_id).n_never == 0
