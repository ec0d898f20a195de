"""The pictures of a study: what each shows, by value; that both forms are drawn; what is left out and why."""

import io
import re
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from PIL import Image
from plotly.offline import get_plotlyjs

from tests.study.conftest import iris_experiment
from tuner import Width, datasets, run
from tuner.report import figures
from tuner.report.figures import figures_of, page
from tuner.report.figures.course import optimization_history
from tuner.report.figures.lanes import Sitting, busy_share, packed_rows, sittings_of, without_pauses
from tuner.report.figures.marks import Spans
from tuner.report.figures.parameters import parallel_coordinates, parameters_of
from tuner.study import StudyFailed, load_with_memory

ALL = ["history", "curves", "importances", "slices", "parallel", "confusion_matrix", "lanes"]


def one_parameter(trial):
    rate = trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True)
    return {"hidden": [Width(8, cap=8)], "learning_rate": rate, "batch_size": 32, "dropout": 0.1}


def space(trial):
    """All kinds of parameters in two programs, one of them that of all other studies here."""
    return one_parameter(trial) | {
        "hidden": [Width(trial.suggest_int("hidden_0", 4, 8), cap=8)],
        "batch_size": trial.suggest_categorical("batch_size", [16, 32]),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
    }


def odd_space(trial):
    """Conditional parameters, and categories with names that are code elsewhere."""
    hidden = [Width(trial.suggest_int("hidden_0", 4, 8), cap=8)]
    label = trial.suggest_categorical("<b>$x$", ["</script><script>alert(1)", "$\\frac{$", None])
    if label is None:
        trial.suggest_float("only sometimes", 0.1, 0.2)
    return one_parameter(trial) | {"hidden": hidden}


def opened(folder, experiment, trials):
    url = f"sqlite:///{folder}/tuner.db"
    with suppress(StudyFailed):
        run(experiment, trials=trials, storage=url, tracking_uri=None, parallel_trials=4, deterministic=True)
    study, memory = load_with_memory(experiment.name, url)
    return study, memory, figures_of(study, memory)


@pytest.fixture(scope="module")
def pruned(tmp_path_factory):
    return opened(tmp_path_factory.mktemp("pruned"), iris_experiment(search_space=space, epochs=6, pruner="median"), 14)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    experiment = iris_experiment(name="odd", search_space=odd_space, epochs=1)
    return opened(tmp_path_factory.mktemp("odd"), experiment, 8)


def named(found, name):
    return next(figure for figure in found[2] if figure.name == name)


def only_panel(found, name):
    (panel,) = named(found, name).drawing.panels
    return panel


def mark(panel, name):
    (found,) = [each for each in panel.marks if getattr(each, "name", None) == name]
    return found


def of_state(study, state):
    return [trial for trial in study.trials if trial.state == state]


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def reasons(found):
    return {each.title: each.why for each in found[2].left_out}


def test_a_study_with_pruned_trials_has_all(pruned):
    study, _, found = pruned
    assert of_state(study, TrialState.PRUNED)
    assert len(of_state(study, TrialState.COMPLETE)) >= 4
    assert [figure.name for figure in found] == ALL
    assert found.left_out == []


def test_the_history_has_every_value_and_the_best_so_far(pruned):
    study, panel = pruned[0], only_panel(pruned, "history")
    complete = of_state(study, TrialState.COMPLETE)
    points, line = mark(panel, "complete"), mark(panel, "best so far")
    assert list(zip(points.x, points.y, strict=True)) == [(t.number, t.value) for t in complete]
    assert line.x == [t.number for t in complete]
    assert line.y == [max(t.value for t in complete[: index + 1]) for index in range(len(complete))]
    last = {t.number: list(t.intermediate_values.values())[-1] for t in of_state(study, TrialState.PRUNED)}
    shown = mark(panel, "pruned, last value")
    assert dict(zip(shown.x, shown.y, strict=True)) == last


