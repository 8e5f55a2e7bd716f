from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pathassets.core.datasets.apportion import whole_weights
from pathassets.core.datasets.manifest import Before, StatedParts, build_manifest
from pathassets.core.datasets.spec import DatasetSpec
from pathassets.core.datasets.splits import PATIENT, SITE, Group, place, scheme_of
from pathassets.errors import SpecError
from tests.core.datasets.test_manifest import table

SPECS = [
    {},
    {"split_by": "stratified"},
    {"split_by": "site"},
    {"n_folds": 5},
    {"n_folds": 3, "split_by": "stratified"},
    {"split_by": "stratified", "external": ["cptac", "camelyon"]},
    {"external": ["cptac"], "label": "grade", "split_by": "site"},
    {"split_by": "stratified", "split": {"train": 0.5, "test": 0.5}, "seed": 7},
]
N_SLIDES = 50
SLIDES = st.lists(
    st.fixed_dictionaries(
        {
            "patient": st.sampled_from([None, "", *(f"p{i}" for i in range(15))]),
            "label": st.sampled_from([None, "a", "b", "c"]),
            "site": st.sampled_from(["north", "south", "east", "x", "y"]),
            "external": st.sampled_from(["", "", "", "cptac", "camelyon"]),
        }
    ),
    max_size=N_SLIDES,
)
WAVES = st.lists(st.integers(0, 3), min_size=N_SLIDES, max_size=N_SLIDES)
"""When each slide arrives."""
TWO_WAVES = st.lists(st.integers(0, 1), min_size=N_SLIDES, max_size=N_SLIDES)
"""The same, where a thousand cases have to pay for each wave's tables."""


def numbered(slides: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{"slide_id": f"s{i:03}", **slide} for i, slide in enumerate(slides)]


def is_a_function(pairs: set[tuple[str, str]]) -> bool:
    return len(dict(pairs)) == len(pairs)


def said(patient: object) -> bool:
    return isinstance(patient, str) and patient != ""


def check_growth(slides: list[dict[str, object]], waves: list[int], spec: DatasetSpec) -> None:
    """Build as slides arrive; nobody is in two parts, and nobody ever moves."""
    of_patient: dict[str, str] = {"": "", **{f"p{i}": f"site {i % 4}" for i in range(15)}}
    rows = numbered(slides)
    for row in rows:  # a patient is of one site
        row["site"] = of_patient.get(str(row["patient"] or ""), "") or row["site"]
    placed: dict[tuple[str, str], str] = {}
    before: dict[str, str] = {}
    for wave in sorted({*waves}):
        come = [row for row, at in zip(rows, waves, strict=False) if at <= wave]
        if not come:
            continue
        made = build_manifest(table(*come), spec, Before(placed=placed))
        assert len(made.manifest) + len(made.left_out) == len(come)
        rows_made = made.manifest.to_dict("records")
        named = {(row["patient"], row["split"]) for row in rows_made if said(row["patient"])}
        assert is_a_function(named)
        if spec.split_by == "site":
            own = [row for row in rows_made if row["split"] not in spec.external]
            assert is_a_function({(row["site"], row["split"]) for row in own})
        parts = {row["slide_id"]: row["split"] for row in rows_made}
        # One who is found to be in an external cohort as well leaves; he does not move.
        assert all(parts[slide] == part for slide, part in before.items() if slide in parts)
        assert all(placed.get(unit, part) == part for unit, part in made.placed.items())
        placed, before = placed | {**made.placed}, before | parts


@pytest.mark.parametrize("spec", SPECS, ids=str)
@settings(max_examples=5, phases=[Phase.generate])  # to shrink tables takes minutes
@given(slides=SLIDES, waves=WAVES)
def test_nobody_is_in_two_parts_and_nobody_moves_as_the_cohort_grows(spec, slides, waves) -> None:
    check_growth(slides, waves, DatasetSpec(**spec))


@pytest.mark.slow  # minutes
@settings(max_examples=1000, phases=[Phase.generate])
@given(st.sampled_from(SPECS), SLIDES, TWO_WAVES)
def test_in_a_thousand_cases_nobody_is_in_two_parts_and_nobody_moves(spec, slides, waves) -> None:
    check_growth(slides, waves, DatasetSpec(**spec))


