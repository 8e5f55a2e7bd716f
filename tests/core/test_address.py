from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from pathassets.core.address import Address


def test_addresses_sort_by_section_then_name_then_subject_then_digest() -> None:
    texts = ["bbba", "azzz", "bbbb", "bazz", "bbaz"]
    ordered = sorted(Address(*text) for text in texts)
    assert ["".join(str(a).split("/")) for a in ordered] == sorted(texts)


def test_equal_addresses_are_one_member_of_a_set() -> None:
    assert len({Address("a", "b", "c", "d"), Address("a", "b", "c", "d")}) == 1


def test_an_address_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Address("a", "b", "c", "d").digest = "e"


def test_the_key_names_the_asset() -> None:
    assert Address("features", "r18", "s", "d").key == ("features", "r18")


def test_a_slide_is_addressed_by_its_data_version() -> None:
    assert Address.of_slide("s", "v") == Address("slide", "", "s", "v")
