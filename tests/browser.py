"""Debian's Chromium without a window, for the tests that click through the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

SECONDS = 180.0
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage",
)  # fmt: skip
AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"

Driver = webdriver.Chrome


@contextmanager
def chromium(
    profile: Path, *, scripts: bool = True, dark: bool = False, width: int = 1400
) -> Iterator[Driver]:
    """A browser with a new profile, which is offline: what a page asks of a network fails.

    Args:
        profile: a folder that does not exist yet.
        scripts: whether pages may run JavaScript.
        dark: whether the system prefers dark colours.
        width: of the window, in pixels.
    """
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*QUIET, f"--user-data-dir={profile}", f"--window-size={width},1000"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    if not scripts:
        setting = {"profile.managed_default_content_settings.javascript": 2}
        options.add_experimental_option("prefs", setting)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        driver.set_script_timeout(SECONDS)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        if width < 500:  # headless windows are no narrower than that
            size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        yield driver
    finally:
        driver.quit()


def until(driver: Driver, ready: Callable[[Driver], Any]) -> Any:
    """What ``ready`` gives, once it gives something."""
    return WebDriverWait(driver, SECONDS).until(ready)


def complaints(driver: Driver) -> list[str]:
    """What the console has said: errors of scripts, blocked scripts, failed requests."""
    return [entry["message"] for entry in driver.get_log("browser")]


def requests(driver: Driver) -> list[str]:
    """The addresses that were asked for, but those of data inside the page."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    urls = [str(params["request"]["url"]) for params in asked]
    return [url for url in urls if not url.startswith("data:")]


def violations(driver: Driver) -> list[str]:
    """What axe finds serious or critical, one line a rule with the first place."""
    driver.execute_script(AXE.read_text())
    found = driver.execute_async_script(
        "const done = arguments[0]; axe.run(document).then((r) => done(r.violations), "
        "(e) => done([{impact: 'critical', id: 'axe', help: String(e), nodes: []}]));"
    )
    return [
        f"{rule['impact']} {rule['id']}: {rule['help']} "
        f"({len(rule['nodes'])}x, {rule['nodes'][0]['html'][:200] if rule['nodes'] else ''})"
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]
