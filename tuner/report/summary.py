"""A study's result in words, for the terminal."""

import shlex
from collections.abc import Iterable, Mapping
from statistics import mean
from typing import Any

from tuner.report.costs import cost_in_full, cost_in_short
from tuner.report.ranking import aligned, importances, ranking, weights
from tuner.study import DEFAULT_STORAGE, DEFAULT_TRACKING, BestTrial, StudyResult
from tuner.tracking import absolute, without_credentials


def summary(
    result: StudyResult,
    storage: str = DEFAULT_STORAGE,
    *,
    usual: tuple[str, str] = (DEFAULT_STORAGE, DEFAULT_TRACKING),
    full: bool = False,
) -> str:
    """The result: trials, the best one with its folds, the cost, and the commands that come next.

    Args:
        result: of the study.
        storage: where it is kept.
        usual: the storage and the tracking URI of commands that name none.
        full: the best trials and the importances too, and a line for each part of the cost and for each program.
    """
    lines = [f"study {result.study.study_name}", f"  trials      {counted(result.trials)}"]
    lines += _best(result.best, result.memory.metric) if result.best else ["  best        no trial is complete"]
    lines += _more(result) if full else []
    if result.cost:
        lines += cost_in_full(result.cost, result.cost_total) if full else cost_in_short(result.cost)
    lines += ["", "next:", *(f"  {command}" for command in _next(result, storage, *usual))]
    return "\n".join(lines)


def table(results: Iterable[StudyResult]) -> str:
    """One line a study."""
    rows = [("STUDY", "TRIALS", "BEST", "METRIC", "EXPERIMENT")]
    for result in results:
        best = "-" if result.best is None else f"{result.best.value:.4f}"
        ended = sum(result.trials[state] for state in ("complete", "pruned", "failed"))
        rows.append((result.study.study_name, str(ended), best, result.memory.metric, result.as_json()["experiment"]))
    return "\n".join(aligned(rows))


def counted(counts: Mapping[str, int]) -> str:
    """How many trials are in each state, in words."""
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "none"


def _more(result: StudyResult) -> list[str]:
    """The best trials side by side, and what mattered."""
    best, found = ranking(result.study, result.memory.metric), importances(result.study)
    lines = ["", "the best trials:", *best] if best else []
    lines += ["", "what tells the good trials from the others (PED-ANOVA):", *weights(found)] if found else []
    return [*lines, ""]


def _best(best: BestTrial, metric: str) -> list[str]:
    folds = " ".join(f"{value:.4f}" for value in best.fold_values)
    lines = [f"  best        trial {best.number}: {metric} {best.value:.4f}, the mean over its folds at the last epoch"]
    if best.best_epoch is not None:
        lines.append(f"  folds       {folds}  (best mean in epoch {best.best_epoch})")
    if best.test:
        spread = f"{min(best.test):.4f} to {max(best.test):.4f} over {len(best.test)} seeds"
        lines.append(f"  test        {metric} {mean(best.test):.4f} ({spread}), refit on all that is not test data")
    lines += [
        f"  {'with' if not index else '':<10}  {line}" for index, line in enumerate(_values(best.hyperparameters))
    ]
    return lines


def _values(hyperparameters: Mapping[str, Any]) -> list[str]:
    width = max((len(name) for name in hyperparameters), default=0)
    return [f"{name:<{width}}  {_short(value)}" for name, value in hyperparameters.items()]


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _next(result: StudyResult, storage: str, usual_storage: str, usual_tracking: str) -> list[str]:
    """The commands that come next, as a shell takes them: anybody may have named the study."""
    uri, commands = result.memory.tracking_uri, []
    if uri is not None:
        is_usual = uri == absolute(without_credentials(usual_tracking))
        commands.append(["tuner", "ui", *([] if is_usual else ["--tracking-uri", uri])])
    if result.memory.file is not None:
        elsewhere = [] if storage == usual_storage else ["--storage", without_credentials(storage)]
        commands.append(["tuner", "resume", result.study.study_name, *elsewhere])
    return [shlex.join(words) for words in commands]
