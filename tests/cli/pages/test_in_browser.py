"""500 slides in Chromium, as a file and served: found, sorted, opened, judged; no text harms."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import pytest
import uvicorn
from click.testing import CliRunner
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from pathassets.adapters.opencv import preview_jpeg
from pathassets.catalog.records import ChangedBy, CohortChange, PathRecord, SlideRecord
from pathassets.cli.pages import routes
from pathassets.cli.pages.report import report_command
from pathassets.cli.pages.routes import CohortSite
from pathassets.core.demo_painting import Appearance, Piece, paint
from pathassets.core.locations.overlay import shrink_to
from pathassets.defs.page.guard import Guard, own_origins
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.datasets.build import build_dataset
from pathassets.engine.platform.ingestion.ingest import find_files, ingest
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.platform import Platform, open_platform
from pathassets.engine.settings import read_settings
from tests.defs.browser import Page, browsing
from tests.defs.daemon import wait_for
from tests.defs.small_slides import RECIPE, write_corrupt_slide, write_slide
from tests.engine.workers_here import workers_here

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

N_SLIDES = 500
BAIT = (
    "<img src=x onerror='window.owned=1'></script><script>window.owned=1</script>![x](bait)`\"&é✓"
)
WITHIN_S = 30


@dataclass(frozen=True)
class Cohort:
    home: Path
    good: list[str]
    """Ids of slides that were run, and can be used."""
    bad: str


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cohort]:
    """A home of 500 slides: four that were run, and those whose files are not here."""
    home = tmp_path_factory.mktemp("home")
    recipe = RECIPE.replace("{features: colour,", "{features: colour, verdict: not_rejected,")
    (home / "recipe.yaml").write_text(recipe)
    with pytest.MonkeyPatch.context() as patch, workers_here():
        patch.setenv("PATHASSETS_HOME", str(home))
        with open_platform(read_settings()) as platform:
            yield _fill(home, platform)


def _fill(home: Path, platform: Platform) -> Cohort:
    files = [
        write_slide(home / f"good {seed} {BAIT.replace('/', '')}.svs", seed) for seed in range(3)
    ]
    files.append(write_corrupt_slide(home / "bad.svs", 9))
    list(ingest(platform, find_files(files)))
    planned = plan_slides(platform)
    list(run_batch(platform, planned, platform.recipe.per_slide, run_id="run"))
    look = Appearance(
        width_px0=2000, height_px0=1500, pieces=(Piece(x=0.5, y=0.5, length=0.5, width=0.3),)
    )
    thumbnail = preview_jpeg(shrink_to(paint(look, seed=1).rgb))
    for number in range(N_SLIDES - len(planned)):
        _register(platform, number, thumbnail)
    one, two, three, bad = (slide.slide_id for slide in planned)
    away = ((f"away-{n:03d}", "label.größe", str(n % 4)) for n in range(N_SLIDES - len(planned)))
    platform.catalog.record_changes(
        [
            CohortChange(subject="patient", key=BAIT, field="site", old=None, new=BAIT),
            CohortChange(subject="slide", key=one, field="patient", old=None, new=BAIT),
            *(
                CohortChange(
                    subject="slide", key=key, field=field, old=None, new=new, kind="category"
                )
                for key, field, new in ((two, "label", BAIT), (three, "label.größe", "3, 4"), *away)
            ),
        ],
        ChangedBy(who=BAIT),
    )
    return Cohort(home, [one, two, three], bad)


def _register(platform: Platform, number: int, thumbnail: bytes | None) -> str:
    """Enter a slide whose file is on a disk that is not mounted."""
    slide_id = f"away-{number:03d}"
    record = SlideRecord(
        slide_id=slide_id, fingerprint=f"{number:064x}", size_bytes=9, vendor="aperio",
        reader="openslide", width_px0=20_000, height_px0=15_000, n_levels=1,
        level_downsamples=(1.0,), mpp=0.5, mpp_sources=(), patient=f"P{number % 50}",
        label="tumour" if number % 3 else "normal", scanner=f"Scanner {number % 4}",
    )  # fmt: skip
    path = PathRecord(
        path=f"/nowhere/{slide_id}.svs", slide_id=slide_id, size_bytes=9, mtime_ns=1, ctime_ns=1
    )
    platform.catalog.register_slide(record, path, thumbnail=thumbnail)
    return slide_id


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browsing("", tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture(autouse=True)
def _home(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let commands see the home, and start no worker process."""
    monkeypatch.setenv("PATHASSETS_HOME", str(cohort.home))
    with workers_here(), workers_here(routes):
        yield


@pytest.fixture
def served() -> Iterator[str]:
    with serving() as address:
        yield address


