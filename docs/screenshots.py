"""Take the pictures of docs/tracking.md again: ``python docs/screenshots.py OUT``.

OUT is a results folder; the pictures in the documentation are of

    bench run --preset demo --datasets digits --seeds 2 --out OUT

and that of docs/tuning.md, taken by ``python docs/screenshots.py OUT/tuning.journal``, is of

    bench tune --models VAE,CP --datasets digits --trials 16 --epochs 12 \\
        --set model.hidden=8 --set training.warmup_epochs=3 --out OUT

with ``optuna-dashboard`` on the PATH.

It serves MLflow's UI on OUT with ``bench ui`` and drives Chromium through it. It needs selenium
(``pip install selenium``), and Debian's packages ``chromium`` and ``chromium-driver``.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from bench.tracking.location import locate

IMAGES = Path(__file__).parent / "images"
SIZE = (1440, 900)
PATIENCE = 120
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", f"--window-size={SIZE[0]},{SIZE[1]}",
)  # fmt: skip


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(address: str) -> None:
    """Until a server answers there."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


@contextmanager
def ui(out: Path) -> Iterator[str]:
    """MLflow's UI on a results folder; the value is its address."""
    port = free_port()
    command = [sys.executable, "-m", "bench", "ui", "--out", str(out), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/health")
        yield address
    finally:
        server.send_signal(2)
        server.wait(PATIENCE)


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """Headless Chromium with a profile of its own."""
    profile = tempfile.mkdtemp()
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    driver.set_window_size(*SIZE)
    try:
        yield driver
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


def settle(driver: webdriver.Chrome, text: str, seconds: float = 4.0) -> None:
    """Wait until the page shows ``text``, and then a little more for what is drawn."""
    end = time.monotonic() + PATIENCE
    while text not in driver.execute_script("return document.body.innerText"):
        if time.monotonic() > end:
            raise TimeoutError(f"the page never showed {text!r}")
        time.sleep(0.5)
    time.sleep(seconds)


def click(driver: webdriver.Chrome, text: str) -> None:
    """Click the smallest element that shows exactly ``text``."""
    found = driver.execute_script(
        """
        const hits = [...document.querySelectorAll('*')].filter(e => e.innerText === arguments[0]);
        hits.sort((a, b) => a.querySelectorAll('*').length - b.querySelectorAll('*').length);
        return hits[0];
        """,
        text,
    )
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
    found.click()


def shoot(driver: webdriver.Chrome, name: str) -> None:
    """Keep what the window shows, in 256 colours."""
    IMAGES.mkdir(exist_ok=True)
    path = IMAGES / name
    driver.save_screenshot(str(path))
    Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        path, optimize=True
    )


COLUMNS = (
    "attributes.`Dataset`", "params.`prior`", "params.`posterior`", "metrics.`nelbo`",
    "metrics.`purity`", "metrics.`category_information`",
)  # fmt: skip
MODELS = ("VP", "MG", "HVP", "CP", "CP-pi", "INDq", "INDqp", "INDp")
SCATTER = ("purity", "nelbo")


def choose(driver: webdriver.Chrome, selector: str, option: str) -> None:
    """Choose from one of the comparison's lists."""
    driver.find_element("css selector", selector).click()
    time.sleep(1)
    found = driver.execute_script(
        "return [...document.querySelectorAll('[role=option]')]"
        ".filter(e => e.innerText.trim() === arguments[0])[0]",
        option,
    )
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
    found.click()
    time.sleep(1)


def prepare(driver: webdriver.Chrome, address: str, experiment: str) -> None:
    """Close what opens by itself, and show our columns, as a user would have left them."""
    driver.get(address)
    settle(driver, "Experiments")
    state: dict[str, Any] = {
        "selectedColumns": COLUMNS,
        "orderByKey": "metrics.`nelbo`",
        "orderByAsc": True,
    }
    page = f'MLflowLocalStorage-1.1-ExperimentPage-["{experiment}"]-ReactComponentState'
    stored = {
        "mlflow.assistant.panelOpen_v1": "false",
        "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
        "mlflow.telemetry.info.alert.dismissed_v1": "true",
        page: json.dumps(state),
    }
    for key, value in stored.items():
        driver.execute_script("localStorage.setItem(arguments[0], arguments[1])", key, value)


def main(out: Path) -> None:
    """Take all pictures."""
    client = MlflowClient(tracking_uri=locate("", out).uri)
    experiment = client.get_experiment_by_name("bench").experiment_id
    cells = client.search_runs([experiment], "params.seed != ''", max_results=1000)
    one = next(r for r in cells if r.data.params["model"] == "CP").info.run_id
    some = [r.info.run_id for r in cells if r.data.params["model"] in MODELS]
    with ui(out) as address, browser() as driver:
        prepare(driver, address, experiment)

        def go(path: str, text: str) -> None:
            driver.get("about:blank")  # a change of the fragment alone would not load the page
            driver.get(f"{address}/#{path}")
            settle(driver, text)

        runs = f"/experiments/{experiment}/runs"
        go(f"{runs}?searchFilter=&orderByKey=metrics.%60nelbo%60&orderByAsc=true", "matching runs")
        shoot(driver, "tracking-runs.png")
        ids = json.dumps(some, separators=(",", ":")).replace('"', "%22")
        go(f"/compare-runs?runs={ids}&experiments=%5B%22{experiment}%22%5D", "Scatter Plot")
        click(driver, "Scatter Plot")
        settle(driver, "X-axis")
        for axis, metric in zip("xy", SCATTER, strict=True):
            choose(driver, f"#{axis}-axis-selector", metric)
        time.sleep(3)
        shoot(driver, "tracking-compare.png")
        go(f"{runs}/{one}/model-metrics", "Add chart")
        search = driver.find_element("css selector", "input[placeholder='Search metric charts']")
        search.send_keys("^(objective|validation_bound|beta|temperature)$")
        time.sleep(5)
        shoot(driver, "tracking-curves.png")
        go(f"{runs}/{one}/artifacts", "purity.png")
        click(driver, "purity.png")
        time.sleep(4)
        shoot(driver, "tracking-artifacts.png")


def dashboard(journal: Path) -> None:
    """Take the picture of the last study of a journal in Optuna's dashboard."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        ["optuna-dashboard", str(journal), "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"{address}/api/studies")
        with urllib.request.urlopen(f"{address}/api/studies", timeout=5) as answer:
            study = json.load(answer)["study_summaries"][-1]["study_id"]
        with browser() as driver:
            driver.get(f"{address}/dashboard/studies/{study}")
            settle(driver, "Hyperparameter Importance")
            time.sleep(5)
            shoot(driver, "tuning-dashboard.png")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    given = Path(sys.argv[1])
    dashboard(given) if given.is_file() else main(given)
