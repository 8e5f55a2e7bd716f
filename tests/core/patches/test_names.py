import itertools
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathassets.core.patches.names import (
    NameSpec,
    PatchPlace,
    manifest_id_of,
    name_labels,
    plan_names,
    safe_part,
)
from pathassets.errors import SpecError

FORBIDDEN = set('/\\:*?"<>|[]') | {chr(i) for i in (*range(32), *range(127, 160))}
NASTY = [
    *("a/b", "a\\b", "a:b", "a*b", "a?b", "a[b]", "[", "]", "..", ".", "../../etc/passwd", "/abs"),
    *(".hidden", "dot.", "space ", "con", "COM1.txt", "a\nb", "a\0b", "a\x85b", "\u202egnp.exe"),
    *("x" * 300, "ü" * 200, "label~0123abcd", "\udc80", "a\u2028b", ". .", "~/x"),
]
HARMLESS = ["Tumor", "Tumor (invasive)", "腫瘍", "grün", "a.b", "a b", "-x", "~x", "set1", "100%"]


def spec(**changes):
    return NameSpec(**{"image_type": "png"} | changes)


def place(**changes):
    return PatchPlace(
        **{
            "index": 0, "label": "", "x_px0": 512, "y_px0": -384, "width_px": 256,
            "height_px": 256, "level_or_mpp": 0, "set_number": None,
        }
        | changes
    )  # fmt: skip


def names(slide="CMU-1", labels=("Tumor", ""), *, counts_globally=True, **changes):
    return plan_names(slide, "0a1b2c3d", labels, spec(**changes), counts_globally=counts_globally)


@pytest.mark.parametrize(
    ("changes", "where", "path"),
    [
        ({}, {}, "CMU-1_0a1b2c3d_x512_y-384.png"),
        ({}, {"label": "Tumor"}, "CMU-1_0a1b2c3d_Tumor_x512_y-384.png"),
        ({"create_subdirs": True}, {}, "CMU-1_0a1b2c3d_x512_y-384.png"),
        (
            {"create_subdirs": True},
            {"label": "Tumor"},
            "Tumor/CMU-1_0a1b2c3d_Tumor_x512_y-384.png",
        ),
        (
            {"comment": "run 7", "separator": "-", "image_type": "JPG"},
            {"label": "Tumor"},
            "CMU-1-0a1b2c3d-run 7-Tumor-x512-y-384.JPG",
        ),
        ({}, {"set_number": 12}, "set12/CMU-1_0a1b2c3d_level0_x512_y-384.png"),
        (
            {"comment": "c", "create_subdirs": True},
            {"set_number": 3, "label": "Tumor", "level_or_mpp": 0.5},
            "Tumor/set3/CMU-1_0a1b2c3d_c_mpp0.5_Tumor_x512_y-384.png",
        ),
        ({"counts_globally": False}, {"set_number": 3, "level_or_mpp": 1.0},
         "CMU-1__set3/CMU-1_0a1b2c3d_mpp1.0_x512_y-384.png"),
        ({"separator": "-", "counts_globally": False}, {"set_number": 3},
         "CMU-1__set3/CMU-1-0a1b2c3d-level0-x512-y-384.png"),
        ({}, {"repeat": 1}, "CMU-1_0a1b2c3d_x512_y-384_r2.png"),
    ],
)  # fmt: skip
def test_names_are_those_of_the_documents(changes, where, path):
    assert names(**changes).path_of(place(**where)) == path


def test_the_manifest_is_named_for_id_and_slide():
    assert names().manifest == "manifests/manifest__0a1b2c3d__CMU-1"


@pytest.mark.parametrize("text", HARMLESS)
def test_a_harmless_part_stays_as_it_is(text):
    assert safe_part(text) == text
    assert name_labels([text]).parts[text] == text


def is_harmless(part):
    return (
        0 < len(part.encode()) <= 255
        and not FORBIDDEN & {*part}
        and not part.startswith(".")
        and not part.endswith((".", " "))
        and part.isprintable()
    )


@pytest.mark.parametrize("text", NASTY)
def test_a_harmful_part_is_cleaned_and_gets_a_hash(text):
    part = safe_part(text)
    assert part != text
    assert is_harmless(part)
    assert re.search(r"~[0-9a-f]{8}\Z", part)


def folded(text):
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())


def test_no_two_labels_share_a_name_or_a_folder_on_any_file_system():
    labels = [*NASTY, *HARMLESS, "tumor", "TUMOR", "a_b", safe_part("a/b"), safe_part("a_b")]
    labels += ["é", "e\u0301", "manifests", "Manifests", "set2", "slide__set3"]
    named = name_labels(labels)
    for by_label in (named.parts, named.folders):
        assert len({folded(part) for part in by_label.values()}) == len({*labels})
        assert all(is_harmless(part) for part in by_label.values())


