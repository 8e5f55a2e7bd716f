from collections import Counter
from collections.abc import Iterable

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pathassets.core.datasets.manifest import MANIFEST_COLUMNS
from pathassets.core.datasets.manifest import build_manifest as build
from pathassets.core.datasets.spec import DatasetSpec
from pathassets.core.datasets.splits import split_of
from pathassets.core.spec import digest_of
from pathassets.errors import SpecError

FACTS = [name for name in MANIFEST_COLUMNS if name != "split"]
PATIENTS = st.sampled_from([None, "", *(f"p{i}" for i in range(12))])


def table(*slides: dict[str, object]) -> pd.DataFrame:
    """Rows as the catalog gives them; each slide says what differs from the ordinary."""
    ordinary = {
        **{name: f"{name} of it" for name in FACTS},
        "patient": None,
        "label": None,
        "n_patches": 100,
        "slide_mpp": 0.25,
        "why": "",
    }
    rows = [{"slide_sha256": f"{i:064}"} | slide for i, slide in enumerate(slides)]
    more = {name for row in rows for name in row} - {*FACTS, "why"}
    return pd.DataFrame([ordinary | row for row in rows], columns=[*FACTS, "why", *sorted(more)])


def build_manifest(rows: pd.DataFrame, spec: DatasetSpec) -> tuple[pd.DataFrame, pd.DataFrame]:
    made = build(rows, spec)
    return made.manifest, made.left_out


def parts_of(manifest: pd.DataFrame) -> dict[str, str]:
    return dict(zip(manifest["slide_id"], manifest["split"], strict=True))


def numbered(patients: Iterable[str | None]) -> list[dict[str, object]]:
    return [{"slide_id": f"s{i:03}", "patient": p} for i, p in enumerate(patients)]


@settings(max_examples=30)
@given(st.lists(PATIENTS, max_size=40), st.integers(0, 5))
def test_the_slides_of_a_patient_are_in_one_part(patients, seed) -> None:
    manifest, _ = build_manifest(table(*numbered(patients)), DatasetSpec(seed=seed))
    assert len(manifest) == len(patients)
    known = manifest[manifest["patient"].fillna("") != ""]
    assert len(known[["patient", "split"]].drop_duplicates()) == known["patient"].nunique()


@settings(max_examples=30)
@given(st.lists(PATIENTS, max_size=40), st.sets(st.integers(0, 39)))
def test_adding_slides_moves_nobody(patients, early) -> None:
    rows = numbered(patients)
    before, _ = build_manifest(
        table(*(row for i, row in enumerate(rows) if i in early)), DatasetSpec()
    )
    after, _ = build_manifest(table(*rows), DatasetSpec())
    assert parts_of(before).items() <= parts_of(after).items()


def test_a_slide_without_patient_is_a_group_of_its_own() -> None:
    rows = numbered([None, ""] * 100)
    manifest, _ = build_manifest(table(*rows), DatasetSpec())
    assert parts_of(manifest) == {
        str(row["slide_id"]): split_of(str(row["slide_id"]), DatasetSpec()) for row in rows
    }
    assert manifest["split"].nunique() == 3


def test_shares_converge_to_the_ones_asked_for() -> None:
    spec = DatasetSpec()
    counts = Counter(split_of(f"patient-{i}", spec) for i in range(2000))
    # Three standard deviations of a share drawn 2,000 times.
    for part, share in spec.split.items():
        assert counts[part] / 2000 == pytest.approx(
            share, abs=3 * (share * (1 - share) / 2000) ** 0.5
        )


def test_a_part_with_no_share_gets_nobody_first_or_last() -> None:
    spec = DatasetSpec(split={"a": 0.0, "b": 0.5, "c": 0.5, "d": 0.0})
    assert {split_of(str(i), spec) for i in range(500)} == {"b", "c"}


def test_shares_that_add_up_to_a_little_less_than_1_leave_nobody_out() -> None:
    spec = DatasetSpec(split={"train": 0.9999991, "unused": 0.0})
    assert split_of("392865", spec) == "train"  # drawn beyond the last edge


def test_other_seeds_give_other_splits() -> None:
    groups = [str(i) for i in range(100)]
    splits = {tuple(split_of(g, DatasetSpec(seed=s)) for g in groups) for s in range(5)}
    assert len(splits) == 5


def test_the_order_of_the_parts_is_no_part_of_the_request() -> None:
    forth = DatasetSpec(split={"train": 0.7, "val": 0.15, "test": 0.15})
    back = DatasetSpec(split={"test": 0.15, "val": 0.15, "train": 0.7})
    assert digest_of(forth) == digest_of(back)
    groups = [f"patient-{i}" for i in range(300)]
    assert [split_of(g, forth) for g in groups] == [split_of(g, back) for g in groups]


def test_splits_are_the_ones_of_every_other_machine() -> None:
    # Points 0.57, 0.84, 0.05, 0.16 and 0.86; test ends at 0.15 and train at 0.85.
    parts = [split_of(f"patient-{i}", DatasetSpec(seed=7)) for i in (0, 1, 2, 4, 8)]
    assert parts == ["train", "train", "test", "train", "val"]


@pytest.mark.parametrize(
    ("split", "total"),
    [({}, "0"), ({"train": 0.7, "test": 0.2}, "0.9"), ({"train": 1.0, "test": 0.5}, "1.5")],
)
def test_shares_must_add_up_to_the_whole(split, total) -> None:
    with pytest.raises(ValidationError, match=f"the shares add up to {total}, not to 1"):
        DatasetSpec(split=split)


