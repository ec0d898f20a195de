"""How sure a result is, in plain words."""

import math
from collections.abc import Iterable

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tuner.errors import InputError
from tuner.report.confidence import (
    LEVEL,
    Comparison,
    bootstrapped,
    corrected_interval,
    corrected_t_test,
    fold_values,
    optimism,
)
from tuner.report.ranking import best_trials, folds_of
from tuner.report.written.blocks import Block, Table, Text
from tuner.study import StudyResult
from tuner.study.record import BEST
from tuner.study.stored import known
from tuner.training.metrics import CLASSIFICATION, confusion

_SURE = 0.05


def how_sure(result: StudyResult, against: int | None = None) -> Iterable[Block]:
    """The best trial's interval, its comparisons, its optimism, and its result on the test rows.

    Raises:
        InputError: the trial to compare with is not complete.
    """
    study, best = result.study, result.best
    if best is None:
        return [Text("No trial is complete.")]
    reference = _reference(study, against)
    folds = best.fold_values
    if len(folds) < 2:
        return [Text("The best trial was measured on one fold, which tells nothing of how sure its value is.")]
    return [*_over_folds(result, folds, reference), *_chosen(result), *_on_test_rows(result)]


def _over_folds(result: StudyResult, folds: list[float], reference: FrozenTrial | None) -> Iterable[Block]:
    study, metric, ratio = result.study, result.memory.metric, 1 / (len(folds) - 1)
    found = corrected_interval(folds, ratio)
    yield Text(
        f"Over its {len(folds)} folds the best trial's {metric} is {found.mean:.4f}; {LEVEL:.0%} interval "
        f"{found.low:.4f} to {found.high:.4f}. Folds share training rows, so they vary less than new data would; the "
        "interval is widened for that (Nadeau and Bengio, 2003, with the share of rows of k-fold cross-validation)."
    )
    rivals = {"the reference": reference, "the runner-up": next(iter(best_trials(study, 2)[1:]), None)}
    maximize, rows = study.direction == StudyDirection.MAXIMIZE, []
    for words, trial in rivals.items():
        theirs = [] if trial is None else folds_of(trial)
        if trial is None or trial.number == study.best_trial.number or len(theirs) != len(folds):
            continue
        compared = corrected_t_test(folds, theirs, ratio, maximize=maximize)
        rows.append([f"{words}, trial {trial.number}", *_shown(compared), _verdict(compared)])
    if rows:
        yield Text(
            "The corrected resampled t-test on the same folds. The reference is what one has without a search: the "
            "first configuration that was tried, unless --against names another. The winner was chosen among all "
            "trials, which no such test knows, so take what is close to chance for chance."
        )
        yield Table(["against", "better by", f"{LEVEL:.0%} interval", "p", "in words"], rows)


def _chosen(result: StudyResult) -> Iterable[Block]:
    study, best = result.study, result.best
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    values = fold_values([folds_of(trial) for trial in trials])
    if best is None or len(values) < 2:
        return
    maximize = study.direction == StudyDirection.MAXIMIZE
    flattered = optimism(values, maximize=maximize)
    honest = best.value - flattered if maximize else best.value + flattered
    yield Text(
        f"The winner was chosen for its value, so the value flatters it. Chosen on some folds and judged on the "
        f"others, winners of these {len(values)} complete trials lose {flattered:.4f}: expect about {honest:.4f} "
        f"rather than {best.value:.4f} (bootstrap over folds, after Tsamardinos et al., 2018; coarse if they are few)."
    )


def _on_test_rows(result: StudyResult) -> Iterable[Block]:
    best, metric = result.best, result.memory.metric
    if best is None or not best.test:
        yield Text("The best trial has not been tried on the test rows.")
        return
    values = ", ".join(f"{value:.4f}" for value in best.test)
    yield Text(f"On the test rows, which no trial saw, refits of the best trial with {len(best.test)} seeds: {values}.")
    counts, found = known(result.study, BEST).get("confusion"), CLASSIFICATION.get(metric)
    if counts is None or found is None or found.parts is not confusion:
        yield Text(f"An interval of the {metric} over the test rows needs the predictions, which are not kept.")
        return
    interval = bootstrapped(counts, found.of)
    rows = sum(map(sum, counts))
    yield Text(
        f"Of the first of them {LEVEL:.0%} interval {interval.low:.4f} to {interval.high:.4f}: what other {rows} test "
        "rows of the same kind might have given (bootstrap over rows)."
    )


def _reference(study: optuna.Study, against: int | None) -> FrozenTrial | None:
    complete = {t.number: t for t in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))}
    if against is None:
        return complete[min(complete)] if complete else None
    if against not in complete:
        fix = f"Name a complete one: {', '.join(map(str, sorted(complete)[:20]))}."
        raise InputError("there is no complete trial of this number", str(against), fix)
    return complete[against]


def _shown(compared: Comparison) -> list[str]:
    found = compared.difference
    return [f"{found.mean:.4f}", f"{found.low:.4f} to {found.high:.4f}", f"{compared.p:.3f}"]


def _verdict(compared: Comparison) -> str:
    if math.isnan(compared.p):
        return "every fold differs by the same, so there is nothing to test"
    return "hardly by chance" if compared.p < _SURE else "may well be chance"