def test_curves_are_the_means_over_the_folds_of_the_best_trials(pruned):
    study, panel = pruned[0], only_panel(pruned, "curves")
    complete = of_state(study, TrialState.COMPLETE)
    best = sorted(complete, key=lambda t: (-t.value, t.number))[:5]
    bands, lines = panel.marks[::2], panel.marks[1::2]
    assert [line.name for line in lines] == [f"trial {t.number}: {t.value:.4g}" for t in best]
    for trial, band, line in zip(best, bands, lines, strict=True):
        assert line.x == list(trial.intermediate_values) == [1, 2, 3, 4, 5, 6]
        assert line.y == pytest.approx(list(trial.intermediate_values.values()))
        folds = np.asarray(trial.user_attrs["tuner:history"]["folds"])
        assert (band.low, band.high) == (folds.min(1).tolist(), folds.max(1).tolist())


def test_importances_are_optunas(pruned):
    study, panel = pruned[0], only_panel(pruned, "importances")
    (spans,) = panel.marks
    assert isinstance(spans, Spans)
    shown = {panel.y.ticks[row]: end for row, end in zip(spans.rows, spans.ends, strict=True)}
    assert shown == pytest.approx(optuna.importance.get_param_importances(study))
    assert list(spans.ends) == sorted(spans.ends, reverse=True)


def test_slices_are_of_every_parameter_over_its_range(pruned):
    study, panels = pruned[0], named(pruned, "slices").drawing.panels
    complete = of_state(study, TrialState.COMPLETE)
    assert {panel.x.label for panel in panels} == {"hidden_0", "learning_rate", "batch_size", "dropout"}
    by_name = {panel.x.label: panel for panel in panels}
    points = [mark(by_name["learning_rate"], name) for name in ("trials", "best")]
    shown = sorted((x, y) for each in points for x, y in zip(each.x, each.y, strict=True))
    assert shown == sorted((t.params["learning_rate"], t.value) for t in complete)
    assert (points[1].x, points[1].y) == ([study.best_trial.params["learning_rate"]], [study.best_value])
    assert by_name["learning_rate"].x.log
    assert by_name["learning_rate"].x.limits == pytest.approx((10**-3.1, 10**-0.9))
    assert by_name["batch_size"].x.ticks == {0: "16", 1: "32"}
    batches = mark(by_name["batch_size"], "best")
    assert batches.x == [[16, 32].index(study.best_trial.params["batch_size"])]


def test_parallel_lines_end_with_the_best_and_lie_by_range_and_logarithm(pruned):
    study, drawing = pruned[0], named(pruned, "parallel").drawing
    axes = {axis.label: axis for axis in drawing.axes}
    assert drawing.axes[0].label == "accuracy"
    best = study.best_trial
    assert axes["accuracy"].places[-1] == max(axes["accuracy"].places) == 1
    assert axes["learning_rate"].places[-1] == pytest.approx((np.log10(best.params["learning_rate"]) + 3) / 2)
    assert axes["hidden_0"].places[-1] == pytest.approx((best.params["hidden_0"] - 4) / 4)
    assert axes["batch_size"].places[-1] == [16, 32].index(best.params["batch_size"])
    assert axes["learning_rate"].ticks[0.5] == "0.01"
    assert drawing.missing is None


def test_the_confusion_matrix_is_the_stored_one(pruned):
    study, confusion = pruned[0], named(pruned, "confusion_matrix").drawing
    assert confusion.counts == study.user_attrs["tuner:best"]["confusion"]
    assert sum(map(sum, confusion.counts)) == 30
    assert f"Trial {study.best_trial.number}," in named(pruned, "confusion_matrix").note


def test_another_trials_confusion_matrix_is_not_shown(pruned, monkeypatch):
    study, memory, _ = pruned
    others = [trial for trial in study.trials if trial.number != study.best_trial.number]
    monkeypatch.setattr("tuner.report.figures.best.best_trial", lambda study: others[0])
    found = figures_of(study, memory).left_out
    assert [each.why for each in found] == ["the best trial has not been tried on the test rows yet"]