PEOPLE = st.lists(st.sampled_from("abcd"), max_size=90)


def check_shares(labels: list[str], n_early: int, spec: DatasetSpec) -> None:
    """Place people, some of them earlier; within each label no part is a patient off."""
    people = [Group(name=f"p{i}", labels=(label,)) for i, label in enumerate(labels)]
    early = place(people[:n_early], spec, {})
    found = place(people, spec, early)
    assert early.items() <= found.items()
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one in people:
        counts[one.labels[0]][found[PATIENT, one.name]] += 1
    weights = whole_weights(spec.parts)
    for counted in counts.values():
        for part, weight in weights.items():
            ideal = Fraction(weight * counted.total(), sum(weights.values()))
            assert abs(counted[part] - ideal) < 1


@settings(max_examples=40)
@given(PEOPLE, st.integers(0, 90), st.sampled_from([None, 4]))
def test_label_shares_are_within_one_patient_of_those_asked_for(labels, n_early, folds) -> None:
    check_shares(labels, n_early, DatasetSpec(split_by="stratified", n_folds=folds))


@pytest.mark.slow  # minutes
@settings(max_examples=1000)
@given(PEOPLE, st.integers(0, 90), st.sampled_from([None, 2, 5, 10]))
def test_in_a_thousand_cases_label_shares_hold(labels, n_early, folds) -> None:
    check_shares(labels, n_early, DatasetSpec(split_by="stratified", n_folds=folds))


def test_who_was_placed_stays_even_where_all_others_have_gone() -> None:
    spec = DatasetSpec(split_by="stratified", split={"train": 0.5, "test": 0.5})
    people = [Group(name=f"p{i}", labels=("x",)) for i in range(20)]
    first = place(people, spec, {})
    test = [g for g in people if first[PATIENT, g.name] == "test"]
    later = place([*test, *(Group(name=f"q{i}", labels=("x",)) for i in range(10))], spec, first)
    assert all(later[PATIENT, g.name] == "test" for g in test)
    assert Counter(later.values()) == {"train": 10, "test": 10}


def test_sites_are_shared_out_by_their_patients_the_largest_first() -> None:
    spec = DatasetSpec(split_by="site", split={"train": 0.6, "test": 0.4})
    sizes = {"north": 50, "south": 30, "east": 15, "west": 5}
    people = [Group(name=f"{s}{i}", site=s) for s, n in sizes.items() for i in range(n)]
    found = place(people, spec, {})
    counts = Counter(found[PATIENT, g.name] for g in people)
    assert counts in ({"train": 65, "test": 35}, {"train": 55, "test": 45})
    assert {found[SITE, s] for s in sizes} == {"train", "test"}


def test_a_new_patient_of_a_known_site_goes_where_it_is() -> None:
    spec = DatasetSpec(split_by="site")
    first = place([Group(name="p1", site="north")], spec, {})
    later = place([Group(name=f"q{i}", site="north") for i in range(99)], spec, first)
    assert {part for (kind, _), part in later.items() if kind == PATIENT} == {first[SITE, "north"]}


def test_a_patient_who_is_found_to_be_of_another_site_stays() -> None:
    spec = DatasetSpec(split_by="site", split={"train": 0.5, "test": 0.5})
    people = [Group(name="p1", site="north"), Group(name="p2", site="south")]
    first = place(people, spec, {})
    later = place([Group(name="p1", site="south"), people[1]], spec, first)
    assert later[PATIENT, "p1"] == first[PATIENT, "p1"] != later[PATIENT, "p2"]


def test_a_split_by_site_needs_one() -> None:
    with pytest.raises(SpecError, match="split_by is site, and no slide has one"):
        build_manifest(table({"slide_id": "a"}), DatasetSpec(split_by="site"))


def test_folds_are_parts_of_equal_shares_whose_names_sort_as_numbers() -> None:
    assert DatasetSpec(n_folds=2).parts == {"fold_1": 0.5, "fold_2": 0.5}
    assert [*DatasetSpec(n_folds=10).parts] == [f"fold_{i:02}" for i in range(1, 11)]


