import copy
import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

import pathassets
from pathassets.adapters.yaml import load_recipe
from pathassets.core import recipe as recipe_module
from pathassets.core.features.encoder import EncoderRequest
from pathassets.core.features.encoder_cards import card_of
from pathassets.core.recipe import Entry, Key, Recipe
from pathassets.core.recipe_file import parse_recipe
from pathassets.core.spec import digest_of
from pathassets.core.tissue.tissue_mask import TissueSpec
from pathassets.errors import SpecError

GOOD: dict[str, Any] = {
    "tissue_mask": {"otsu": {"mpp": 8.0}, "fine": {"mpp": 4}},
    "patch_locations": {
        "p256": {"tissue_mask": "otsu", "patch_px": 256},
        "p512": {"tissue_mask": "fine", "patch_px": 512},
    },
    "features": {
        "colour": {"patch_locations": "p256", "encoder": "colour_stats"},
        "resnet": {"patch_locations": "p256", "encoder": "resnet18"},
        "colour512": {"patch_locations": "p512", "encoder": "colour_stats"},
    },
    "dataset": {"cohort": {"features": "colour"}, "cohort512": {"features": "colour512"}},
}


def where(place: tuple[Any, ...]) -> str:
    return "recipe.yaml:" + ".".join(map(str, place))


def parse(data: object) -> Recipe:
    return parse_recipe(data, where)


def changed(path: str, value: object) -> dict[str, Any]:
    """The good recipe with one item set, named by its keys."""
    return with_item(GOOD, path, value)