def test_lanes_show_where_each_trial_sat_from_when_to_when(pruned):
    study, panel = pruned[0], only_panel(pruned, "lanes")
    began = min(t.user_attrs["tuner:seat"]["since"] for t in study.trials) / 1000
    shown = {}
    for spans in panel.marks:
        for text, row, start, end in zip(spans.texts, spans.rows, spans.starts, spans.ends, strict=True):
            shown[int(re.match(r"trial (\d+)", text)[1])] = (spans.name, row, start, end)
    assert shown.keys() == {t.number for t in study.trials}
    for trial in study.trials:
        seat = trial.user_attrs["tuner:seat"]
        name, row, start, end = shown[trial.number]
        assert name == {"COMPLETE": "complete", "PRUNED": "pruned"}[trial.state.name]
        assert panel.y.ticks[row] == f"place {seat['slot'] + 1}"
        assert start == pytest.approx(seat["since"] / 1000 - began)
        assert end == pytest.approx(trial.datetime_complete.timestamp() - began)
        assert seat["since"] / 1000 >= trial.datetime_start.timestamp() - 0.001
    by_row = sorted((row, start, end) for _, row, start, end in shown.values())
    assert {row for row, _, _ in by_row} == {0, 1, 2, 3}
    for (row, _, end), (next_row, start, _) in pairwise(by_row):
        assert row != next_row or start >= end - 0.002  # nobody sits down before the place is free


def test_a_night_between_two_runs_is_short():
    times = [(0.0, 10.0), (2.0, 4.0), (9.0, 20.0), (50_000.0, 50_020.0), (50_005.0, 50_010.0)]
    short = without_pauses([Sitting(None, start, end, None) for start, end in times])
    assert [(s.start, s.end) for s in short] == [(0, 10), (2, 4), (9, 20), (22, 42), (27, 32)]
    assert without_pauses(short) == short


def test_where_trials_sat_is_packed_and_said_where_it_is_not_stored(pruned, monkeypatch):
    study, memory, _ = pruned
    monkeypatch.setattr("tuner.report.figures.lanes.seat_of", lambda trial: None)
    found = (study, memory, figures_of(study, memory))
    assert "was not stored" in named(found, "lanes").note
    sittings = sittings_of(study.trials)
    assert [s.trial.number for s in sittings] == sorted(t.number for t in study.trials)
    rows = packed_rows(sittings)
    assert rows[:2] == [0, 1]
    for row in set(rows):
        mine = [sitting for sitting, where in zip(sittings, rows, strict=True) if where == row]
        assert all(later.start >= earlier.end for earlier, later in pairwise(mine))
    assert 0 < busy_share(rows, sittings) <= 1


