"""The page of a running Dagster in a headless Chromium, as a person would use it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    StaleElementReferenceException,
)
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.defs.daemon import wait_for

ARTIFACTS = Path(__file__).parent.parent / "artifacts"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1500,1000",
]
WITHIN_S = 120


@dataclass(frozen=True)
class Page:
    driver: webdriver.Chrome
    url: str

    def open(self, path: str) -> None:
        self.driver.get(f"{self.url}/{path}")

    def shot(self, name: str) -> None:
        """Leave a screenshot in the artifacts of the tests."""
        ARTIFACTS.mkdir(exist_ok=True)
        assert self.driver.save_screenshot(str(ARTIFACTS / f"{name}.png"))

    def text(self) -> str:
        try:
            return self.driver.find_element(By.TAG_NAME, "body").text
        except StaleElementReferenceException:
            return ""

    def wait_for_text(self, *texts: str) -> None:
        for text in texts:
            wait_for(
                lambda text=text: text in self.text(), f"{text!r} on the page", within_s=WITHIN_S
            )

    def click(self, text: str, which: int = -1) -> None:
        """Click the last element that is on show and says just this, once there is one."""
        wait_for(lambda: self._try_click(text, which), f"{text!r} to click", within_s=WITHIN_S)

    def _try_click(self, text: str, which: int) -> bool:
        try:
            shown = [
                element
                for element in self.driver.find_elements(
                    By.XPATH, f"//*[normalize-space()='{text}']"
                )
                if element.is_displayed() and element.is_enabled()
            ]
            if shown:
                shown[which].click()
        except StaleElementReferenceException:
            return False
        return bool(shown)

    def button(self, text: str) -> WebElement:
        """The button that says this, once there is one that can be pressed."""

        def pressable() -> WebElement | None:
            buttons = self.driver.find_elements(By.TAG_NAME, "button")
            fitting = [b for b in buttons if b.text == text and b.is_enabled()]
            return fitting[-1] if fitting else None

        return wait_for(pressable, f"button {text!r}", within_s=WITHIN_S)

    def press(self, text: str) -> None:
        """Press the button that says this, once nothing lies over it and it stays where it is."""
        wait_for(lambda: self._try_press(text), f"button {text!r} to press", within_s=WITHIN_S)

    def _try_press(self, text: str) -> bool:
        try:
            self.button(text).click()
        except (ElementClickInterceptedException, StaleElementReferenceException):
            return False
        return True

    def network(self) -> list[tuple[str, Any]]:
        """What the browser's network did since this was asked last: (event, its parameters)."""
        logged = [json.loads(entry["message"]) for entry in self.driver.get_log("performance")]
        return [(entry["message"]["method"], entry["message"]["params"]) for entry in logged]

    def requests(self) -> list[str]:
        """Addresses that it asked for, sockets included."""
        asked = [
            said["url"] if event == "Network.webSocketCreated" else said["request"]["url"]
            for event, said in self.network()
            if event in {"Network.requestWillBeSent", "Network.webSocketCreated"}
        ]
        assert asked, "no request was seen: the log is not what it was"
        return asked

    def foreign_requests(self) -> list[str]:
        """Addresses other than the page's that the browser turned to since this was last asked."""
        own = urlsplit(self.url).netloc
        by_network = {"http", "https", "ws", "wss"}
        return [
            url
            for url in self.requests()
            if urlsplit(url).scheme in by_network and urlsplit(url).netloc != own
        ]

    def pictures(self) -> list[int]:
        """Widths, in pixels, of the inline pictures that the browser could decode."""
        images = self.driver.find_elements(By.CSS_SELECTOR, "img[src^='data:image/']")
        width = "return arguments[0].naturalWidth"
        return [w for image in images if (w := int(self.driver.execute_script(width, image)))]


@contextmanager
def browsing(url: str, profile: Path, *flags: str) -> Iterator[Page]:
    """Open a browser; without one the test is skipped."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    chromedriver = shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("needs chromium and chromedriver")
    options = Options()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    for flag in (*FLAGS, *flags, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    try:
        yield Page(driver, url)
    finally:
        driver.quit()