def with_item(good: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    data = copy.deepcopy(good)
    *folders, last = path.split("/")
    place = data
    for folder in folders:
        place = place[folder]
    place[last] = value
    return data


def without(path: str, good: dict[str, Any] = GOOD) -> dict[str, Any]:
    data = copy.deepcopy(good)
    stage, name, field = path.split("/")
    del data[stage][name][field]
    return data


def versions_of(recipe: Recipe) -> dict[Key, str]:
    """Digest of every entry, down from one slide, as a plan works them out."""
    versions: dict[Key, str] = {}
    for entry in recipe.entries:
        parents = [versions[key] for key in entry.parents]
        versions[entry.key] = entry.digest(["slide", *parents] if not entry.parent else parents)
    return versions


def test_entries_come_parents_first_in_the_order_of_the_file() -> None:
    recipe = parse(dict(reversed(GOOD.items())))
    assert ["/".join(e.key) for e in recipe.entries] == [
        "tissue_mask/otsu",
        "tissue_mask/fine",
        "patch_locations/p256",
        "patch_locations/p512",
        "features/colour",
        "features/resnet",
        "features/colour512",
        "dataset/cohort",
        "dataset/cohort512",
    ]
    assert recipe.per_slide == recipe.entries[:7]
    assert recipe.datasets == recipe.entries[7:]


def test_an_entry_has_its_spec_and_its_parent() -> None:
    recipe = parse(GOOD)
    fine = recipe.entry(("tissue_mask", "fine"))
    assert (fine.spec, fine.parent) == (TissueSpec(mpp=4.0), None)
    p512 = recipe.entry(("patch_locations", "p512"))
    assert (p512.spec.patch_px, p512.parent) == (512, ("tissue_mask", "fine"))
    assert recipe.entry(("features", "resnet")).spec.encoder == EncoderRequest(name="resnet18")


def test_a_lineage_leads_from_the_mask_to_the_entry() -> None:
    recipe = parse(GOOD)
    lineage = recipe.lineage(recipe.entry(("dataset", "cohort512")))
    assert [e.key for e in lineage] == [
        ("tissue_mask", "fine"),
        ("patch_locations", "p512"),
        ("features", "colour512"),
        ("dataset", "cohort512"),
    ]


DRAWN: dict[str, Any] = {
    "annotations": {"tumour": {}, "edited": {"about": "Masks that a person mended."}},
    "tissue_mask": {"otsu": {"annotations": "edited"}, "plain": None},
    "patch_locations": {
        "inside": {"tissue_mask": "plain", "region": "annotations", "annotations": "tumour"},
        "outside": {
            "tissue_mask": "otsu", "region": "outside_annotations", "annotations": "tumour",
        },
        "all": {"tissue_mask": "otsu"},
    },
    "patch_set": {"jpegs": {"patch_locations": "inside", "image_type": "jpg"}},
    "features": {"colour": {"patch_locations": "outside", "encoder": "colour_stats"}},
    "dataset": {"cohort": {"features": "colour"}},
}  # fmt: skip


def drawn(path: str, value: object) -> dict[str, Any]:
    """The recipe with annotations, with one item set."""
    return with_item(DRAWN, path, value)


def test_annotations_come_first_and_are_recorded_not_made() -> None:
    recipe = parse(dict(reversed(DRAWN.items())))
    assert [e.key for e in recipe.entries[:2]] == [
        ("annotations", "tumour"), ("annotations", "edited")
    ]  # fmt: skip
    assert recipe.recorded == recipe.entries[:2]
    assert [e.stage.name for e in recipe.per_slide] == [
        "tissue_mask", "tissue_mask", "patch_locations", "patch_locations", "patch_locations",
        "patch_set", "features",
    ]  # fmt: skip
    assert recipe.entry(("annotations", "edited")).spec.about == "Masks that a person mended."


def test_an_entry_names_the_annotations_that_it_starts_from() -> None:
    recipe = parse(DRAWN)
    named = {e.key: (e.parents, e.needs_annotation) for e in recipe.entries}
    edited, tumour = ("annotations", "edited"), ("annotations", "tumour")
    assert named["tissue_mask", "otsu"] == ((edited,), False)
    assert named["tissue_mask", "plain"] == ((), False)
    assert named["patch_locations", "inside"] == ((("tissue_mask", "plain"), tumour), True)
    assert named["patch_locations", "outside"] == ((("tissue_mask", "otsu"), tumour), True)
    assert named["patch_locations", "all"] == ((("tissue_mask", "otsu"),), False)
    assert named["patch_set", "jpegs"] == ((("patch_locations", "inside"),), False)
    assert named[tumour] == ((), False)


def test_a_lineage_has_each_ancestor_once_parents_before_children() -> None:
    recipe = parse(DRAWN)
    lineage = recipe.lineage(recipe.entry(("features", "colour")))
    assert [e.key for e in lineage] == [
        ("annotations", "tumour"),
        ("annotations", "edited"),
        ("tissue_mask", "otsu"),
        ("patch_locations", "outside"),
        ("features", "colour"),
    ]
    assert recipe.lineage(recipe.entry(("annotations", "edited"))) == (recipe.entries[1],)


def test_other_annotations_are_another_parent() -> None:
    before = versions_of(parse(DRAWN))
    after = versions_of(parse(without("tissue_mask/otsu/annotations", DRAWN)))
    stale = {key for key in before if before[key] != after[key]}
    assert stale == {
        ("tissue_mask", "otsu"), ("patch_locations", "outside"), ("patch_locations", "all"),
        ("features", "colour"), ("dataset", "cohort"),
    }  # fmt: skip


def test_words_about_annotations_are_no_part_of_what_is_made_from_them() -> None:
    # Their digest is no artifact's: what is drawn has one of its own content.
    recipe, other = parse(DRAWN), parse(drawn("annotations/tumour/about", "By two observers."))
    for key in (("patch_locations", "inside"), ("patch_set", "jpegs")):
        assert recipe.entry(key).digest(["v"]) == other.entry(key).digest(["v"])


def test_an_entry_may_leave_everything_to_the_defaults() -> None:
    for body in (None, {}):
        recipe = parse({"tissue_mask": {"otsu": body}})
        assert [e.spec for e in recipe.entries] == [TissueSpec()]


def test_an_entry_that_is_not_there_is_refused_with_the_ones_that_are() -> None:
    with pytest.raises(SpecError, match="recipe: no entry tissue_mask/x") as caught:
        parse({"tissue_mask": {"otsu": None}}).entry(("tissue_mask", "x"))
    assert caught.value.remedy == "It has tissue_mask/otsu"
    with pytest.raises(SpecError, match=r"Did you mean 'tissue_mask/otsu'\?"):
        parse({"tissue_mask": {"otsu": None}}).entry(("tissue_mask", "Ostu"))


def test_another_spelling_of_an_encoder_makes_no_other_artifact() -> None:
    plain, spelt = (
        parse(changed("features/colour/encoder", name)).entry(("features", "colour"))
        for name in ("colour_stats", "Colour-Stats")
    )
    assert plain == spelt
    assert plain.digest([]) == spelt.digest([])


JUDGED: dict[str, Any] = {
    **GOOD,
    "patch_quality": {
        "numbers": {"patch_locations": "p256", "checks": {"min_focus": 50}},
        "numbers512": {"patch_locations": "p512"},
    },
    "dataset": {
        "cohort": {
            "features": "colour", "patch_quality": "numbers",
            "slide_rules": {"max_ink_share": 0.1}, "patch_rules": {"min_focus": 50},
        },
    },
}  # fmt: skip


def judged(path: str, value: object) -> dict[str, Any]:
    """The recipe with rules of quality, with one item set."""
    return with_item(JUDGED, path, value)


def test_a_dataset_with_rules_goes_back_to_the_quality_that_it_names() -> None:
    recipe = parse(JUDGED)
    cohort = recipe.entry(("dataset", "cohort"))
    assert cohort.parents == (("features", "colour"), ("patch_quality", "numbers"))
    assert ("patch_quality", "numbers") in [e.key for e in recipe.lineage(cohort)]
    assert cohort.parameters["patch_rules"] == {"min_focus": 50.0}
    plain = parse(GOOD).entry(("dataset", "cohort"))
    assert not {"patch_rules", "slide_rules", "patch_quality"} & plain.parameters.keys()


@pytest.mark.parametrize(
    ("path", "value", "stale"),
    [
        ("patch_quality/numbers/checks", {"min_focus": 9}, ""),
        ("patch_quality/numbers/blurred_below", 9.0, "patch_quality/numbers dataset/cohort"),
        ("dataset/cohort/patch_rules", {"min_focus": 9}, "dataset/cohort"),
        ("dataset/cohort/patch_rules", {"min_focus": 50, "min_contrast": None}, ""),
    ],
)
def test_rules_that_judge_make_nothing_stale_and_rules_that_choose_the_dataset(
    path, value, stale
) -> None:
    before, after = versions_of(parse(JUDGED)), versions_of(parse(judged(path, value)))
    assert {"/".join(k) for k in after if before[k] != after[k]} == set(stale.split())


BAD = {
    "rules without numbers": (
        changed("dataset/cohort/patch_rules", {"min_focus": 5}),
        ":dataset.cohort.patch_rules",
        "dataset/cohort has patch_rules, and not the numbers for it",
        "Add 'patch_quality: NAME', naming an entry of that section",
    ),
    "rules for other patches": (
        judged("dataset/cohort/patch_quality", "numbers512"),
        ":dataset.cohort.patch_quality",
        "patch_quality/numbers512 is of other patches than features/colour",
        "Name one that is made from the same patch_locations",
    ),
    "quality that is not there": (
        judged("dataset/cohort/patch_quality", "nummers"),
        ":dataset.cohort.patch_quality",
        "dataset/cohort is made from patch_quality/nummers, which the recipe does not have",
        "Did you mean 'numbers'?",
    ),
    "unknown rule": (
        judged("patch_quality/numbers/checks", {"min_focs": 5}),
        ":patch_quality.numbers.checks.min_focs",
        "unknown rule: 'min_focs'",
        "Did you mean 'min_focus'?",
    ),
    "impossible rule": (
        judged("dataset/cohort/slide_rules", {"max_ink_share": 5.0}),
        ":dataset.cohort.slide_rules.max_ink_share",
        "dataset.cohort.slide_rules.max_ink_share = 5.0: it should be less than or equal to 1",
        "Change the value",
    ),
    "rules that are a word": (
        judged("dataset/cohort/slide_rules", "strict"),
        ":dataset.cohort.slide_rules",
        "dataset.cohort.slide_rules = 'strict': ",
        "Change the value",
    ),
    "empty file": (None, ":", "a recipe is a mapping of names, found nothing", "docs/recipe.md"),
    "list": (["tissue_mask"], ":", "a recipe is a mapping of names, found list", "docs/recipe.md"),
    "no section": ({}, ":", "the recipe builds nothing", "Add a tissue_mask entry"),
    "only annotations": (
        {"annotations": {"tumour": None}},
        ":",
        "the recipe builds nothing",
        "Add a tissue_mask entry",
    ),
    "region without annotations": (
        without("patch_locations/inside/annotations", DRAWN),
        ":patch_locations.inside.region",
        "patch_locations/inside has region annotations and does not say whose",
        "Add 'annotations: NAME', naming an entry of that section",
    ),
    "outside of no annotations": (
        without("patch_locations/outside/annotations", DRAWN),
        ":patch_locations.outside.region",
        "patch_locations/outside has region outside_annotations and does not say whose",
        "Add 'annotations: NAME', naming an entry of that section",
    ),
    "annotations of no region": (
        without("patch_locations/inside/region", DRAWN),
        ":patch_locations.inside.annotations",
        "patch_locations/inside names annotations, and its region is tissue",
        "Add 'region: annotations' or 'region: outside_annotations', or take it out",
    ),
    "dangling annotations": (
        drawn("patch_locations/inside/annotations", "tumor"),
        ":patch_locations.inside.annotations",
        "patch_locations/inside is made from annotations/tumor, which the recipe does not have",
        "Did you mean 'tumour'?",
    ),
    "dangling annotations of a mask": (
        changed("tissue_mask/otsu/annotations", "zzz"),
        ":tissue_mask.otsu.annotations",
        "tissue_mask/otsu is made from annotations/zzz, which the recipe does not have",
        "Add annotations/zzz",
    ),
    "annotations of features": (
        drawn("features/colour/annotations", "tumour"),
        ":features.colour.annotations",
        "unknown key of features/colour: 'annotations'",
        "Did you mean 'patch_locations'?",
    ),
    "parameter of annotations": (
        drawn("annotations/tumour/mpp", 8.0),
        ":annotations.tumour.mpp",
        "unknown key of annotations/tumour: 'mpp'",
        "Known are about",
    ),
    "patch set of nothing": (
        without("patch_set/jpegs/patch_locations", DRAWN),
        ":patch_set.jpegs",
        "patch_set/jpegs does not say what it is made from",
        "Add 'patch_locations: NAME', naming an entry of that section",
    ),
    "patch set that contradicts itself": (
        drawn("patch_set/jpegs", {"patch_locations": "all", "image_type": "png", "quality": 90}),
        ":patch_set.jpegs",
        "patch_set.jpegs: quality: png is lossless",
        "Change the value",
    ),
    "no entry": ({"tissue_mask": {}}, ":", "the recipe builds nothing", "Add a tissue_mask entry"),
    "unknown section": (
        changed("tissue_masks", {}),
        ":tissue_masks",
        "unknown section: 'tissue_masks'",
        "Did you mean 'tissue_mask'?",
    ),
    "section like no other": (
        changed("zzz", {}),
        ":zzz",
        "unknown section: 'zzz'",
        "Known are annotations, dataset, features, patch_locations, patch_quality, patch_set, ",
    ),
    "section without entries": (
        changed("features", None),
        ":features",
        "a section is a mapping of names, found nothing",
        "docs/recipe.md",
    ),
    "entry that is a text": (
        changed("tissue_mask/otsu", "8 um"),
        ":tissue_mask.otsu",
        "an entry is a mapping of names, found str",
        "docs/recipe.md",
    ),
    "bad entry name": (
        changed("tissue_mask/8um", {}),
        ":tissue_mask.8um",
        "an entry of tissue_mask cannot be called '8um'",
        "Begin with a letter",
    ),
    "unknown key": (
        changed("patch_locations/p256/patch_pix", 256),
        ":patch_locations.p256.patch_pix",
        "unknown key of patch_locations/p256: 'patch_pix'",
        "Did you mean 'patch_px'?",
    ),
    "misspelt parent": (
        {"tissue_mask": {"otsu": {}}, "patch_locations": {"p": {"tissue_maks": "otsu"}}},
        ":patch_locations.p.tissue_maks",
        "unknown key of patch_locations/p: 'tissue_maks'",
        "Did you mean 'tissue_mask'?",
    ),
    "parent of a root": (
        changed("tissue_mask/otsu/slide", "x"),
        ":tissue_mask.otsu.slide",
        "unknown key of tissue_mask/otsu: 'slide'",
        "Known are annotations, bad_tiles, ",
    ),
    "missing parent": (
        without("patch_locations/p256/tissue_mask"),
        ":patch_locations.p256",
        "patch_locations/p256 does not say what it is made from",
        "Add 'tissue_mask: NAME', naming an entry of that section",
    ),
    "empty parent": (
        changed("dataset/cohort/features", None),
        ":dataset.cohort",
        "dataset/cohort does not say what it is made from",
        "Add 'features: NAME', naming an entry of that section",
    ),
    "dangling parent": (
        changed("patch_locations/p256/tissue_mask", "otzu"),
        ":patch_locations.p256.tissue_mask",
        "patch_locations/p256 is made from tissue_mask/otzu, which the recipe does not have",
        "Did you mean 'otsu'?",
    ),
    "parent like no other": (
        changed("features/colour/patch_locations", "zzz"),
        ":features.colour.patch_locations",
        "features/colour is made from patch_locations/zzz, which the recipe does not have",
        "Add patch_locations/zzz, or name one of p256, p512",
    ),
    "parent in a section without entries": (
        {"patch_locations": {"p": {"tissue_mask": "otsu"}}},
        ":patch_locations.p.tissue_mask",
        "patch_locations/p is made from tissue_mask/otsu, which the recipe does not have",
        "Add tissue_mask/otsu",
    ),
    "impossible number": (
        changed("tissue_mask/otsu/mpp", -8.0),
        ":tissue_mask.otsu.mpp",
        "tissue_mask.otsu.mpp = -8.0: it should be greater than 0",
        "Change the value",
    ),
    "impossible choice": (
        changed("tissue_mask/otsu/method", "magic"),
        ":tissue_mask.otsu.method",
        "tissue_mask.otsu.method = 'magic': it should be 'otsu'",
        "Change the value",
    ),
    "text for a number": (
        changed("tissue_mask/otsu/min_object_um2", "2e4"),
        ":tissue_mask.otsu.min_object_um2",
        "tissue_mask.otsu.min_object_um2 = '2e4': it should be a valid number",
        "YAML takes 2e4 and '20000' for text",
    ),
    "yes for a number": (
        changed("patch_locations/p256/patch_px", True),  # noqa: FBT003
        ":patch_locations.p256.patch_px",
        "patch_locations.p256.patch_px = True: it should be a valid integer",
        "Write a plain number",
    ),
    "filter too wide": (
        changed("tissue_mask/otsu/mpp", 0.25),
        ":tissue_mask.otsu",
        "tissue_mask.otsu: smooth_um is over 127 pixels at 0.25 um per pixel",
        "Change the value",
    ),
    "shares that do not add up": (
        changed("dataset/cohort/split", {"train": 0.7, "test": 0.2}),
        ":dataset.cohort",
        "dataset.cohort: the shares add up to 0.9, not to 1",
        "Change the value",
    ),
    "share of more than all": (
        changed("dataset/cohort/split", {"train": 1.7, "test": -0.7}),
        ":dataset.cohort.split.train",
        "dataset.cohort.split.train = 1.7: it should be less than or equal to 1",
        "Change the value",
    ),
    "bad name of a part": (
        changed("dataset/cohort/split", {"my train": 1.0}),
        ":dataset.cohort.split.my train",
        "dataset.cohort.split.my train = 'my train'",
        "Change the value",
    ),
    "missing encoder": (
        without("features/colour/encoder"),
        ":features.colour.encoder",
        "features.colour.encoder: Field required",
        "Add the key",
    ),
    "unknown encoder": (
        changed("features/colour/encoder", "color_stats"),
        ":features.colour.encoder",
        "encoder color_stats: there is no such encoder",
        "Did you mean colour_stats?",
    ),
    "encoder like no other": (
        changed("features/colour/encoder", "zzz"),
        ":features.colour.encoder",
        "encoder ",
        "colour_stats",
    ),
    "encoder that is a list": (
        changed("features/colour/encoder", ["resnet18"]),
        ":features.colour.encoder",
        "features.colour.encoder = ['resnet18']: an encoder is a name",
        "Change the value",
    ),
}


@pytest.mark.parametrize(("data", "place", "cause", "remedy"), BAD.values(), ids=list(BAD))
def test_a_bad_recipe_is_refused_with_place_cause_and_remedy(data, place, cause, remedy) -> None:
    with pytest.raises(SpecError) as caught:
        parse(data)
    assert caught.value.message.startswith(f"recipe.yaml{place}: {cause}")
    assert remedy in caught.value.remedy


def test_the_recipe_these_are_made_from_is_good() -> None:
    assert len(parse(GOOD).entries) == 9


def test_equal_recipes_have_equal_digests_whatever_the_order_of_their_keys() -> None:
    other = {
        stage: dict(reversed([(n, dict(reversed(b.items()))) for n, b in entries.items()]))
        for stage, entries in reversed(GOOD.items())
    }
    assert versions_of(parse(other)) == versions_of(parse(GOOD))


def test_a_default_written_out_is_the_same_request() -> None:
    written = changed("patch_locations/p256/min_tissue_share", 0.5)
    assert versions_of(parse(written)) == versions_of(parse(GOOD))


def test_an_entry_under_another_name_has_the_same_digest() -> None:
    # Its name is in its address; the digest says what was asked for.
    one, other = parse({"tissue_mask": {"a": {"mpp": 4.0}, "b": {"mpp": 4.0}}}).entries
    assert one.digest(["v"]) == other.digest(["v"])


def entry_of(key: Key) -> Entry:
    return parse(GOOD).entry(key)


def test_a_digest_names_stage_spec_code_weights_and_parents() -> None:
    entry = entry_of(("features", "resnet"))
    assert entry.digest(["v1", "v2"]) == digest_of(
        {
            "section": "features",
            "spec": {
                "encoder": "resnet18",
                "fast": False,
                "bad_tiles": "fail",
                "max_bad_tile_share": 0.01,
            },
            "code_version": entry.code_version,
            "weights_sha256": card_of("resnet18").weights_sha256,
            "parents": ["v1", "v2"],
        }
    )


def test_other_parents_or_another_order_of_them_give_another_digest() -> None:
    entry = entry_of(("dataset", "cohort"))
    digests = {entry.digest(p) for p in (["a"], ["b"], ["a", "b"], ["b", "a"], [])}
    assert len(digests) == 5


def test_another_code_version_of_the_stage_gives_another_digest() -> None:
    entry = entry_of(("tissue_mask", "otsu"))
    stage = dataclasses.replace(entry.stage, code_version="next")
    assert dataclasses.replace(entry, stage=stage).digest(["v"]) != entry.digest(["v"])


def change_resnet18(monkeypatch, **change) -> None:
    card = dataclasses.replace(card_of("resnet18"), **change)

    def found(request):
        return card if request.name == "resnet18" else card_of(request)

    monkeypatch.setattr(recipe_module, "card_of", found)


@pytest.mark.parametrize("change", [{"version": "next"}, {"weights_sha256": "0" * 64}])
def test_another_version_or_weights_of_the_encoder_give_another_digest(monkeypatch, change) -> None:
    resnet, colour = entry_of(("features", "resnet")), entry_of(("features", "colour"))
    before = resnet.digest(["v"]), colour.digest(["v"])
    change_resnet18(monkeypatch, **change)
    assert resnet.digest(["v"]) != before[0]
    assert colour.digest(["v"]) == before[1]


def test_words_about_an_encoder_are_no_part_of_a_digest(monkeypatch) -> None:
    entry = entry_of(("features", "resnet"))
    before = entry.digest(["v"])
    change_resnet18(monkeypatch, description="Other words.")
    assert entry.digest(["v"]) == before


def test_only_features_have_weights() -> None:
    weights = {e.name: e.weights_sha256 for e in parse(GOOD).entries if e.weights_sha256}
    assert weights == {"resnet": card_of("resnet18").weights_sha256}


@pytest.mark.parametrize(
    ("path", "value", "stale"),
    [
        (
            "tissue_mask/otsu/mpp",
            6.0,
            "tissue_mask/otsu patch_locations/p256 features/colour features/resnet dataset/cohort",
        ),
        (
            "tissue_mask/fine/smooth_um",
            20.0,
            "tissue_mask/fine patch_locations/p512 features/colour512 dataset/cohort512",
        ),
        (
            "patch_locations/p256/min_tissue_share",
            0.25,
            "patch_locations/p256 features/colour features/resnet dataset/cohort",
        ),
        (
            "patch_locations/p512/tissue_mask",
            "otsu",
            "patch_locations/p512 features/colour512 dataset/cohort512",
        ),
        ("features/resnet/encoder", "colour_stats", "features/resnet"),
        ("features/colour/patch_locations", "p512", "features/colour dataset/cohort"),
        ("dataset/cohort/seed", 1, "dataset/cohort"),
        ("dataset/cohort/split", {"train": 0.5, "test": 0.5}, "dataset/cohort"),
        ("tissue_mask/third", {}, "tissue_mask/third"),
    ],
)
def test_changing_one_entry_changes_it_and_what_is_made_from_it_and_nothing_else(
    path, value, stale
) -> None:
    before, after = versions_of(parse(GOOD)), versions_of(parse(changed(path, value)))
    assert {"/".join(k) for k in after if before.get(k) != after[k]} == set(stale.split())


def test_the_recipe_of_the_package_is_good() -> None:
    recipe = load_recipe(Path(pathassets.__file__).parent / "recipe.yaml")
    left_out = {"annotations", "patch_set", "patch_quality", "slide_embedding"}
    built = set(recipe_module.STAGES) - left_out
    assert {e.stage.name for e in recipe.entries} == built
    for entry in recipe.datasets:
        assert len(recipe.lineage(entry)) == 4


def test_the_examples_in_the_recipe_of_the_package_are_good(tmp_path) -> None:
    text = (Path(pathassets.__file__).parent / "recipe.yaml").read_text()
    prose, _, rest = text.partition("\n\n")
    assert prose.count("\n") < 4
    example = tmp_path / "recipe.yaml"
    example.write_text(re.sub("^# ", "", rest, flags=re.MULTILINE))
    recipe = load_recipe(example)
    assert {e.stage.name for e in recipe.entries} == set(recipe_module.STAGES)
    [drawn] = [e for e in recipe.entries if e.needs_annotation]
    assert drawn.key == ("patch_locations", "tumour_256px_05um")
    mask = recipe.entry(("tissue_mask", "otsu_8um"))
    assert mask.annotation == ("annotations", "mended_tissue")
