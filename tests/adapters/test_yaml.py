import pytest

from pathassets.adapters.yaml import load_recipe
from pathassets.errors import SpecError

GOOD = """\
tissue_mask:
  otsu:
    mpp: 8.0

patch_locations:
  grid:
    tissue_mask: otsu
    patch_px: 256
"""


def load(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    if isinstance(text, bytes):
        path.write_bytes(text)
    else:
        path.write_text(text)
    return load_recipe(path)


def test_a_recipe_is_read(tmp_path):
    recipe = load(tmp_path, GOOD)
    assert [e.key for e in recipe.entries] == [("tissue_mask", "otsu"), ("patch_locations", "grid")]
    assert recipe.entry(("patch_locations", "grid")).spec.patch_px == 256


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("mpp: 8.0", "mpp: -8.0", 3, "mpp"),
        ("mpp: 8.0", "mppp: 8.0", 3, "mppp"),
        ("patch_px: 256", "patch_px: many", 8, "many"),
        ("tissue_mask: otsu", "tissue_mask: otzu", 7, "otzu"),
        ("patch_locations:", "patch_location:", 5, "patch_location"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(tmp_path, old, new, line, said):
    with pytest.raises(SpecError) as e:
        load(tmp_path, GOOD.replace(old, new))
    assert e.value.message.startswith(f"{tmp_path / 'recipe.yaml'}:{line}: ")
    assert said in e.value.message
    assert e.value.remedy


@pytest.mark.parametrize(
    ("text", "line", "first"),
    [
        (GOOD.replace("    mpp: 8.0", "    mpp: 8.0\n    mpp: 4.0"), 4, 3),
        (GOOD + "  grid:\n    tissue_mask: otsu\n", 9, 6),
        (GOOD + "tissue_mask: {}\n", 9, 1),
    ],
)
def test_a_key_given_twice_is_refused_with_both_lines(tmp_path, text, line, first):
    with pytest.raises(SpecError, match="is given twice") as e:
        load(tmp_path, text)
    assert f":{line}: " in e.value.message
    assert e.value.message.endswith(f"first in line {first}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tissue_mask:\n  otsu: [", ":2: not YAML"),
        ("tissue_mask:\n\totsu: 1", ":2: not YAML"),
        ("? [a, b]\n: 1", ":1: not YAML"),
        ("tissue_mask:\n  otsu: !python/object:os.system {}", ":2: not YAML"),
        ("a: \x07", "not YAML"),
        ("tissue_mask: 2025-13-45", "not YAML"),
        ("tissue_mask: {}".encode("utf-16"), "cannot read the recipe: it is no text in UTF-8"),
    ],
)
def test_what_is_not_yaml_is_refused_with_its_line(tmp_path, text, said):
    with pytest.raises(SpecError) as e:
        load(tmp_path, text)
    assert f"{tmp_path / 'recipe.yaml'}" in e.value.message
    assert said in e.value.message


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n- b\n", "word", "tissue_mask: {}"])
def test_what_builds_nothing_is_refused(tmp_path, text):
    with pytest.raises(SpecError, match=r"recipe\.yaml:1: "):
        load(tmp_path, text)


def test_an_alias_that_leads_in_circles_is_refused(tmp_path):
    with pytest.raises(SpecError, match=r"recipe\.yaml:2: holds an alias of itself"):
        load(tmp_path, "tissue_mask:\n  otsu: &a\n    mpp: *a\n")
    with pytest.raises(SpecError, match=r"recipe\.yaml:"):
        load(tmp_path, "tissue_mask: &a\n  otsu: *a\n")


def test_an_alias_may_say_the_same_twice(tmp_path):
    text = "tissue_mask:\n  a: &a\n    mpp: 8.0\n  b:\n    <<: *a\n    smooth_um: 20.0\n"
    a, b = load(tmp_path, text).entries
    assert (a.spec.mpp, b.spec.mpp, b.spec.smooth_um) == (8.0, 8.0, 20.0)


def test_a_missing_recipe_names_the_variable_that_points_at_it(tmp_path):
    with pytest.raises(SpecError, match=r"none\.yaml: cannot read the recipe") as e:
        load_recipe(tmp_path / "none.yaml")
    assert "PATHASSETS_RECIPE" in e.value.remedy
    with pytest.raises(SpecError, match="cannot read the recipe"):
        load_recipe(tmp_path)


LAUGHS = "a0: &a0 [" + "x, " * 9 + "]\n" + "".join(
    f"a{n}: &a{n} [" + f"*a{n - 1}, " * 9 + "]\n" for n in range(1, 20)
)  # fmt: skip
MERGED = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [" + f"*a{n - 1}, " * 9 + "]}\n" for n in range(1, 20)
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tissue_mask:\n  otsu: " + "[" * 3000, ":2: nested deeper than 20 levels"),
        ("tissue_mask:\n  otsu: " + "{a: " * 3000, ":2: nested deeper than 20 levels"),
        ("- " * 3000, ":1: nested deeper than 20 levels"),
        (LAUGHS, ":5: stands for more than 20,000 values"),
        (MERGED, ":5: stands for more than 20,000 values"),
        ("tissue_mask: &a\n  otsu: *a", ":1: holds an alias of itself"),
        ("- &a [*a]", ":1: holds an alias of itself"),
        (f"a: [{'x, ' * 25_000}]", ":1: stands for more than 20,000 values"),
        ("#" * 300_000, "is larger than 256 KiB"),
        (f"tissue_mask: {'9' * 5000}", "not YAML"),
    ],
    ids=[
        "brackets",
        "braces",
        "dashes",
        "laughs",
        "merged",
        "itself",
        "list",
        "n",
        "size",
        "digits",
    ],
)
def test_a_file_that_would_fill_a_memory_is_refused_with_its_line(tmp_path, text, said):
    with pytest.raises(SpecError) as e:
        load(tmp_path, text)
    assert said in e.value.message
    assert len(str(e.value)) < 400


def test_aliases_and_merges_are_read(tmp_path):
    text = "tissue_mask:\n  a: &a {mpp: 8.0}\n  b: *a\n  c: {<<: *a, mpp: 4.0}\n"
    recipe = load(tmp_path, text)
    assert [e.spec.mpp for e in recipe.entries] == [8.0, 8.0, 4.0]
