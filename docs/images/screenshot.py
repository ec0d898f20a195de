"""Takes the README's picture of the MLflow UI: run a study first, stand in its folder, then run this file.

python docs/images/screenshot.py digits-mlp docs/images/mlflow-ui.png
"""

import os
import subprocess
import sys
import time

from playwright.sync_api import Error, Page, sync_playwright

PORT = 5177
SHOWN = ("accuracy", "batch_size", "dropout", "hidden_0", "learning_rate")
HIDDEN = ("Dataset", "Source", "Models")


def main(study: str, picture: str) -> None:
    """Serve the store of this folder, open the study's trials with some columns, and save what is seen."""
    server = subprocess.Popen([sys.executable, "-m", "tuner.cli", "ui", "--port", str(PORT)])
    try:
        with sync_playwright() as playwright:
            executable = os.environ.get("CHROMIUM", "/usr/bin/chromium")
            browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1500, "height": 820})
            open_when_ready(page, f"http://127.0.0.1:{PORT}/#/experiments/1/runs")
            page.get_by_role("link", name=study).last.wait_for(timeout=60_000)
            choose_columns(page)
            page.locator(".ag-row").first.locator("button").first.click()
            page.get_by_text("trial 1", exact=True).first.wait_for(timeout=60_000)
            time.sleep(2)
            page.screenshot(path=picture)
            browser.close()
    finally:
        server.terminate()
        server.wait()


def choose_columns(page: Page) -> None:
    """Close what covers the table, and choose its columns."""
    time.sleep(3)
    page.mouse.click(1464, 35)  # the assistant's close button
    page.mouse.click(174, 24)  # the side bar's
    time.sleep(1)
    page.get_by_role("button", name="Columns").click()
    search = page.get_by_placeholder("Search columns")
    for name in HIDDEN:
        search.fill(name)
        page.get_by_text(name, exact=True).last.click()  # the first is the column's own head
    for name in SHOWN:
        search.fill(name)
        page.get_by_text(name, exact=True).first.click()
    page.keyboard.press("Escape")
    page.mouse.click(700, 780)


def open_when_ready(page: Page, address: str) -> None:
    """Open a page of a server that is starting."""
    for _ in range(60):
        try:
            page.goto(address)
        except Error:
            time.sleep(1)
        else:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