def test_another_seed_share_or_label_is_another_scheme_and_another_rule_is_not() -> None:
    base = {"split_by": "stratified"}
    same = [{}, {"min_patches": 9}, {"slides": "stain:HE"}, {"external": ["cptac"]}]
    others = [{"seed": 1}, {"label": "grade"}, {"n_folds": 3}, {"split_by": "site"}]
    assert len({scheme_of(DatasetSpec(**base, **change)) for change in same}) == 1
    assert len({scheme_of(DatasetSpec(**(base | change))) for change in [{}, *others]}) == 5


def test_an_external_cohort_is_a_part_and_its_patients_are_nowhere_else() -> None:
    rows = [
        {"slide_id": "a", "patient": "p1", "external": "cptac"},
        {"slide_id": "b", "patient": "p1"},
        {"slide_id": "c", "patient": "p2"},
        {"slide_id": "d", "patient": "p1", "external": "camelyon"},
        {"slide_id": "e", "external": "camelyon"},
    ]
    made = build_manifest(table(*rows), DatasetSpec(external=["cptac", "camelyon"]))
    parts = dict(zip(made.manifest["slide_id"], made.manifest["split"], strict=True))
    assert (parts["a"], parts["e"], {*parts}) == ("cptac", "camelyon", {"a", "c", "e"})
    assert dict(zip(made.left_out["slide_id"], made.left_out["why"], strict=True)) == dict.fromkeys(
        "bd", "its patient is in the external cohort cptac"
    )


def test_a_file_says_parts_by_patient_or_by_slide_and_who_is_not_in_it_is_left_out() -> None:
    rows = [
        {"slide_id": "a", "patient": "p1"},
        {"slide_id": "b", "patient": "p1"},
        {"slide_id": "c", "patient": "p2"},
        {"slide_id": "d", "patient": "p3"},
    ]
    stated = StatedParts(patients={"p2": "test"}, slides={"a": "train"}, file="splits.csv")
    made = build_manifest(table(*rows), DatasetSpec(split_file="splits.csv"), Before(stated=stated))
    assert made.manifest["split"].tolist() == ["train", "train", "test"]
    assert made.left_out["why"].tolist() == ["no part in splits.csv"]


def test_a_file_that_parts_a_patient_is_refused() -> None:
    rows = [{"slide_id": "a", "patient": "p1"}, {"slide_id": "b", "patient": "p1"}]
    stated = StatedParts(patients={}, slides={"a": "train", "b": "test"}, file="splits.csv")
    with pytest.raises(SpecError, match=r"splits.csv: patient 'p1' is in test and train"):
        build_manifest(table(*rows), DatasetSpec(split_file="s"), Before(stated=stated))


@pytest.mark.parametrize(
    ("rule", "bad", "why"),
    [
        ({"min_tissue_mm2": 1.5}, {"tissue_mm2": 1.4}, "less than 1.5 mm² of tissue"),
        ({"min_tissue_mm2": 1.5}, {"tissue_mm2": float("nan")}, "less than 1.5 mm² of tissue"),
        (
            {"max_bad_patch_share": 0.01},
            {"bad_patch_share": 0.02},
            "more than 1.00% of its patches cannot be read",
        ),
        ({"verdict": "not_rejected"}, {"verdict": "reject"}, "rejected in quality control"),
        ({"label": "grade"}, {"label": None}, "no label grade"),
    ],
)
def test_a_slide_that_breaks_a_rule_is_left_out_with_it(rule, bad, why) -> None:
    good = {"tissue_mm2": 2.0, "bad_patch_share": 0.0, "verdict": "accept", "label": "x"}
    rows = [{"slide_id": "a", **good}, {"slide_id": "b", **(good | bad)}]
    made = build_manifest(table(*rows), DatasetSpec(**rule))
    assert made.manifest["slide_id"].tolist() == ["a"]
    assert made.left_out[["slide_id", "why"]].to_numpy().tolist() == [["b", why]]
    kept = build_manifest(table(*rows), DatasetSpec())
    assert len(kept.manifest) == 2


def test_the_site_stands_in_the_table_where_the_split_goes_by_it() -> None:
    row = {"slide_id": "a", "site": "north"}
    by_site = build_manifest(table(row), DatasetSpec(split_by="site")).manifest
    assert by_site["site"].tolist() == ["north"]
    assert "site" not in build_manifest(table(row), DatasetSpec()).manifest
