"""A person's browser: Debian's Chromium without a window, driven by its own driver."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

PAGE_LIMIT_SECONDS = 30
OFF_THE_NETWORK = (
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@contextmanager
def chromium(profile: Path) -> Iterator[Chrome]:
    """A browser that keeps its cookies in `profile`, gone with the block. Skips the test where there is none."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("no chromium and chromedriver on PATH (packages of Debian)")
    options = ChromeOptions()
    options.binary_location = binary
    # --no-sandbox: its sandbox refuses to start as root, and all that it sees here is ours
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    for argument in (*OFF_THE_NETWORK, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = Chrome(options=options, service=ChromeService(driver))
    browser.set_page_load_timeout(PAGE_LIMIT_SECONDS)
    try:
        yield browser
    finally:
        browser.quit()


def text(browser: Chrome) -> str:
    """What a person reads on the page."""
    return browser.find_element(By.TAG_NAME, "body").text


def wait_until_read(browser: Chrome, words: str) -> None:
    """Until the page says `words`."""
    _wait(browser).until(lambda _: words in text(browser), f"never read: {words}")


def click(browser: Chrome, words: str) -> None:
    """On the button or link that says `words`, once the page's scripts (React's) listen to it."""
    where = (By.XPATH, f"//*[self::a or self::button][normalize-space()='{words}']")
    listens = "return Object.keys(arguments[0]).some(key => key.startsWith('__reactProps'))"

    def clicked(_: Chrome) -> bool:
        found = browser.find_element(*where)
        if not browser.execute_script(listens, found):
            return False
        found.click()
        return True

    _wait(browser).until(clicked, f"nothing listens to {words}")


def _wait(browser: Chrome) -> WebDriverWait[Chrome]:
    """While one page makes way for the next, what was found a moment ago may belong to the one that is gone."""
    gone = (StaleElementReferenceException, NoSuchElementException)
    return WebDriverWait(browser, PAGE_LIMIT_SECONDS, ignored_exceptions=gone)


def errors(browser: Chrome) -> list[str]:
    """What the page complained of since this was asked last; not of the icon that browsers ask for and neither version has."""
    said = [str(entry["message"]) for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    return [one for one in said if "/favicon.ico" not in one]
