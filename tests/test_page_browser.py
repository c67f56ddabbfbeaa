"""The page in a browser: every control, by pointer and by keyboard, in both themes, offline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from bench.report.page import write_page
from bench.report.statistics import models_test, procedures_test
from browser import Driver, chromium, complaints, requests, until, violations
from paged import MEANS, costs, full_store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    store, rows = full_store(tmp_path_factory.mktemp("page"))
    return write_page(store, rows).as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with chromium(tmp_path_factory.mktemp("browser") / "profile") as driver:
        yield driver


@pytest.fixture
def driver(browser: Driver, page: str) -> Driver:
    """The page, loaded anew."""
    browser.get("about:blank")
    browser.get(page)
    until(browser, lambda d: d.find_elements(By.CSS_SELECTOR, "button.pick"))
    return browser


def column(driver: Driver, heading: str) -> list[str]:
    """The texts of a column of the table of cells, as far as it is shown."""
    heads = driver.find_elements(By.CSS_SELECTOR, "#cell-table thead tr:first-child th")
    place = [head.text.split("\n")[0] for head in heads].index(heading)
    rows = driver.find_elements(By.CSS_SELECTOR, "#cell-table tbody tr")
    cells = [row.find_elements(By.TAG_NAME, "td")[place] for row in rows]
    return [cell.text.removesuffix("Compare").strip() for cell in cells]


def sorter(driver: Driver, heading: str) -> WebElement:
    return driver.find_element(
        By.CSS_SELECTOR, f'#cell-table thead [role=button][aria-label^="{heading}:"]'
    )


def order(driver: Driver, heading: str) -> str | None:
    """How the table is sorted by a column."""
    return (
        sorter(driver, heading).find_element(By.XPATH, "./ancestor::th").get_attribute("aria-sort")
    )


def labelled(driver: Driver, label: str) -> WebElement:
    return driver.find_element(By.CSS_SELECTOR, f'[aria-label="{label}"]')


def button(driver: Driver, text: str) -> WebElement:
    return driver.find_element(By.XPATH, f"//button[contains(., '{text}')]")


def menu(driver: Driver, opener: str, entry: str) -> None:
    """Click an entry of a menu, then close it."""
    button(driver, opener).click()
    found = until(
        driver,
        lambda d: d.find_elements(
            By.XPATH, f"//div[contains(@class, 'dt-button-collection')]//button[. = '{entry}']"
        ),
    )
    driver.execute_script("arguments[0].click()", found[0])

    def closed(d: Driver) -> bool:
        """Asked again: the menu hears the key only a moment after it has opened."""
        d.switch_to.active_element.send_keys(Keys.ESCAPE)
        return not d.find_elements(By.CSS_SELECTOR, ".dt-button-collection")

    until(driver, closed)


def choose(driver: Driver, a: str, b: str) -> str:
    """Compare two cells; what is said of them."""
    Select(driver.find_element(By.ID, "side-a")).select_by_value(a)
    Select(driver.find_element(By.ID, "side-b")).select_by_value(b)
    return driver.find_element(By.ID, "compare-status").text


def compared(driver: Driver, caption: str) -> dict[str, list[str]]:
    """A table of the comparison: the first column's text to the others'."""
    rows = driver.find_elements(
        By.XPATH, f"//div[@id='comparison']//table[caption[contains(., '{caption}')]]/tbody/tr"
    )
    texts = [[cell.text for cell in row.find_elements(By.TAG_NAME, "td")] for row in rows]
    return {first: rest for first, *rest in texts}


def test_it_loads_without_an_error_or_a_request(driver: Driver, page: str) -> None:
    assert complaints(driver) == []
    asked = [url for url in requests(driver) if not url.startswith(("chrome", "about:"))]
    assert set(asked) <= {page}
    assert "taken" not in driver.title


def test_sorting_puts_blanks_last_both_ways(driver: Driver) -> None:
    for _ in range(2):
        before = order(driver, "NELBO")
        sorter(driver, "NELBO").click()
        until(
            driver, lambda d, before=before: order(d, "NELBO") != before
        )  # it sorts a little later
        found = [text.split(" ")[0] for text in column(driver, "NELBO")]
        assert found[-1] == ""
        numbers = [float(text) for text in found[:-1]]
        assert len(numbers) == 7
        rising = order(driver, "NELBO") == "ascending"
        assert numbers == sorted(numbers, reverse=not rising)


def test_searching_all_columns(driver: Driver) -> None:
    driver.find_element(By.CSS_SELECTOR, "#cells input[type=search]").send_keys("gaussians")
    until(driver, lambda d: column(d, "dataset") == ["gaussians"])


def test_filtering_one_column_by_words_and_by_number(driver: Driver) -> None:
    labelled(driver, "Filter model").send_keys("VAE")
    until(driver, lambda d: column(d, "model") == ["VAE", "VAE"])
    labelled(driver, "Filter model").send_keys(Keys.BACKSPACE * 3)
    until(driver, lambda d: len(column(d, "model")) == 8)
    how = Select(labelled(driver, "How to filter NELBO"))
    how.select_by_value("greater")
    labelled(driver, "Filter NELBO").send_keys("91.5")
    until(driver, lambda d: column(d, "model") == ["VAE", "VAE"])


def test_choosing_columns_alone_and_by_section(driver: Driver) -> None:
    menu(driver, "Choose columns", "training: epochs")
    assert column(driver, "epochs").count("3") == 6
    menu(driver, "Choose columns", "training: epochs")
    with pytest.raises(ValueError, match="epochs"):
        column(driver, "epochs")
    menu(driver, "Columns of a section", "training: what the training took")
    assert column(driver, "epochs").count("3") == 6
    with pytest.raises(ValueError, match="NELBO"):
        column(driver, "NELBO")
    menu(driver, "Columns of a section", "first choice")
    assert column(driver, "NELBO")


@pytest.mark.parametrize("turned", [False, True])
def test_comparing_two_cells_says_what_the_statistics_say(driver: Driver, turned: bool) -> None:
    said = choose(driver, *(("vae1", "cp0") if turned else ("cp0", "vae1")))
    a, b = costs(0, MEANS["CP"])[None], costs(11, MEANS["VAE"] + 0.25)[None]
    expected = models_test(b, a) if turned else models_test(a, b)
    assert f"{expected.difference:+.4f}" in said
    row = compared(driver, "these two trained models")["nelbo"]
    assert row[2] == f"{expected.difference:+.4f}"
    low, high = (float(text) for text in row[4].split(" to "))
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=2e-3)
    assert row[5] == "<.0001"
    share = float(((b < a) if turned else (a < b)).mean())
    assert float(row[6].removesuffix("%")) == pytest.approx(100 * share, abs=1)
    assert set(compared(driver, "these two trained models")) == {"nelbo", "kl_z"}


def test_comparing_two_cells_tells_of_their_training_procedures(driver: Driver) -> None:
    choose(driver, "vae0", "cp1")
    sides = [
        np.stack([costs(10 * number + seed, MEANS[name] + seed / 4) for seed in range(2)])
        for number, name in ((1, "VAE"), (0, "CP"))
    ]
    expected = procedures_test(*sides)
    row = compared(driver, "training procedures")["nelbo"]
    low, high = (float(text) for text in row[1].split(" to "))
    found = (float(row[0]), low, high)
    assert found == pytest.approx((expected.difference, expected.low, expected.high), abs=2e-3)


def test_comparing_shows_pictures_and_numbers_side_by_side(driver: Driver) -> None:
    choose(driver, "cp0", "vae1")
    pictures = driver.find_elements(By.CSS_SELECTOR, "#comparison .sides img")
    assert len(pictures) == 2
    tops = {picture.location["y"] for picture in pictures}
    assert len(tops) == 1
    numbers = compared(driver, "All numbers")
    assert numbers["bounds: purity (chance)"] == ["0.50 ± 0.01 (0.10)", ""]
    assert numbers["training: epochs"] == ["3", "3"]
    driver.find_element(By.ID, "swap").click()
    assert compared(driver, "All numbers")["bounds: purity (chance)"] == ["", "0.50 ± 0.01 (0.10)"]


def test_cells_on_other_examples_have_no_difference(driver: Driver) -> None:
    assert "not measured on the same test examples" in choose(driver, "cp0", "other0")
    assert "one cell" in choose(driver, "cp0", "cp0")


def test_the_buttons_of_the_table_choose_cells(driver: Driver) -> None:
    for cell in ("cp0", "vp0"):
        driver.find_element(By.CSS_SELECTOR, f'tr[data-cell="{cell}"] button.pick').click()
    values = [
        driver.find_element(By.ID, side).get_attribute("value") for side in ("side-a", "side-b")
    ]
    assert values == ["cp0", "vp0"]
    pressed = driver.find_elements(By.CSS_SELECTOR, "button.pick[aria-pressed=true]")
    assert len(pressed) == 2
    pressed[0].click()
    assert "choose another" in driver.find_element(By.ID, "compare-status").text


def test_a_number_tells_its_errors_and_its_definition(driver: Driver) -> None:
    place = driver.find_element(By.XPATH, "//tr[@data-cell='cp0']/td[starts-with(., '0.50 ±')]")
    driver.execute_script(
        "arguments[0].dispatchEvent(new MouseEvent('mouseover', {bubbles: true}))", place
    )
    told = driver.find_element(By.ID, "tip").text
    assert "permutation null" in told
    assert "purity 0.5, standard error of the measurement 0.01" in told


def test_the_theme_is_the_systems_until_one_is_chosen(page: str, tmp_path: Path) -> None:
    def paper(driver: Driver) -> str:
        body = driver.find_element(By.TAG_NAME, "body")
        return body.value_of_css_property("background-color")

    with chromium(tmp_path / "profile", dark=True) as driver:
        driver.get(page)
        dark = paper(driver)
        Select(driver.find_element(By.ID, "theme")).select_by_value("light")
        light = paper(driver)
        assert dark != light
        driver.refresh()
        assert paper(driver) == light
        Select(driver.find_element(By.ID, "theme")).select_by_value("")
        assert paper(driver) == dark


def test_the_keyboard_alone_sorts_walks_and_compares(driver: Driver) -> None:
    def active() -> WebElement:
        return driver.switch_to.active_element

    def tab_to(wanted: Callable[[WebElement], bool]) -> None:
        for _ in range(150):
            active().send_keys(Keys.TAB)
            if wanted(active()):
                return
        pytest.fail("not reached by Tab")

    active().send_keys(Keys.TAB)
    assert active().text == "Skip to the results"
    active().send_keys(Keys.ENTER)
    tab_to(lambda element: element == sorter(driver, "NELBO"))
    active().send_keys(Keys.ENTER)
    until(driver, lambda d: column(d, "NELBO")[0].startswith("-"))
    for name in ("Compare digits CP K=10 seed 0", "Compare digits VAE seed 0"):
        tab_to(lambda e, name=name: (e.get_attribute("aria-label") or "").startswith(name))
        active().send_keys(Keys.SPACE)
    assert "95% interval" in driver.find_element(By.ID, "compare-status").text
    tab_to(lambda e: e.get_attribute("id") == "side-b")  # the table is no trap
    before = driver.find_element(By.ID, "compare-status").text
    active().send_keys(Keys.ARROW_DOWN)
    until(driver, lambda d: d.find_element(By.ID, "compare-status").text != before)


def test_arrow_keys_tell_of_each_number(driver: Driver) -> None:
    driver.find_element(By.CSS_SELECTOR, 'tr[data-cell="cp0"] td').click()
    for _ in range(5):
        driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    until(driver, lambda d: "minus the ELBO" in d.find_element(By.ID, "tip").text)


def test_a_point_of_the_scatter_tells_its_system_by_pointer_and_by_keyboard(driver: Driver) -> None:
    points = driver.find_elements(By.CSS_SELECTOR, ".drawing svg [tabindex]")
    assert len(points) == 2  # CP and VP: a VAE has no purity
    tip = driver.find_element(By.ID, "tip")
    ActionChains(driver).move_to_element(driver.find_element(By.TAG_NAME, "h1")).perform()
    for point in points:
        said = point.get_attribute("aria-label")
        assert "NELBO" in said
        driver.execute_script("window.scrollTo(0, 0); arguments[0].focus()", point)
        driver.execute_async_script("setTimeout(arguments[0], 300)")  # the page has scrolled to it
        until(driver, lambda _, said=said: tip.text == said)
    first = points[0].get_attribute("aria-label")

    def hovered(_: Driver) -> bool:
        # Again, as pictures still load; and by a little, as a pointer that rests tells no page.
        hover = ActionChains(driver).move_to_element(points[0])
        hover.move_by_offset(1, 0).move_by_offset(-1, 0).perform()
        return bool(tip.text == first)

    until(driver, hovered)
    driver.execute_script("document.dispatchEvent(new Event('scroll'))")  # what is in view, moves
    assert tip.text == points[1].get_attribute("aria-label")  # the keyboard is on it
    until(driver, hovered)  # the pointer has not left the first


def test_a_link_to_a_cell_opens_it(driver: Driver) -> None:
    driver.find_element(By.CSS_SELECTOR, 'tr[data-cell="cp0"] a').click()
    until(driver, lambda d: d.find_element(By.ID, "cell-cp0").get_attribute("open") is not None)


def test_all_is_readable_without_scripts(page: str, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile", scripts=False) as driver:
        driver.get(page)
        assert not driver.find_element(By.ID, "compare").is_displayed()
        cells = driver.find_element(By.ID, "cell-table").text
        assert "0.50 ± 0.01 (0.10)" in cells
        assert "epochs" in cells  # no column is hidden
        card = driver.find_element(By.ID, "cell-cp0")
        card.find_element(By.TAG_NAME, "summary").click()
        assert card.find_element(By.TAG_NAME, "img").is_displayed()
        assert "permutation null" in (
            driver.find_element(By.TAG_NAME, "dl").get_attribute("textContent") or ""
        )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_axe_finds_nothing_serious(page: str, tmp_path: Path, dark: bool, width: int) -> None:
    with chromium(tmp_path / "profile", dark=dark, width=width) as driver:
        driver.get(page)
        choose(driver, "cp0", "vae1")
        driver.execute_script(
            "for (const part of document.querySelectorAll('details')) part.open = true"
        )
        assert violations(driver) == []
        button(driver, "Choose columns").click()
        until(driver, lambda d: d.find_elements(By.CSS_SELECTOR, "[role=group] [aria-pressed]"))
        opened = driver.find_element(By.CSS_SELECTOR, ".dt-button-collection")
        until(driver, lambda _: opened.value_of_css_property("opacity") == "1")
        assert violations(driver) == []


def test_a_narrow_window_scrolls_tables_and_not_the_page(page: str, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile", width=400) as driver:
        driver.get(page)
        choose(driver, "cp0", "vae1")
        wide, room = driver.execute_script(
            "const d = document.documentElement; return [d.scrollWidth, d.clientWidth]"
        )
        assert wide <= room
