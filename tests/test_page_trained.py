"""The page of trained cells in a browser, with every figure and table that a real store has."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from bench.report.figures import Figure
from bench.report.page import write_page
from bench.store import Store
from browser import Driver, chromium, complaints, requests, until, violations

pytestmark = pytest.mark.slow

LOADED = """
const images = [...document.images];
images.forEach((image) => { image.loading = "eager"; });
return images.every((image) => image.complete) ? images.map((image) => image.naturalWidth) : null;
"""


@pytest.fixture(scope="module")
def page(store: Store, made: list[Figure]) -> str:
    assert made
    return write_page(store, store.rows(), notice=pytest.fail).as_uri()


def opened(driver: Driver, page: str) -> None:
    """With all that can be unfolded, and all pictures there."""
    driver.get(page)
    until(driver, lambda d: d.find_elements(By.CSS_SELECTOR, "button.pick"))
    driver.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert all(until(driver, lambda d: d.execute_script(LOADED)))


@pytest.mark.parametrize(("dark", "width"), [(False, 1400), (True, 400)])
def test_its_figures_are_there_and_axe_finds_nothing_serious(
    page: str, tmp_path: Path, made: list[Figure], dark: bool, width: int
) -> None:
    with chromium(tmp_path / "profile", dark=dark, width=width) as driver:
        opened(driver, page)
        assert violations(driver) == []
        shown = {
            one.get_attribute("textContent")
            for one in driver.find_elements(By.TAG_NAME, "figcaption")
        }
        for figure in made:
            assert any(figure.caption in (text or "") for text in shown), figure.key
        for one in driver.find_elements(By.TAG_NAME, "figure"):
            assert one.find_elements(By.CSS_SELECTOR, "img, svg")
        wide, room = driver.execute_script(
            "const d = document.documentElement; return [d.scrollWidth, d.clientWidth]"
        )
        assert wide <= room
        assert complaints(driver) == []
        own = ("chrome", "about:")  # the browser's
        assert [url for url in requests(driver) if not url.startswith(own)] == [page]
