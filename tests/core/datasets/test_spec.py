import pytest
from pydantic import ValidationError

from pathassets.core.datasets.names import DatasetName, parse_dataset_name
from pathassets.core.datasets.spec import DatasetSpec
from pathassets.core.recipe import Recipe
from pathassets.core.recipe_file import parse_recipe
from pathassets.errors import SpecError

SHA256 = "f" * 64


def recipe(dataset: dict[str, object]) -> Recipe:
    sections = {
        "tissue_mask": {"otsu": {"mpp": 8.0}},
        "patch_locations": {"grid": {"tissue_mask": "otsu", "patch_px": 64, "mpp": 0.5}},
        "features": {"stats": {"patch_locations": "grid", "encoder": "colour_stats"}},
        "dataset": {"cohort": {"features": "stats", **dataset}},
    }
    return parse_recipe(sections, str, lambda path: (f"/abs/{path}", SHA256))


def digest(**dataset: object) -> str:
    return recipe(dataset).datasets[0].digest(["a", "b"])


def test_recipes_of_before_keep_their_versions() -> None:
    assert digest() == "1f7f7d7a6a0f44d4"
    assert digest(split={"train": 0.8, "test": 0.2}, seed=4, min_patches=10) == "f0394bf4a9241afd"
    assert digest(slides="", split_by="shares", external=[], label=None) == digest()


CHANGES = [
    {"slides": "cohort:luad"},
    {"label": "label"},
    {"min_tissue_mm2": 0.5},
    {"max_bad_patch_share": 0.5},
    {"verdict": "not_rejected"},
    {"split_by": "stratified"},
    {"split_by": "site"},
    {"n_folds": 3},
    {"split_file": "splits.csv"},
    {"external": ["cptac"]},
]


def test_each_thing_that_is_said_is_another_version() -> None:
    assert len({digest(**change) for change in [{}, *CHANGES]}) == len(CHANGES) + 1


def test_where_the_file_of_parts_lies_is_no_part_of_the_version() -> None:
    assert digest(split_file="a.csv") == digest(split_file="b/c.csv") != digest()
    entry = recipe({"split_file": "a.csv"}).datasets[0]
    assert entry.spec.split_file == "/abs/a.csv"
    assert (entry.weights_sha256, "split_file" in entry.parameters) == (SHA256, False)


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"split_file": "a", "n_folds": 3}, "split_file says every part"),
        ({"split_file": "a", "split_by": "site"}, "split_file says every part"),
        ({"n_folds": 3, "split": {"a": 1.0}}, "n_folds makes the parts: split names others"),
        ({"n_folds": 1}, "greater than or equal to 2"),
        ({"external": ["test"]}, "external names test, which is a part of the split already"),
        ({"external": ["a", "a"]}, "external names a cohort twice"),
        ({"external": ["../a"]}, "should match pattern"),
        (
            {"split_by": "stratified", "split": {"a": 0.995, "b": 0.005}},
            "a stratified part has 1% of the patients or more, one has 0.50%",
        ),
        ({"split_by": "luck"}, "should be 'shares', 'stratified' or 'site'"),
    ],
)
def test_what_contradicts_itself_is_refused(said, fault) -> None:
    with pytest.raises(ValidationError, match=fault):
        DatasetSpec(**said)


def test_a_version_is_a_dataset_and_a_number_or_a_digest() -> None:
    assert parse_dataset_name("cohort") == DatasetName(dataset="cohort")
    assert parse_dataset_name("luad@12") == DatasetName(dataset="luad", version=12)
    found = parse_dataset_name("luad@0123456789abcdef")
    assert found == DatasetName(dataset="luad", digest="0123456789abcdef")
    assert [str(parse_dataset_name(t)) for t in ("a", "a@1")] == ["a", "a@1"]


@pytest.mark.parametrize("text", ["", "a@", "a@0", "a@1x", "../a", "a b", "a@v3", "a@\x1b[2J"])
def test_what_is_no_version_is_refused(text) -> None:
    with pytest.raises(SpecError, match="no name of a version") as refused:
        parse_dataset_name(text)
    assert "\x1b" not in str(refused.value)