@pytest.mark.parametrize("split", [{"train": 1.5, "test": -0.5}, {"train": True}, {"a/b": 1.0}])
def test_a_part_has_a_plain_name_and_a_share(split) -> None:
    with pytest.raises(ValidationError):
        DatasetSpec(split=split)


def test_thirds_add_up() -> None:
    DatasetSpec(split=dict.fromkeys(["a", "b", "c"], 1 / 3))
    DatasetSpec(split=dict.fromkeys([f"fold{i}" for i in range(10)], 0.1))


def test_slides_without_features_or_with_too_few_patches_are_left_out_and_listed() -> None:
    rows = table(
        {"slide_id": "d", "patient": "p", "label": "x", "n_patches": 9},
        {"slide_id": "c", "n_patches": 10},
        {"slide_id": "b", "n_patches": 0, "why": "no features"},
        {"slide_id": "a", "n_patches": 11},
    )
    manifest, left_out = build_manifest(rows, DatasetSpec(min_patches=10))
    assert manifest["slide_id"].tolist() == ["a", "c"]
    assert left_out["slide_id"].tolist() == ["b", "d"]
    assert left_out["why"].tolist() == ["no features", "fewer than 10 patches"]
    assert left_out.loc[1, ["patient", "label"]].tolist() == ["p", "x"]


def test_a_slide_without_patches_is_kept_where_none_are_asked_for() -> None:
    manifest, left_out = build_manifest(
        table({"slide_id": "a", "n_patches": 0}), DatasetSpec(min_patches=0)
    )
    assert (len(manifest), len(left_out)) == (1, 0)


def test_two_slides_of_one_content_are_refused() -> None:
    twice = [{"slide_id": "b", "slide_sha256": "f" * 64}, {"slide_id": "a"}]
    same = {"slide_id": "c", "slide_sha256": "f" * 64}
    with pytest.raises(SpecError, match="slides b and c: hold the same content, SHA-256 ffff"):
        build_manifest(table(*twice, same), DatasetSpec())
    manifest, _ = build_manifest(table(*twice, same | {"why": "no features"}), DatasetSpec())
    assert manifest["slide_id"].tolist() == ["a", "b"]


def test_a_slide_left_out_moves_nobody() -> None:
    rows = numbered(["p1", "p2", "p1", "p3"])
    all_in, _ = build_manifest(table(*rows), DatasetSpec())
    one_out, _ = build_manifest(table({**rows[0], "n_patches": 0}, *rows[1:]), DatasetSpec())
    assert parts_of(one_out).items() < parts_of(all_in).items()


def test_rows_are_sorted_by_slide_and_numbered_anew_whatever_their_order() -> None:
    rows = numbered(["p1", "p2", None, "p1", "p4"])
    rows = [row | {"slide_sha256": row["slide_id"]} for row in rows]
    one, _ = build_manifest(table(*rows), DatasetSpec())
    other, _ = build_manifest(table(*reversed(rows)), DatasetSpec())
    assert one["slide_id"].tolist() == ["s000", "s001", "s002", "s003", "s004"]
    assert one.index.tolist() == [0, 1, 2, 3, 4]
    pd.testing.assert_frame_equal(one, other)


def test_facts_of_a_slide_stay_in_its_row() -> None:
    rows = table(*({"slide_id": s, "n_patches": n, "label": s * 2} for n, s in enumerate("cab", 1)))
    manifest, _ = build_manifest(rows, DatasetSpec())
    assert manifest[["slide_id", "n_patches", "label"]].to_numpy().tolist() == [
        ["a", 2, "aa"],
        ["b", 3, "bb"],
        ["c", 1, "cc"],
    ]


def test_columns_have_the_same_names_and_types_with_no_row_as_with_many() -> None:
    none, none_out = build_manifest(table(), DatasetSpec())
    some, some_out = build_manifest(
        table({"slide_id": "a", "patient": "p"}, {"slide_id": "b", "n_patches": 0}), DatasetSpec()
    )
    assert tuple(none.columns) == tuple(some.columns) == MANIFEST_COLUMNS
    assert tuple(none_out.columns) == tuple(some_out.columns) == (
        "slide_id", "patient", "label", "why",
    )  # fmt: skip
    assert none.dtypes.equals(some.dtypes)
    assert none_out.dtypes.equals(some_out.dtypes)
    assert (len(none), len(some), len(none_out), len(some_out)) == (0, 1, 0, 1)
    numbers = some.select_dtypes("number").dtypes.astype(str).to_dict()
    assert numbers == {"n_patches": "int64", "slide_mpp": "float64"}
    texts = [*some.columns.drop(list(numbers)), *some_out.columns]
    assert {str({**some.dtypes, **some_out.dtypes}[name]) for name in texts} == {"string"}


def test_what_is_not_known_stays_unknown() -> None:
    manifest, left_out = build_manifest(
        table({"slide_id": "a"}, {"slide_id": "b", "slide_mpp": None, "why": "no features"}),
        DatasetSpec(),
    )
    assert manifest[["patient", "label"]].isna().all(axis=None)
    assert left_out[["patient", "label"]].isna().all(axis=None)


def test_the_rows_given_are_not_changed() -> None:
    rows = table({"slide_id": "b"}, {"slide_id": "a", "n_patches": 0})
    before = rows.copy(deep=True)
    build_manifest(rows, DatasetSpec())
    pd.testing.assert_frame_equal(rows, before)