@contextmanager
def serving(*, is_read_only: bool = False) -> Iterator[str]:
    """Where the page is served, behind the guard."""
    with CohortSite(settings=read_settings(), is_read_only=is_read_only) as site:
        config = uvicorn.Config(site.app(), port=0, log_level="warning")
        server = uvicorn.Server(config)
        config.load()
        thread = Thread(target=server.run)
        thread.start()
        wait_for(lambda: server.started, "the server", within_s=WITHIN_S)
        port = server.servers[0].sockets[0].getsockname()[1]
        config.loaded_app = Guard(app=config.loaded_app, origins=own_origins(port))
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join()


def count(page: Page) -> str:
    return page.driver.find_element(By.ID, "count").text


def type_filter(page: Page, text: str) -> str:
    box = page.driver.find_element(By.ID, "filter")
    box.clear()
    box.send_keys(text)
    return count(page)


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.driver.switch_to.active_element.send_keys(key)


def script(page: Page, source: str) -> Any:
    return page.driver.execute_script(source)


def require_harmless(page: Page) -> None:
    """Nothing of the bait became an element, ran, or was asked for."""
    assert script(page, "return window.owned") is None
    assert script(page, "return document.images.length") == 0
    assert script(page, "return document.querySelectorAll('[src]').length") == 0
    errors = [entry for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert errors == []


def test_a_file_of_500_slides_is_found_through_by_filter_order_and_keys(
    cohort: Cohort, browser: Page, tmp_path: Path
) -> None:
    target = tmp_path / "cohort.html"
    result = CliRunner().invoke(report_command, ["--to", str(target)])
    assert result.exit_code == 0, result.output
    assert f"{N_SLIDES} slides on 1 page" in result.output
    assert target.stat().st_size < 20_000_000
    browser.driver.get(target.as_uri())
    assert count(browser) == "500 of 500 slides"
    browser.shot("cohort_file")
    first = browser.driver.find_element(By.CSS_SELECTOR, "#slides .card .name").text
    assert first == cohort.bad  # the worst comes first

    assert type_filter(browser, "state:failed") == "1 of 500 slides"
    assert type_filter(browser, "patient:P7 !label:normal") == "7 of 500 slides"
    assert type_filter(browser, 'scanner:"Scanner 1" label:tum*') == "83 of 500 slides"
    assert type_filter(browser, "mm2>0 patches>=8") == "4 of 500 slides"
    assert type_filter(browser, "survey_focus>0") == "4 of 500 slides"
    assert type_filter(browser, "focus>0") == "0 of 500 slides"
    assert type_filter(browser, '"onerror="') == "2 of 500 slides"
    assert type_filter(browser, 'label:"[(+?$*"') == "0 of 500 slides"
    assert type_filter(browser, "größe:3,4 !größe:4") == "124 of 500 slides"
    assert type_filter(browser, 'größe:"3, 4"') == "1 of 500 slides"
    assert type_filter(browser, "worst:current") == "3 of 500 slides"

    script(browser, "document.querySelector('[data-form=table]').click()")
    for direction in ("ascending", "descending"):
        script(
            browser,
            "[...document.querySelectorAll('th button')]"
            ".find((button) => button.textContent.startsWith('focus')).click()",
        )
        cells = browser.driver.find_elements(By.CSS_SELECTOR, "td.focus")
        focus = [float(cell.text) for cell in cells]
        assert focus == sorted(focus, reverse=direction == "descending")
    script(browser, "document.querySelector('[data-form=sheet]').click()")

    browser.driver.find_element(By.ID, "filter").send_keys(Keys.ENTER)
    press(browser, Keys.ARROW_RIGHT, Keys.ENTER, "f", "g")
    dialog = browser.driver.find_element(By.ID, "viewer")
    assert dialog.is_displayed()
    wait_for(
        lambda: browser.driver.find_elements(By.CSS_SELECTOR, "#large .layer.map"),
        "the map",
        within_s=WITHIN_S,
    )
    for layer in ("grid", "outline"):
        assert browser.driver.find_elements(By.CSS_SELECTOR, f"#large .layer.{layer}")
    assert not browser.driver.find_elements(By.ID, "verdict-form")
    browser.shot("cohort_file_slide")
    press(browser, Keys.ARROW_RIGHT, Keys.ESCAPE)
    assert not dialog.is_displayed()
    require_harmless(browser)
    assert [
        url for url in browser.requests() if not url.startswith(("file:", "data:", "chrome"))
    ] == []


def test_a_verdict_given_on_the_served_page_counts_for_the_next_dataset(
    cohort: Cohort, browser: Page, served: str
) -> None:
    chosen = cohort.good[0]
    browser.driver.get(f"{served}/cohort?slide={chosen}")
    assert browser.driver.find_element(By.ID, "viewer-name").text == chosen
    facts = browser.driver.find_element(By.ID, "viewer-facts").text
    assert BAIT in facts
    wait_for(
        lambda: browser.driver.find_elements(By.CSS_SELECTOR, "#large image[href*=picture]"),
        "the large picture", within_s=WITHIN_S,
    )  # fmt: skip
    press(browser, "r")
    press(browser, "Ada")
    press(browser, Keys.TAB, f"folded {BAIT}", Keys.ENTER)
    said = browser.driver.find_element(By.ID, "verdict-said")
    wait_for(lambda: said.text == "kept", "the verdict to be kept", within_s=WITHIN_S)
    browser.shot("cohort_served_verdict")
    press(browser, Keys.ESCAPE)
    assert type_filter(browser, "verdict:reject") == "1 of 500 slides"
    time.sleep(1)  # whatever a text could have asked for was asked for by now
    browser.shot("cohort_served")
    require_harmless(browser)
    own = (served, "data:", "chrome", "file:")
    assert [url for url in browser.requests() if not url.startswith(own)] == []

    with open_platform(read_settings()) as platform:
        (given,) = platform.catalog.verdicts()
        assert (given.slide_id, given.verdict, given.who) == (chosen, "reject", "Ada")
        assert given.why == f"folded {BAIT}"
        built = build_dataset(platform, platform.recipe.datasets[0], run_id="next")
        assert built.artifact is not None
        assert built.artifact.facts["n_slides"] == len(cohort.good) - 1


def judge(page: Page, key: str, who: str, why: str) -> str:
    """Give a verdict on the slide that is opened; returns what the page says to it."""
    press(page, key)
    box = page.driver.find_element(By.NAME, "who")
    box.clear()
    box.send_keys(who)
    page.driver.find_element(By.NAME, "why").send_keys(why, Keys.ENTER)
    return answer(page)


def answer(page: Page) -> str:
    said = page.driver.find_element(By.ID, "verdict-said")
    return wait_for(lambda: said.text, "an answer", within_s=WITHIN_S)


def test_of_two_pages_the_second_one_is_shown_the_verdict_of_the_first_before_its_own_counts(
    cohort: Cohort, browser: Page, served: str
) -> None:
    slide_id, driver = cohort.good[1], browser.driver
    driver.get(f"{served}/cohort?slide={slide_id}")
    first = driver.current_window_handle
    driver.switch_to.new_window("window")
    driver.get(f"{served}/cohort?slide={slide_id}")
    assert driver.find_element(By.ID, "verdict-given").text == "none yet"
    second = driver.current_window_handle
    driver.switch_to.window(first)
    assert judge(browser, "r", "Ada", f"a fold {BAIT}") == "kept"

    driver.switch_to.window(second)
    told = judge(browser, "a", "Bob", "fine")
    assert told.startswith(f"slide {slide_id}: has another verdict than this page showed")
    assert driver.find_element(By.ID, "verdict-given").text.startswith("reject by Ada, ")
    browser.shot("cohort_verdict_overtaken")
    with open_platform(read_settings()) as platform:
        assert [one.who for one in platform.catalog.verdict_history(slide_id)] == ["Ada"]
    chosen = "return document.querySelector('[name=word]:checked').value"
    assert script(browser, chosen) == "accept"  # what was typed is there still
    driver.find_element(By.NAME, "why").send_keys(Keys.ENTER)
    said = driver.find_element(By.ID, "verdict-said")
    wait_for(lambda: said.text == "kept", "the verdict to be kept", within_s=WITHIN_S)
    assert driver.find_element(By.ID, "verdict-given").text.startswith("accept by Bob, ")
    driver.close()
    driver.switch_to.window(first)
    with open_platform(read_settings()) as platform:
        in_force, before = platform.catalog.verdict_history(slide_id)
    assert (in_force.who, in_force.why, before.who) == ("Bob", "fine", "Ada")


def test_a_page_to_read_has_no_form_for_a_verdict_and_asks_for_no_thumbnail_that_is_not_there(
    cohort: Cohort, browser: Page
) -> None:
    with open_platform(read_settings()) as platform:
        bare = _register(platform, N_SLIDES, None)
    browser.network()  # what was asked for before is none of this page
    with serving(is_read_only=True) as address:
        browser.driver.get(f"{address}/cohort?slides=id:{bare},{cohort.good[2]}")
        assert count(browser) == "2 of 2 slides"
        browser.driver.find_element(By.ID, "filter").send_keys(Keys.ENTER)
        press(browser, "r", Keys.ENTER, "r")
        assert browser.driver.find_element(By.ID, "viewer").is_displayed()
        assert not browser.driver.find_elements(By.ID, "verdict-form")
        press(browser, Keys.ESCAPE)
        asked = [url for url in browser.requests() if "/cohort/thumbnail" in url]
        assert {url.rpartition("=")[2] for url in asked} == {quote(cohort.good[2], safe="")}