@pytest.mark.parametrize("name", ALL)
def test_pngs_show_something(pruned, name):
    image = pixels(named(pruned, name).png())
    assert min(image.shape[:2]) >= 400
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 20
    inner = image[image.shape[0] // 5 : -image.shape[0] // 5, image.shape[1] // 5 : -image.shape[1] // 5]
    assert (inner != 255).any(-1).mean() > 0.001


def test_the_page_has_everything_and_needs_nothing_else(pruned):
    found = pruned[2]
    text = page(found, "A <study>")
    assert text.count(get_plotlyjs()) == 1
    rest = text.replace(get_plotlyjs(), "")
    assert "<title>A &lt;study&gt;</title>" in rest
    for figure in found:
        assert f"<h2>{figure.title}</h2><p>{figure.sentence}</p>" in rest
        assert f'id="figure-{figure.name}"' in rest
        assert figure.html() in rest
    assert rest.count("Plotly.newPlot(") == len(found)
    assert "default-src 'none'" in rest
    assert not re.search(r"https?:|\bsrc=|\bhref=|url\(|@import|[\"'(]//", rest)


def test_categories_that_are_code_elsewhere_are_text(odd):
    text = page(odd[2], "odd").replace(get_plotlyjs(), "")
    assert "alert(1)" in text
    assert "</script><script>alert" not in text
    assert r"\u003cscript" not in text  # nor as HTML in what Plotly writes
    for figure in odd[2]:
        assert len(np.unique(pixels(figure.png()))) > 20


def test_conditional_parameters_are_shown_where_they_are(odd):
    study, drawing = odd[0], named(odd, "parallel").drawing
    ordered = sorted(study.trials, key=lambda t: (t.value, -t.number))
    having = ["only sometimes" in t.params for t in ordered]
    assert {True, False} == set(having)
    axes = {axis.label: axis for axis in drawing.axes}
    assert [place >= 0 for place in axes["only sometimes"].places] == having
    assert drawing.missing < 0
    assert "does not have that" in named(odd, "parallel").note
    (panel,) = [p for p in named(odd, "slices").drawing.panels if p.x.label == "only sometimes"]
    assert sum(len(each.x) for each in panel.marks) == sum(having)
    choices = {place: str(text) for place, text in enumerate(["</script><script>alert(1)", "$\\frac{$", None])}
    (panel,) = [p for p in named(odd, "slices").drawing.panels if p.x.label == "<b>$x$"]
    assert panel.x.ticks == choices


def test_a_single_trial_has_what_one_can_show(tmp_path):
    found = opened(tmp_path, iris_experiment(search_space=one_parameter, epochs=1), 1)
    assert [figure.name for figure in found[2]] == ["history", "curves", "slices", "confusion_matrix", "lanes"]
    assert list(reasons(found)) == ["Hyperparameter importances", "Parallel coordinates"]
    text = page(found[2], "one").replace(get_plotlyjs(), "")
    for title, why in reasons(found).items():
        assert f"<li>{title}: {why}.</li>" in text
    assert all(len(np.unique(pixels(figure.png()))) > 20 for figure in found[2])


def test_one_parameter_has_no_importances_and_no_parallel_coordinates(tmp_path):
    found = opened(tmp_path, iris_experiment(search_space=one_parameter, epochs=1), 4)
    assert reasons(found) == {
        "Hyperparameter importances": "the study has one hyperparameter only",
        "Parallel coordinates": "it takes two hyperparameters",
    }


def test_a_study_of_failures_says_why_there_is_nothing(tmp_path):
    def raising(hyperparameters, spec, rngs):
        raise ValueError("no")

    study, _, drawn = found = opened(tmp_path, iris_experiment(model=raising, epochs=1), 2)
    assert {trial.state for trial in study.trials} == {TrialState.FAIL}
    assert list(drawn) == []
    assert len(reasons(found)) == len(ALL)
    text = page(drawn, "failures")
    assert all(f"<li>{title}: {why}.</li>" in text for title, why in reasons(found).items())


def test_a_regression_is_minimized_and_has_no_confusion_matrix(tmp_path):
    fields = {"data": datasets.diabetes, "metric": "mse", "search_space": one_parameter}
    experiment = iris_experiment(name="r", epochs=1, **fields)
    found = opened(tmp_path, experiment, 4)
    line = mark(only_panel(found, "history"), "best so far")
    values = [trial.value for trial in found[0].trials]
    assert line.y == [min(values[: index + 1]) for index in range(4)]
    assert "no classification" in reasons(found)["Confusion matrix of the best trial"]


@pytest.mark.parametrize(("direction", "word"), [("maximize", "brighter"), ("minimize", "darker")])
def test_the_best_line_is_called_what_it_is(direction, word):
    study = optuna.create_study(direction=direction)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_float("y", 0, 1), n_trials=3)
    figure = parallel_coordinates(study, parameters_of(study, {}), "loss")
    assert word in figure.sentence
    best, last = study.best_trial, [axis.places[-1] for axis in figure.drawing.axes]
    assert last == pytest.approx([float(direction == "maximize"), best.params["x"], best.params["y"]])


def test_values_far_from_all_others_do_not_hide_them():
    study = optuna.create_study(direction="minimize")
    for value in [1.0, 1.1, 1.2, 1.3, 1.4, 1e9]:
        study.add_trial(optuna.create_trial(value=value))
    figure = optimization_history(study, "mse")
    (panel,) = figure.drawing.panels
    assert panel.y.limits == pytest.approx((0.98, 1.42))
    assert figure.note == "1 trial lies far outside of what is shown at first."


def test_neither_library_is_imported_before_something_is_drawn():
    sources = {file.stem: file.read_text() for file in Path(figures.__file__).parent.glob("*.py")}
    heavy = {name for name, text in sources.items() if re.search(r"^(from|import) (plotly|matplotlib)", text, re.M)}
    assert heavy == {"drawn", "interactive"}
    importing = r"^from tuner\.report\.figures\.(drawn|interactive)"
    assert not [name for name, text in sources.items() if re.search(importing, text, re.M)]