def test_a_cleaned_label_never_has_the_name_of_one_that_looks_like_it():
    cleaned = safe_part("a/b")
    parts = name_labels(["a/b", cleaned]).parts
    assert parts["a/b"] == cleaned
    assert parts[cleaned] != cleaned


def test_labels_that_differ_in_case_alone_both_get_a_hash_in_whatever_order():
    for labels in itertools.permutations(["Tumor", "tumor", "stroma"]):
        parts = name_labels(labels).parts
        assert parts["stroma"] == "stroma"
        assert parts["Tumor"].startswith("Tumor~")
        assert parts["tumor"].startswith("tumor~")


@pytest.mark.parametrize("label", ["manifests", "set1", "SET12", "x__set9", "a\nb__set1"])
def test_a_label_called_like_a_folder_of_ours_has_another_folder(label):
    made = names(labels=[label], create_subdirs=True)
    ours = {"manifests/", made.folder_of("", 1), made.folder_of("", 12)}
    assert made.folder_of(label, None) not in ours
    assert not re.fullmatch(r"(?i)manifests/|(.*__)?set\d+/", made.folder_of(label, None))


@settings(max_examples=40)
@given(
    st.text(max_size=300), st.text(max_size=300), st.text(max_size=300),
    st.integers(-(10**12), 10**12), st.none() | st.integers(0, 10**9),
)  # fmt: skip
def test_no_part_of_a_path_is_longer_than_a_name_may_be(slide, comment, label, x_px0, number):
    said = spec(comment=comment, create_subdirs=True, separator="_" * 16)
    made = plan_names(slide or "s", "0a1b2c3d", [label], said)
    where = place(
        label=label, x_px0=x_px0, y_px0=-x_px0, set_number=number, repeat=9999,
        level_or_mpp=0.12345678901234567,
    )  # fmt: skip
    for part in [*made.path_of(where).split("/"), f"{made.manifest}.parquet".split("/")[1]]:
        assert 0 < len(part.encode()) <= 255
        assert part not in {".", ".."}


def test_a_long_label_is_cut_and_a_slide_that_has_room_is_not():
    made = names(slide="slide", labels=["x" * 250, "y"])
    path = made.path_of(place(label="x" * 250))
    assert path.startswith("slide_0a1b2c3d_xxxx")
    assert len(path) <= 255
    assert made.path_of(place(label="y")) == "slide_0a1b2c3d_y_x512_y-384.png"


def test_long_parts_that_fit_are_not_cut():
    slide, label = "s" * 90, "l" * 70
    assert names(slide=slide, labels=[label]).path_of(place(label=label)) == (
        f"{slide}_0a1b2c3d_{label}_x512_y-384.png"
    )


def test_long_labels_that_begin_alike_stay_apart():
    labels = ["x" * 250 + end for end in "ab"]
    made = names(labels=labels)
    assert len({made.path_of(place(label=label)) for label in labels}) == 2


@given(st.lists(st.tuples(st.sampled_from(["", "x1", "x1_y2", "y2", "r2", "_"]),
                          st.integers(-3, 12), st.integers(-3, 12), st.integers(0, 2)),
                unique=True, min_size=2, max_size=40),
       st.sampled_from(["_", "", "-", "1", "x", "y1"]))  # fmt: skip
def test_two_images_never_share_a_name(images, separator):
    made = names(labels=[label for label, *_ in images], separator=separator)
    paths = [
        made.path_of(place(label=label, x_px0=x, y_px0=y, repeat=again))
        for label, x, y, again in images
    ]
    assert len({*paths}) == len(paths)


@pytest.mark.parametrize("image_type", ["bmp", "", ".png", "png ", "gif", "../png"])
def test_an_unknown_image_type_is_refused_with_the_known_ones(image_type):
    with pytest.raises(SpecError, match=r"image_type.*'webp'"):
        spec(image_type=image_type)


@pytest.mark.parametrize("separator", ["/", "\\", "a:b", "*", "\n", "\0", "[", "_" * 17])
def test_a_separator_that_does_harm_is_refused(separator):
    with pytest.raises(SpecError, match="filename_separator"):
        spec(separator=separator)


def test_an_id_is_eight_characters_that_tell_outputs_apart():
    ids = [manifest_id_of({"slide": str(n)}) for n in range(2000)]
    assert len({*ids}) == 2000
    assert all(re.fullmatch(r"[0-9a-z]{8}", one) for one in ids)
    assert manifest_id_of({"mpp": 1.0}) != manifest_id_of({"mpp": 1})
    assert manifest_id_of({"label": "\udc80"}) != manifest_id_of({"label": "?"})
