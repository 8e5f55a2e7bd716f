import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pathassets.core.datasets.spec import DatasetSpec
from pathassets.core.features.features import FeatureSpec
from pathassets.core.locations.location_spec import LocationSpec
from pathassets.core.spec import EntryName, canonical_json, digest_of, seed_of
from pathassets.core.tissue.tissue_mask import TissueSpec

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@dataclasses.dataclass(frozen=True)
class Leaf:
    b: int
    a: float


def test_equal_values_share_one_canonical_form() -> None:
    assert canonical_json({"b": [1], "a": {"d": 1, "c": 2}}) == '{"a":{"c":2,"d":1},"b":[1]}'
    assert canonical_json((1, 2)) == canonical_json([1, 2])
    assert canonical_json({"ä": "é"}) == r'{"\u00e4":"\u00e9"}'


def test_a_dataclass_is_written_as_its_fields_at_any_depth() -> None:
    assert canonical_json({"x": [Leaf(b=1, a=0.5)]}) == '{"x":[{"a":0.5,"b":1}]}'
    assert canonical_json(Leaf(b=1, a=0.5)) == canonical_json({"b": 1, "a": 0.5})


@settings(max_examples=50)
@given(st.dictionaries(st.text(), PLAIN, min_size=2))
def test_the_order_of_keys_does_not_change_a_digest(value) -> None:
    assert digest_of(dict(reversed(value.items()))) == digest_of(value)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_lacks_has_no_digest(number) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_of({"mpp": number})


@pytest.mark.parametrize("value", [object(), {1, 2}, Leaf, b"bytes"])
def test_a_value_without_canonical_form_is_refused_by_type(value) -> None:
    with pytest.raises(TypeError, match="has no canonical form"):
        canonical_json(value)


def test_digests_are_the_ones_of_every_other_machine() -> None:
    assert digest_of({"mpp": 0.5, "name": "grid"}) == "4c8bcdd86033321f"
    assert digest_of(LocationSpec()) == digest_of(LocationSpec(mpp=0.50, patch_px=256))


def test_a_whole_number_and_its_float_are_one_request() -> None:
    assert digest_of(LocationSpec(mpp=1)) == digest_of(LocationSpec(mpp=1.0))


@pytest.mark.parametrize(
    "change", [{"patch_px": 255}, {"mpp": 0.51}, {"stride_px": 256}, {"min_tissue_share": 0.4}]
)
def test_every_field_of_a_spec_is_part_of_its_digest(change) -> None:
    assert digest_of(LocationSpec(**change)) != digest_of(LocationSpec())


def test_seeds_are_the_ones_of_every_other_machine() -> None:
    assert seed_of("spec", "slide") == 17354920756360951215
    assert seed_of(1, "a") == seed_of("1", "a")


def test_a_seed_belongs_to_its_parts_in_their_order() -> None:
    seeds = {seed_of(*p) for p in (("a", "b"), ("b", "a"), ("ab",), ("a", "b", ""), ("a,b",), ())}
    assert len(seeds) == 6
    assert all(0 <= seed < 2**64 for seed in seeds)


SPECS: list[tuple[Any, str]] = [
    (TissueSpec, "mpp"),
    (TissueSpec, "min_object_um2"),
    (LocationSpec, "patch_px"),
    (LocationSpec, "mpp"),
    (LocationSpec, "min_tissue_share"),
    (DatasetSpec, "min_patches"),
]


@pytest.mark.parametrize("value", [True, "1", None, [1], math.nan, math.inf])
@pytest.mark.parametrize(("spec", "field"), SPECS)
def test_a_spec_takes_numbers_for_numbers_only(spec, field, value) -> None:
    with pytest.raises(ValidationError, match=field):
        spec(**{field: value})


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (TissueSpec, {"mpp": 0}),
        (TissueSpec, {"mpp": 1000.1}),
        (TissueSpec, {"method": "magic"}),
        (TissueSpec, {"min_saturation": 256}),
        (TissueSpec, {"min_hole_um2": -1}),
        (LocationSpec, {"patch_px": 0}),
        (LocationSpec, {"patch_px": 8193}),
        (LocationSpec, {"stride_px": 0}),
        (LocationSpec, {"min_tissue_share": 1.01}),
        (FeatureSpec, {}),
        (DatasetSpec, {"seed": -1}),
        (DatasetSpec, {"split": {"a b": 1.0}}),
    ],
)
def test_an_impossible_value_is_refused(spec, values) -> None:
    with pytest.raises(ValidationError):
        spec(**values)


@pytest.mark.parametrize("spec", [TissueSpec, LocationSpec, DatasetSpec])
def test_a_spec_refuses_keys_it_does_not_know(spec) -> None:
    with pytest.raises(ValidationError, match="Unexpected keyword argument"):
        spec(colour=1)


@pytest.mark.parametrize("spec", [TissueSpec(), LocationSpec(), DatasetSpec()])
def test_a_spec_cannot_be_changed(spec) -> None:
    field = next(iter(spec.__dataclass_fields__))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(spec, field, getattr(spec, field))


@pytest.mark.parametrize("name", ["a", "otsu_8um", "Grid256", "a" * 64])
def test_an_entry_may_have_such_a_name(name) -> None:
    assert TypeAdapter(EntryName).validate_python(name) == name


@pytest.mark.parametrize(
    "name", ["", "8um", "_a", "a-b", "a b", "a/b", "..", "a.b", "ä", "a\n", "a" * 65]
)
def test_an_entry_may_not_have_a_name_that_is_no_part_of_a_path_or_key(name) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(EntryName).validate_python(name)
