import pytest

from pathassets.core.datasets.identities import key_of, spelt_differently


@pytest.mark.parametrize(
    "other",
    ["p-007", " P 7", "P_07", "P.7", "p7", "\uff30-007", "\u0420-7", "P\u200b7", "P\u00a07"],
)  # case, blanks, punctuation, leading zeros; wide, Cyrillic, unseen
def test_a_name_is_told_in_other_spellings(other) -> None:
    assert key_of(other) == key_of("P-7")
    assert spelt_differently(["P-7", other, "Q-7"]) == [tuple(sorted(["P-7", other]))]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("P-1-12", "P-11-2"),
        ("TCGA-A1-A0SB", "TCGA-A1-A0SD"),
        ("P10", "P1"),
        ("P-7", "Q-7"),
        ("7", "P7"),
        ("Müller", "Möller"),
    ],
)
def test_two_codes_are_two_people(one, other) -> None:
    assert key_of(one) != key_of(other)
    assert spelt_differently([one, other]) == []


def test_accents_and_blanks_between_letters_say_nothing() -> None:
    assert key_of("Van Dyk, José") == key_of("vandyk jose")


def test_names_without_letter_or_digit_are_like_no_other() -> None:
    assert spelt_differently(["--", "?", " "]) == []


def test_one_spelling_twice_is_one_name() -> None:
    assert spelt_differently(["P-7", "P-7"]) == []
