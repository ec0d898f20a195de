"""A study in a real browser: MLflow's UI shows its trials, their charts, its pictures, and trials side by side.

``TUNER_IMAGES=docs/images`` writes the pictures of the documentation, from a longer study.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).parents[1]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
IMAGES = os.environ.get("TUNER_IMAGES")
TRIALS = 40 if IMAGES else 8
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SHOWN = ("accuracy", "batch_size", "dropout", "hidden_0", "learning_rate")
HIDDEN = ("Dataset", "Source", "Models")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium, or set CHROMIUM")


def tuner(*words, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "tuner.cli", *map(str, words)], env=environment, text=True, **options
    )


@contextmanager
def served(folder):
    """The address of MLflow's UI over a folder's store."""
    process = tuner("ui", "--port", 0, cwd=folder, stderr=subprocess.PIPE)
    try:
        yield next(found[0] for line in process.stderr if (found := re.search(r"http://\S+", line)))
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


@contextmanager
def browser_page():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1500, "height": 820})
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        yield page
        browser.close()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder in which a study ran, and the runs that MLflow has of it: the study's and its trials'."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("browsed")
    changes = () if IMAGES else ("--set", "epochs=5", "--set", "pruner=none")
    words = ("run", ROOT / "experiments" / "digits_mlp.py", "--trials", TRIALS, *changes)
    assert tuner(*words, "--quiet", "--json", cwd=folder, stdout=subprocess.DEVNULL).wait() == 0
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'digits-mlp'")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    trials = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(trials) == TRIALS
    assert parent.info.start_time <= min(run.info.start_time for run in trials)
    return folder, experiment.experiment_id, parent.info.run_id, trials


@pytest.fixture(scope="module")
def page(study):
    with served(study[0]) as address, browser_page() as page:
        page.base = f"{address}/#/experiments/{study[1]}"
        page.address = address
        yield page


def kept(page, name):
    """A screenshot, of which the documentation may keep one."""
    picture = page.screenshot()
    if IMAGES:
        (ROOT / IMAGES / name).write_bytes(picture)
    assert len(picture) > 20_000


def close_side_bars(page):
    for position in ((1464, 35), (174, 24)):  # the assistant's close button, the side bar's
        page.mouse.click(*position)
    page.wait_for_timeout(500)


def choose_columns(page):
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


def test_the_trials_are_below_their_study_with_parameters_and_metrics(page, study):
    page.goto(f"{page.base}/runs")
    page.get_by_role("link", name="digits-mlp").last.wait_for()
    page.wait_for_timeout(2_000)
    close_side_bars(page)
    choose_columns(page)
    assert page.get_by_text("trial 1", exact=True).count() == 0
    page.locator(".ag-row").first.locator("button").first.click()
    expect(page.get_by_text("trial 1", exact=True).first).to_be_visible()
    page.wait_for_timeout(1_000)
    table = page.locator(".ag-root").first.inner_text()
    shown = study[3][0]  # the newest
    assert shown.info.run_name in table
    assert shown.data.params["batch_size"] in table
    for name in ("accuracy", "learning_rate", "hidden_0"):
        assert name in table
    assert f"{TRIALS + 1} matching runs" in page.inner_text("body")
    kept(page, "mlflow-ui.png")


def test_a_trial_shows_its_curves_by_fold(page, study):
    complete = next(run for run in study[3] if run.info.status == "FINISHED")
    page.goto(f"{page.base}/runs/{complete.info.run_id}/model-metrics")
    expect(page.get_by_text("fold_0", exact=True).first).to_be_visible()
    page.locator(".js-plotly-plot .scatterlayer .point, .js-plotly-plot .scatterlayer path").first.wait_for(
        state="attached"
    )
    assert f"{complete.info.run_name}" in page.inner_text("body")


def test_the_studys_run_shows_its_pictures(page, study):
    page.goto(f"{page.base}/runs/{study[2]}/artifacts")
    page.get_by_text("history.png").first.click()
    picture = page.locator("img[src*='history.png'], img[src^='blob:'], img[src^='data:image/png']").first
    picture.wait_for()
    page.wait_for_function("() => [...document.images].some((image) => image.naturalWidth >= 900)")
    for name in ("confusion_matrix", "curves", "lanes", "parallel", "slices"):
        assert page.get_by_text(f"{name}.png").count() >= 1
    page.get_by_text("study.html").first.click()
    frame = page.frame_locator("iframe").first
    expect(frame.get_by_role("heading", name="Optimization history")).to_be_visible()
    frame.locator("#figure-history .main-svg").first.wait_for()


def test_trials_are_compared_out_of_the_box(page, study):
    few = quote(json.dumps([run.info.run_id for run in study[3]]))
    page.goto(f"{page.address}/#/compare-runs?runs={few}&experiments={quote(json.dumps([study[1]]))}")
    expect(page.get_by_text(f"Comparing {TRIALS} Runs from 1 Experiment")).to_be_visible()
    plot = page.locator(".js-plotly-plot").first
    expect(plot).to_contain_text("accuracy")
    for name in ("batch_size", "dropout", "hidden_0"):
        expect(plot).to_contain_text(name)
    page.get_by_text("Scatter Plot").click()
    expect(page.get_by_text("X-axis:").first).to_be_visible()
    page.get_by_text("Parallel Coordinates Plot").click()
    page.wait_for_timeout(1_000)
    close_side_bars(page)
    kept(page, "mlflow-compare.png")
