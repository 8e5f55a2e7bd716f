"""Which slides a dataset takes, with what labels, and in which parts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pathassets.catalog.records import ChangedBy, CohortChange, CohortFacts, Verdict
from pathassets.engine.platform.datasets.build import build_dataset
from pathassets.engine.platform.datasets.plan import plan_dataset
from pathassets.engine.platform.provenance.stale import find_stale
from pathassets.engine.platform.recipe import open_recipe
from pathassets.engine.platform.status import cohort_status
from pathassets.errors import SpecError
from tests.catalog.merges import remember_merge
from tests.engine.conftest import RECIPE

pytestmark = pytest.mark.usefixtures("here")
BY = ChangedBy(who="Ann", file="cohort.csv", sha256="f" * 64)


@pytest.fixture
def cohort(platform, get_ready, reopen):
    """Three slides of three patients; gives the plan of a dataset that says more."""
    planned = get_ready(platform, 3, is_run=True)
    ids = [one.slide_id for one in planned]
    platform.catalog.set_cohort_facts(
        CohortFacts(slide_id=s, patient=f"p{i}", label="tumour") for i, s in enumerate(ids)
    )

    class Cohort:
        slides = ids
        catalog = platform.catalog

        def say(self, subject, key, field, new, kind=None):
            change = CohortChange(
                subject=subject, key=key, field=field, old=None, new=new, kind=kind
            )
            self.catalog.record_changes([change], BY)

        def opened(self, said):
            return reopen(RECIPE.replace("{features: stats}", f"{{features: stats, {said}}}"))

        def plan(self, said):
            platform = self.opened(said)
            return plan_dataset(platform, platform.recipe.datasets[0])

    return Cohort()


def slides(planned):
    return planned.manifest["slide_id"].tolist()


def left_out(planned):
    table = planned.left_out
    return dict(zip(table["slide_id"], table["why"], strict=True))


def test_a_selection_says_which_slides_and_the_others_are_not_listed(cohort):
    a, b, _ = cohort.slides
    cohort.say("slide", a, "cohort", "luad")
    cohort.say("slide", b, "cohort", "luad")
    planned = cohort.plan('slides: "cohort:luad & !patient:p1"')
    assert slides(planned) == [a]
    assert left_out(planned) == {}


def test_a_selection_that_means_nothing_is_refused_at_its_place(cohort):
    with pytest.raises(SpecError, match="cohrt"):
        cohort.plan('slides: "cohrt:luad"')


def test_a_named_label_is_the_slides_or_else_its_patients_and_who_has_none_is_left_out(cohort):
    a, b, c = cohort.slides
    cohort.say("patient", "p0", "label.grade", "low", "category")
    cohort.say("patient", "p1", "label.grade", "low", "category")
    cohort.say("slide", b, "label.grade", "high", "category")
    planned = cohort.plan("label: grade")
    assert planned.manifest["label"].tolist() == ["low", "high"]
    assert slides(planned) == [a, b]
    assert left_out(planned) == {c: "no label grade"}
    name = 'T = "1": a & b\n#2'
    cohort.say("slide", b, f"label.{name}", "x", "category")
    planned = cohort.plan(f"label: {json.dumps(name)}")
    assert planned.manifest["label"].tolist() == ["x"]
    assert set(left_out(planned).values()) == {f"no label {name}"}


def test_patients_of_a_site_are_in_one_part(cohort):
    for patient, site in (("p0", "north"), ("p1", "south"), ("p2", "north")):
        cohort.say("patient", patient, "site", site)
    manifest = cohort.plan("split_by: site, split: {train: 0.6, test: 0.4}").manifest
    assert manifest["site"].tolist() == ["north", "south", "north"]
    assert manifest["split"].tolist() == ["train", "test", "train"]


def test_an_external_cohort_is_a_part_and_one_that_there_is_not_fails_that_dataset_alone(
    cohort, reopen
):
    cohort.say("slide", cohort.slides[1], "cohort", "cptac")
    manifest = cohort.plan("external: [cptac], split: {train: 1.0}").manifest
    assert manifest["split"].tolist() == ["train", "cptac", "train"]
    named = "dataset/cohort: external names the cohort 'cptca', which there is not"
    with pytest.raises(SpecError, match=named) as refused:
        cohort.plan("external: [cptca]")
    assert "Did you mean 'cptac'?" in refused.value.remedy
    two = "{features: stats, external: [cptca]}\n  whole: {features: stats}"
    platform = reopen(RECIPE.replace("{features: stats}", two))
    external, whole = cohort_status(platform).datasets
    assert (external.state, external.reason, whole.state) == ("failed", "spec_error", "missing")
    assert external.message in named
    build_dataset(platform, platform.recipe.datasets[1], run_id="run")
    assert find_stale(platform) == []


def test_who_was_rejected_is_left_out_where_that_is_asked_for(cohort):
    a, b, _ = cohort.slides
    for word in ("reject", "accept"):
        cohort.catalog.set_verdict(Verdict(slide_id=a, verdict=word, who="Ann", why="folds"))
    cohort.catalog.set_verdict(Verdict(slide_id=b, verdict="reject", who="Ann", why="blur"))
    assert left_out(cohort.plan("verdict: not_rejected")) == {b: "rejected in quality control"}
    assert left_out(cohort.plan("seed: 0")) == {}


def test_little_tissue_is_a_reason_to_be_left_out(cohort):
    assert left_out(cohort.plan("min_tissue_mm2: 0.001")) == {}
    assert set(left_out(cohort.plan("min_tissue_mm2: 5.0")).values()) == {
        "less than 5 mm² of tissue"
    }


def test_a_file_says_parts_and_reads_back_what_a_version_wrote(cohort, settings):
    a, b, c = cohort.slides
    path = settings.home / "parts.csv"
    path.write_text("slide_id;split\n" + f"{a};train\n{b};test\n")
    planned = cohort.plan("split_file: parts.csv")
    assert planned.manifest["split"].tolist() == ["train", "test"]
    assert left_out(planned) == {c: "no part in parts.csv"}
    platform = cohort.opened("split_file: parts.csv")
    platform.catalog.set_cohort_facts(
        [CohortFacts(slide_id=a, patient="=1+1", label='\'quoted, "so"\n')]
    )
    built = build_dataset(platform, platform.recipe.datasets[0], run_id="run")
    written = platform.store.path_of(built.artifact.address) / "splits.csv"
    assert "'=1+1" in written.read_text()
    path.write_bytes(written.read_bytes())
    assert cohort.plan("split_file: parts.csv").manifest["split"].tolist() == ["train", "test"]


def test_a_file_may_name_a_slide_by_an_id_of_before_it_was_merged_or_its_file(
    cohort, settings, platform
):
    a, b, _ = cohort.slides
    remember_merge(platform.catalog, "old-id", into=a)
    path = settings.home / "parts.csv"
    path.write_text(f"slide_id;split\nold-id;train\n{b};test\n")
    assert cohort.plan("split_file: parts.csv").manifest["split"].tolist() == ["train", "test"]
    file = Path(platform.catalog.paths(b)[0].path)
    path.write_text(f"slide_id;split\nold-id;train\n{file.name};test\n")
    assert cohort.plan("split_file: parts.csv").manifest["split"].tolist() == ["train", "test"]
    path.write_text(f"slide_id;split\nold-id;train\n{a};test\n")
    with pytest.raises(SpecError, match="is in train and in test: it is named in two ways"):
        cohort.plan("split_file: parts.csv")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("who,split\na,train\n", "says of nobody which part is his"),
        ("patient,part\np0,train\n", "no column 'split'"),
        ("patient,split\np0,train\np0,test\n", "parts.csv:3: patient 'p0' is in train and in test"),
        ("patient,split\np0,a b/c\n", "parts.csv:2: 'a b/c' is no name of a part"),
    ],
)
def test_a_file_that_does_not_say_parts_is_refused(cohort, settings, text, fault):
    (settings.home / "parts.csv").write_text(text)
    with pytest.raises(SpecError, match=fault):
        cohort.plan("split_file: parts.csv")


def test_a_file_that_changed_since_the_recipe_was_read_is_another_request(cohort, settings):
    path = settings.home / "parts.csv"
    path.write_text("patient,split\np0,train\n")
    platform = cohort.opened("split_file: parts.csv")
    path.write_text("patient,split\np0,test\n")
    with pytest.raises(SpecError, match="changed since the recipe was read"):
        plan_dataset(platform, platform.recipe.datasets[0])
    assert open_recipe(platform.settings).datasets[0].digest([]) != platform.recipe.datasets[
        0
    ].digest([])
