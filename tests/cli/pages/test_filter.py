"""The page's filter in Chromium against the selection engine: the same slides, or it is said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from pathassets.catalog.records import (
    AnnotationRecord,
    ChangedBy,
    CohortChange,
    PathRecord,
    SlideRecord,
    Verdict,
)
from pathassets.cli.pages.report import report_command
from pathassets.core.selection.fields import FIELDS
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.ingestion.ingest import find_files, ingest
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.platform import Platform, open_platform
from pathassets.engine.platform.quality.queue import review_queue
from pathassets.engine.platform.selection import choose_slides
from pathassets.engine.settings import read_settings
from pathassets.report.cohort_page import html, words
from tests.defs.browser import Page, browsing
from tests.defs.small_slides import RECIPE, write_corrupt_slide, write_slide
from tests.engine.workers_here import workers_here

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

RULES = "patch_quality: {numbers: {patch_locations: grid, checks: {min_tissue_mm2: 99}}}\n"
HOSTILE = '<img src=x>"\\ \x1b*[é'
TYPED = """
const box = document.getElementById("filter");
box.value = arguments[0];
box.dispatchEvent(new Event("input"));
const names = [...document.querySelectorAll("#slides .card .name")].map((one) => one.title);
const said = document.getElementById("filter-said");
return [names, said.hidden ? "" : said.textContent, box.getAttribute("aria-invalid")];
"""


@dataclass(frozen=True)
class Cohort:
    platform: Platform
    browser: Page
    ids: list[str]
    """Three that were run, of which the last failed, and four whose files are away."""

    def typed(self, text: str) -> tuple[list[str], str, bool]:
        """Slides that the page shows, what it says of the filter, and whether that is a fault."""
        names, said, is_fault = self.browser.driver.execute_script(TYPED, text)
        return sorted(names), said, is_fault == "true"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cohort]:
    home = tmp_path_factory.mktemp("home")
    (home / "recipe.yaml").write_text(RECIPE + RULES)
    with pytest.MonkeyPatch.context() as patch, workers_here():
        patch.setenv("PATHASSETS_HOME", str(home))
        with open_platform(read_settings()) as platform:
            ids = _fill(home, platform)
            result = CliRunner().invoke(report_command, ["--to", str(home / "page.html")])
            assert result.exit_code == 0, result.output
            with browsing("", tmp_path_factory.mktemp("chromium")) as browser:
                browser.driver.get((home / "page.html").as_uri())
                yield Cohort(platform, browser, ids)


def _fill(home: Path, platform: Platform) -> list[str]:
    files = [write_slide(home / f"good {seed}.svs", seed) for seed in range(2)]
    files.append(write_corrupt_slide(home / "hostile bad.svs", 9))
    list(ingest(platform, find_files(files)))
    planned = plan_slides(platform)
    list(run_batch(platform, planned, platform.recipe.per_slide, run_id="run"))
    away = [_register(platform, number) for number in range(4)]
    one, two, bad = (slide.slide_id for slide in planned)
    slide = {
        one: {"label": "tumour", "label.age": "60", "label.grade": "3, 4", "stain": "HE"},
        two: {"label": HOSTILE, "label.age": "7e1", "label.grade": "3", "tag": "pilot"},
        bad: {"patient": "patient-a", "label.tumour stage": "III a", "tag": "pilot:x"},
        away[0]: {"patient": "patient-b", "label.grade": "4"},
        away[1]: {"patient": "patient-a", "label.stage": "II", "cohort": "luad"},
    }
    changes = [
        CohortChange(
            subject="slide", key=key, field=field, old=None, new=new,
            kind="category" if field.startswith("label") else "",
        )
        for key, said in slide.items() for field, new in said.items()
    ]  # fmt: skip
    of_patient = {"site": "Lyon", "label.stage": "I", "label.sex": "f"}
    changes += [
        CohortChange(
            subject="patient", key="patient-a", field=field, old=None, new=new,
            kind="category" if field.startswith("label") else "",
        )
        for field, new in of_patient.items()
    ]  # fmt: skip
    platform.catalog.record_changes(changes, ChangedBy(who="Ann"))
    platform.catalog.replace_bad_tiles(away[2], [])
    platform.catalog.set_verdict(Verdict(slide_id=one, verdict="review", who="Ann", why="a fold"))
    drawn = AnnotationRecord(
        slide_id=two, name="tumour", digest="aa", file="a.geojson", sha256="a" * 64,
        n_polygons=1, labels={}, who="Ann", why="seen",
    )  # fmt: skip
    platform.catalog.record_annotation(drawn)
    platform.catalog.record_annotation(replace(drawn, slide_id=one))
    withdrawn = replace(drawn, slide_id=one, digest="", file="", sha256="", n_polygons=0)
    platform.catalog.record_annotation(withdrawn)
    return [one, two, bad, *away]


def _register(platform: Platform, number: int) -> str:
    """Enter a slide whose file is on a disk that is not mounted."""
    slide_id = f"away-{number}"
    record = SlideRecord(
        slide_id=slide_id, fingerprint=f"{number:064x}", size_bytes=9, vendor="mirax",
        reader="openslide", width_px0=20_000, height_px0=15_000, n_levels=1,
        level_downsamples=(1.0,), mpp=0.25, mpp_sources=(), scanner=f"Scanner {number % 2}",
        objective_power=40.0 if number else None,
    )  # fmt: skip
    path = PathRecord(
        path=f"/nowhere/{slide_id}.svs", slide_id=slide_id, size_bytes=9, mtime_ns=1, ctime_ns=1
    )
    platform.catalog.register_slide(record, path)
    return slide_id


def written(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\x1b", "\\x1b") + '"'


SAME = [
    *(f"{name}:*" for name, kind in FIELDS.items() if kind.is_text),
    *(f"!{name}:*" for name, kind in FIELDS.items() if kind.is_text),
    *(f"{name}{sign}0" for name, kind in FIELDS.items() if kind.is_number for sign in (">=", "=")),
    *(f"!{name}>0" for name, kind in FIELDS.items() if kind.is_number),
    'patient:"patient-a","patient-b"', 'patient : "patient-a" , patient-b,', "patient:patient-?",
    "patient:'patient-a'", "!!patient:patient-a", "! patient:patient-a",
    "n_patches>7", "tissue_mm2<0.45", "tissue_mm2 >= .05", "n_bad_tiles>0", "n_bad_tiles=0",
    "n_patches.patch_locations/grid>=8", "focus.patch_quality/numbers>0", "!focus>=0",
    "coverage>0.5", "mpp<0.3", "mpp=0.5", "mpp=2.5e-1", "objective_power=40",
    "vendor:aperio", "vendor:generic*", "path:*hostile*", "path:*.svs", "scanner:'Scanner 1'",
    "scanner:Scanner\\ 1", "scanner:Scanner*",
    "state:current", "state:failed", "state:blocked,missing", "!state:current",
    "state.features/colour:current", "state.features/colour:failed", "reason:tile_*",
    "label:tumour", "label:TUM*", f"label:{written(HOSTILE)}", "label:*img*", "label.label:tumour",
    "label.grade:3", 'label.grade:"3, 4"', "label.grade:3,4", "label.age>=60", "label.age>60",
    "label.grade>3", 'label."tumour stage":"III a"', "label.tumour\\ stage:III\\ a",
    "label.stage:I", "label.stage:II", "label.stage:I*", "label.sex:f", "site:Lyon",
    "cohort:luad", "tag:pilot", 'tag:"pilot:x"', "tag:pilot*", "annotated:tumour",
    "verdict:review", "id:away-*", "id:away-1,away-2", "patient:patient-a & !state:failed",
    "!patient:* & vendor:mirax & mpp<0.3",
]  # fmt: skip


def test_what_the_filter_understands_means_what_it_means_in_a_selection(cohort: Cohort) -> None:
    shown = {text: cohort.typed(text) for text in SAME}
    wrong = {
        text: (names, said)
        for text, (names, said, is_fault) in shown.items()
        if is_fault or names != sorted(choose_slides(cohort.platform, [text]))
    }
    assert wrong == {}
    counts = {len(names) for names, _, _ in shown.values()}
    assert {0, 1, 2, 3, 4, 7} <= counts


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("reson:x", ["no field 'reson'", "'reason'", "quotation marks"]),
        ("foo:bar", ["no field 'foo'", "Fields are id, patient"]),
        ("patient:* | site:*", ["'|' is not understood", "label:a,b"]),
        ("(patient:*)", ["'('", "no brackets"]), ("@pilot", ["'@'", "what was saved"]),
        ("mm2<0,45", ["'0,45' is no number", "0.25"]), ("mm2<", ["ends after 'mm2<'"]),
        ("odd:", ["ends after 'odd:'", "odd:*"]), ("!", ["ends after !"]),
        ("a &", ["ends after &"]), ("a or b", ["'or' joins nothing"]),
        ("mpp:0.5", ["mpp is a number", "mpp=1"]), ("patient=x", ["is a text", "patient:x"]),
        ("state:faild", ["No state is called 'faild'", "'failed'"]),
        ("state.features/color:failed", ["'features/color'", "'features/colour'"]),
        ("patient.x:y", ["cannot be asked so"]), ("label.:y", ["label.NAME"]),
        ('label:"a', ["nothing closes"]), ("a\\", ["backslash"]), ('tag:"\\q"', ["no character"]),
        ("<img/src=x>:y", ["'<' is not understood"]), ('"<i>"x:y', ["no field 'x'"]),
        ("n_patch>3", ["'n_patches'"]), ("label.constructor<x", ["'x' is no number"]),
        ("__proto__:x", ["no field '__proto__'"]), ("constructor:x", ["no field 'constructor'"]),
    ],
)  # fmt: skip
def test_what_it_does_not_understand_is_said_and_leaves_no_slide_out(
    cohort: Cohort, text: str, words: list[str]
) -> None:
    names, said, is_fault = cohort.typed(text)
    assert (len(names), is_fault) == (len(cohort.ids), True)
    assert [word for word in [*words, "no slide is left out"] if word not in said] == []
    assert not cohort.browser.driver.find_elements(By.TAG_NAME, "img")


def test_a_value_that_no_slide_has_is_said_with_those_that_are_near(cohort: Cohort) -> None:
    assert cohort.typed("label:Tumour") == (
        [], "No slide on this page has label 'Tumour'. Did you mean 'tumour'?", False,
    )  # fmt: skip
    assert "'stage'" in cohort.typed("label.stagge:I")[1]
    assert (
        "a number of blurred_share.tissue_mask/otsu"
        in (cohort.typed("blurred_share.tissue_mask/otsu>0")[1])
    )


def test_words_and_what_the_page_alone_knows_are_found(cohort: Cohort) -> None:
    one, two, bad, *away = cohort.ids
    assert cohort.typed("LYON") == (sorted([bad, away[1]]), "", False)
    assert cohort.typed("lyon !luad") == ([bad], "", False)
    assert cohort.typed('"III a",fold')[0] == sorted([bad, one])
    assert cohort.typed("grade:3") == ([two], "", False)
    assert cohort.typed("worst:failed")[0] == [bad]
    assert cohort.typed("worst:current")[0] == sorted([one, two])
    assert cohort.typed('odd:"bad tiles"')[0] == [bad]
    assert cohort.typed("odd:min_tissue_mm2")[0] == sorted([one, two, bad])
    assert cohort.typed("mm2>0 patches>=8")[0] == cohort.typed("tissue_mm2>0 n_patches>=8")[0]
    assert cohort.typed("bad>0")[0] == cohort.typed("n_bad_tiles>0")[0] == [bad]


def test_each_count_above_the_slides_and_each_word_beside_the_map_is_a_filter(
    cohort: Cohort,
) -> None:
    driver = cohort.browser.driver
    for place in ("#chips button", "#legend button"):
        cohort.typed("")
        for n in range(len(driver.find_elements(By.CSS_SELECTOR, place))):
            button = driver.find_elements(By.CSS_SELECTOR, place)[n]
            said = int(button.find_element(By.CSS_SELECTOR, "b, i").text)
            driver.execute_script("arguments[0].click()", button)
            assert driver.find_element(By.ID, "count").text == f"{said} of 7 slides"
            button = driver.find_elements(By.CSS_SELECTOR, place)[n]
            driver.execute_script("arguments[0].click()", button)
            assert driver.execute_script("return document.getElementById('filter').value") == ""


def test_the_map_stays_where_it_is_whatever_the_filter_finds(cohort: Cohort) -> None:
    driver = cohort.browser.driver
    driver.refresh()
    before = driver.find_element(By.ID, "map").rect
    names, _, _ = cohort.typed("zzzz")
    cohort.browser.shot("cohort_filter_finds_nothing")
    assert (names, driver.find_element(By.ID, "none").is_displayed()) == ([], True)
    assert driver.find_element(By.ID, "map").rect == before
    cohort.typed("")


def test_the_legend_counts_the_slides_that_are_on_the_map(cohort: Cohort) -> None:
    driver = cohort.browser.driver
    dots = len(driver.find_elements(By.CSS_SELECTOR, "#map .dot"))
    counts = [int(one.text) for one in driver.find_elements(By.CSS_SELECTOR, "#legend i")]
    assert (sum(counts), dots) == (2, 2)
    assert "not on the map: 5 of 7 slides" in driver.find_element(By.ID, "map-of").text


def test_a_broken_rule_is_told_with_value_and_limit_and_a_verdict_with_its_date(
    cohort: Cohort,
) -> None:
    driver, one = cohort.browser.driver, cohort.ids[0]
    waiting = {slide.slide_id: slide for slide in review_queue(cohort.platform)}
    (rule,) = map(str, waiting[one].broken)
    assert "is below min_tissue_mm2 99" in rule
    cohort.typed(f"id:{one}")
    chip = driver.find_element(By.CSS_SELECTOR, "#slides .chip.odd")
    assert (chip.text, chip.get_attribute("title")) == ("min_tissue_mm2", rule)
    driver.find_element(By.CSS_SELECTOR, "#slides .card").click()
    assert rule in driver.find_element(By.ID, "viewer-problems").text
    (given,) = cohort.platform.catalog.verdicts()
    told = f"review by Ann, {words.verdict_date(given)}: a fold"
    assert driver.find_element(By.ID, "verdict-given").text == told
    cohort.browser.shot("cohort_broken_rule")
    driver.switch_to.active_element.send_keys(Keys.ESCAPE)


def test_the_table_keeps_whole_words_and_a_gap_to_the_map(cohort: Cohort) -> None:
    driver = cohort.browser.driver
    driver.refresh()
    driver.execute_script("document.querySelector('[data-form=table]').click()")
    cohort.browser.shot("cohort_table")
    place = driver.find_element(By.ID, "slides")
    aside = driver.find_element(By.TAG_NAME, "aside").rect
    assert place.rect["x"] + place.rect["width"] + 10 <= aside["x"]
    wide = "return [arguments[0].scrollWidth, arguments[0].clientWidth]"
    assert len({*driver.execute_script(wide, place)}) == 1
    driver.execute_script("document.querySelector('[data-form=sheet]').click()")


def test_what_is_wrong_with_a_long_selection_stays_in_its_box_and_is_pointed_at(
    cohort: Cohort, tmp_path: Path
) -> None:
    fault = f"unknown field\n  {'a' * 3000}:x & stat:failed\n  {' ' * 12}^^^^"
    page = html.Page(title="a", slides=[], served=html.Served(fault=fault))
    (tmp_path / "page.html").write_text(html.page_html(page))
    driver = cohort.browser.driver
    driver.get((tmp_path / "page.html").as_uri())
    element = driver.find_element(By.CSS_SELECTOR, "header .fault")
    assert "monospace" in element.value_of_css_property("font-family")
    assert element.value_of_css_property("white-space") == "pre-wrap"
    whole = "const all = document.documentElement; return all.scrollWidth <= all.clientWidth"
    assert driver.execute_script(whole)
